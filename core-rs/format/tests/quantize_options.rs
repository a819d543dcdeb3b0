//! What `quantize_file` refuses before it writes: its own source, and options without effect.

mod common;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use common::{Folder, golden, words};
use puna_format::quantize::{FileType, Options, plan, quantize_file};
use puna_format::{DType, Gguf, PartLimit, SplitOptions, Writer, split_file};

fn model(folder: &Folder) -> Gguf {
    model_of(folder, &["output.weight", "blk.0.ffn_up.weight"])
}

fn model_of(folder: &Folder, names: &[&str]) -> Gguf {
    let path = folder.0.join("model.gguf");
    let mut writer = Writer::new();
    writer.set("general.architecture", "llama");
    writer.set("llama.block_count", 1u32);
    for name in names {
        let bytes = vec![0; 4 * 64];
        writer
            .add_tensor(name, DType::F32, &[32, 2], bytes)
            .unwrap();
    }
    writer.write(&path, &mut |_| {}).unwrap();
    Gguf::open(&path).unwrap()
}

fn options() -> Options {
    Options {
        n_threads: 1,
        ..Options::new(FileType::Q8_0)
    }
}

fn refusal(src: &Gguf, dst: &Path, options: &Options) -> String {
    let never = AtomicBool::new(false);
    words(quantize_file(src, dst, options, &mut |_| {}, &never))
}

#[test]
fn the_file_that_is_read_is_not_replaced() {
    let folder = Folder::new();
    let src = model(&folder);
    std::fs::create_dir(folder.0.join("a")).unwrap();
    for path in ["model.gguf", "a/../model.gguf"] {
        let error = refusal(&src, &folder.0.join(path), &options());
        assert!(error.contains("expected another file"), "{error}");
    }
}

/// Such a file is read through a source that turns its numbers round.
#[test]
fn nor_is_a_big_endian_one() {
    let folder = Folder::new();
    let path = folder.0.join("big.gguf");
    std::fs::copy(golden("big.gguf"), &path).unwrap();
    let src = Gguf::open(&path).unwrap();
    for copy in [false, true] {
        let options = Options { copy, ..options() };
        let error = refusal(&src, &path, &options);
        assert!(error.contains("expected another file"), "{error}");
    }
}

#[test]
#[cfg(unix)]
fn nor_is_it_behind_a_link() {
    let folder = Folder::new();
    let src = model(&folder);
    let link = folder.0.join("link.gguf");
    std::os::unix::fs::symlink(folder.0.join("model.gguf"), &link).unwrap();
    let error = refusal(&src, &link, &options());
    assert!(error.contains("expected another file"), "{error}");
}

#[test]
fn no_part_that_is_read_is_replaced() {
    let folder = Folder::new();
    let cut = SplitOptions {
        limit: PartLimit::Tensors(1),
        no_tensor_first: false,
    };
    let prefix = folder.0.join("part");
    let paths = split_file(&model(&folder), &prefix, &cut, &mut |_| {}).unwrap();
    let src = Gguf::open(&paths[0]).unwrap();
    let split = Options {
        keep_split: true,
        ..options()
    };
    for name in ["part", "part.gguf"] {
        let error = refusal(&src, &folder.0.join(name), &split);
        assert!(
            error.contains("-00001-of-00002.gguf, expected another file"),
            "{error}"
        );
    }
    let error = refusal(&src, &paths[1], &options());
    assert!(
        error.contains("-00002-of-00002.gguf, expected another file"),
        "{error}"
    );
}

#[test]
fn an_option_without_effect_is_refused_by_name() {
    let folder = Folder::new();
    let src = model(&folder);
    let copy = Options {
        copy: true,
        ..options()
    };
    let given = |options: Options| words(plan(&src, &options));
    let pure = given(Options {
        pure: true,
        ..copy.clone()
    });
    assert!(pure.contains("pure = True, expected it left out"), "{pure}");
    let types = given(Options {
        tensor_types: [("output.weight".to_string(), DType::F16)].into(),
        ..copy.clone()
    });
    assert!(
        types.contains("tensor_types = those of 1 tensors"),
        "{types}"
    );
    for options in [
        Options {
            output_tensor_type: Some(DType::Q8_0),
            ..copy.clone()
        },
        Options {
            output_tensor_type: Some(DType::Q8_0),
            leave_output_tensor: true,
            ..options()
        },
    ] {
        let output = given(options);
        assert!(
            output.contains("output_tensor_type = Q8_0, expected"),
            "{output}"
        );
    }
    let embedding = given(Options {
        token_embedding_type: Some(DType::F16),
        ..copy.clone()
    });
    assert!(
        embedding.contains("token_embedding_type = F16"),
        "{embedding}"
    );
    assert!(plan(&src, &copy).is_ok());
}

#[test]
fn the_type_of_the_output_is_that_of_embeddings_which_are_both() {
    let types = |names: &[&str], options: &Options| {
        let folder = Folder::new();
        let src = model_of(&folder, names);
        let steps = plan(&src, options).unwrap();
        steps.into_iter().map(|s| s.to).collect::<Vec<_>>()
    };
    let output = Options {
        output_tensor_type: Some(DType::Q4_0),
        ..options()
    };
    let both = Options {
        token_embedding_type: Some(DType::Q5_0),
        ..output.clone()
    };
    let (embedding, head) = ("token_embd.weight", "output.weight");
    assert_eq!(types(&[embedding], &output), [DType::Q4_0]);
    assert_eq!(types(&[embedding], &both), [DType::Q5_0]);
    assert_eq!(
        types(&[embedding, head], &output),
        [DType::Q8_0, DType::Q4_0]
    );
}
