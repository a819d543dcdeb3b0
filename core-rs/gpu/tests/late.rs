//! A host that answers a read only the second time, as one in a tab does.
#![cfg(feature = "wgpu")]

mod common;

use common::{F16_CACHE, TINY, batch, context};
use puna_gpu::check::{SelfCheck, Weights};
use puna_gpu::native::NativeHost;
use puna_gpu::{DeviceLimits, GpuExecutor, Host, Program, WgpuExecutor};
use puna_graph::{CacheOp, Executor, Plan, Read, Result};

struct Late {
    host: NativeHost,
    asked: Option<(usize, u64, u64)>,
}

impl Host for Late {
    fn name(&self) -> String {
        self.host.name()
    }

    fn limits(&self) -> DeviceLimits {
        self.host.limits()
    }

    fn create(&mut self, program: &Program) -> Result<()> {
        self.host.create(program)
    }

    fn write(&mut self, buffer: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        self.host.write(buffer, offset, bytes)
    }

    fn submit(&mut self, list: usize, grids: &[[u32; 3]]) -> Result<()> {
        self.asked = None;
        self.host.submit(list, grids)
    }

    fn read(&mut self, buffer: usize, offset: u64, n_bytes: u64) -> Result<Option<Vec<u8>>> {
        let range = (buffer, offset, n_bytes);
        if self.asked != Some(range) {
            self.asked = Some(range);
            return Ok(None);
        }
        self.asked = None;
        self.host.read(buffer, offset, n_bytes)
    }
}

#[test]
fn the_self_check_and_a_save_can_be_asked_again() {
    let Some(context) = context() else { return };
    let late = || Late {
        host: context.host(),
        asked: None,
    };
    let mut check = SelfCheck::start(late()).expect("starts");
    let mut polls = 1;
    while check.poll().expect("right").is_none() {
        polls += 1;
    }
    assert_eq!(polls, 3, "one wait for each of two batches");

    let graph = TINY.graph().fused();
    let plan = Plan::new(graph.clone(), 11, 11);
    let mut slow = GpuExecutor::new(&plan, late(), F16_CACHE).expect("opens");
    let mut fast = WgpuExecutor::open(&plan, &context, F16_CACHE).expect("opens");
    let weights = Weights::random(&graph, 11).expect("encodable");
    let cells: Vec<u32> = (0..11).collect();
    let save = CacheOp::Save { cells };
    let mut saved = vec![];
    for executor in [&mut slow as &mut dyn Executor, &mut fast] {
        weights.upload(executor).expect("uploads");
        executor.run(&batch(0, 11, None)).expect("runs");
        saved.push(
            (0..20)
                .find_map(|_| executor.cache(&save).expect("saves"))
                .expect("at last"),
        );
    }
    assert_eq!(saved[0], saved[1]);
    assert!(slow.read(Read::Greedy).expect("reads").is_none());
    assert!(slow.read(Read::Greedy).expect("reads").is_some());
}
