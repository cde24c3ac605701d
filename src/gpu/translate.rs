//! WGSL to the languages of the drivers, as wgpu would write it, so that a shader's portability is tested without the hardware.
use super::shader::{Access, Checked, ShaderError, chain, check};
use naga::ResourceBinding;
use naga::back::{glsl, hlsl, msl, spv};

fn refused(target: &'static str, error: &dyn std::error::Error) -> ShaderError {
    ShaderError::Translate {
        target,
        message: chain(error),
    }
}

/// SPIR-V 1.3 words: what Vulkan 1.1 drivers take.
pub fn to_spirv(source: &str) -> Result<Vec<u32>, ShaderError> {
    let Checked {
        module,
        info,
        reflection,
    } = check(source)?;
    let options = spv::Options {
        lang_version: (1, 3),
        ..Default::default()
    };
    let pipeline = spv::PipelineOptions {
        shader_stage: naga::ShaderStage::Compute,
        entry_point: reflection.entry_point,
    };
    spv::write_vec(&module, &info, &options, Some(&pipeline)).map_err(|e| refused("SPIR-V", &e))
}

/// Metal Shading Language 2.4 (macOS 12, iOS 15). Buffers take slots 0..n, then the immediates, then the buffer sizes.
pub fn to_msl(source: &str) -> Result<String, ShaderError> {
    let Checked {
        module,
        info,
        reflection,
    } = check(source)?;
    let count = reflection.bindings.len() as u8;
    let resources = reflection
        .bindings
        .iter()
        .enumerate()
        .map(|(index, binding)| {
            let target = msl::BindTarget {
                buffer: Some(index as u8),
                mutable: binding.access == Access::ReadWrite,
                ..Default::default()
            };
            (
                ResourceBinding {
                    group: 0,
                    binding: index as u32,
                },
                target,
            )
        });
    let resources = msl::EntryPointResources {
        resources: resources.collect(),
        immediates_buffer: Some(count),
        sizes_buffer: Some(count + 1),
    };
    let options = msl::Options {
        lang_version: (2, 4),
        per_entry_point_map: [(reflection.entry_point.clone(), resources)].into(),
        fake_missing_bindings: false,
        ..Default::default()
    };
    let pipeline = msl::PipelineOptions {
        entry_point: Some((naga::ShaderStage::Compute, reflection.entry_point)),
        ..Default::default()
    };
    let (text, written) =
        msl::write_string(&module, &info, &options, &pipeline).map_err(|e| refused("MSL", &e))?;
    match written.entry_point_names.into_iter().find_map(Result::err) {
        Some(error) => Err(refused("MSL", &error)),
        None => Ok(text),
    }
}

/// HLSL for shader model 6.2, the first with 16-bit floats; wave operations came with 6.0.
/// Cooperative matrices have no HLSL.
pub fn to_hlsl(source: &str) -> Result<String, ShaderError> {
    let Checked {
        module,
        info,
        reflection,
    } = check(source)?;
    let target = |space, register| hlsl::BindTarget {
        space,
        register,
        ..Default::default()
    };
    let binding_map = (0..reflection.bindings.len() as u32)
        .map(|binding| (ResourceBinding { group: 0, binding }, target(0, binding)));
    let options = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_2,
        binding_map: binding_map.collect(),
        fake_missing_bindings: false,
        // `num_workgroups` and the immediates are constant buffers, outside the storage buffers' space.
        special_constants_binding: Some(target(1, 0)),
        immediates_target: Some(target(1, 1)),
        ..Default::default()
    };
    let pipeline = hlsl::PipelineOptions {
        entry_point: Some((naga::ShaderStage::Compute, reflection.entry_point)),
    };
    let mut text = String::new();
    let written = hlsl::Writer::new(&mut text, &options, &pipeline)
        .write(&module, &info, None)
        .map_err(|e| refused("HLSL", &e))?;
    match written.entry_point_names.into_iter().find_map(Result::err) {
        Some(error) => Err(refused("HLSL", &error)),
        None => Ok(text),
    }
}

