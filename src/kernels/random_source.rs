//! Where a kernel's random numbers come from: `shaders/lib/random.wgsl`, twin of `data::rng`.

pub(super) const WGSL: &str = include_str!("../../shaders/lib/random.wgsl");

/// A source of random numbers: every number is a pure function of (seed, stream, step, index).
///
/// The step is not part of a kernel's constants: it is read from `counters[counter_index]` on the device, so that a block of
/// steps needs nothing from the host. Numbers agree with `data::rng::Stream::new(seed, stream, counters[counter_index])`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomSource {
    pub seed: u64,
    /// Separates the purposes that share a seed.
    pub stream: u32,
    /// Element of the counters buffer.
    pub counter_index: u32,
}

impl RandomSource {
    /// seed_lo, seed_hi, stream, counter_index: the order in which every kernel's immediates take them.
    pub(super) fn words(&self) -> [u32; 4] {
        [
            self.seed as u32,
            (self.seed >> 32) as u32,
            self.stream,
            self.counter_index,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::rng;
    use crate::gpu::testing::{assert_close, gpu, nan_buffer, read_f32};
    use crate::gpu::{Kernel, shader};

    /// The integers agree with the CPU's bit for bit, through every function, and normals to the device's accuracy.
    #[test]
    fn the_device_draws_the_numbers_of_the_cpu() {
        const BODY: &str = "
            @group(0) @binding(0) var<storage, read_write> words: array<u32>;
            @group(0) @binding(1) var<storage, read_write> floats: array<f32>;
            @compute @workgroup_size(64)
            fn main(@builtin(global_invocation_id) id: vec3<u32>) {
                let key = random_key(vec2(0x89abcdefu, 0x01234567u), 7u, 11u);
                let bits = threefry2x32(key, vec2(id.x, 3u));
                words[4u * id.x] = bits.x;
                words[4u * id.x + 1u] = bits.y;
                words[4u * id.x + 2u] = random_below(bits.x, 1000u);
                words[4u * id.x + 3u] = random_index(bits.x, select(60000u, bits.y, id.x % 2u == 0u));
                let z = normal2(bits);
                floats[3u * id.x] = uniform01(bits.x);
                floats[3u * id.x + 1u] = z.x;
                floats[3u * id.x + 2u] = z.y;
            }";
        let gpu = gpu();
        let n = 64 * 16;
        let kernel = Kernel {
            label: "random_test".into(),
            source: shader::join(&[WGSL, BODY]).into(),
            grid: [16, 1, 1],
            immediates: vec![],
        };
        let words = nan_buffer(&gpu, "words", 4 * n);
        let floats = nan_buffer(&gpu, "floats", 3 * n);
        gpu.submit([&gpu.prepare(&kernel, &[&words, &floats]).unwrap()])
            .unwrap();
        let stream = rng::Stream::new(0x0123_4567_89ab_cdef, 7, 11);
        let (mut want_words, mut want_floats) = (vec![], vec![]);
        for i in 0..n as u32 {
            let bits = stream.block(i, 3);
            let bound = if i % 2 == 0 { bits[1] } else { 60_000 };
            want_words.extend([bits[0], bits[1], rng::below(bits[0], 1000)]);
            want_words.push(rng::index(bits[0], bound));
            want_floats.push(f64::from(rng::uniform01(bits[0])));
            want_floats.extend(rng::normal2(bits).map(f64::from));
        }
        let got: Vec<u32> = read_f32(&gpu, &words)
            .into_iter()
            .map(f32::to_bits)
            .collect();
        assert_eq!(got, want_words);
        let got = read_f32(&gpu, &floats);
        let uniform = |i: &usize| i.is_multiple_of(3);
        assert!(
            (0..3 * n)
                .filter(uniform)
                .all(|i| f64::from(got[i]) == want_floats[i])
        );
        // WGSL allows sin and cos 2^-11, log 2^-21: with a radius of at most 5.8 that is .003.
        assert_close("normal2", &got, &want_floats, 3e-3, 1e-4);
    }
}
