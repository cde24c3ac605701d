//! How long a block of steps is: about half a second, whatever the adapter, so that progress, Ctrl-C and time limits are
//! prompt while a fast device still gets work in large pieces. Results never depend on it.
use std::time::Duration;

/// An engine is never asked for more rounds at once: its ring of losses can be this long.
pub const MAX_BLOCK: u64 = 1024;
const TARGET_S: f64 = 0.5;
/// A block is at most so much longer than the one before: the first rounds are slow or fast for reasons that pass.
const GROWTH: u64 = 4;

/// Measures rounds and chooses block lengths.
#[derive(Debug, Default)]
pub struct Pace {
    last: Option<(u64, f64)>,
}

impl Pace {
    /// Rounds for the next block: at most `until` (the rounds up to the next thing to do) and what fits into `time_left`.
    pub fn next(&self, until: u64, time_left: Option<Duration>) -> u64 {
        let Some((rounds, seconds)) = self.last else {
            return 1;
        };
        let target = time_left.map_or(TARGET_S, |left| left.as_secs_f64().min(TARGET_S));
        let fitting = (target / seconds.max(1e-9)) as u64;
        fitting
            .min(rounds * GROWTH)
            .min(MAX_BLOCK)
            .min(until)
            .max(1)
    }

    pub fn measured(&mut self, rounds: u64, time: Duration) {
        self.last = Some((rounds, time.as_secs_f64() / rounds.max(1) as f64));
    }

    /// Time of one round, from the last block.
    pub fn round_time(&self) -> Option<Duration> {
        self.last
            .map(|(_, seconds)| Duration::from_secs_f64(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_grow_to_half_a_second() {
        let mut pace = Pace::default();
        assert_eq!(pace.next(1000, None), 1);
        pace.measured(1, Duration::from_millis(10));
        assert_eq!(pace.next(1000, None), 4);
        pace.measured(40, Duration::from_millis(400));
        assert_eq!(pace.next(1000, None), 50);
        assert_eq!(pace.next(7, None), 7);
        assert_eq!(pace.next(1000, Some(Duration::from_millis(45))), 4);
        assert_eq!(pace.next(1000, Some(Duration::ZERO)), 1);
    }

    #[test]
    fn slow_and_instant_rounds_stay_in_bounds() {
        let mut pace = Pace::default();
        pace.measured(4, Duration::from_secs(60));
        assert_eq!(pace.next(1000, None), 1);
        pace.measured(MAX_BLOCK, Duration::ZERO);
        assert_eq!(pace.next(u64::MAX, None), MAX_BLOCK);
    }
}
