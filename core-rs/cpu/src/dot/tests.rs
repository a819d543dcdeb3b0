//! Every kernel of every instruction set here, against products of decoded weights with the
//! quantized activations in f64.

mod amx;

use puna_format::DType;
use puna_format::quant::{decode_row, encode_row};

use crate::activations::{Activations, TileSpan};
use crate::columns::COLUMNS;
use crate::dot::float::STRIP;
use crate::dot::squares::room;
use crate::isa::Isa;
use crate::pack::{pack_group, unpack_row};
use crate::simd::kernels::{FloatKernels, Kernels, QuantKernels};

/// Of the sum of all products' sizes: some fifty f32 roundings. Of hundreds most cancel.
const TOLERANCE: f64 = 3e-6;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Uniform in -1 .. 1.
    fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn floats(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| self.float() * scale).collect()
    }
}

/// Rows in a file's form.
fn file_rows(random: &mut Random, q: &QuantKernels, n_rows: usize, n_in: usize) -> Vec<u8> {
    let mut bytes = vec![];
    for _ in 0..n_rows {
        let mut row = vec![0; q.dtype.row_bytes(n_in).unwrap()];
        encode_row(q.dtype, &random.floats(n_in, 2.0), &mut row).unwrap();
        bytes.extend(row);
    }
    bytes
}

/// Sets all codes (what is not an f16 scale) of a file's rows to `code`.
fn fill_codes(q: &QuantKernels, bytes: &mut [u8], code: u8) {
    // Plain Rust has the fields of the file's form.
    let plain = Kernels::of(Isa::Scalar).quant(q.dtype).expect("all types");
    for block in bytes.chunks_exact_mut(plain.layout.block_bytes) {
        for field in plain.layout.fields {
            if let Some(words) = field.words_range() {
                block[words].fill(code);
            }
        }
    }
}

/// A tile of the tokens `x`.
fn quantized(k: &Kernels, n_in: usize, x: &[Vec<f32>]) -> (Activations, TileSpan) {
    let span = TileSpan {
        first: 0,
        n_used: x.len(),
        size: x.len(),
        at: 0,
    };
    let activations = Activations::new(x.len(), n_in, 0, k.rows);
    for (t, x) in x.iter().enumerate() {
        (k.quantize)(x, t, span.size, &mut activations.tile_mut(span, n_in));
    }
    (activations, span)
}

/// Products by the kernel for as many tokens as there are: `[token][row]`.
fn product(k: &Kernels, q: &QuantKernels, rows: &[u8], n_in: usize, x: &[Vec<f32>]) -> Vec<f32> {
    let n_blocks = n_in / q.layout.block;
    let mut group = vec![0; q.layout.group_bytes(n_blocks)];
    pack_group(&q.layout, rows, n_blocks, &mut group);
    let (activations, span) = quantized(k, n_in, x);
    let mut out = vec![f32::NAN; span.size * k.rows];
    let tile = activations.tile(span, n_in);
    q.tile(span.size)(&group, n_blocks, &tile, &mut out);
    out
}

/// Products by the kernel for `size` tokens, and the same in f64, with the scale of their errors.
fn compare(k: &Kernels, q: &QuantKernels, rows: &[u8], n_in: usize, x: &[Vec<f32>]) {
    let n_rows = k.rows;
    let row_bytes = q.dtype.row_bytes(n_in).unwrap();
    let (activations, span) = quantized(k, n_in, x);
    let tile = activations.tile(span, n_in);
    let out = product(k, q, rows, n_in, x);
    let mut w = vec![0.0; n_in];
    for (r, row) in rows.chunks_exact(row_bytes).enumerate() {
        decode_row(q.dtype, row, &mut w).unwrap();
        for t in 0..span.size {
            let (mut sum, mut size) = (0.0, 0.0);
            for (i, &w) in w.iter().enumerate() {
                let at = i / 32 * span.size + t;
                let x = f64::from(tile.d[at]) * f64::from(tile.q[at * 32 + i % 32]);
                sum += f64::from(w) * x;
                size += (f64::from(w) * x).abs();
            }
            let error = (f64::from(out[t * n_rows + r]) - sum).abs();
            // Minima and offsets cancel against larger products than those that remain.
            assert!(
                error <= TOLERANCE * (8.0 * size + 1.0),
                "{} row {r} token {t} of {}: {} instead of {sum}, size {size}",
                q.dtype,
                span.size,
                out[t * n_rows + r]
            );
        }
    }
}

