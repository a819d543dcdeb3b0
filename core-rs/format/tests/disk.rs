//! Disks and files that fail underneath: a full disk, a file that another program shortens.

mod common;

use std::fs::OpenOptions;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Folder, golden, words};
use puna_format::quantize::{FileType, Options, quantize_file};
use puna_format::safetensors::SafeTensors;
use puna_format::{
    Bytes, DType, Error, FileSource, Gguf, Mmap, PartLimit, Source, SplitOptions, Writer,
    merge_file, split_file,
};

const N: u64 = 1 << 16;

fn model(folder: &Folder) -> Gguf {
    let path = folder.0.join("model.gguf");
    let mut writer = Writer::new();
    writer.set("general.architecture", "llama");
    writer.set("llama.block_count", 1u32);
    for name in ["a.weight", "b.weight"] {
        let bytes = vec![0; 4 * N as usize];
        writer
            .add_tensor(name, DType::F32, &[256, N / 256], bytes)
            .unwrap();
    }
    writer.write(&path, &mut |_| {}).unwrap();
    Gguf::open(&path).unwrap()
}

fn shorten(folder: &Folder, len: u64) {
    let file = OpenOptions::new()
        .write(true)
        .open(folder.0.join("model.gguf"));
    file.unwrap().set_len(len).unwrap();
    std::thread::sleep(Duration::from_millis(3)); // a map looks once a millisecond
}

#[test]
#[cfg(unix)]
fn a_mapped_file_that_shrinks_is_an_error() {
    let folder = Folder::new();
    let gguf = model(&folder);
    shorten(&folder, 4096);
    let tensor = gguf.require_tensor("b.weight").unwrap();
    assert!(gguf.source().slice(tensor.offset, tensor.n_bytes).is_none());
    let error = words(gguf.read_tensor(tensor));
    assert!(
        error.contains("model.gguf: a range of a file that became shorter while in use"),
        "{error}"
    );
    assert!(gguf.dequantize("a.weight").is_err());
    let never = AtomicBool::new(false);
    let options = Options::new(FileType::Q8_0);
    let path = folder.0.join("q.gguf");
    let error = words(quantize_file(&gguf, &path, &options, &mut |_| {}, &never));
    assert!(error.contains("became shorter"), "{error}");
    assert_eq!(folder.names(), ["model.gguf"]);
}

/// Pages that were not in memory yet, which a touch would have to bring from the file.
#[test]
#[cfg(unix)]
fn bytes_held_while_the_file_shrinks_turn_to_zeros_and_the_source_says_so() {
    let folder = Folder::new();
    let path = folder.0.join("model.gguf");
    std::fs::write(&path, vec![7; 1 << 20]).unwrap();
    let maps = [(); 3].map(|()| Mmap::open(&path).unwrap());
    let held = maps.each_ref().map(|map| map.slice(0, 1 << 20).unwrap());
    shorten(&folder, 100_000);
    assert_eq!(held[0][50_000], 7);
    assert_eq!((held[0][(1 << 20) - 1], held[1][500_000]), (0, 0));
    for map in &maps[..2] {
        let error = words(map.intact());
        assert!(
            error.contains("model.gguf: the mapped file is shorter"),
            "{error}"
        );
        assert!(map.slice(0, 1).is_none());
    }
    assert!(maps[2].intact().is_ok()); // of this one, nobody touched a lost page
}

/// Borrowed bytes that turn out to be lost after use, or whose file cannot be read any more.
struct Failing {
    bytes: Bytes,
    is_lost: AtomicBool,
    is_unreadable: AtomicBool,
}

impl Failing {
    fn new(bytes: Vec<u8>) -> Arc<Failing> {
        Arc::new(Failing {
            bytes: Bytes::new(bytes),
            is_lost: AtomicBool::new(false),
            is_unreadable: AtomicBool::new(false),
        })
    }
}

fn unless(failed: &AtomicBool) -> puna_format::Result<()> {
    match failed.load(Ordering::Relaxed) {
        false => Ok(()),
        true => Err(Error::Io {
            action: "keep the source",
            source: std::io::Error::other("it is gone"),
        }),
    }
}

