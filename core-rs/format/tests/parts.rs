//! Models in several files: read as one, cut and put together again, and refused where a part is
//! missing or is not the one its name says.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{Folder, file, golden, says, source};
use puna_format::{
    DType, FileSource, Gguf, PartLimit, SplitOptions, Writer, merge_file, plan_split, split_file,
};

const NAMES: [&str; 3] = [
    "split-00001-of-00003.gguf",
    "split-00002-of-00003.gguf",
    "split-00003-of-00003.gguf",
];

/// The `gguf` package's parts, copied where they can be damaged.
fn parts() -> Folder {
    let folder = Folder::new();
    for name in NAMES {
        std::fs::copy(golden(name), folder.0.join(name)).unwrap();
    }
    folder
}

fn assert_same(a: &Gguf, b: &Gguf) {
    assert_eq!(a.metadata, b.metadata);
    assert_eq!(a.tensors().len(), b.tensors().len());
    for tensor in a.tensors() {
        let twin = b.require_tensor(&tensor.name).unwrap();
        assert_eq!((&tensor.shape, tensor.dtype), (&twin.shape, twin.dtype));
        assert_eq!(a.read_tensor(tensor).unwrap(), b.read_tensor(twin).unwrap());
    }
}

#[test]
fn the_first_part_opens_all() {
    let folder = parts();
    let whole = Gguf::open(&golden("little.gguf")).unwrap();
    let first = folder.0.join(NAMES[0]);
    let mapped = Gguf::open(&first).unwrap();
    assert_eq!((mapped.n_files(), whole.n_files()), (3, 1));
    assert_same(&mapped, &whole);
    assert_same(&whole, &mapped);
    let pieces = Gguf::from_source(Arc::new(FileSource::open(&first).unwrap())).unwrap();
    assert_same(&pieces, &whole);
    let buffers = NAMES.map(|name| source(std::fs::read(golden(name)).unwrap()));
    assert_same(&Gguf::from_parts(buffers.to_vec()).unwrap(), &whole);
}

#[test]
fn another_part_than_the_first_names_the_first() {
    let folder = parts();
    for (no, name) in NAMES.iter().enumerate().skip(1) {
        let found = format!(
            "{name}: split.no is {no}, expected 0: open the first part, {}",
            NAMES[0]
        );
        says(Gguf::open(&folder.0.join(name)), &found);
    }
    let buffer = source(std::fs::read(golden(NAMES[1])).unwrap());
    says(
        Gguf::from_source(buffer),
        "open the first part, *-00001-of-00003.gguf",
    );
}

#[test]
fn a_missing_or_broken_part_is_named() {
    let folder = parts();
    let path = |name: &str| folder.0.join(name);
    let whole = std::fs::read(path(NAMES[2])).unwrap();
    const PADDING: usize = 28; // behind the last tensor
    std::fs::write(path(NAMES[2]), &whole[..whole.len() - 40]).unwrap();
    says(
        Gguf::open(&path(NAMES[0])),
        &format!(
            "split-00003-of-00003.gguf: the file has {} bytes, expected at least {}: it ends",
            whole.len() - 40,
            whole.len() - PADDING
        ),
    );
    std::fs::remove_file(path(NAMES[2])).unwrap();
    says(
        Gguf::open(&path(NAMES[0])),
        "split-00003-of-00003.gguf: cannot open the file",
    );
    std::fs::copy(path(NAMES[1]), path(NAMES[2])).unwrap();
    let expected = "split-00003-of-00003.gguf: split.no is 1, expected 2 for part 3 of 3";
    says(Gguf::open(&path(NAMES[0])), expected);
    std::fs::copy(golden("little.gguf"), path(NAMES[2])).unwrap();
    says(Gguf::open(&path(NAMES[0])), "\"split.no\" is missing");
}

#[test]
fn names_must_agree_with_the_file() {
    let folder = parts();
    let path = |name: &str| folder.0.join(name);
    for other in [
        "model.gguf",
        "split-00001-of-00002.gguf",
        "split-00002-of-00003.gguf",
    ] {
        std::fs::copy(golden(NAMES[0]), path(other)).unwrap();
        let found = format!(
            "the name of the first of 3 parts is {other:?}, expected a name that ends in -00001-of-00003.gguf"
        );
        says(Gguf::open(&path(other)), &found);
    }
    let buffer = source(std::fs::read(golden(NAMES[0])).unwrap());
    says(Gguf::from_source(buffer), "split.count is 3");
    // A whole file may have any name.
    std::fs::copy(golden("little.gguf"), path("x-00002-of-00003.gguf")).unwrap();
    assert!(Gguf::open(&path("x-00002-of-00003.gguf")).is_ok());
}

