//! `cargo run --release -p puna-format --example quantize -- in.gguf out.gguf Q4_K_M [threads]`

use std::error::Error;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use puna_format::Gguf;
use puna_format::quantize::{FileType, Options, quantize_file};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, file_type, threads @ ..] = args.as_slice() else {
        return Err("usage: quantize INPUT OUTPUT TYPE [THREADS]".into());
    };
    let named = FileType::from_name(file_type);
    let mut options = Options::new(named.ok_or_else(|| format!("no file type is {file_type}"))?);
    if let Some(n) = threads.first() {
        options.n_threads = n.parse()?;
    }
    let start = Instant::now();
    let src = Gguf::open(Path::new(input))?;
    let never = AtomicBool::new(false);
    let steps = quantize_file(&src, Path::new(output), &options, &mut |_| {}, &never)?;
    for step in &steps {
        println!("{} {} {}", step.name, step.from, step.to);
    }
    eprintln!("{:.3} s", start.elapsed().as_secs_f64());
    Ok(())
}
