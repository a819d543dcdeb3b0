//! Finding, checking and losing devices.
#![cfg(feature = "wgpu")]

mod common;

use common::{F32_CACHE, Pair, TINY, batch};
use puna_gpu::{GpuContext, GpuOptions, WgpuExecutor, devices};
use puna_graph::{Executor, Plan, Read};

#[test]
fn every_device_found_computes_the_known_product() {
    let found = devices();
    if found.is_empty() {
        eprintln!("skipped: no Vulkan, Metal or DirectX device");
    }
    for device in found {
        let opened = GpuContext::open(Some(&device.name));
        assert!(opened.is_ok(), "{}", opened.err().expect("checked"));
    }
}

#[test]
fn a_name_that_no_device_has_is_an_error() {
    let error = GpuContext::open(Some("no such device"))
        .err()
        .expect("an error");
    let text = error.to_string();
    assert!(
        text.contains("no such device") || text.contains("no device found"),
        "{text}"
    );
}

#[test]
fn a_lost_device_answers_errors() {
    // A context of its own: the shared one must live.
    let Ok(context) = GpuContext::open_unchecked(None) else {
        eprintln!("skipped: no device");
        return;
    };
    let mut pair = Pair::new(&context, &TINY.graph().fused(), 4, F32_CACHE);
    pair.run(&batch(0, 4, None));
    context.destroy();
    let error = pair.gpu.read(Read::Logits).expect_err("lost");
    assert!(error.to_string().contains("device"), "{error}");
    assert!(pair.gpu.run(&batch(4, 1, None)).is_err());
}

#[test]
fn a_cache_larger_than_a_binding_is_refused_with_its_size() {
    let Some(context) = common::context() else {
        return;
    };
    let plan = Plan::new(TINY.graph().fused(), 4, 4);
    let options = GpuOptions {
        n_cells: 1 << 30,
        ..F32_CACHE
    };
    let error = WgpuExecutor::open(&plan, &context, options)
        .err()
        .expect("too large");
    assert!(error.to_string().contains("cells needs"), "{error}");
}
