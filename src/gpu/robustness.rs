//! Devices whose driver does not compare every access to a buffer with its size.
//!
//! WebGPU's promise that no shader reaches beyond its buffers is kept by the driver where it can: wgpu-hal switches Vulkan's `robustBufferAccess`
//! and `robustBufferAccess2` on for every device. That may be why an H200's machine code compares each load with the buffer's size
//! (not shown yet). wgpu has no setting for it, so the device is made here, as wgpu-hal makes it but for those two.
use ash::vk;
use wgpu::hal::api::Vulkan;

/// As `wgpu::Adapter::request_device`, without robust buffer access; `None` where the adapter is not Vulkan's.
///
/// # Safety
/// No shader on this device may reach beyond what is bound.
///
/// # Errors
/// What the driver or wgpu says of the request.
pub unsafe fn request_device(
    adapter: &wgpu::Adapter,
    descriptor: &wgpu::DeviceDescriptor,
) -> Option<Result<(wgpu::Device, wgpu::Queue), String>> {
    // SAFETY: nothing of the adapter is destroyed, and its guard lives until the device is made.
    let hal = unsafe { adapter.as_hal::<Vulkan>() }?;
    let features = descriptor.required_features;
    let extensions = hal.required_device_extensions(features);
    let mut wanted = hal.physical_device_features(&extensions, features);
    let names: Vec<_> = extensions.iter().map(|name| name.as_ptr()).collect();
    let queues = [vk::DeviceQueueCreateInfo::default()
        .queue_family_index(QUEUE_FAMILY)
        .queue_priorities(&[1.0])];
    let info = vk::DeviceCreateInfo::default()
        .queue_create_infos(&queues)
        .enabled_extension_names(&names);
    let info = wanted.add_to_device_create(info);
    // SAFETY: `wanted` owns the features and the chain, and outlives `info`.
    let core = unsafe { without_robust_buffers(&info) };
    let info = info.enabled_features(&core);
    // SAFETY: the physical device, its extensions and features are those that wgpu-hal would ask for, but for two that no code relies on:
    // wgpu-hal learns of them from the adapter, to leave naga's own checks out, and the caller's shaders need none. wgpu-hal takes the
    // device over.
    let made = unsafe {
        let instance = hal.shared_instance().raw_instance();
        let raw = instance.create_device(hal.raw_physical_device(), &info, None);
        raw.map_err(|e| e.to_string()).and_then(|raw| {
            let (limits, hints) = (&descriptor.required_limits, &descriptor.memory_hints);
            let family = QUEUE_FAMILY;
            hal.device_from_raw(raw, None, &extensions, features, limits, hints, family, 0)
                .map_err(|e| e.to_string())
        })
    };
    // SAFETY: `made` is this adapter's, with the features that the descriptor asks for.
    Some(made.and_then(|made| unsafe {
        let made = adapter.create_device_from_hal::<Vulkan>(made, descriptor);
        made.map_err(|e| e.to_string())
    }))
}

/// wgpu-hal takes the first queue of the first family.
const QUEUE_FAMILY: u32 = 0;

/// Switches `robustBufferAccess2` off in the chain of `info`; its core features without `robustBufferAccess`.
///
/// # Safety
/// `info` points to valid features, and nothing else refers to those of its chain.
unsafe fn without_robust_buffers(info: &vk::DeviceCreateInfo) -> vk::PhysicalDeviceFeatures {
    let mut next = info.p_next.cast::<vk::BaseOutStructure>().cast_mut();
    // SAFETY: every structure of a chain begins with its type and the next one.
    while let Some(at) = unsafe { next.as_mut() } {
        if at.s_type == vk::StructureType::PHYSICAL_DEVICE_ROBUSTNESS_2_FEATURES_EXT {
            let features = next.cast::<vk::PhysicalDeviceRobustness2FeaturesEXT>();
            // SAFETY: that is what its type says.
            unsafe { (*features).robust_buffer_access2 = vk::FALSE };
        }
        next = at.p_next;
    }
    // SAFETY: the caller's.
    let core = unsafe { info.p_enabled_features.as_ref() };
    vk::PhysicalDeviceFeatures {
        robust_buffer_access: vk::FALSE,
        ..core.copied().unwrap_or_default()
    }
}
