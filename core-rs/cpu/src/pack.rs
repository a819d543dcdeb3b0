//! The layout of packed weights: groups of `rows` rows (the lanes of the instruction set), cut into
//! chunks of [`CHUNK`] elements, and in a chunk one plane for each part of a type's block.
//!
//! ```text
//! Q4_0 in the file, a row at a time        packed, rows = 16: a chunk has 8 blocks
//!   row 0: d q q q q | d q q q q | …         plane of scales, block 0: d of rows 0 … 15        32 bytes
//!   row 1: d q q q q | d q q q q | …                          … 7:     …
//!   …                                        plane of codes, block 0:  word 0 of rows 0 … 15   64 bytes
//!   (d: 2 bytes, q: a word of 4 bytes)                                 word 1 of rows 0 … 15
//!                                                                      word 2, word 3
//!                                                            … 7:      …
//!                                          the next chunk
//! ```
//!
//! A vector load then has one word of every row, planes of words start where vectors may, and a
//! group is read from front to back: one stream, which is what memory is best at. So planes stand in
//! the order in which a product reads them (a jump over 2 KiB halves what a Zen 5 gets). Size is that of
//! the file but for a type's own [`Form`], for what aligns chunks (nothing of most types, 1 % of Q6_K in
//! 16 rows, 3 % in 8, 5 % of Q2_K in 8) and for the last group, which is filled up with zeros. Packing loses nothing: [`unpack_row`] gives the file's bytes back.

use std::ops::Range;

use crate::dot::Quant;
use crate::simd::Simd;

/// A part of a block: `n` units of `unit` bytes from byte `offset`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    offset: usize,
    n: usize,
    unit: usize,
    signed: bool,
    /// Whether words are turned, see [`turn`].
    turned: bool,
}

impl Field {
    /// `n` words of four bytes.
    pub(crate) const fn words(offset: usize, n: usize) -> Field {
        Field {
            offset,
            n,
            unit: 4,
            signed: false,
            turned: false,
        }
    }

    /// One f16 or u16.
    pub(crate) const fn half(offset: usize) -> Field {
        Field {
            n: 1,
            unit: 2,
            ..Field::words(offset, 1)
        }
    }

    /// One byte.
    pub(crate) const fn byte(offset: usize) -> Field {
        Field {
            unit: 1,
            ..Field::words(offset, 1)
        }
    }

    /// Marks words of signed bytes, which some instruction sets want biased.
    pub(crate) const fn signed(self) -> Field {
        Field {
            signed: true,
            ..self
        }
    }

    /// A word with one bit for each of 32 elements, bit `4 * j + b` of which moves to `8 * b + j`: the
    /// byte where element `4 * j + b` has its other bits.
    pub(crate) const fn bits(offset: usize) -> Field {
        Field {
            turned: true,
            ..Field::words(offset, 1)
        }
    }

    const fn n_bytes(&self) -> usize {
        self.n * self.unit
    }

    /// Where the words are in a block of the file; `None` for halves and bytes.
    #[cfg(test)]
    pub(crate) fn words_range(&self) -> Option<std::ops::Range<usize>> {
        (self.unit == 4).then_some(self.offset..self.offset + self.n_bytes())
    }
}

/// What packing needs to know of a type; see [`crate::dot::Quant`].
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) fields: &'static [Field],
    /// Elements of a block.
    pub(crate) block: usize,
    /// Bytes of a block as it is packed, in the file or in `form`.
    pub(crate) block_bytes: usize,
    /// Rows of a group.
    pub(crate) rows: usize,
    /// Whether signed bytes are stored plus 128.
    pub(crate) biased: bool,
    pub(crate) form: Option<Form>,
}

/// A form of a type's blocks that is quicker to multiply with than that of the file.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    /// Bytes of a block in the file.
    pub(crate) file_bytes: usize,
    /// Brings a block into this form.
    pub(crate) from_file: fn(&[u8], &mut [u8]),
    /// Gives the file's bytes back.
    pub(crate) to_file: fn(&[u8], &mut [u8]),
}

/// Bytes of a cache line. Groups start on one.
pub(crate) const LINE: usize = 64;

/// Elements of a row whose planes lie together: the largest block.
pub(crate) const CHUNK: usize = 256;

