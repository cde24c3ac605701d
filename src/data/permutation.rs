//! Shuffling without replacement, as a pure function: the keyed permutation that `shaders/lib/permutation.wgsl` computes
//! on the device, and its CPU twin here.
//!
//! A balanced Feistel network permutes the numbers below the smallest power of four that is at least `count` (at least
//! 4); walking the cycle until the result falls below `count` restricts it to `0..count` (Black and Rogaway, "Ciphers
//! with arbitrary finite domains", CT-RSA 2002). The domain is less than four times `count`, so a walk takes fewer than
//! four rounds of the network on average. Each epoch has its own key, drawn from Threefry.

use super::rng::{Block, seed_words, stream_key};

/// Luby and Rackoff need four rounds against an adversary with ideal round functions; ours is a plain mixer.
pub const ROUNDS: u32 = 8;

/// Chris Wellons' `lowbias32` (hash prospector): a bijective mixer of 32 bits with measured bias 0.174.
fn mix32(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// Bits of one half of the Feistel block for `count` elements: the smallest b >= 1 with `4^b >= count`.
pub fn half_bits(count: u32) -> u32 {
    let bits = u32::BITS - count.saturating_sub(1).leading_zeros();
    bits.div_ceil(2).max(1)
}

fn feistel(key: Block, half_bits: u32, x: u32) -> u32 {
    let mask = (1u32 << half_bits) - 1;
    let (mut left, mut right) = (x >> half_bits, x & mask);
    for round in 0..ROUNDS {
        let round_key = key[(round & 1) as usize].wrapping_add(round.wrapping_mul(0x9E37_79B9));
        (left, right) = (right, left ^ (mix32(right ^ round_key) & mask));
    }
    (left << half_bits) | right
}

/// Where `position` (below `count`) goes under the permutation of `0..count` that `key` picks.
pub fn permute(key: Block, count: u32, position: u32) -> u32 {
    assert!(position < count, "position {position} of {count}");
    let half_bits = half_bits(count);
    let mut x = position;
    loop {
        x = feistel(key, half_bits, x);
        if x < count {
            return x;
        }
    }
}

/// The order in which one data set is visited: image `i` of batch `batch` is element [`index`](Self::index).
#[derive(Clone, Copy, Debug)]
pub struct Shuffle {
    pub seed: u64,
    pub stream: u32,
    pub count: u32,
}

impl Shuffle {
    /// Batches follow each other without gaps through one epoch into the next: the global position is
    /// `batch * batch_size + i`, its quotient by `count` the epoch and its remainder the place within it.
    ///
    /// Exact for every `batch`, though the position itself may exceed 32 bits: with `batch = q count + r`, the epoch is
    /// `q batch_size + (r batch_size + i) / count`. It needs `count * batch_size <= 2^32` (see
    /// [`fits`](Self::fits)); epochs are counted modulo 2^32.
    pub fn index(&self, batch: u32, batch_size: u32, i: u32) -> u32 {
        debug_assert!(i < batch_size && self.fits(batch_size));
        let (whole, rest) = (batch / self.count, batch % self.count);
        let place = rest * batch_size + i;
        let epoch = whole
            .wrapping_mul(batch_size)
            .wrapping_add(place / self.count);
        permute(
            stream_key(seed_words(self.seed), self.stream, epoch),
            self.count,
            place % self.count,
        )
    }

    /// Whether the arithmetic of [`index`](Self::index) stays within 32 bits.
    pub fn fits(&self, batch_size: u32) -> bool {
        u64::from(self.count) * u64::from(batch_size) <= 1 << 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(seed: u64, epoch: u32, count: u32) -> Vec<u32> {
        let key = stream_key(seed_words(seed), 0, epoch);
        (0..count).map(|p| permute(key, count, p)).collect()
    }

    #[test]
    fn half_bits_is_the_next_power_of_four() {
        for (count, bits) in [
            (1, 1),
            (2, 1),
            (4, 1),
            (5, 2),
            (16, 2),
            (17, 3),
            (60_000, 8),
            (65_536, 8),
            (65_537, 9),
            (!0, 16),
        ] {
            assert_eq!(half_bits(count), bits, "{count}");
        }
    }

    #[test]
    fn is_a_bijection_for_every_count() {
        for count in [1, 2, 3, 4, 5, 16, 17, 1000, 3573, 60_000, 65_536] {
            for epoch in 0..3 {
                let mut seen = order(42, epoch, count);
                seen.sort_unstable();
                assert!(
                    seen.iter().copied().eq(0..count),
                    "count {count}, epoch {epoch}"
                );
            }
        }
    }

    #[test]
    fn works_at_the_top_of_the_range() {
        let key = [1, 2];
        for position in [0, 1, u32::MAX - 2] {
            assert!(permute(key, u32::MAX, position) < u32::MAX);
        }
    }

    #[test]
    fn epochs_and_seeds_give_other_orders_and_the_same_seed_the_same() {
        for count in [17, 1000, 60_000] {
            assert_eq!(order(1, 0, count), order(1, 0, count));
            assert_ne!(order(1, 0, count), order(1, 1, count));
            assert_ne!(order(1, 0, count), order(2, 0, count));
        }
    }

    /// Over many epochs each element must be found equally often in each place, also in tiny sets.
    #[test]
    fn every_element_reaches_every_place_equally_often() {
        for (count, limit) in [(3u32, 18.5), (5, 39.3), (17, 330.5)] {
            let epochs = 20_000;
            let mut table = vec![0u32; (count * count) as usize];
            for epoch in 0..epochs {
                for (place, element) in order(7, epoch, count).into_iter().enumerate() {
                    table[place * count as usize + element as usize] += 1;
                }
            }
            let expected = f64::from(epochs) / f64::from(count);
            let chi2: f64 = table
                .iter()
                .map(|&c| (f64::from(c) - expected).powi(2) / expected)
                .sum();
            // 0.1 % points for (count - 1)^2 degrees of freedom.
            assert!(chi2 < limit, "count {count}: chi-square {chi2}");
        }
    }

    /// Neighbouring places must not go to neighbouring elements: the serial correlation of a random order is about
    /// N(0, 1/count).
    #[test]
    fn neighbours_are_uncorrelated() {
        for epoch in 0..8 {
            let order = order(3, epoch, 60_000);
            let z: Vec<f64> = order
                .iter()
                .map(|&v| (f64::from(v) - 29_999.5) / 17_320.5)
                .collect();
            let r = z.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / 59_999.0;
            assert!(r.abs() < 4.0 / 60_000f64.sqrt(), "epoch {epoch}: {r}");
        }
    }

    #[test]
    fn batches_walk_through_each_epoch_once_even_when_they_straddle_it() {
        let shuffle = Shuffle {
            seed: 5,
            stream: 1,
            count: 10,
        };
        let visited: Vec<u32> = (0..20)
            .flat_map(|b| (0..3).map(move |i| shuffle.index(b, 3, i)))
            .collect();
        for epoch in visited.chunks(10) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_batch_larger_than_the_set_repeats_it() {
        let shuffle = Shuffle {
            seed: 5,
            stream: 1,
            count: 3,
        };
        let mut batch: Vec<u32> = (0..9).map(|i| shuffle.index(0, 9, i)).collect();
        batch.sort_unstable();
        assert_eq!(batch, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    }

    /// The split into quotient and remainder against the same formula in 64 bits, far beyond 2^32 images.
    #[test]
    fn late_batches_agree_with_64_bit_arithmetic() {
        let shuffle = Shuffle {
            seed: 8,
            stream: 2,
            count: 60_000,
        };
        for batch in [0, 937, 938, 60_000, 123_456_789, u32::MAX] {
            for i in [0, 1, 63] {
                let position = u64::from(batch) * 64 + u64::from(i);
                let key = stream_key(seed_words(8), 2, (position / 60_000) as u32);
                assert_eq!(
                    shuffle.index(batch, 64, i),
                    permute(key, 60_000, (position % 60_000) as u32)
                );
            }
        }
        assert!(shuffle.fits(64) && shuffle.fits(71_582) && !shuffle.fits(71_583));
    }
}