impl Source for Failing {
    fn len(&self) -> u64 {
        self.bytes.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> puna_format::Result<()> {
        unless(&self.is_unreadable)?;
        self.bytes.read_at(offset, buf)
    }

    fn slice(&self, offset: u64, len: u64) -> Option<&[u8]> {
        self.bytes.slice(offset, len)
    }

    fn intact(&self) -> puna_format::Result<()> {
        unless(&self.is_lost)
    }
}

/// The bytes of a model of a small tensor and one too large to be written out of a buffer.
fn small_and_large() -> Vec<u8> {
    let mut writer = Writer::new();
    for (name, n) in [("small", N), ("large", 16 * N)] {
        writer
            .add_tensor(name, DType::F32, &[n], vec![0; 4 * n as usize])
            .unwrap();
    }
    let mut bytes = Vec::new();
    writer.write_to(&mut bytes, &mut |_| {}).unwrap();
    bytes
}

const EACH_ALONE: SplitOptions = SplitOptions {
    limit: PartLimit::Tensors(1),
    no_tensor_first: false,
};

#[test]
fn nothing_is_made_of_lost_bytes() {
    let folder = Folder::new();
    let path = folder.0.join("copy.gguf");
    let source = Failing::new(small_and_large());
    let src = Gguf::from_source(source.clone()).unwrap();
    source.is_lost.store(true, Ordering::Relaxed);
    let copy = Options {
        copy: true,
        ..Options::new(FileType::F16)
    };
    let never = AtomicBool::new(false);
    let floats = Failing::new(std::fs::read(golden("plain.safetensors")).unwrap());
    let tensors = SafeTensors::from_source(floats.clone()).unwrap();
    floats.is_lost.store(true, Ordering::Relaxed);
    for error in [
        words(merge_file(&src, &path, &mut |_| {})),
        words(split_file(&src, &path, &EACH_ALONE, &mut |_| {})),
        words(quantize_file(&src, &path, &copy, &mut |_| {}, &never)),
        words(src.dequantize("small")),
        words(tensors.to_f32("float32")),
    ] {
        assert!(error.contains("cannot keep the source"), "{error}");
    }
    assert!(folder.names().is_empty());
}

/// What is no map of ours ends the process as ever.
#[test]
#[cfg(unix)]
fn other_bus_errors_are_left_alone() {
    const INNER: &str = "PUNA_TEST_BUS_ERROR";
    if std::env::var_os(INNER).is_some() {
        let folder = Folder::new();
        let _gguf = model(&folder);
        let me = std::process::id().to_string();
        // The first goes to the handler of Rust's own, which gives way to the default. Two that come
        // close together are one, so they come until this process ends.
        for _ in 0..300 {
            let _sent = Command::new("kill").args(["-BUS", &me]).status();
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("still alive");
    }
    let test = std::env::current_exe().unwrap();
    let mut command = Command::new(test);
    let name = "other_bus_errors_are_left_alone";
    let run = command.args(["--exact", name]).env(INNER, "1").output();
    let signal = std::os::unix::process::ExitStatusExt::signal(&run.unwrap().status);
    assert_eq!(signal, Some(libc::SIGBUS));
}

/// Nor does the handler for lost pages take the place of one who ignores the signal. On Apple's ARM a
/// signal that is sent looks like any other.
#[test]
#[cfg(target_os = "linux")]
fn a_bus_error_that_is_sent_can_be_ignored() {
    let name = "a_bus_error_that_is_sent_can_be_ignored";
    if !within_shell(name, "trap '' BUS") {
        return;
    }
    let folder = Folder::new();
    let gguf = model(&folder);
    let me = std::process::id().to_string();
    for _ in 0..3 {
        let sent = Command::new("kill").args(["-BUS", &me]).status().unwrap();
        assert!(sent.success());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(gguf.source().intact().is_ok());
}

#[test]
#[cfg(unix)]
fn a_file_replaced_by_a_rename_stays_as_it_was_mapped() {
    let folder = Folder::new();
    let gguf = model(&folder);
    let path = folder.0.join("model.gguf");
    Writer::new().write(&path, &mut |_| {}).unwrap();
    std::thread::sleep(Duration::from_millis(3));
    assert_eq!(gguf.dequantize("b.weight").unwrap(), vec![0.0; N as usize]);
}

#[test]
fn a_file_that_grows_or_shrinks_between_reads_does_no_harm() {
    let folder = Folder::new();
    drop(model(&folder));
    let path = folder.0.join("model.gguf");
    let pieces = Gguf::from_source(Arc::new(FileSource::open(&path).unwrap())).unwrap();
    let map = Mmap::open(&path).unwrap();
    let len = map.len();
    shorten(&folder, len + 100);
    assert!(pieces.dequantize("b.weight").is_ok());
    assert_eq!(map.slice(len - 4, 4).unwrap(), [0; 4]);
    assert!(map.slice(len, 4).is_none());
    assert!(map.read_at(len, &mut [0; 4]).is_err());
    drop(map); // Windows does not shorten a mapped file
    shorten(&folder, len / 2);
    assert!(pieces.dequantize("b.weight").is_err());
}

/// Runs the test of this name again in a process that may write `blocks` of 512 bytes to a file.
#[cfg(unix)]
fn with_small_disk(name: &str, blocks: u32) -> bool {
    // Writing too much raises a signal, which has to be ignored to become an error.
    within_shell(name, &format!("trap '' XFSZ; ulimit -f {blocks}"))
}

/// Runs the test of this name again in a process that a shell becomes after `commands`. True: in there.
#[cfg(unix)]
fn within_shell(name: &str, commands: &str) -> bool {
    const INNER: &str = "PUNA_TEST_WITHIN_SHELL";
    if std::env::var_os(INNER).is_some() {
        return true;
    }
    let test = std::env::current_exe().unwrap();
    let script = format!("{commands}; exec \"$0\" --exact {name}");
    let mut shell = Command::new("sh");
    let run = shell.arg("-c").arg(script).arg(test).env(INNER, "1");
    let output = run.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
    false
}

/// 600 KiB hold two of the three tensors.
#[test]
#[cfg(unix)]
fn a_full_disk_leaves_the_old_file_and_names_the_new() {
    if !with_small_disk("a_full_disk_leaves_the_old_file_and_names_the_new", 1200) {
        return;
    }
    let folder = Folder::new();
    let path = folder.0.join("big.gguf");
    std::fs::write(&path, "old").unwrap();
    let mut writer = Writer::new();
    for name in ["c", "d", "e"] {
        writer
            .add_tensor(name, DType::F32, &[N], vec![0; 4 * N as usize])
            .unwrap();
    }
    let error = words(writer.write(&path, &mut |_| {}));
    assert!(
        error.contains("big.gguf: cannot write the file: File too large"),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(folder.names(), ["big.gguf"]);
}

#[test]
fn what_a_killed_process_left_goes_and_what_another_writes_stays() {
    let folder = Folder::new();
    let create = |name: &str| std::fs::File::create(folder.0.join(name)).unwrap();
    drop([".a.gguf.1-0.part", ".a.gguf.4000000-17.part"].map(create));
    let others = [
        ".a.gguf.1.part",
        ".a.gguf.x-1.part",
        ".b.gguf.1-0.part",
        "a.gguf.1-0.part",
    ];
    drop(others.map(create));
    let written_now = create(".a.gguf.1-1.part");
    written_now.lock().unwrap();
    Writer::new()
        .write(&folder.0.join("a.gguf"), &mut |_| {})
        .unwrap();
    let mut expected = vec![".a.gguf.1-1.part", "a.gguf"];
    expected.extend(others);
    expected.sort_unstable();
    assert_eq!(folder.names(), expected);
    drop(written_now);
    Writer::new()
        .write(&folder.0.join("a.gguf"), &mut |_| {})
        .unwrap();
    assert!(!folder.names().contains(&".a.gguf.1-1.part".to_string()));
}

/// Two at once, each of which would take the other's for abandoned if it were not locked.
#[test]
fn many_may_write_one_file() {
    let folder = Folder::new();
    let path = folder.0.join("a.gguf");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    Writer::new().write(&path, &mut |_| {}).unwrap();
                }
            });
        }
    });
    assert_eq!(folder.names(), ["a.gguf"]);
}

