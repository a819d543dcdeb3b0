//! Weights from a file to the device, piece by piece: never the whole tensor in memory twice.

use puna_graph::{Error, Result, Tensor};

use crate::dispatch::Region;
use crate::host::Host;
use crate::pack::{self, Layout};
use crate::place::{Run, WeightPlace};

/// About this many bytes of a file are packed and written at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Writes a tensor of `n_out` rows of `n_in` everywhere it is wanted.
pub(crate) fn upload<H: Host>(
    host: &mut H,
    place: &WeightPlace,
    vectors: Region,
    tensor: &Tensor,
    n_in: usize,
    n_out: usize,
) -> Result<()> {
    let row_bytes = tensor.info.dtype.row_bytes(n_in)?;
    let total = (row_bytes as u64).checked_mul(n_out as u64);
    if total != Some(tensor.info.n_bytes) {
        return Err(Error::Weight {
            name: tensor.info.name.clone(),
            message: format!(
                "{} bytes, expected {n_out} rows of {row_bytes}",
                tensor.info.n_bytes
            ),
        });
    }
    if let Some(layout) = &place.layout {
        for run in &place.runs {
            upload_rows(host, layout, run, tensor, row_bytes)?;
        }
    }
    if !place.vectors.is_empty() {
        let bytes = read(tensor, 0, row_bytes * n_out)?;
        let values = pack::decode(tensor.info.dtype, &bytes, n_in * n_out)?;
        for &at in &place.vectors {
            let offset = vectors.offset + u64::from(at) * 4;
            host.write(vectors.buffer, offset, bytemuck::cast_slice(&values))?;
        }
    }
    tensor
        .source
        .release(tensor.info.offset, tensor.info.n_bytes);
    Ok(())
}

fn read(tensor: &Tensor, offset: usize, n_bytes: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; n_bytes];
    let at = tensor.info.offset.saturating_add(offset as u64);
    tensor.source.read_at(at, &mut bytes)?;
    Ok(bytes)
}

fn upload_rows<H: Host>(
    host: &mut H,
    layout: &Layout,
    run: &Run,
    tensor: &Tensor,
    row_bytes: usize,
) -> Result<()> {
    let plane_bytes = layout.row_bytes();
    let most = (PIECE_BYTES / row_bytes.max(1)).max(1);
    let mut planes: Vec<Vec<u8>> = vec![vec![]; plane_bytes.len()];
    for start in (0..run.n_rows).step_by(most) {
        let n = most.min(run.n_rows - start);
        let bytes = read(tensor, (run.first + start) * row_bytes, n * row_bytes)?;
        planes.iter_mut().for_each(Vec::clear);
        bytes
            .chunks_exact(row_bytes)
            .for_each(|row| pack::pack_row(layout, row, &mut planes));
        for ((plane, &at), &row) in planes.iter().zip(&run.planes).zip(&plane_bytes) {
            let offset = at + ((run.at_row + start) * row) as u64;
            host.write(run.region.buffer, run.region.offset + offset, plane)?;
        }
    }
    Ok(())
}