/// Parts by these values of `split.no`, `split.count` and `split.tensors.count`, a tensor `t` each.
fn made(parts: &[(u16, u16, i32)]) -> puna_format::Result<Gguf> {
    let part = |&(no, count, n): &(u16, u16, i32)| {
        let mut writer = Writer::new();
        writer.set("split.no", no).set("split.count", count);
        writer.set("split.tensors.count", n);
        writer.add_tensor(&format!("t{no}"), DType::F32, &[1], vec![0; 4])?;
        let mut bytes = Vec::new();
        writer.write_to(&mut bytes, &mut |_| {})?;
        Ok(source(bytes))
    };
    Gguf::from_parts(
        parts
            .iter()
            .map(part)
            .collect::<Result<_, puna_format::Error>>()?,
    )
}

#[test]
fn counts_must_agree() {
    assert!(made(&[(0, 2, 2), (1, 2, 2)]).is_ok());
    assert!(made(&[(0, 1, 1)]).is_ok());
    says(
        made(&[(0, 2, 3), (1, 2, 3)]),
        "number of tensors in all parts is 2, expected 3",
    );
    says(
        made(&[(0, 3, 2), (1, 3, 2)]),
        "split.count is 3, expected 2",
    );
    says(made(&[(0, 2, 2), (0, 2, 2)]), "split.no is 0, expected 1");
    says(made(&[(0, 2, 2)]), "split.count is 2, expected 1");
    says(made(&[]), "number of parts is 0");
    let both = file().pair("split.no", 2).clone();
    let part = |no: u8| {
        let mut file = both.clone();
        file.body.extend([no, 0]);
        let mut file = file.pair("split.count", 2);
        file.body.extend([2, 0]);
        source(file.tensor("t", &[1], 0, 0).data(4).bytes())
    };
    says(
        Gguf::from_parts(vec![part(0), part(1)]),
        "\"t\" appears twice",
    );
}

fn options(limit: PartLimit) -> SplitOptions {
    SplitOptions {
        limit,
        no_tensor_first: false,
    }
}

#[test]
fn parts_are_full_by_tensors_or_bytes() {
    let src = Gguf::open(&golden("little.gguf")).unwrap();
    let plan = |limit| plan_split(&src, &options(limit)).unwrap();
    assert_eq!(plan(PartLimit::Tensors(3)), [0..3, 3..6, 6..8]);
    assert_eq!(plan(PartLimit::Tensors(8)).len(), 1);
    // 128 64 64 96 160 576 864 96 bytes, padded
    assert_eq!(plan(PartLimit::Bytes(352)), [0..4, 4..5, 5..6, 6..7, 7..8]);
    assert_eq!(plan(PartLimit::Bytes(1)).len(), 8);
    let empty_first = SplitOptions {
        no_tensor_first: true,
        ..options(PartLimit::Tensors(5))
    };
    assert_eq!(plan_split(&src, &empty_first).unwrap(), [0..0, 0..5, 5..8]);
    says(
        plan_split(&src, &options(PartLimit::Bytes(0))),
        "limit of a part is 0",
    );
}

#[test]
fn what_is_split_and_merged_is_what_it_was() {
    let src = Gguf::open(&golden("little.gguf")).unwrap();
    let folder = Folder::new();
    for no_tensor_first in [false, true] {
        let options = SplitOptions {
            no_tensor_first,
            ..options(PartLimit::Tensors(3))
        };
        let (mut last, total) = (0, src.tensors().map(|t| t.n_bytes).sum::<u64>());
        let mut told = |p: puna_format::WriteProgress| {
            assert!(p.n_bytes == total && p.bytes_done >= last);
            last = p.bytes_done;
        };
        let paths = split_file(&src, &folder.0.join("m"), &options, &mut told).unwrap();
        assert_eq!(last, total);
        let count = paths.len();
        assert_eq!(count, 3 + usize::from(no_tensor_first));
        let read = Gguf::open(&paths[0]).unwrap();
        assert_same(&read, &src);
        let merged = folder.0.join("merged.gguf");
        merge_file(&read, &merged, &mut |_| {}).unwrap();
        assert_same(&Gguf::open(&merged).unwrap(), &src);
        for path in paths {
            std::fs::remove_file(path).unwrap();
        }
        assert_eq!(folder.names(), ["merged.gguf"]);
    }
}

/// Cut alike, the parts are the `gguf` package's own, but for the order of the metadata.
#[test]
fn parts_hold_what_the_package_puts_there() {
    let src = Gguf::open(&golden("little.gguf")).unwrap();
    let folder = Folder::new();
    let options = options(PartLimit::Tensors(3));
    let paths = split_file(&src, &folder.0.join("split"), &options, &mut |_| {}).unwrap();
    for (path, name) in paths.iter().zip(NAMES) {
        assert_eq!(path.file_name().unwrap(), name);
        let (ours, theirs) = (
            std::fs::read(path).unwrap(),
            std::fs::read(golden(name)).unwrap(),
        );
        assert_eq!(ours.len(), theirs.len(), "{name}");
        if name != NAMES[0] {
            assert!(ours == theirs, "{name}");
        }
    }
}

#[test]
fn a_prefix_needs_a_name() {
    let src = Gguf::open(&golden("little.gguf")).unwrap();
    let options = options(PartLimit::Tensors(3));
    says(
        split_file(&src, Path::new("/"), &options, &mut |_| {}),
        "prefix of the parts is /",
    );
}
