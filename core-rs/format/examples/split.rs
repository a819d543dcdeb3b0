//! `cargo run --release -p puna-format --example split -- in.gguf PREFIX 500M|128` cuts at so many bytes
//! (K, M, G) or tensors; `… -- in-00001-of-00003.gguf out.gguf` puts together.

use std::error::Error;
use std::path::Path;

use puna_format::{Gguf, PartLimit, SplitOptions, merge_file, split_file};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, limit @ ..] = args.as_slice() else {
        return Err("usage: split INPUT PREFIX LIMIT, or split FIRST-PART OUTPUT".into());
    };
    let src = Gguf::open(Path::new(input))?;
    let Some(limit) = limit.first() else {
        merge_file(&src, Path::new(output), &mut |_| {})?;
        println!(
            "{output}: {} tensors of {} files",
            src.tensors().len(),
            src.n_files()
        );
        return Ok(());
    };
    let options = SplitOptions {
        limit: parse(limit)?,
        no_tensor_first: false,
    };
    for path in split_file(&src, Path::new(output), &options, &mut |_| {})? {
        println!("{}", path.display());
    }
    Ok(())
}

/// Units are of 1000, as in llama.cpp's `--split-max-size`.
fn parse(limit: &str) -> Result<PartLimit, Box<dyn Error>> {
    for (unit, n_bytes) in [("K", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)] {
        if let Some(count) = limit.strip_suffix(unit) {
            return Ok(PartLimit::Bytes(
                count.parse::<u64>()?.saturating_mul(n_bytes),
            ));
        }
    }
    Ok(PartLimit::Tensors(limit.parse()?))
}
