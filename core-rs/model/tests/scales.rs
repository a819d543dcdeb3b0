//! The second scale of NVFP4, a tensor beside each matrix: a model with it equals the one whose
//! matrices are decoded and multiplied.

mod support;

use puna_format::quant::{decode_row, encode_row};
use puna_format::{DType, Gguf};
use puna_model::tiny::{self, Tiny};
use puna_model::{ARCHS, Arch, Options, lower};
use support::{all_rows, reference, worst};

const TOKENS: [u32; 6] = [1, 40, 77, 100, 9, 250];
/// f32 sums of the same products, one of them scaled before and one behind.
const TOLERANCE: f32 = 1e-4;

type Tensor = (String, DType, Vec<u64>, Vec<u8>);

fn vector(name: &str, values: &[f32]) -> Tensor {
    let mut bytes = vec![0; 4 * values.len()];
    encode_row(DType::F32, values, &mut bytes).expect("floats");
    (name.into(), DType::F32, vec![values.len() as u64], bytes)
}

/// NVFP4 blocks without order whose scales lie between 1/4 and 1/2; what they stand for is below 3.
fn blocks(n: usize, seed: usize) -> Vec<u8> {
    let byte = |i: usize| match i % 36 {
        0..4 => 0x28 + ((i + seed) % 8) as u8,
        _ => ((i + seed).wrapping_mul(0x9E37_79B9) >> 7) as u8,
    };
    (0..n / 64 * 36).map(byte).collect()
}

/// The tiny model of `arch` with matrices of layers in NVFP4 and `.scale` beside them, a number for each
/// expert of one, or with what that stands for in F32.
fn model(arch: &Arch, decoded: bool) -> Gguf {
    let mut tiny = tiny::tiny(arch, DType::F32, 1).expect(arch.name);
    let tensors = std::mem::take(&mut tiny.tensors);
    for (i, (name, dtype, shape, bytes)) in tensors.into_iter().enumerate() {
        let Some(stem) = name.strip_suffix(".weight").filter(|_| {
            let matrix = shape.len() > 1 && (name.starts_with("blk.") || name == "output.weight");
            matrix && !name.contains("norm")
        }) else {
            tiny.tensors.push((name, dtype, shape, bytes));
            continue;
        };
        let n_expert = shape.get(2).copied().unwrap_or(1) as usize;
        let scales: Vec<f32> = (0..n_expert)
            .map(|e| 0.02 + 0.001 * i as f32 + 0.003 * e as f32)
            .collect();
        let n: usize = shape.iter().product::<u64>() as usize;
        let blocks = blocks(n, i);
        if decoded {
            let mut values = vec![0.0; n];
            decode_row(DType::NVFP4, &blocks, &mut values).expect("whole blocks");
            for (values, scale) in values.chunks_exact_mut(n / n_expert).zip(&scales) {
                values.iter_mut().for_each(|x| *x *= scale);
            }
            let bytes = vector(&name, &values).3;
            tiny.tensors.push((name, DType::F32, shape, bytes));
        } else {
            tiny.tensors.push(vector(&format!("{stem}.scale"), &scales));
            tiny.tensors
                .push(vector(&format!("{stem}.input_scale"), &vec![7.0; n_expert]));
            tiny.tensors.push((name, DType::NVFP4, shape, blocks));
        }
    }
    tiny.to_gguf().expect(arch.name)
}

#[test]
fn a_model_with_scales_equals_the_decoded_one() {
    // Biases, one matrix for q, k and v, an output matrix, experts, an encoder.
    let names = ["llama", "qwen2", "gpt2", "phi2", "qwen3moe", "bert"];
    for arch in ARCHS.iter().filter(|a| names.contains(&a.name)) {
        let [scaled, decoded] = [false, true].map(|decoded| model(arch, decoded));
        let has_output = scaled.tensor("output.scale").is_some();
        assert_eq!(has_output, arch.name == "phi2", "{}", arch.name);
        let logits = |gguf| all_rows(&mut reference(gguf, 6), &TOKENS);
        let worst = worst(&logits(&scaled), &logits(&decoded));
        assert!(worst < TOLERANCE, "{}: off by {worst}", arch.name);
    }
}

/// Whether the tiny model of `arch` with one more tensor can be lowered.
fn lowered_with(extra: Tensor, arch: &str) -> Result<(), String> {
    let arch = ARCHS.iter().find(|a| a.name == arch).expect("known");
    let mut tiny: Tiny = tiny::tiny(arch, DType::F32, 1).expect("tiny");
    tiny.tensors.push(extra);
    let gguf = tiny.to_gguf().expect("sound");
    let lowered = lower(&gguf, &Options::default());
    lowered.map(|_| ()).map_err(|e| e.to_string())
}

#[test]
fn a_scale_that_is_no_number_is_named() {
    let error = lowered_with(vector("blk.1.ffn_up.scale", &[f32::NAN]), "llama").unwrap_err();
    assert!(error.contains("blk.1.ffn_up.scale = NaN"), "{error}");
    let error = lowered_with(vector("blk.1.ffn_up.scale", &[1.0, 2.0]), "llama").unwrap_err();
    assert!(error.contains("blk.1.ffn_up.scale"), "{error}");
    assert!(error.contains("expected [1]"), "{error}");
}

#[test]
fn experts_have_a_scale_each() {
    let name = "blk.0.ffn_up_exps.scale";
    lowered_with(vector(name, &[0.5; 5]), "qwen3moe").expect("five experts");
    for bad in [f32::NAN, f32::INFINITY] {
        let scales = vector(name, &[0.5, 0.5, bad, 0.5, 0.5]);
        let error = lowered_with(scales, "qwen3moe").unwrap_err();
        assert!(error.contains(&format!("{name} = {bad}")), "{error}");
    }
    let error = lowered_with(vector(name, &[0.5]), "qwen3moe").unwrap_err();
    assert!(error.contains(name), "{error}");
    assert!(error.contains("expected [5]"), "{error}");
}
