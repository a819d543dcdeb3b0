//! The table of tensor types: one row a type. Ids and block sizes are GGUF's
//! (`research/llamacpp.md` 2.1); ids that are missing were given to types that no longer exist.

use crate::error::{Error, Result};
use crate::quant::{self, Codec};

/// What the table knows of a type.
struct Row {
    dtype: DType,
    name: &'static str,
    id: u32,
    block_len: usize,
    block_bytes: usize,
    codec: Option<&'static Codec>,
}

macro_rules! dtypes {
    ($($name:ident = $id:literal, $len:literal, $bytes:literal $(, $codec:path)?;)*) => {
        /// The type of a tensor's elements, by its GGUF name.
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
        pub enum DType { $($name),* }

        const TABLE: &[Row] = &[$(Row {
            dtype: DType::$name,
            name: stringify!($name),
            id: $id,
            block_len: $len,
            block_bytes: $bytes,
            codec: dtypes!(@codec $($codec)?),
        }),*];
    };
    (@codec) => { None };
    (@codec $codec:path) => { Some(&$codec) };
}

// name = id, elements in a block, bytes in a block, codec where there is one
dtypes! {
    F32     =  0,   1,   4, quant::fp32::CODEC;
    F16     =  1,   1,   2, quant::fp16::CODEC;
    Q4_0    =  2,  32,  18, quant::q4_0::CODEC;
    Q4_1    =  3,  32,  20, quant::q4_1::CODEC;
    Q5_0    =  6,  32,  22, quant::q5_0::CODEC;
    Q5_1    =  7,  32,  24, quant::q5_1::CODEC;
    Q8_0    =  8,  32,  34, quant::q8_0::CODEC;
    Q8_1    =  9,  32,  36;
    Q2_K    = 10, 256,  84, quant::q2_k::CODEC;
    Q3_K    = 11, 256, 110, quant::q3_k::CODEC;
    Q4_K    = 12, 256, 144, quant::q4_k::CODEC;
    Q5_K    = 13, 256, 176, quant::q5_k::CODEC;
    Q6_K    = 14, 256, 210, quant::q6_k::CODEC;
    Q8_K    = 15, 256, 292;
    IQ2_XXS = 16, 256,  66, quant::iq2_xxs::CODEC;
    IQ2_XS  = 17, 256,  74, quant::iq2_xs::CODEC;
    IQ3_XXS = 18, 256,  98, quant::iq3_xxs::CODEC;
    IQ1_S   = 19, 256,  50, quant::iq1_s::CODEC;
    IQ4_NL  = 20,  32,  18, quant::iq4_nl::CODEC;
    IQ3_S   = 21, 256, 110, quant::iq3_s::CODEC;
    IQ2_S   = 22, 256,  82, quant::iq2_s::CODEC;
    IQ4_XS  = 23, 256, 136, quant::iq4_xs::CODEC;
    I8      = 24,   1,   1;
    I16     = 25,   1,   2;
    I32     = 26,   1,   4;
    I64     = 27,   1,   8;
    F64     = 28,   1,   8;
    IQ1_M   = 29, 256,  56, quant::iq1_m::CODEC;
    BF16    = 30,   1,   2, quant::bf16::CODEC;
    TQ1_0   = 34, 256,  54, quant::tq1_0::CODEC;
    TQ2_0   = 35, 256,  66, quant::tq2_0::CODEC;
    MXFP4   = 39,  32,  17, quant::mxfp4::CODEC;
    NVFP4   = 40,  64,  36, quant::nvfp4::CODEC;
    Q1_0    = 41, 128,  18, quant::q1_0::CODEC;
    Q2_0    = 42,  64,  18, quant::q2_0::CODEC;
}

static ALL: [DType; TABLE.len()] = {
    let mut all = [DType::F32; TABLE.len()];
    let mut i = 0;
    while i < TABLE.len() {
        // Variants and rows come from one macro, so `self as usize` is the row's index.
        assert!(TABLE[i].dtype as usize == i);
        all[i] = TABLE[i].dtype;
        i += 1;
    }
    all
};

impl DType {
    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    pub(crate) fn codec(self) -> Option<&'static Codec> {
        self.row().codec
    }

    /// GGUF's name, for instance `Q4_K`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// GGUF's number.
    pub fn id(self) -> u32 {
        self.row().id
    }

    /// The type with this number; `None` for numbers never given or no longer in use.
    pub fn from_id(id: u32) -> Option<Self> {
        TABLE.iter().find(|row| row.id == id).map(|row| row.dtype)
    }

    /// The type of this name, upper or lower case.
    pub fn from_name(name: &str) -> Option<Self> {
        let row = TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name));
        row.map(|row| row.dtype)
    }

    /// Elements in a block: every row is a whole number of blocks.
    pub fn block_len(self) -> usize {
        self.row().block_len
    }

    /// Bytes in a block.
    pub fn block_bytes(self) -> usize {
        self.row().block_bytes
    }

    /// Bytes of a row of `n` elements. Error: `n` is not a multiple of the block length.
    pub fn row_bytes(self, n: usize) -> Result<usize> {
        if !n.is_multiple_of(self.block_len()) {
            let what = format!("row length for {}", self.name());
            let expected = format!("a multiple of {}", self.block_len());
            return Err(Error::invalid(what, n, expected));
        }
        (n / self.block_len())
            .checked_mul(self.block_bytes())
            .ok_or_else(|| Error::invalid("row length", n, "a row that fits in memory"))
    }

    /// Every live type, in the order of ids.
    pub fn all() -> &'static [DType] {
        &ALL
    }

    pub fn can_decode(self) -> bool {
        self.codec().is_some()
    }

    pub fn can_encode(self) -> bool {
        self.codec().is_some_and(|codec| codec.encode.is_some())
    }

    /// Whether elements share a scale, that is, whether the block is longer than one element.
    pub fn is_quantized(self) -> bool {
        self.block_len() > 1
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
