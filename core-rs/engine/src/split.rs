//! Two executors as one: the first runs the layers before a point, the second the rest.

use puna_graph::{Batch, CacheOp, Error, Executor, Graph, Output, Read, Result, Tensor, WeightId};

/// Weights keep the ids of the whole graph; each half gets those it uses under its own ids.
pub struct Split {
    first: Box<dyn Executor>,
    second: Box<dyn Executor>,
    /// For each weight of the whole graph its id in the first and in the second half.
    ids: Vec<[Option<WeightId>; 2]>,
    /// The batch whose second half waits for the activations of the first.
    waiting: Option<Batch>,
}

impl Split {
    /// `first` and `second` run the two graphs of `whole.split(layer)`.
    pub fn new(
        whole: &Graph,
        halves: [&Graph; 2],
        first: Box<dyn Executor>,
        second: Box<dyn Executor>,
    ) -> Split {
        let ids = whole
            .weights
            .iter()
            .map(|w| {
                halves.map(|half| {
                    let at = half.weights.iter().position(|h| h.name == w.name);
                    at.map(|i| WeightId(i as u32))
                })
            })
            .collect();
        Split {
            first,
            second,
            ids,
            waiting: None,
        }
    }

    /// Hands the activations over; false while they must be awaited.
    fn hand_over(&mut self) -> Result<bool> {
        let Some(mut batch) = self.waiting.take() else {
            return Ok(true);
        };
        // A half that fails ends the run: `waiting` stays empty.
        match self.first.read(Read::Hidden)? {
            None => {
                self.waiting = Some(batch);
                Ok(false)
            }
            Some(Output::F32(x)) => {
                batch.input = Some(x);
                self.second.run(&batch).map(|()| true)
            }
            Some(Output::Ids(_)) => Err(Error::Device {
                executor: self.first.name(),
                message: "ids instead of hidden states".into(),
            }),
        }
    }
}

impl Executor for Split {
    fn name(&self) -> String {
        format!("{} + {}", self.first.name(), self.second.name())
    }

    fn upload(&mut self, id: WeightId, tensor: &Tensor) -> Result<()> {
        let [first, second] = self.ids[id.index()];
        if let Some(id) = first {
            self.first.upload(id, tensor)?;
        }
        if let Some(id) = second {
            self.second.upload(id, tensor)?;
        }
        Ok(())
    }

    fn run(&mut self, batch: &Batch) -> Result<()> {
        // The first half has no outputs of its own: its result is the state of every token.
        let mut half = batch.clone();
        half.outputs.clear();
        self.first.run(&half)?;
        let mut rest = batch.clone();
        rest.tokens.clear();
        self.waiting = Some(rest);
        self.hand_over().map(|_| ())
    }

    fn read(&mut self, what: Read) -> Result<Option<Output>> {
        match self.hand_over()? {
            true => self.second.read(what),
            false => Ok(None),
        }
    }

    fn cache(&mut self, op: &CacheOp) -> Result<Option<Vec<u8>>> {
        match op {
            CacheOp::Load { cells, bytes } => {
                // A saved split cache is the first half's length, then both halves' bytes.
                let (head, rest) = bytes.split_at_checked(8).ok_or_else(short)?;
                let n = u64::from_le_bytes(head.try_into().expect("8 bytes")) as usize;
                let (a, b) = rest.split_at_checked(n).ok_or_else(short)?;
                for (half, bytes) in [(&mut self.first, a), (&mut self.second, b)] {
                    half.cache(&CacheOp::Load {
                        cells: cells.clone(),
                        bytes: bytes.to_vec(),
                    })?;
                }
                Ok(None)
            }
            _ => match (self.first.cache(op)?, self.second.cache(op)?) {
                (Some(a), Some(b)) => {
                    let mut bytes = (a.len() as u64).to_le_bytes().to_vec();
                    bytes.extend(a);
                    bytes.extend(b);
                    Ok(Some(bytes))
                }
                _ => Ok(None),
            },
        }
    }

    fn can_go_on(&self, cells: &[u32], positions: &[i32], at: i32) -> bool {
        let halves = [&self.first, &self.second];
        halves.iter().all(|h| h.can_go_on(cells, positions, at))
    }

    fn forget(&mut self, cells: &[u32]) {
        self.first.forget(cells);
        self.second.forget(cells);
    }

    fn n_bytes(&self) -> u64 {
        self.first.n_bytes() + self.second.n_bytes()
    }
}

fn short() -> Error {
    Error::Bytes {
        what: "saved cache",
        message: "shorter than its halves".into(),
    }
}
