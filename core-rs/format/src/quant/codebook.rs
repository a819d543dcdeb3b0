//! Code books: the IQ types store which of some hundred patterns of 4 or 8 elements comes nearest,
//! rather than each element. The patterns are part of the formats; `make_codebooks.py` takes them
//! from the `gguf` package.
//!
//! An entry is 16 bits, the first element lowest: 2 bits an element that pick one of 3 sizes (IQ1,
//! IQ2), or 4 bits that pick one of 8 (IQ3).

/// The entries of all books, one after another, little-endian.
static ENTRIES: &[u8; 2 * (256 + 512 + 1024 + 256 + 512 + 2048)] = include_bytes!("codebooks.bin");

/// `LEN` entries of `N` elements, which begin at entry `first`.
pub(crate) struct Book<const N: usize, const LEN: usize> {
    first: usize,
    /// What the bits of an element mean.
    sizes: [i8; 8],
}

const IQ2_SIZES: [i8; 8] = [8, 25, 43, 0, 0, 0, 0, 0];

pub(crate) const IQ2_XXS: Book<8, 256> = book(0, IQ2_SIZES);
pub(crate) const IQ2_XS: Book<8, 512> = book(256, IQ2_SIZES);
pub(crate) const IQ2_S: Book<8, 1024> = book(768, IQ2_SIZES);
pub(crate) const IQ3_XXS: Book<4, 256> = book(1792, [4, 12, 20, 28, 36, 44, 52, 62]);
pub(crate) const IQ3_S: Book<4, 512> = book(2048, [1, 3, 5, 7, 9, 11, 13, 15]);
/// Of IQ1_M too.
pub(crate) const IQ1: Book<8, 2048> = book(2560, [-1, 0, 1, 0, 0, 0, 0, 0]);

const fn book<const N: usize, const LEN: usize>(first: usize, sizes: [i8; 8]) -> Book<N, LEN> {
    assert!(2 * (first + LEN) <= ENTRIES.len());
    Book { first, sizes }
}

impl<const N: usize, const LEN: usize> Book<N, LEN> {
    /// The elements of entry `index`, which must be below `LEN`.
    pub(crate) fn entry(&self, index: usize) -> [f32; N] {
        let at = 2 * (self.first + index);
        let bits = u16::from_le_bytes([ENTRIES[at], ENTRIES[at + 1]]);
        let width = 16 / N;
        std::array::from_fn(|i| {
            let code = bits >> (width * i) & ((1 << width) - 1);
            f32::from(self.sizes[usize::from(code & 7)])
        })
    }

    /// `out[i] = scale · element i`, negated where bit `i` of `signs` is set.
    pub(crate) fn put(&self, index: usize, scale: f32, signs: u8, out: &mut [f32]) {
        for (i, (x, size)) in out.iter_mut().zip(self.entry(index)).enumerate() {
            let value = scale * size;
            *x = if signs >> i & 1 == 0 { value } else { -value };
        }
    }
}

/// Eight signs from seven bits: the last makes the number of negative ones even.
pub(crate) fn even_signs(seven: u32) -> u8 {
    let seven = (seven & 127) as u8;
    seven | ((seven.count_ones() & 1) << 7) as u8
}

/// A little-endian u16 at the start of `bytes`.
pub(crate) fn read_u16(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[0], bytes[1]])
}

/// A little-endian u32 at the start of `bytes`.
pub(crate) fn read_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
