//! Weights as the executor keeps them, and how they get there.

use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use puna_format::quant::decode_row;
use puna_format::{DType, Source};
use puna_graph::{Error, Result, Tensor, Weight as Declared};

use crate::pack::{pack_group, unpack_row};
use crate::pool::{Job, Pool};
use crate::simd::kernels::{FloatKernels, Kernels, QuantKernels};
use crate::simd::{Bump, Shared};

/// What a weight is used for decides how it is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Role {
    /// Multiplied with.
    pub(crate) matrix: bool,
    /// Rows looked up by token.
    pub(crate) table: bool,
}

pub(crate) enum Weight {
    /// A norm or a bias.
    Vector(Vec<f32>),
    /// A matrix with integer kernels, packed for this instruction set.
    Packed(Packed),
    /// A matrix of floats, or of a type without kernels, or a table: as in the file.
    Plain(Plain),
}

pub(crate) struct Packed {
    pub(crate) kernels: &'static QuantKernels,
    data: Shared<u8>,
    n_in: usize,
    pub(crate) n_out: usize,
    group_bytes: usize,
}

pub(crate) struct Plain {
    pub(crate) dtype: DType,
    /// `None`: rows are decoded to f32 first.
    pub(crate) kernels: Option<&'static FloatKernels>,
    bytes: Bytes,
    pub(crate) n_out: usize,
    row_bytes: usize,
}

/// Bytes of a tensor: of its source, or a copy where the source has none in memory.
enum Bytes {
    Source(Arc<dyn Source>, u64),
    Own(Vec<u8>),
}

impl Packed {
    pub(crate) fn n_blocks(&self) -> usize {
        self.n_in / self.kernels.layout.block
    }

    /// Group `g`: rows `g * rows ..+ rows`.
    pub(crate) fn group(&self, g: usize) -> &[u8] {
        self.data
            .get(g * self.group_bytes..(g + 1) * self.group_bytes)
    }
}

impl Plain {
    /// The bytes of whole rows, where they are in memory (always for matrices).
    pub(crate) fn rows(&self, rows: Range<usize>) -> Option<&[u8]> {
        let (from, to) = (rows.start * self.row_bytes, rows.end * self.row_bytes);
        match &self.bytes {
            Bytes::Own(bytes) => bytes.get(from..to),
            Bytes::Source(source, at) => source.slice(at + from as u64, (to - from) as u64),
        }
    }
}

impl Weight {
    pub(crate) fn vector(&self) -> &[f32] {
        match self {
            Weight::Vector(x) => x,
            _ => panic!("a matrix used as a vector"),
        }
    }

    /// Decodes row `r` into `out`; `scratch` is room for its bytes.
    pub(crate) fn row(&self, r: usize, scratch: &mut Vec<u8>, out: &mut [f32]) -> Result<()> {
        match self {
            Weight::Vector(x) => out.copy_from_slice(&x[r * out.len()..][..out.len()]),
            Weight::Packed(p) => {
                let layout = &p.kernels.layout;
                scratch.resize(p.n_blocks() * layout.file_bytes(), 0);
                let group = p.group(r / layout.rows);
                unpack_row(layout, group, p.n_blocks(), r % layout.rows, scratch);
                decode_row(p.kernels.dtype, scratch, out)?;
            }
            Weight::Plain(p) => match (p.rows(r..r + 1), &p.bytes) {
                (Some(bytes), _) => decode_row(p.dtype, bytes, out)?,
                (None, Bytes::Source(source, at)) => {
                    scratch.resize(p.row_bytes, 0);
                    source.read_at(at + (r * p.row_bytes) as u64, scratch)?;
                    decode_row(p.dtype, scratch, out)?;
                }
                (None, Bytes::Own(_)) => panic!("row {r} of a table of {} rows", p.n_out),
            },
        }
        Ok(())
    }

    /// Error: some bytes of a mapped file were lost, so that what was computed with them is worth nothing.
    pub(crate) fn intact(&self) -> Result<()> {
        match self {
            Weight::Plain(Plain {
                bytes: Bytes::Source(source, _),
                ..
            }) => Ok(source.intact()?),
            _ => Ok(()),
        }
    }

    /// Bytes held in memory of our own.
    pub(crate) fn n_bytes(&self) -> u64 {
        match self {
            Weight::Vector(x) => 4 * x.len() as u64,
            Weight::Packed(p) => p.data.n_bytes(),
            Weight::Plain(p) => match &p.bytes {
                Bytes::Own(bytes) => bytes.len() as u64,
                Bytes::Source(..) => 0,
            },
        }
    }

    /// Takes a tensor in the form that its role and the kernels want.
    ///
    /// # Errors
    /// Another shape or type than declared, no decoder for the type, a file that cannot be read.
    pub(crate) fn load(
        declared: &Declared,
        role: Role,
        tensor: &Tensor,
        kernels: &'static Kernels,
        (pool, memory): (&Pool, &mut Bump),
    ) -> Result<Weight> {
        let row_bytes = check(declared, tensor)?;
        if !role.matrix && !role.table {
            return load_vector(tensor, declared.n_in() * declared.n_out());
        }
        if role.matrix
            && let Some(quant) = kernels.quant(declared.dtype)
        {
            return pack(declared, tensor, quant, row_bytes, (pool, memory)).map(Weight::Packed);
        }
        let info = &tensor.info;
        let bytes = match tensor.source.slice(info.offset, info.n_bytes) {
            None if role.matrix => Bytes::Own(read(tensor, 0, info.n_bytes as usize)?),
            _ => Bytes::Source(Arc::clone(&tensor.source), info.offset),
        };
        Ok(Weight::Plain(Plain {
            dtype: declared.dtype,
            kernels: kernels.float(declared.dtype),
            bytes,
            n_out: declared.n_out(),
            row_bytes,
        }))
    }
}

