//! Stacked-MNIST: three digits drawn at random, with replacement, as the red, green and blue channel of one image (Metz et al.,
//! "Unrolled GAN", 1611.02163). 1000 modes: the triples of digits.
//!
//! The set has no end: Unrolled GAN and PacGAN's table 3 draw on the fly too, PacGAN's table 2 (VEEGAN's setting) counts 128,000 images as
//! an epoch. A fixed draw of 128,000 would give each triple 128 +- 11 images, and a generator would be asked to learn that unevenness;
//! the metric compares with the uniform distribution either way. On the device 60,000 digits take a sixth of the memory of 128,000
//! triples. The 50 epochs of table 2 are 6,400 kimg here.

use super::rng::{Stream, index};

/// Digits in one image.
pub const CHANNELS: usize = 3;
/// What `--data` begins with, before the path of a grey set such as MNIST.
pub const PREFIX: &str = "stacked:";

/// Which elements of a set of `count` are the channels of sample `i`: `shaders/stacked_batch.wgsl` draws the same.
pub fn elements(stream: &Stream, i: u32, count: u32) -> [u32; CHANNELS] {
    let [red, green] = stream.block(i, 0);
    let [blue, _] = stream.block(i, 1);
    [red, green, blue].map(|bits| index(bits, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every element equally often in every channel, and the channels independent of each other.
    #[test]
    fn channels_are_uniform_and_independent() {
        let (stream, n) = (Stream::new(4, 1, 0), 60_000);
        let mut single = [[0u32; 10]; CHANNELS];
        let mut pairs = [[0u32; 100]; CHANNELS];
        for i in 0..n {
            let drawn = elements(&stream, i, 10).map(|e| e as usize);
            for c in 0..CHANNELS {
                single[c][drawn[c]] += 1;
                pairs[c][10 * drawn[c] + drawn[(c + 1) % CHANNELS]] += 1;
            }
        }
        let chi2 = |counts: &[u32]| {
            let mean = f64::from(n) / counts.len() as f64;
            let term = |&c: &u32| (f64::from(c) - mean).powi(2) / mean;
            counts.iter().map(term).sum::<f64>()
        };
        for c in 0..CHANNELS {
            // The 0.1 % points of 9 and of 99 degrees of freedom.
            assert!(chi2(&single[c]) < 27.9, "{}", chi2(&single[c]));
            assert!(chi2(&pairs[c]) < 148.2, "{}", chi2(&pairs[c]));
        }
        // The last element of a set is drawn too, and none behind it.
        let largest = (0..n).flat_map(|i| elements(&stream, i, 7)).max();
        assert_eq!(largest, Some(6));
    }
}
