// The component of point i of a batch that mixture_batch.wgsl draws. Needs mixture_component.wgsl.
@group(0) @binding(2) var<storage, read> mixture: array<f32>;

fn label_of(seed: vec2<u32>, batch: u32, i: u32) -> u32 {
    return mixture_component(random_key(seed, im.stream, batch), im.count, i);
}