/// Compares a tensor with what the plan says; answers the bytes of a row.
fn check(declared: &Declared, tensor: &Tensor) -> Result<usize> {
    let info = &tensor.info;
    let fail = |message: String| {
        Err(Error::Weight {
            name: declared.name.clone(),
            message,
        })
    };
    let same = info
        .shape
        .iter()
        .map(|&n| n as usize)
        .eq(declared.shape.iter().copied());
    if !same || info.dtype != declared.dtype {
        return fail(format!(
            "{} of shape {:?}, expected {} of shape {:?}",
            info.dtype, info.shape, declared.dtype, declared.shape
        ));
    }
    if !info.dtype.can_decode() {
        return fail(not_supported(info.dtype));
    }
    let row_bytes = info.dtype.row_bytes(declared.n_in())?;
    let expected = (row_bytes as u64).checked_mul(declared.n_out() as u64);
    if expected != Some(info.n_bytes) {
        return fail(format!(
            "{} bytes, expected {} rows of {row_bytes}",
            info.n_bytes,
            declared.n_out()
        ));
    }
    Ok(row_bytes)
}

fn not_supported(dtype: DType) -> String {
    let there = DType::all().iter().filter(|t| t.can_decode());
    let there: Vec<_> = there.map(|t| t.name()).collect();
    let there = there.join(", ");
    format!("type {dtype} is not supported on the CPU, supported: {there}")
}

/// Reads a part of a tensor that is not in memory.
fn read(tensor: &Tensor, from: usize, n: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; n];
    tensor
        .source
        .read_at(tensor.info.offset + from as u64, &mut bytes)?;
    Ok(bytes)
}

fn load_vector(tensor: &Tensor, n: usize) -> Result<Weight> {
    let mut x = vec![0.0; n];
    let bytes = read(tensor, 0, tensor.info.n_bytes as usize)?;
    decode_row(tensor.info.dtype, &bytes, &mut x)?;
    Ok(Weight::Vector(x))
}

/// Bytes that a worker packs at a time; read pages go back to the system after each, so that a
/// model never lies in memory twice.
const PIECE_BYTES: usize = 1 << 20;

/// Packing one matrix, a piece of some groups at a time.
struct Packing {
    tensor: Tensor,
    kernels: &'static QuantKernels,
    packed: Packed,
    row_bytes: usize,
    groups_a_piece: usize,
    next: AtomicUsize,
    error: Mutex<Option<Error>>,
}

fn pack(
    declared: &Declared,
    tensor: &Tensor,
    kernels: &'static QuantKernels,
    row_bytes: usize,
    (pool, memory): (&Pool, &mut Bump),
) -> Result<Packed> {
    let layout = &kernels.layout;
    let (n_in, n_out) = (declared.n_in(), declared.n_out());
    let group_bytes = layout.group_bytes(n_in / layout.block);
    let job = Arc::new(Packing {
        tensor: tensor.clone(),
        kernels,
        packed: Packed {
            kernels,
            data: memory.try_zeroed(n_out.div_ceil(layout.rows) * group_bytes)?,
            n_in,
            n_out,
            group_bytes,
        },
        row_bytes,
        groups_a_piece: (PIECE_BYTES / group_bytes.max(1)).max(1),
        next: AtomicUsize::new(0),
        error: Mutex::new(None),
    });
    pool.run(&job)?;
    let job = Arc::into_inner(job).expect("workers are done with it");
    match job.error.into_inner() {
        Ok(None) => Ok(job.packed),
        Ok(Some(error)) => Err(error),
        Err(poisoned) => panic!("{poisoned}"),
    }
}

impl Packing {
    /// Packs groups from `first` on; false when there are none.
    fn piece(&self, first: usize) -> Result<bool> {
        let layout = &self.kernels.layout;
        let n_groups = self.packed.n_out.div_ceil(layout.rows);
        if first >= n_groups {
            return Ok(false);
        }
        let last = (first + self.groups_a_piece).min(n_groups);
        let rows = first * layout.rows..(last * layout.rows).min(self.packed.n_out);
        let (from, n) = (rows.start * self.row_bytes, rows.len() * self.row_bytes);
        let at = self.tensor.info.offset + from as u64;
        let copy;
        let bytes = match self.tensor.source.slice(at, n as u64) {
            Some(bytes) => bytes,
            None => {
                copy = read(&self.tensor, from, n)?;
                &copy
            }
        };
        for (i, rows) in bytes.chunks(layout.rows * self.row_bytes).enumerate() {
            let from = (first + i) * self.packed.group_bytes;
            let out = self
                .packed
                .data
                .get_mut(from..from + self.packed.group_bytes);
            pack_group(layout, rows, self.packed.n_blocks(), out);
        }
        self.tensor.source.intact()?;
        self.tensor.source.release(at, n as u64);
        Ok(true)
    }
}

impl Job for Packing {
    fn work(&self, _worker: usize) {
        loop {
            let first = self.next.fetch_add(self.groups_a_piece, Ordering::Relaxed);
            match self.piece(first) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    if let Ok(mut slot) = self.error.lock() {
                        slot.get_or_insert(error);
                    }
                    return;
                }
            }
        }
    }

    fn fail(&self) {}
}
