//! Repacking: a row of GGUF blocks becomes aligned planes, codes apart from scales.
//!
//! GGUF's blocks of 18, 34 or 210 bytes are not even words; a GPU that reads them fetches twice
//! and shifts. Here the codes of 32 elements are 16 (4 bits), 32 (8 bits) or more bytes in a plane
//! of their own, read as one or more `vec4<u32>` by one lane, and neighbouring lanes read
//! neighbouring vectors. `wgpu_shaders/quant/<type>.wgsl` draws each type's planes and unpacks
//! them; [`unpack_row`] does the same here, and a test holds it against `puna_format`.
//!
//! f16 scales of Q4_K and Q6_K become f32 (one for 256 elements costs nothing, and f16 subnormals,
//! which some GPUs flush, are frequent there); those of Q4_0 and Q8_0 stay.

use half::f16;
use puna_format::{DType, quant};
use puna_graph::{Error, Result};

/// The types that have kernels.
pub const TYPES: &[DType] = &[
    DType::F32,
    DType::F16,
    DType::BF16,
    DType::Q4_0,
    DType::Q8_0,
    DType::Q4_K,
    DType::Q6_K,
];

/// Elements in a block, the unit a lane works on, for every type.
pub const BLOCK: usize = 32;

/// How rows of one matrix are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub dtype: DType,
    pub n_in: usize,
    /// Blocks in a packed row: even, so that half-word scales of a row are whole words.
    pub n_blocks: usize,
}

impl Layout {
    /// # Errors
    /// A type without kernels, or a row that is no whole number of GGUF blocks.
    pub fn new(dtype: DType, n_in: usize) -> Result<Layout> {
        if !TYPES.contains(&dtype) {
            let names: Vec<&str> = TYPES.iter().map(|t| t.name()).collect();
            return Err(Error::Unsupported {
                executor: "gpu".into(),
                message: format!(
                    "no kernels for {dtype}, expected one of {}",
                    names.join(", ")
                ),
            });
        }
        dtype.row_bytes(n_in)?;
        Ok(Layout {
            dtype,
            n_in,
            n_blocks: n_in.div_ceil(2 * BLOCK) * 2,
        })
    }

    /// The name of the type in the shader crate.
    pub fn quant(&self) -> String {
        self.dtype.name().to_lowercase()
    }

    /// Bytes of one row in each plane, each a multiple of 4.
    pub fn row_bytes(&self) -> Vec<usize> {
        let n = self.n_blocks;
        match self.dtype {
            DType::F32 => vec![128 * n],
            DType::F16 | DType::BF16 => vec![64 * n],
            DType::Q4_0 => vec![16 * n, 2 * n],
            DType::Q8_0 => vec![32 * n, 2 * n],
            DType::Q4_K => vec![16 * n, 2 * n, n],
            DType::Q6_K => vec![16 * n, 8 * n, 2 * n, n / 2],
            other => panic!("{other} has no layout"),
        }
    }
}

/// Appends one GGUF row to the planes. `row` has the length that the type and `n_in` ask for.
pub fn pack_row(layout: &Layout, row: &[u8], planes: &mut [Vec<u8>]) {
    let ends: Vec<usize> = layout
        .row_bytes()
        .iter()
        .zip(planes.iter())
        .map(|(bytes, plane)| plane.len() + bytes)
        .collect();
    match layout.dtype {
        DType::F32 | DType::F16 | DType::BF16 => planes[0].extend_from_slice(row),
        DType::Q4_0 => row.chunks_exact(18).for_each(|b| pack_q4_0(b, planes)),
        DType::Q8_0 => row.chunks_exact(34).for_each(|b| {
            planes[0].extend_from_slice(&b[2..]);
            planes[1].extend_from_slice(&b[..2]);
        }),
        DType::Q4_K => row.chunks_exact(144).for_each(|b| pack_q4_k(b, planes)),
        DType::Q6_K => row.chunks_exact(210).for_each(|b| pack_q6_k(b, planes)),
        other => panic!("{other} has no layout"),
    }
    for (plane, end) in planes.iter_mut().zip(ends) {
        plane.resize(end, 0); // blocks behind the end of the row count as zeros
    }
}

/// 32 codes of 4 bits, element `i` at nibble `i`.
fn push_nibbles(codes: impl Fn(usize) -> u8, plane: &mut Vec<u8>) {
    plane.extend((0..16).map(|i| codes(2 * i) | codes(2 * i + 1) << 4));
}

fn pack_q4_0(block: &[u8], planes: &mut [Vec<u8>]) {
    // GGUF: byte j holds element j low and element j + 16 high.
    let code = |i: usize| block[2 + i % 16] >> (4 * (i / 16)) & 15;
    push_nibbles(code, &mut planes[0]);
    planes[1].extend_from_slice(&block[..2]);
}

fn push_half_as_f32(bytes: &[u8], plane: &mut Vec<u8>) {
    let value = f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
    plane.extend_from_slice(&value.to_le_bytes());
}

fn pack_q4_k(block: &[u8], planes: &mut [Vec<u8>]) {
    let (head, codes) = block.split_at(16);
    push_half_as_f32(head, &mut planes[2]);
    push_half_as_f32(&head[2..], &mut planes[2]);
    let scales = &head[4..];
    for j in 0..8 {
        let code = |i: usize| codes[j / 2 * 32 + i] >> (4 * (j % 2)) & 15;
        push_nibbles(code, &mut planes[0]);
        let (scale, min) = match j {
            0..4 => (scales[j] & 63, scales[j + 4] & 63),
            _ => (
                scales[j + 4] & 15 | scales[j - 4] >> 6 << 4,
                scales[j + 4] >> 4 | scales[j] >> 6 << 4,
            ),
        };
        planes[1].extend([scale, min]);
    }
}

