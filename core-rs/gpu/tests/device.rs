#![cfg(feature = "wgpu")]
use puna_gpu::{GpuContext, devices};

#[test]
fn every_device_found_computes_the_known_product() {
    let found = devices();
    if found.is_empty() {
        eprintln!("skipped: no Vulkan, Metal or DirectX device");
    }
    for device in found {
        eprintln!("{device:?}");
        let t = std::time::Instant::now();
        let opened = GpuContext::open(Some(&device.name));
        eprintln!("{:?}", t.elapsed());
        assert!(opened.is_ok(), "{}", opened.err().expect("checked"));
    }
}