fn for_all(mut test: impl FnMut(&'static Kernels, &'static QuantKernels)) {
    let real = Isa::available().into_iter().map(Kernels::of);
    let emulated = Kernels::with_emulated_tiles();
    for kernels in real.chain(emulated.into_iter().map(|(tiles, _)| tiles)) {
        kernels.quants.iter().for_each(|q| test(kernels, q));
    }
}

#[test]
fn products_equal_those_of_decoded_rows() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for_all(|k, q| {
        for n_blocks in [1, 2, 3, 8] {
            let n_in = n_blocks * q.layout.block;
            let rows = file_rows(&mut random, q, k.rows, n_in);
            for size in [1, 4, k.widest] {
                let x: Vec<_> = (0..size).map(|_| random.floats(n_in, 3.0)).collect();
                compare(k, q, &rows, n_in, &x);
            }
        }
    });
}

#[test]
fn extreme_codes_and_activations_do_not_overflow() {
    let mut random = Random(7);
    for_all(|k, q| {
        let n_in = 2 * q.layout.block.max(64);
        let mut rows = file_rows(&mut random, q, k.rows, n_in);
        for code in [0x00, 0x80, 0x7f, 0xff] {
            fill_codes(q, &mut rows, code);
            for x in [1.0f32, -1.0] {
                compare(k, q, &rows, n_in, &[vec![x; n_in]]);
                let signs = (0..n_in).map(|i| if i % 2 == 0 { x } else { -x });
                compare(k, q, &rows, n_in, &[signs.collect()]);
            }
        }
    });
}

#[test]
fn packing_loses_nothing() {
    let mut random = Random(3);
    for_all(|k, q| {
        let n_blocks = 3;
        let n_in = n_blocks * q.layout.block;
        // One row fewer than a group has.
        let rows = file_rows(&mut random, q, k.rows - 1, n_in);
        let mut group = vec![0; q.layout.group_bytes(n_blocks)];
        pack_group(&q.layout, &rows, n_blocks, &mut group);
        let row_bytes = q.dtype.row_bytes(n_in).unwrap();
        for (r, row) in rows.chunks_exact(row_bytes).enumerate() {
            let mut back = vec![0; row_bytes];
            unpack_row(&q.layout, &group, n_blocks, r, &mut back);
            assert_eq!(back, row, "{} row {r}", q.dtype);
        }
    });
}

/// The ends too: the decoder has subnormal scales for 0 and 1, and a power of two for 255.
#[test]
fn every_scale_of_mxfp4_is_the_decoders() {
    const BYTES: usize = 17;
    for isa in Isa::available() {
        let k = Kernels::of(isa);
        let Some(q) = k.quant(DType::MXFP4) else {
            continue;
        };
        for e in 0..=255u8 {
            // Codes 1 and 9: plus and minus the scale. Activations that bring it near to 1.
            let block = [e, 0x11, 0x91].into_iter().chain([0x11; BYTES - 3]);
            let rows = block.collect::<Vec<u8>>().repeat(k.rows);
            let x = 2.0f32.powi((127 - i32::from(e)).clamp(-110, 120));
            compare(k, q, &rows, 32, &[vec![x; 32]]);
        }
    }
}

/// Rows of floats, and what they decode to.
fn float_rows(
    random: &mut Random,
    f: &FloatKernels,
    n_rows: usize,
    n_in: usize,
) -> (Vec<u8>, Vec<f32>) {
    let mut rows = vec![0; n_rows * n_in * f.bytes];
    for row in rows.chunks_exact_mut(n_in * f.bytes) {
        encode_row(f.dtype, &random.floats(n_in, 1.0), row).unwrap();
    }
    let mut w = vec![0.0; n_in * n_rows];
    decode_row(f.dtype, &rows, &mut w).unwrap();
    (rows, w)
}

/// Lines of a tile of the tokens `x`.
fn lines(k: &Kernels, x: &[Vec<f32>]) -> (Activations, TileSpan) {
    let span = TileSpan {
        first: 0,
        n_used: x.len(),
        size: x.len(),
        at: 0,
    };
    let activations = Activations::new(x.len(), 0, x[0].len(), k.rows);
    for (t, x) in x.iter().enumerate() {
        activations.put_lines(span, t, x);
    }
    (activations, span)
}