fn pack_q6_k(block: &[u8], planes: &mut [Vec<u8>]) {
    let (low, high) = (&block[..128], &block[128..192]);
    for j in 0..8 {
        // Block j is quarter j % 4 of half j / 4 (see puna_format's drawing).
        let (half, quarter) = (j / 4, j % 4);
        let low = |i: usize| low[64 * half + 32 * (quarter % 2) + i] >> (4 * (quarter / 2)) & 15;
        let high = |i: usize| high[32 * half + i] >> (2 * quarter) & 3;
        push_nibbles(low, &mut planes[0]);
        planes[1]
            .extend((0..8).map(|b| (0..4).fold(0, |byte, i| byte | high(4 * b + i) << (2 * i))));
    }
    planes[2].extend_from_slice(&block[192..208]);
    push_half_as_f32(&block[208..], &mut planes[3]);
}

/// The elements of row `row`, as the shaders unpack them: the oracle of the layouts.
pub fn unpack_row(layout: &Layout, planes: &[Vec<u8>], row: usize) -> Vec<f32> {
    let bytes: Vec<&[u8]> = layout
        .row_bytes()
        .iter()
        .zip(planes)
        .map(|(n, plane)| &plane[row * n..(row + 1) * n])
        .collect();
    let half = |p: usize, i: usize| f16::from_le_bytes([bytes[p][2 * i], bytes[p][2 * i + 1]]);
    let float = |p: usize, i: usize| {
        f32::from_le_bytes(bytes[p][4 * i..4 * i + 4].try_into().expect("four bytes"))
    };
    let nibble = |i: usize| bytes[0][i / 2] >> (4 * (i % 2)) & 15;
    let element = |i: usize| {
        let block = i / BLOCK;
        match layout.dtype {
            DType::F32 => float(0, i),
            DType::F16 => half(0, i).to_f32(),
            DType::BF16 => f32::from_bits(
                u32::from(bytes[0][2 * i]) << 16 | u32::from(bytes[0][2 * i + 1]) << 24,
            ),
            DType::Q4_0 => (f32::from(nibble(i)) - 8.0) * half(1, block).to_f32(),
            DType::Q8_0 => f32::from(bytes[0][i] as i8) * half(1, block).to_f32(),
            DType::Q4_K => {
                let (scale, min) = (bytes[1][2 * block], bytes[1][2 * block + 1]);
                let (d, dmin) = (float(2, block / 8 * 2), float(2, block / 8 * 2 + 1));
                d * f32::from(scale) * f32::from(nibble(i)) - dmin * f32::from(min)
            }
            DType::Q6_K => {
                let code = nibble(i) | (bytes[1][i / 4] >> (2 * (i % 4)) & 3) << 4;
                let step = float(3, block / 8) * f32::from(bytes[2][i / 16] as i8);
                step * (f32::from(code) - 32.0)
            }
            other => panic!("{other} has no layout"),
        }
    };
    (0..layout.n_in).map(element).collect()
}

/// A row of any type as f32, for weights that become vectors (norms, biases).
pub fn decode(dtype: DType, bytes: &[u8], n: usize) -> Result<Vec<f32>> {
    let mut out = vec![0.0; n];
    quant::decode_row(dtype, bytes, &mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes without order, but with scales (the f16 fields) that are finite.
    fn random_row(dtype: DType, n_in: usize, seed: u32) -> Vec<u8> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 9) as u8
        };
        let n_bytes = dtype.row_bytes(n_in).expect("whole blocks");
        let mut row: Vec<u8> = (0..n_bytes).map(|_| next()).collect();
        let halves: &[usize] = match dtype {
            DType::F16 | DType::Q4_0 | DType::Q8_0 => &[0],
            DType::Q4_K => &[0, 2],
            DType::Q6_K => &[208],
            _ => &[],
        };
        for block in row.chunks_exact_mut(dtype.block_bytes()) {
            // The top exponent bit off: below 2, subnormals included.
            halves.iter().for_each(|h| block[h + 1] &= 0b1011_1111);
            if matches!(dtype, DType::F32 | DType::BF16) {
                let last = block.len() - 1;
                block[last] &= 0b1011_1111;
            }
        }
        row
    }

    #[test]
    fn unpacking_what_was_packed_is_decoding() {
        for &dtype in TYPES {
            for blocks in [1, 2, 3, 5] {
                let n_in = blocks * dtype.block_len().max(11);
                let layout = Layout::new(dtype, n_in).expect("a type with kernels");
                let mut planes = vec![vec![]; layout.row_bytes().len()];
                let rows: Vec<Vec<u8>> = (0..3).map(|r| random_row(dtype, n_in, r + 1)).collect();
                rows.iter()
                    .for_each(|row| pack_row(&layout, row, &mut planes));
                for (r, row) in rows.iter().enumerate() {
                    let expected = decode(dtype, row, n_in).expect("decodes");
                    assert_eq!(unpack_row(&layout, &planes, r), expected, "{dtype} {n_in}");
                }
            }
        }
    }

    #[test]
    fn planes_are_whole_words() {
        for &dtype in TYPES {
            let layout = Layout::new(dtype, dtype.block_len() * 3).expect("a type with kernels");
            assert!(layout.row_bytes().iter().all(|n| n % 4 == 0), "{dtype}");
        }
    }

    #[test]
    fn a_type_without_kernels_is_refused_by_name() {
        let error = Layout::new(DType::IQ1_S, 256).expect_err("no kernels");
        assert!(error.to_string().contains("IQ1_S"), "{error}");
    }
}