impl Form {
    /// Whole rows of the file, in this form.
    fn rows(&self, rows: &[u8], block_bytes: usize) -> Vec<u8> {
        let mut out = vec![0; rows.len() / self.file_bytes * block_bytes];
        let blocks = rows.chunks_exact(self.file_bytes);
        for (block, out) in blocks.zip(out.chunks_exact_mut(block_bytes)) {
            (self.from_file)(block, out);
        }
        out
    }
}

impl Layout {
    /// Bytes of a block in the file.
    pub(crate) fn file_bytes(&self) -> usize {
        self.form.map_or(self.block_bytes, |form| form.file_bytes)
    }

    pub(crate) const fn of<S: Simd, Q: Quant>() -> Layout {
        Layout {
            fields: Q::FIELDS,
            block: Q::BLOCK,
            block_bytes: Q::BLOCK_BYTES,
            rows: S::ROWS,
            biased: S::BIASED,
            form: Q::FORM,
        }
    }

    /// Blocks of a whole chunk.
    pub(crate) const fn chunk_blocks(&self) -> usize {
        CHUNK / self.block
    }

    /// Bytes of a whole chunk; chunks start on a cache line (half a line off costs WASM a quarter of
    /// what memory gives).
    #[inline(always)]
    pub(crate) const fn chunk_bytes(&self) -> usize {
        (self.chunk_blocks() * self.block_bytes * self.rows).next_multiple_of(LINE)
    }

    pub(crate) fn group_bytes(&self, n_blocks: usize) -> usize {
        n_blocks.div_ceil(self.chunk_blocks()) * self.chunk_bytes()
    }
}

const MAX_FIELDS: usize = 6;

/// The planes of one group.
pub(crate) struct Group<'a> {
    planes: [&'a [u8]; MAX_FIELDS],
}

impl<'a> Group<'a> {
    #[inline(always)]
    pub(crate) fn split(bytes: &'a [u8], fields: &[Field], n_blocks: usize, rows: usize) -> Self {
        let mut planes = [&bytes[..0]; MAX_FIELDS];
        let mut rest = bytes;
        for (plane, field) in planes.iter_mut().zip(fields) {
            (*plane, rest) = rest.split_at(field.n_bytes() * n_blocks * rows);
        }
        Group { planes }
    }

    /// Block `b` of plane `field`, whose blocks have `n_bytes` bytes a row.
    #[inline(always)]
    pub(crate) fn block<S: Simd>(&self, field: usize, b: usize, n_bytes: usize) -> &'a [u8] {
        &self.planes[field][b * n_bytes * S::ROWS..][..n_bytes * S::ROWS]
    }
}

/// Packs up to `rows` rows of a file, `n_blocks` blocks each, into one group. `out` is zeroed.
pub(crate) fn pack_group(layout: &Layout, rows: &[u8], n_blocks: usize, out: &mut [u8]) {
    let formed;
    let rows = match &layout.form {
        Some(form) => {
            formed = form.rows(rows, layout.block_bytes);
            &formed
        }
        None => rows,
    };
    let row_bytes = n_blocks * layout.block_bytes;
    let per_chunk = layout.chunk_blocks();
    let chunks = out.chunks_mut(layout.chunk_bytes());
    for (first, out) in (0..n_blocks).step_by(per_chunk).zip(chunks) {
        let n = per_chunk.min(n_blocks - first);
        let blocks = first * layout.block_bytes..(first + n) * layout.block_bytes;
        pack_chunk(layout, rows, row_bytes, blocks, n, out);
    }
}

/// Packs some blocks of every row.
fn pack_chunk(
    layout: &Layout,
    rows: &[u8],
    row_bytes: usize,
    blocks: Range<usize>,
    n_blocks: usize,
    out: &mut [u8],
) {
    let mut rest = out;
    for field in layout.fields {
        let (plane, behind) = rest.split_at_mut(field.n_bytes() * n_blocks * layout.rows);
        rest = behind;
        let flip = if field.signed && layout.biased {
            0x8080_8080
        } else {
            0
        };
        match field.unit {
            4 => transpose_words(layout, field, rows, row_bytes, &blocks, plane, flip),
            _ => transpose_units(layout, field, rows, row_bytes, &blocks, plane),
        }
    }
}

/// Moves bit `4 * j + b` to `8 * b + j`.
fn turn(word: u32) -> u32 {
    // Four bits, one to each byte: copies 7 bits apart put bit `b` at `8 * b`.
    let spread = |j: u32| ((word >> (4 * j) & 0xf) * 0x0020_4081) & 0x0101_0101;
    (0..8).fold(0, |out, j| out | spread(j) << j)
}