/// The first part fits, the last does not.
#[test]
#[cfg(unix)]
fn a_disk_that_fills_at_the_last_part_leaves_no_part() {
    if !with_small_disk("a_disk_that_fills_at_the_last_part_leaves_no_part", 1200) {
        return;
    }
    let folder = Folder::new();
    let src = common::open(small_and_large()).unwrap();
    let prefix = folder.0.join("p");
    let error = words(split_file(&src, &prefix, &EACH_ALONE, &mut |_| {}));
    let expected = "p-00002-of-00002.gguf: tensor \"large\": cannot write";
    assert!(error.contains(expected), "{error}");
    assert!(folder.names().is_empty());
}

/// The system refuses to write a lost page of a map, which looks like a fault of the new file.
#[test]
#[cfg(unix)]
fn a_write_that_fails_for_the_source_is_no_fault_of_the_new_file() {
    let name = "a_write_that_fails_for_the_source_is_no_fault_of_the_new_file";
    if !with_small_disk(name, 1200) {
        return;
    }
    let folder = Folder::new();
    let source = Failing::new(small_and_large());
    let src = Gguf::from_source(source.clone()).unwrap();
    source.is_unreadable.store(true, Ordering::Relaxed);
    let error = words(merge_file(&src, &folder.0.join("copy"), &mut |_| {}));
    let expected = "tensor \"large\": cannot keep the source";
    assert!(error.contains(expected), "{error}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_device_without_room_is_an_error() {
    let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut writer = Writer::new();
    writer
        .add_tensor("t", DType::F32, &[N], vec![0; 4 * N as usize])
        .unwrap();
    let error = words(writer.write_to(&mut full, &mut |_| {}));
    assert!(
        error.contains("cannot write the header: No space left"),
        "{error}"
    );
}