/// Products by the kernels for floats, strip by strip: `[token][row]`.
fn float_products(k: &Kernels, f: &FloatKernels, rows: &[u8], x: &[Vec<f32>]) -> Vec<f32> {
    let n_in = x[0].len();
    let n_rows = rows.len() / (n_in * f.bytes);
    let (activations, span) = lines(k, x);
    let (mut t, mut out) = (0, vec![]);
    while t < x.len() {
        let (n, run) = f.strip(x.len() - t);
        let mut of_strip = vec![f32::NAN; n * STRIP];
        run(rows, n_in, activations.lines(span, t, n_in), &mut of_strip);
        out.extend(of_strip.chunks(STRIP).flat_map(|x| &x[..n_rows]));
        t += n;
    }
    out
}

/// Compares `[token][row]` with sums in f64.
fn compare_floats(w: &[f32], x: &[Vec<f32>], out: &[f32]) {
    let n_in = x[0].len();
    let n_rows = w.len() / n_in;
    assert_eq!(out.len(), x.len() * n_rows);
    for (i, out) in out.iter().enumerate() {
        let w = &w[i % n_rows * n_in..][..n_in];
        let pairs = || w.iter().zip(&x[i / n_rows]);
        let products = || pairs().map(|(&a, &b)| f64::from(a) * f64::from(b));
        let (expected, size): (f64, f64) = (products().sum(), products().map(f64::abs).sum());
        let error = (f64::from(*out) - expected).abs();
        assert!(
            error <= TOLERANCE * size,
            "{i}: {out} instead of {expected}"
        );
    }
}

#[test]
fn float_strips_equal_plain_sums() {
    let mut random = Random(11);
    for k in Isa::available().into_iter().map(Kernels::of) {
        for f in k.floats {
            for (n_in, n_rows, size) in [(1, 1, 1), (17, 3, 4), (64, 4, 1), (250, 4, k.widest)] {
                let (rows, w) = float_rows(&mut random, f, n_rows, n_in);
                let x: Vec<_> = (0..size).map(|_| random.floats(n_in, 1.0)).collect();
                compare_floats(&w, &x, &float_products(k, f, &rows, &x));
            }
        }
    }
}

/// The first tile with weights as they are stored, and the next one with what that left, of other tokens.
#[test]
fn float_squares_equal_plain_sums() {
    let mut random = Random(12);
    for k in Isa::available().into_iter().map(Kernels::of) {
        for f in k.floats {
            let Some(s) = f.squares(k.widest) else {
                continue;
            };
            for (n_in, n_rows) in [(1, 1), (17, 3), (64, 16), (250, 15)] {
                let (rows, w) = float_rows(&mut random, f, n_rows, n_in);
                let mut squares = vec![f32::NAN; room(n_in)];
                for is_first in [true, false] {
                    let x: Vec<_> = (0..s.size).map(|_| random.floats(n_in, 1.0)).collect();
                    let (activations, span) = lines(k, &x);
                    activations.transpose_lines(span, n_in, k);
                    let x_lines = activations.transposed(span, n_in);
                    let mut out = vec![f32::NAN; s.size * COLUMNS];
                    match is_first {
                        true => (s.first)(&rows, n_in, x_lines, &mut squares, &mut out),
                        false => (s.next)(&squares, x_lines, &mut out),
                    }
                    let of_rows = out.chunks(COLUMNS).flat_map(|x| &x[..n_rows]);
                    compare_floats(&w, &x, &of_rows.copied().collect::<Vec<_>>());
                }
            }
        }
    }
}

#[test]
fn quantizing_keeps_half_a_step_and_shows_broken_numbers() {
    let mut random = Random(5);
    for isa in Isa::available() {
        let k = Kernels::of(isa);
        let span = TileSpan {
            first: 0,
            n_used: 1,
            size: 1,
            at: 0,
        };
        let mut x = random.floats(128, 100.0);
        x[32..64].fill(0.0);
        x[64..96].fill(1e-42);
        x[100] = f32::INFINITY;
        let activations = Activations::new(1, 128, 0, 1);
        (k.quantize)(&x, 0, 1, &mut activations.tile_mut(span, 128));
        let tile = activations.tile(span, 128);
        for (i, &x) in x[..96].iter().enumerate() {
            let d = tile.d[i / 32];
            let back = d * f32::from(tile.q[i]);
            assert!((x - back).abs() <= d * 0.5001 + 1e-41, "{x} {back}");
        }
        assert!(tile.d[3].is_nan());
    }
}