/// Undoes [`turn`].
fn turn_back(word: u32) -> u32 {
    let bit = |j: u32, b: u32| (word >> (8 * b + j) & 1) << (4 * j + b);
    let nibble = |j| (0..4).fold(0, |out, b| out | bit(j, b));
    (0..8).fold(0, |out, j| out | nibble(j))
}

fn transpose_words(
    layout: &Layout,
    field: &Field,
    rows: &[u8],
    row_bytes: usize,
    blocks: &Range<usize>,
    plane: &mut [u8],
    flip: u32,
) {
    let step = 4 * layout.rows;
    for (r, row) in rows.chunks_exact(row_bytes).enumerate() {
        let blocks = row[blocks.clone()].chunks_exact(layout.block_bytes);
        for (block, out) in blocks.zip(plane.chunks_exact_mut(field.n * step)) {
            let words = block[field.offset..][..field.n_bytes()].as_chunks::<4>().0;
            for (word, out) in words.iter().zip(out.chunks_exact_mut(step)) {
                let mut word = u32::from_le_bytes(*word) ^ flip;
                if field.turned {
                    word = turn(word);
                }
                out[4 * r..4 * r + 4].copy_from_slice(&word.to_le_bytes());
            }
        }
    }
}

/// Of a field with one unit, a half or a byte.
fn transpose_units(
    layout: &Layout,
    field: &Field,
    rows: &[u8],
    row_bytes: usize,
    blocks: &Range<usize>,
    plane: &mut [u8],
) {
    for (r, row) in rows.chunks_exact(row_bytes).enumerate() {
        let blocks = row[blocks.clone()].chunks_exact(layout.block_bytes);
        for (block, out) in blocks.zip(plane.chunks_exact_mut(field.unit * layout.rows)) {
            let unit = &block[field.offset..][..field.unit];
            out[field.unit * r..][..field.unit].copy_from_slice(unit);
        }
    }
}

/// The bytes of row `r` of a group as the file had them.
pub(crate) fn unpack_row(layout: &Layout, group: &[u8], n_blocks: usize, r: usize, out: &mut [u8]) {
    let Some(form) = &layout.form else {
        return unpack_formed(layout, group, n_blocks, r, out);
    };
    let mut row = vec![0; n_blocks * layout.block_bytes];
    unpack_formed(layout, group, n_blocks, r, &mut row);
    let blocks = row.chunks_exact(layout.block_bytes);
    for (block, out) in blocks.zip(out.chunks_exact_mut(form.file_bytes)) {
        (form.to_file)(block, out);
    }
}

fn unpack_formed(layout: &Layout, group: &[u8], n_blocks: usize, r: usize, out: &mut [u8]) {
    let per_chunk = layout.chunk_blocks();
    let chunks = group.chunks(layout.chunk_bytes());
    let outs = out.chunks_mut(per_chunk * layout.block_bytes);
    for ((first, chunk), out) in (0..n_blocks).step_by(per_chunk).zip(chunks).zip(outs) {
        unpack_chunk(layout, chunk, per_chunk.min(n_blocks - first), r, out);
    }
}

fn unpack_chunk(layout: &Layout, chunk: &[u8], n_blocks: usize, r: usize, out: &mut [u8]) {
    let mut rest = chunk;
    for field in layout.fields {
        let (plane, behind) = rest.split_at(field.n_bytes() * n_blocks * layout.rows);
        rest = behind;
        let flip = if field.signed && layout.biased {
            0x80
        } else {
            0
        };
        let blocks = plane.chunks_exact(field.n_bytes() * layout.rows);
        for (block, out) in blocks.zip(out.chunks_exact_mut(layout.block_bytes)) {
            let out = &mut out[field.offset..][..field.n_bytes()];
            for (j, unit) in out.chunks_exact_mut(field.unit).enumerate() {
                let from = &block[(j * layout.rows + r) * field.unit..][..field.unit];
                unit.iter_mut().zip(from).for_each(|(o, b)| *o = b ^ flip);
                if let (true, Ok(word)) = (field.turned, <[u8; 4]>::try_from(&*unit)) {
                    unit.copy_from_slice(&turn_back(u32::from_le_bytes(word)).to_le_bytes());
                }
            }
        }
    }
}
