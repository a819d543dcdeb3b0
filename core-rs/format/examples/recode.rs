//! Encodes or decodes a raw file with this crate's quant types, and says how long it took. For
//! comparing with other implementations:
//!
//! ```text
//! cargo run --release -p puna-format --example recode -- encode Q4_K values.f32 blocks.bin
//! cargo run --release -p puna-format --example recode -- decode Q4_K blocks.bin values.f32
//! ```

use std::error::Error;
use std::time::Instant;

use puna_format::{DType, quant};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [direction, dtype, input, output] = args.as_slice() else {
        return Err("usage: recode encode|decode TYPE INPUT OUTPUT".into());
    };
    let dtype = DType::from_name(dtype).ok_or_else(|| format!("no type is named {dtype}"))?;
    let bytes = std::fs::read(input)?;
    let start;
    let result = match direction.as_str() {
        "encode" => {
            let mut values = vec![0.0; bytes.len() / 4];
            quant::decode_row(DType::F32, &bytes, &mut values)?;
            let mut blocks = vec![0; dtype.row_bytes(values.len())?];
            start = Instant::now();
            quant::encode_row(dtype, &values, &mut blocks)?;
            blocks
        }
        "decode" => {
            let mut values = vec![0.0; bytes.len() / dtype.block_bytes() * dtype.block_len()];
            start = Instant::now();
            quant::decode_row(dtype, &bytes, &mut values)?;
            values.iter().flat_map(|x| x.to_le_bytes()).collect()
        }
        other => return Err(format!("{other} is neither encode nor decode").into()),
    };
    println!("{:.6}", start.elapsed().as_secs_f64());
    std::fs::write(output, result)?;
    Ok(())
}
