//! Products by tiles of bytes, against those by vectors: the same numbers, bit by bit. Tiles are those of
//! plain Rust everywhere, and those of Intel's AMX where there are any.

use super::{Random, file_rows, fill_codes, product};
use crate::isa::Isa;
use crate::simd::amx::TOKENS;
use crate::simd::kernels::{Kernels, QuantKernels};

/// Compares a tile of sixteen tokens with tiles of four.
fn compare(tiles: &Kernels, vectors: &Kernels, q: &QuantKernels, rows: &[u8], x: &[Vec<f32>]) {
    let n_in = x[0].len();
    let by_tiles = product(tiles, q, rows, n_in, x);
    let fours = x.chunks(4);
    let by_vectors = fours.flat_map(|x| {
        let q = vectors.quant(q.dtype).expect("all types");
        product(vectors, q, rows, n_in, x)
    });
    for (i, (a, b)) in by_tiles.iter().zip(by_vectors).enumerate() {
        let (t, r) = (i / tiles.rows, i % tiles.rows);
        assert_eq!(
            a.to_bits(),
            b.to_bits(),
            "{} token {t} row {r}: {a} {b}",
            q.dtype
        );
    }
}

fn compare_all(tiles: &Kernels, vectors: &Kernels) {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    assert_eq!(tiles.widest, TOKENS);
    for q in tiles.quants {
        // Less than a chunk, whole chunks, and what is left over of one.
        for n_blocks in [1, 3, 8, 13] {
            let n_in = n_blocks * q.layout.block;
            let mut rows = file_rows(&mut random, q, tiles.rows, n_in);
            let x: Vec<_> = (0..TOKENS).map(|_| random.floats(n_in, 3.0)).collect();
            compare(tiles, vectors, q, &rows, &x);
            for code in [0x00, 0x80, 0x7f, 0xff] {
                fill_codes(q, &mut rows, code);
                compare(tiles, vectors, q, &rows, &x);
                let largest = |t: usize| if t.is_multiple_of(2) { 1.0 } else { -1.0 };
                let largest: Vec<_> = (0..TOKENS).map(|t| vec![largest(t); n_in]).collect();
                compare(tiles, vectors, q, &rows, &largest);
            }
        }
    }
}

#[test]
fn emulated_tiles_give_the_bits_of_vectors() {
    for (tiles, vectors) in Kernels::with_emulated_tiles() {
        compare_all(tiles, vectors);
    }
}

#[test]
fn tiles_of_this_cpu_give_the_bits_of_vectors() {
    if !Isa::available().contains(&Isa::Avx512Amx) {
        println!("skipped: no AMX that the system grants and that multiplies as plain Rust does");
        return;
    }
    compare_all(Kernels::of(Isa::Avx512Amx), Kernels::of(Isa::Avx512Vnni));
}
