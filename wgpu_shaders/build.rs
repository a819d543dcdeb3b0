//! Gathers the WGSL files into one table, so that adding a kernel is adding a file.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("set by cargo");
    let mut table = String::from("const FILES: &[(&str, &str)] = &[\n");
    for folder in ["kernels", "quant", "shared"] {
        println!("cargo::rerun-if-changed={folder}");
        let mut names: Vec<String> = fs::read_dir(Path::new(&root).join(folder))
            .expect("a folder of this crate")
            .map(|entry| entry.expect("readable").file_name())
            .map(|name| name.into_string().expect("ASCII names"))
            .filter(|name| name.ends_with(".wgsl"))
            .collect();
        names.sort();
        for name in names {
            let path = format!("{root}/{folder}/{name}");
            writeln!(
                table,
                "({:?}, include_str!({path:?})),",
                format!("{folder}/{name}")
            )
            .expect("strings take everything");
        }
    }
    table.push_str("];\n");
    let out = env::var("OUT_DIR").expect("set by cargo");
    fs::write(Path::new(&out).join("files.rs"), table).expect("write into OUT_DIR");
}