/// GLSL ES 3.10, what GL adapters take. No 16-bit floats there, and no subgroups.
pub fn to_glsl(source: &str) -> Result<String, ShaderError> {
    let Checked {
        module,
        info,
        reflection,
    } = check(source)?;
    // naga would write both, for desktop extensions that wgpu's GL backend does not ask for.
    for (used, what) in [
        (reflection.f16, "16-bit floats"),
        (reflection.int64, "64-bit integers"),
        (reflection.subgroups, "subgroup operations"),
    ] {
        if used {
            return Err(ShaderError::Translate {
                target: "GLSL",
                message: format!("GLSL ES 3.10 has no {what}"),
            });
        }
    }
    let binding_map = (0..reflection.bindings.len() as u32)
        .map(|binding| (ResourceBinding { group: 0, binding }, binding as u8));
    let options = glsl::Options {
        version: glsl::Version::new_gles(310),
        binding_map: binding_map.collect(),
        ..Default::default()
    };
    let pipeline = glsl::PipelineOptions {
        shader_stage: naga::ShaderStage::Compute,
        entry_point: reflection.entry_point,
        multiview: None,
    };
    let mut text = String::new();
    let bounds = naga::proc::BoundsCheckPolicies::default();
    glsl::Writer::new(&mut text, &module, &info, &options, &pipeline, bounds)
        .and_then(|mut writer| writer.write())
        .map_err(|e| refused("GLSL", &e))?;
    Ok(text)
}

/// Whether `source` can be written for Vulkan, Metal and DirectX 12.
///
/// # Errors
/// The first that cannot. A cooperative-matrix shader fails at HLSL: test it with [`to_spirv`] and [`to_msl`].
pub fn portability(source: &str) -> Result<(), ShaderError> {
    to_spirv(source)?;
    to_msl(source)?;
    to_hlsl(source)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: &str = "
        @group(0) @binding(0) var<storage, read> x: array<f32>;
        @group(0) @binding(1) var<storage, read_write> y: array<f32>;
        struct Params { n: u32, scale: f32 }
        var<immediate> im: Params;
        var<workgroup> tile: array<f32, 64>;
        @compute @workgroup_size(64) fn main(
            @builtin(global_invocation_id) id: vec3<u32>,
            @builtin(local_invocation_index) lane: u32,
            @builtin(num_workgroups) groups: vec3<u32>,
        ) {
            tile[lane] = x[id.x];
            workgroupBarrier();
            if id.x < im.n { y[id.x] = tile[63u - lane] * im.scale + f32(groups.x) + f32(arrayLength(&x)); }
        }";

    #[test]
    fn a_plain_kernel_is_written_in_every_language() {
        portability(KERNEL).unwrap();
        assert_eq!(
            to_spirv(KERNEL).unwrap()[0],
            0x0723_0203,
            "SPIR-V's magic number"
        );
        assert!(to_msl(KERNEL).unwrap().contains("kernel void main_("));
        assert!(to_hlsl(KERNEL).unwrap().contains("[numthreads(64, 1, 1)]"));
        assert!(to_glsl(KERNEL).unwrap().starts_with("#version 310 es"));
    }

    #[test]
    fn access_and_slots_reach_the_text() {
        let msl = to_msl(KERNEL).unwrap();
        let has = |text: &str, part: &str| assert!(text.contains(part), "no `{part}` in\n{text}");
        has(&msl, "device type_1 const& x [[buffer(0)]]");
        has(&msl, "device type_1& y [[buffer(1)]]");
        has(&msl, "constant Params& im [[buffer(2)]]");
        let hlsl = to_hlsl(KERNEL).unwrap();
        has(&hlsl, "ByteAddressBuffer x : register(t0)");
        has(&hlsl, "RWByteAddressBuffer y : register(u1)");
    }

    #[test]
    fn halves_and_subgroups_are_written_but_for_gl() {
        let half = format!(
            "enable f16;{}",
            KERNEL.replace("tile: array<f32", "tile: array<f16")
        )
        .replace("= x[id.x];", "= f16(x[id.x]);")
        .replace("tile[63u - lane] *", "f32(tile[63u - lane]) *");
        let subgroup = KERNEL.replace(
            "tile[63u - lane] *",
            "subgroupBroadcast(tile[63u - lane], 3u) *",
        );
        for source in [&half, &subgroup] {
            portability(source).unwrap();
            let error = to_glsl(source).unwrap_err();
            assert!(
                matches!(error, ShaderError::Translate { target: "GLSL", .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn cooperative_matrices_are_written_for_vulkan_and_metal_only() {
        let source = super::super::shader::tests::MATRIX_KERNEL;
        to_spirv(source).unwrap();
        to_msl(&source.replace("16x16", "8x8").replace("16u", "8u")).unwrap();
        let error = portability(source).unwrap_err();
        assert!(matches!(error, ShaderError::Translate { .. }), "{error}");
    }

    #[test]
    fn an_invalid_shader_is_not_translated() {
        let source = KERNEL.replace("im.scale", "im.scael");
        assert!(matches!(
            portability(&source),
            Err(ShaderError::Invalid { .. })
        ));
    }
}
