// scratch: lab A_floats B_floats C_floats flops gx gy gz reps file.wgsl imm...
use std::time::Instant;
fn main() {
    let mut id = wgpu::InstanceDescriptor::new_without_display_handle();
    id.backends = wgpu::Backends::VULKAN;
    let inst = wgpu::Instance::new(id);
    let ad = pollster::block_on(inst.request_adapter(&wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        force_fallback_adapter: false,
        compatible_surface: None,
        apply_limit_buckets: false,
    }))
    .unwrap();
    let feats = ad.features() & (wgpu::Features::IMMEDIATES | wgpu::Features::SUBGROUP);
    let (dev, q) = pollster::block_on(ad.request_device(&wgpu::DeviceDescriptor {
        label: None,
        required_features: feats,
        required_limits: ad.limits(),
        experimental_features: wgpu::ExperimentalFeatures::disabled(),
        memory_hints: wgpu::MemoryHints::Performance,
        trace: wgpu::Trace::Off,
    }))
    .unwrap();
    println!("{:?}", ad.get_info().driver_info);
    let mut jobs = vec![];
    for line in std::fs::read_to_string(std::env::args().nth(1).unwrap())
        .unwrap()
        .lines()
    {
        if line.trim().is_empty() {
            continue;
        }
        let t: Vec<String> = line.split_whitespace().map(|s| s.to_string()).collect();
        let num = |i: usize| t[i].parse::<f64>().unwrap();
        let src = std::fs::read_to_string(&t[7]).unwrap();
        let imm: Vec<u32> = t[8..]
            .iter()
            .map(|s| s.parse::<i64>().unwrap() as u32)
            .collect();
        let mk = |n: f64, fill: u32| {
            let b = dev.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: n as u64 * 4,
                mapped_at_creation: false,
                usage: wgpu::BufferUsages::STORAGE
                    | wgpu::BufferUsages::COPY_SRC
                    | wgpu::BufferUsages::COPY_DST,
            });
            let d: Vec<f32> = (0..n as u32)
                .map(|i| {
                    if fill == 9 {
                        f32::NAN
                    } else {
                        ((i.wrapping_mul(2654435761).wrapping_add(fill * 77)) >> 16) as f32
                            / 65536.0
                            - 0.5
                    }
                })
                .collect();
            q.write_buffer(&b, 0, bytemuck::cast_slice(&d));
            b
        };
        let bufs = [mk(num(0), 1), mk(num(1), 2), mk(num(2), 9)];
        let sm = unsafe {
            dev.create_shader_module_trusted(
                wgpu::ShaderModuleDescriptor {
                    label: None,
                    source: wgpu::ShaderSource::Wgsl(src.into()),
                },
                wgpu::ShaderRuntimeChecks::unchecked(),
            )
        };
        let ents: Vec<_> = (0..3)
            .map(|i| wgpu::BindGroupLayoutEntry {
                binding: i,
                visibility: wgpu::ShaderStages::COMPUTE,
                count: None,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Storage { read_only: i < 2 },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
            })
            .collect();
        let bgl = dev.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: None,
            entries: &ents,
        });
        let pl = dev.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&bgl)],
            immediate_size: imm.len() as u32 * 4,
        });
        let pipe = dev.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: Some(&pl),
            module: &sm,
            entry_point: Some("main"),
            cache: None,
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
        });
        let bents: Vec<_> = bufs
            .iter()
            .enumerate()
            .map(|(i, b)| wgpu::BindGroupEntry {
                binding: i as u32,
                resource: b.as_entire_binding(),
            })
            .collect();
        let bg = dev.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &bgl,
            entries: &bents,
        });
        jobs.push((t, imm, bufs, pipe, bg, vec![]));
    }
    let go = |j: &(
        Vec<String>,
        Vec<u32>,
        [wgpu::Buffer; 3],
        wgpu::ComputePipeline,
        wgpu::BindGroup,
        Vec<f64>,
    ),
              reps: u32| {
        let t = Instant::now();
        let mut enc = dev.create_command_encoder(&Default::default());
        {
            let mut p = enc.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: None,
            });
            p.set_pipeline(&j.3);
            p.set_bind_group(0, &j.4, &[]);
            p.set_immediates(0, bytemuck::cast_slice(&j.1));
            for _ in 0..reps {
                p.dispatch_workgroups(
                    j.0[4].parse().unwrap(),
                    j.0[5].parse().unwrap(),
                    j.0[6].parse().unwrap(),
                );
            }
        }
        let idx = q.submit([enc.finish()]);
        dev.poll(wgpu::PollType::Wait {
            submission_index: Some(idx),
            timeout: None,
        })
        .unwrap();
        t.elapsed().as_secs_f64()
    };
    let mut jit = vec![];
    let mut sums = vec![];
    for j in &jobs {
        jit.push(go(j, 1));
        let n = j.2[2].size();
        let stage = dev.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: n,
            mapped_at_creation: false,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        });
        let mut enc = dev.create_command_encoder(&Default::default());
        enc.copy_buffer_to_buffer(&j.2[2], 0, &stage, 0, n);
        let idx = q.submit([enc.finish()]);
        stage.map_async(wgpu::MapMode::Read, .., |r| r.unwrap());
        dev.poll(wgpu::PollType::Wait {
            submission_index: Some(idx),
            timeout: None,
        })
        .unwrap();
        let v = stage.get_mapped_range(..).unwrap();
        let o: &[f32] = bytemuck::cast_slice(&v);
        sums.push(
            o.iter()
                .enumerate()
                .map(|(i, &x)| x as f64 * ((i % 977) as f64 - 400.0))
                .sum::<f64>(),
        );
    }
    for _ in 0..7 {
        for j in jobs.iter_mut() {
            let r = j.0[3].parse::<f64>().unwrap();
            let reps = (1.5e9 / r).clamp(1.0, 50.0) as u32;
            let t = go(j, reps) / reps as f64;
            j.5.push(t);
        }
    }
    for (i, j) in jobs.iter_mut().enumerate() {
        j.5.sort_by(|a, b| a.total_cmp(b));
        let f = j.0[3].parse::<f64>().unwrap();
        println!(
            "{:<28} jit {:5.2}  median {:7.2} GF/s  best {:7.2}  {:8.3} ms   sum {:.4}",
            j.0[7].rsplit('/').next().unwrap(),
            jit[i],
            f / j.5[3] / 1e9,
            f / j.5[0] / 1e9,
            j.5[0] * 1e3,
            sums[i]
        );
    }
}
