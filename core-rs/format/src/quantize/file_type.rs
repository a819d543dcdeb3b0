//! The table of file types: what a user asks for, and what `general.file_type` says. Most tensors get
//! the default type; `mixture.rs` says which do not. Ids are llama.cpp's
//! (`research/llamacpp.md` 2.2).

use crate::error::{Error, Result};
use crate::{DType, quant};

macro_rules! file_types {
    ($($name:ident = $id:literal, $dtype:ident;)*) => {
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum FileType { $($name),* }

        const TABLE: &[(FileType, &str, u32, DType)] =
            &[$((FileType::$name, stringify!($name), $id, DType::$dtype)),*];
    };
}

// name = id, type of most tensors
file_types! {
    F32       =  0, F32;
    F16       =  1, F16;
    Q4_0      =  2, Q4_0;
    Q4_1      =  3, Q4_1;
    Q8_0      =  7, Q8_0;
    Q5_0      =  8, Q5_0;
    Q5_1      =  9, Q5_1;
    Q2_K      = 10, Q2_K;
    Q3_K_S    = 11, Q3_K;
    Q3_K_M    = 12, Q3_K;
    Q3_K_L    = 13, Q3_K;
    Q4_K_S    = 14, Q4_K;
    Q4_K_M    = 15, Q4_K;
    Q5_K_S    = 16, Q5_K;
    Q5_K_M    = 17, Q5_K;
    Q6_K      = 18, Q6_K;
    IQ2_XXS   = 19, IQ2_XXS;
    IQ2_XS    = 20, IQ2_XS;
    Q2_K_S    = 21, Q2_K;
    IQ3_XS    = 22, IQ3_S;
    IQ3_XXS   = 23, IQ3_XXS;
    IQ1_S     = 24, IQ1_S;
    IQ4_NL    = 25, IQ4_NL;
    IQ3_S     = 26, IQ3_S;
    IQ3_M     = 27, IQ3_S;
    IQ2_S     = 28, IQ2_XS;
    IQ2_M     = 29, IQ2_S;
    IQ4_XS    = 30, IQ4_XS;
    IQ1_M     = 31, IQ1_M;
    BF16      = 32, BF16;
    TQ1_0     = 36, TQ1_0;
    TQ2_0     = 37, TQ2_0;
    MXFP4_MOE = 38, MXFP4;
    Q1_0      = 40, Q1_0;
    Q2_0      = 41, Q2_0;
}

/// Short names that mean one of several mixtures.
const ALIASES: &[(&str, FileType)] = &[
    ("Q3_K", FileType::Q3_K_M),
    ("Q4_K", FileType::Q4_K_M),
    ("Q5_K", FileType::Q5_K_M),
];

/// Without an importance matrix these types are of no use: too few patterns for too many weights.
const NEED_IMATRIX: &[DType] = &[
    DType::IQ1_S,
    DType::IQ1_M,
    DType::IQ2_XXS,
    DType::IQ2_XS,
    DType::IQ2_S,
    DType::IQ3_XXS,
];

impl FileType {
    fn row(self) -> &'static (FileType, &'static str, u32, DType) {
        &TABLE[self as usize]
    }

    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What `general.file_type` holds.
    pub fn id(self) -> u32 {
        self.row().2
    }

    /// The type of most tensors.
    pub fn default_dtype(self) -> DType {
        self.row().3
    }

    pub fn from_id(id: u32) -> Option<Self> {
        TABLE.iter().find(|row| row.2 == id).map(|row| row.0)
    }

    /// By name or alias, upper or lower case, or by id.
    pub fn from_name(name: &str) -> Option<Self> {
        let names = TABLE.iter().map(|row| (row.1, row.0));
        let mut all = names.chain(ALIASES.iter().copied());
        let found = all.find(|(known, _)| known.eq_ignore_ascii_case(name));
        let found = found.map(|(_, file_type)| file_type);
        found.or_else(|| Self::from_id(name.parse().ok()?))
    }

    /// Whether files of this type can be made. Error: they cannot, and why, and which can.
    pub fn check(self) -> Result<()> {
        let dtype = self.default_dtype();
        if quant::check_encode(dtype).is_ok() {
            return Ok(());
        }
        let why = match NEED_IMATRIX.contains(&dtype) {
            true => "needs an importance matrix, which is not supported",
            false => "has no encoder",
        };
        let can = Self::all().filter(|t| t.default_dtype().can_encode());
        let names: Vec<&str> = can.map(Self::name).collect();
        let expected = format!("one of {} ({dtype} {why})", names.join(", "));
        Err(Error::invalid("file type", self.name(), expected))
    }

    /// Every file type, in the order of ids.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }
}
