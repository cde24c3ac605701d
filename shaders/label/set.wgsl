// Of image i of a batch that dataset_batch.wgsl draws. Needs permutation.wgsl.
@group(0) @binding(2) var<storage, read> labels: array<u32>;

fn label_of(seed: vec2<u32>, batch: u32, i: u32) -> u32 {
    return labels[shuffled_index(seed, im.stream, im.count, im.half_bits, batch, im.n, i)];
}
