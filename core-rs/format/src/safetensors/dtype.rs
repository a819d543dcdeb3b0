//! The element types of safetensors: name, bits, and what a row of them means.

use crate::DType;
use crate::error::{Error, Result};

macro_rules! dtypes {
    ($($name:ident $bits:literal $(= $gguf:ident)?;)*) => {
        /// The type of a tensor's elements, by its safetensors name. All are little-endian.
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Dtype { $($name),* }

        impl Dtype {
            /// Every type, in the order of size.
            pub const ALL: &[Dtype] = &[$(Dtype::$name),*];

            pub fn name(self) -> &'static str {
                match self {
                    $(Dtype::$name => stringify!($name),)*
                }
            }

            /// Bits of an element: below 8 for types that are packed.
            pub fn bits(self) -> u64 {
                match self {
                    $(Dtype::$name => $bits,)*
                }
            }

            /// GGUF's type of the same bytes; `None` where it has none.
            pub fn gguf(self) -> Option<DType> {
                match self {
                    $(Dtype::$name => dtypes!(@gguf $($gguf)?),)*
                }
            }
        }
    };
    (@gguf) => { None };
    (@gguf $gguf:ident) => { Some(DType::$gguf) };
}

// name, bits, GGUF's type of the same bytes
dtypes! {
    F4          4;
    F6_E2M3     6;
    F6_E3M2     6;
    BOOL        8;
    U8          8;
    I8          8 = I8;
    F8_E5M2     8;
    F8_E4M3     8;
    F8_E8M0     8;
    F8_E5M2FNUZ 8;
    F8_E4M3FNUZ 8;
    I16        16 = I16;
    U16        16;
    F16        16 = F16;
    BF16       16 = BF16;
    I32        32 = I32;
    U32        32;
    F32        32 = F32;
    C64        64;
    F64        64 = F64;
    I64        64 = I64;
    U64        64;
}

impl Dtype {
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|t| t.name() == name)
    }

    /// Numbers as f32, for the types that weights come in: F64, F32, F16, BF16, F8_E4M3, F8_E5M2.
    /// Error: another type.
    pub(super) fn decode(self, bytes: &[u8]) -> Result<Vec<f32>> {
        Ok(match self {
            Dtype::F64 => each(bytes, |x| f64::from_le_bytes(x) as f32),
            Dtype::F32 => each(bytes, f32::from_le_bytes),
            Dtype::F16 => each(bytes, |x| half::f16::from_le_bytes(x).to_f32()),
            Dtype::BF16 => each(bytes, |x| half::bf16::from_le_bytes(x).to_f32()),
            Dtype::F8_E4M3 => each(bytes, |[x]| e4m3(x)),
            // The upper half of an f16.
            Dtype::F8_E5M2 => each(bytes, |[x]| half::f16::from_le_bytes([0, x]).to_f32()),
            other => {
                let expected = "F64, F32, F16, BF16, F8_E4M3 or F8_E5M2, to be read as numbers";
                return Err(Error::invalid("its type", other, expected));
            }
        })
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

fn each<const WIDTH: usize>(bytes: &[u8], to_f32: impl Fn([u8; WIDTH]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&x| to_f32(x)).collect()
}

/// Sign, 4 bits of exponent (bias 7), 3 of mantissa; all ones is NaN, and there is no infinity.
fn e4m3(x: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(x >> 3 & 15), f32::from(x & 7));
    let size = match (exponent, x & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa * 2f32.powi(-9),
        _ => (8.0 + mantissa) * 2f32.powi(exponent - 10),
    };
    if x & 0x80 == 0 { size } else { -size }
}
