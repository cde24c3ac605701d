// Shuffling without replacement, twin of src/data/permutation.rs: a Feistel network with cycle walking. Needs random.wgsl.

// lowbias32 (C. Wellons, hash prospector).
fn mix32(value: u32) -> u32 {
    var x = value;
    x ^= x >> 16u;
    x *= 0x7feb352du;
    x ^= x >> 15u;
    x *= 0x846ca68bu;
    return x ^ (x >> 16u);
}

// A permutation of the numbers below 4^half_bits.
fn feistel(key: vec2<u32>, half_bits: u32, value: u32) -> u32 {
    let mask = (1u << half_bits) - 1u;
    var left = value >> half_bits;
    var right = value & mask;
    for (var pair = 0u; pair < 8u; pair += 2u) {
        left ^= mix32(right ^ (key.x + pair * 0x9E3779B9u)) & mask;
        right ^= mix32(left ^ (key.y + (pair + 1u) * 0x9E3779B9u)) & mask;
    }
    return (left << half_bits) | right;
}

// Where `position` goes under the permutation of 0..count that `key` picks; 4^half_bits >= count > position.
fn permute(key: vec2<u32>, count: u32, half_bits: u32, position: u32) -> u32 {
    var x = feistel(key, half_bits, position);
    while (x >= count) {
        x = feistel(key, half_bits, x);
    }
    return x;
}

// Which element of a set of `count` is image `i` of batch number `batch`, when batches of `n` follow each other without
// gaps and each epoch has its own order. Exact for every `batch` if count * n <= 2^32: see Shuffle::index.
fn shuffled_index(seed: vec2<u32>, stream: u32, count: u32, half_bits: u32, batch: u32, n: u32, i: u32) -> u32 {
    let place = (batch % count) * n + i;
    let epoch = (batch / count) * n + place / count;
    return permute(random_key(seed, stream, epoch), count, half_bits, place % count);
}
