//! Counter-based random numbers: Threefry-2x32 with 20 rounds.
//!
//! Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC'11). Every number is a pure function
//! of (seed, stream, step, index, draw), so nothing has to be stored to resume a run and any order of evaluation gives
//! the same numbers. `shaders/lib/random.wgsl` is the twin of this file, function by function: the integers agree bit for
//! bit, the normals to the accuracy of the device's `log`, `sin` and `cos`.

/// The key or the counter of one Threefry block; its output too.
pub type Block = [u32; 2];

const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
/// The key schedule's parity word of the 32-bit Threefish/Threefry family.
const PARITY: u32 = 0x1BD1_1BDA;

/// Threefry-2x32-20: encrypts `counter` under `key`.
pub fn threefry2x32(key: Block, counter: Block) -> Block {
    let schedule = [key[0], key[1], PARITY ^ key[0] ^ key[1]];
    let mut x0 = counter[0].wrapping_add(schedule[0]);
    let mut x1 = counter[1].wrapping_add(schedule[1]);
    for group in 0..5u32 {
        for round in 0..4 {
            x0 = x0.wrapping_add(x1);
            x1 = x1.rotate_left(ROTATIONS[((group % 2) * 4 + round) as usize]) ^ x0;
        }
        let next = group + 1;
        x0 = x0.wrapping_add(schedule[(next % 3) as usize]);
        x1 = x1
            .wrapping_add(schedule[((next + 1) % 3) as usize])
            .wrapping_add(next);
    }
    [x0, x1]
}

/// A uniform number in `[0, 1)` from the upper 24 bits: every value is exact in f32, and 1 never comes out.
pub fn uniform01(bits: u32) -> f32 {
    (bits >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// A uniform number in `(0, 1)`, symmetric about 1/2, from the upper 23 bits: every value is exact in f32.
pub fn uniform_open(bits: u32) -> f32 {
    ((bits >> 9) as f32 + 0.5) * (1.0 / 8_388_608.0)
}

/// Two independent N(0, 1) numbers by Box and Muller.
///
/// The angle lies in `[-pi, pi)`, the range in which WGSL bounds the error of `sin` and `cos`. The radius is at most
/// `sqrt(2 ln 2^24) = 5.77`.
pub fn normal2(bits: Block) -> [f32; 2] {
    let radius = (-2.0 * (1.0 - uniform01(bits[0])).ln()).max(0.0).sqrt();
    let angle = std::f32::consts::TAU * (uniform01(bits[1]) - 0.5);
    [radius * angle.cos(), radius * angle.sin()]
}

/// A whole number in `0..bound` (bound at most 65,536) from the upper 16 bits: multiply and shift, no modulo bias
/// beyond `bound / 65536`.
pub fn below(bits: u32, bound: u32) -> u32 {
    debug_assert!(bound <= 1 << 16);
    ((bits >> 16) * bound) >> 16
}

/// A whole number in `0..bound` from all 32 bits: multiply and shift, no bias beyond `bound / 2^32`.
pub fn index(bits: u32, bound: u32) -> u32 {
    ((u64::from(bits) * u64::from(bound)) >> 32) as u32
}

/// The two words of a 64-bit seed, low word first, as the shaders take them.
pub fn seed_words(seed: u64) -> Block {
    [seed as u32, (seed >> 32) as u32]
}

/// The key of one stream at one step; see [`Stream`].
pub fn stream_key(seed: Block, stream: u32, step: u32) -> Block {
    threefry2x32(seed, [stream, step])
}

/// The random numbers of one (seed, stream, step), addressed by (index, draw).
///
/// `stream` separates the purposes that share a seed (data, latents, noise), `step` is the counter that moves with
/// training, `index` is the sample within the batch and `draw` numbers that sample's blocks.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    key: Block,
}

impl Stream {
    pub fn new(seed: u64, stream: u32, step: u32) -> Self {
        Self {
            key: stream_key(seed_words(seed), stream, step),
        }
    }

    pub fn block(&self, index: u32, draw: u32) -> Block {
        threefry2x32(self.key, [index, draw])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random123's file of known answers (`kat_vectors`, lines "threefry2x32 20").
    #[test]
    fn matches_the_published_known_answers() {
        assert_eq!(threefry2x32([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(threefry2x32([!0, !0], [!0, !0]), [0x1cb9_96fc, 0xbb00_2be7]);
        assert_eq!(
            threefry2x32([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]),
            [0xc492_3a9c, 0x483d_f7a0]
        );
    }

    #[test]
    fn uniform_stays_below_one_and_is_flat() {
        assert_eq!(uniform01(0), 0.0);
        assert_eq!(uniform01(!0), 1.0 - 2f32.powi(-24));
        assert_eq!(uniform_open(0), 1.0 - uniform_open(!0));
        assert_eq!(uniform_open(0), 2f32.powi(-24));
        let stream = Stream::new(7, 0, 0);
        let mut bins = [0u32; 20];
        for i in 0..20_000 {
            for bits in stream.block(i, 0) {
                bins[(uniform01(bits) * 20.0) as usize] += 1;
            }
        }
        let chi2: f64 = bins
            .iter()
            .map(|&b| (f64::from(b) - 2000.0).powi(2) / 2000.0)
            .sum();
        assert!(
            chi2 < 43.8,
            "chi-square {chi2} over 19 degrees of freedom exceeds the 0.1 % point"
        );
    }

    #[test]
    fn normals_have_the_moments_of_the_standard_normal() {
        let stream = Stream::new(11, 3, 5);
        let n = 100_000;
        let mut sums = [0f64; 4];
        let mut cross = 0f64;
        for i in 0..n {
            let [a, b] = normal2(stream.block(i, 0)).map(f64::from);
            cross += a * b;
            for v in [a, b] {
                for (k, sum) in sums.iter_mut().enumerate() {
                    *sum += v.powi(k as i32 + 1);
                }
            }
        }
        let m = sums.map(|s| s / (2.0 * f64::from(n)));
        // Four standard errors each: Var of the k-th sample moment is (mu_2k - mu_k^2) / count.
        assert!(m[0].abs() < 4.0 * (1.0 / 2e5f64).sqrt(), "mean {}", m[0]);
        assert!(
            (m[1] - 1.0).abs() < 4.0 * (2.0 / 2e5f64).sqrt(),
            "second moment {}",
            m[1]
        );
        assert!(
            m[2].abs() < 4.0 * (15.0 / 2e5f64).sqrt(),
            "third moment {}",
            m[2]
        );
        assert!(
            (m[3] - 3.0).abs() < 4.0 * (96.0 / 2e5f64).sqrt(),
            "fourth moment {}",
            m[3]
        );
        assert!((cross / f64::from(n)).abs() < 4.0 * (1.0 / 1e5f64).sqrt());
    }

    #[test]
    fn the_extremes_of_box_muller_are_finite() {
        for bits in [[0, 0], [!0, 0], [!0, !0], [0, !0]] {
            assert!(normal2(bits).iter().all(|v| v.is_finite()));
        }
        assert!(normal2([!0, 1 << 31])[0] > 5.7);
    }

    #[test]
    fn streams_steps_and_seeds_differ() {
        let base = Stream::new(1, 2, 3).block(4, 0);
        for other in [
            Stream::new(2, 2, 3),
            Stream::new(1 << 32 | 1, 2, 3),
            Stream::new(1, 3, 3),
            Stream::new(1, 2, 4),
        ] {
            assert_ne!(base, other.block(4, 0));
        }
        assert_ne!(base, Stream::new(1, 2, 3).block(4, 1));
        assert_ne!(base, Stream::new(1, 2, 3).block(5, 0));
    }

    #[test]
    fn below_covers_its_range() {
        assert_eq!((below(0, 10), below(!0, 10)), (0, 9));
        assert_eq!(below(!0, 1 << 16), 65_535);
    }
}
