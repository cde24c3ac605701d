//! Which variant of an operation is the fastest on this adapter: timed in turns, so that what else the machine does falls on all.
use super::bench::{Bench, BenchError};
use super::{Call, GemmOp, Variant, lower};
use crate::gpu::{Caps, Gpu};
use crate::kernels::Scalar;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

/// How long one submission should take: long against the cost of submitting.
const SUBMISSION: Duration = Duration::from_millis(5);
/// Rounds before a variant may be left out, and before the leader may be taken.
const LEAST_ROUNDS: usize = 3;
const ENOUGH_ROUNDS: usize = 15;
/// A variant that was never faster than this many times the leader is left out.
const HOPELESS: f64 = 1.5;
/// What another variant must be faster by than the one by rule to be chosen, in its best round and in the middle one of all pairs.
/// Both, because on a machine that other work shares either alone is often wrong: medians alone chose variants with which `mlp` took
/// 1.5 times as long (lavapipe, two cores, load 8).
const MARGIN: f64 = 1.03;

/// What one variant took.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    pub variant: Variant,
    /// Median of one execution. Not a number for a variant that this adapter refuses.
    pub ms: f64,
    /// Of the best round.
    pub least_ms: f64,
    /// Median over the rounds of: time of the first candidate / time of this one.
    pub gain: f64,
}

/// Times the `candidates` of `op` in turns: each once to be compiled, then in rounds until the slow ones are out and the rest has been
/// seen often enough, or for `budget` (compiling not counted; three rounds in any case). In the order of `candidates`.
///
/// # Errors
/// [`BenchError`] of the first candidate. Others may be refused for their scratch memory.
pub fn compare(
    gpu: &Gpu,
    op: &GemmOp,
    formats: [Scalar; 3],
    candidates: &[Variant],
    budget: Duration,
) -> Result<Vec<Timed>, BenchError> {
    let mut runners = Vec::new();
    for (index, &variant) in candidates.iter().enumerate() {
        let opened = Bench::new(gpu, op, formats, variant).and_then(|bench| {
            bench.seconds(1)?;
            let once = bench.seconds(1)?;
            let repeats = (SUBMISSION.as_secs_f64() / once.max(1e-6)).clamp(1.0, 1000.0);
            Ok((bench, repeats as usize))
        });
        match opened {
            Ok((bench, repeats)) => runners.push(Some(Runner {
                bench,
                repeats,
                seconds: vec![],
            })),
            Err(error) if index == 0 => return Err(error),
            Err(error) => {
                log::info!("{op}: {variant}: {error}");
                runners.push(None);
            }
        }
    }
    let mut running: Vec<usize> = (0..runners.len())
        .filter(|&i| runners[i].is_some())
        .collect();
    let start = Instant::now();
    for round in 1..=ENOUGH_ROUNDS {
        for &i in &running {
            if let Some(runner) = &mut runners[i] {
                let seconds = runner.bench.seconds(runner.repeats)? / runner.repeats as f64;
                runner.seconds.push(seconds);
            }
        }
        if round < LEAST_ROUNDS {
            continue;
        }
        let least = |i: usize| runners[i].as_ref().map_or(f64::INFINITY, Runner::least);
        let leader = running
            .iter()
            .map(|&i| least(i))
            .fold(f64::INFINITY, f64::min);
        // The first stays, to be compared with.
        running.retain(|&i| i == 0 || least(i) <= HOPELESS * leader);
        if running.len() < 2 || start.elapsed() > budget {
            break;
        }
    }
    let rule = runners.first().and_then(Option::as_ref);
    let rule = rule.map_or(&[][..], |runner| &runner.seconds);
    let timed = candidates.iter().zip(&runners);
    Ok(timed
        .map(|(&variant, runner)| {
            let own = runner.as_ref().map_or(&[][..], |runner| &runner.seconds);
            Timed {
                variant,
                ms: median(own.iter().copied()) * 1e3,
                least_ms: runner.as_ref().map_or(f64::NAN, Runner::least) * 1e3,
                gain: median(rule.iter().zip(own).map(|(rule, own)| rule / own)),
            }
        })
        .collect())
}

/// Not a number of nothing.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

struct Runner {
    bench: Bench,
    repeats: usize,
    /// Of one execution, by round.
    seconds: Vec<f64>,
}

impl Runner {
    fn least(&self) -> f64 {
        self.seconds.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// The fastest of those that are clearly faster than the first, which is the choice by rule; the first if none is.
pub fn fastest(timed: &[Timed]) -> Option<Variant> {
    let first = timed.first()?;
    let clear = timed
        .iter()
        .filter(|t| t.gain > MARGIN && t.least_ms * MARGIN < first.least_ms);
    let best = clear.min_by(|a, b| a.least_ms.total_cmp(&b.least_ms));
    Some(best.unwrap_or(first).variant)
}

/// A hash of everything that the candidates would execute: what was measured of other kernels says nothing about these.
///
/// # Errors
/// As for [`lower`].
pub fn fingerprint(
    caps: &Caps,
    op: &GemmOp,
    formats: [Scalar; 3],
    candidates: &[Variant],
) -> Result<String, crate::kernels::KernelError> {
    let call = Call {
        formats,
        ..Call::plain(op)
    };
    let mut hash = Sha256::new();
    for &variant in candidates {
        hash.update(variant.to_string());
        for pass in lower(caps, variant, &call)? {
            hash.update(&*pass.kernel.source);
            hash.update(bytemuck::cast_slice::<u32, u8>(&pass.kernel.grid));
        }
    }
    let hash = hash.finalize();
    Ok(hash.iter().take(8).map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing::gpu;
    use crate::kernels::Form;

    fn product(k: u32) -> GemmOp {
        GemmOp::Matmul {
            m: 8,
            n: 36,
            k,
            batch: 1,
            trans_a: false,
            trans_b: true,
        }
    }

    #[test]
    fn every_candidate_is_timed_in_both_forms() {
        let gpu = gpu();
        for form in [Form::Cpu, Form::Gpu] {
            let op = product(1024);
            let formats = [Scalar::F32; 3];
            let all = Variant::candidates(gpu.caps(), form, &op, formats).unwrap();
            assert!(all.len() > 1, "{form:?}: nothing to choose from");
            let timed = compare(&gpu, &op, formats, &all, Duration::ZERO).unwrap();
            assert!(timed.iter().map(|t| t.variant).eq(all.iter().copied()));
            assert!(
                timed.iter().all(|t| t.least_ms > 0.0 && t.least_ms <= t.ms),
                "{timed:?}"
            );
            assert_eq!(timed[0].gain, 1.0);
            assert!(all.contains(&fastest(&timed).unwrap()));
        }
    }

    #[test]
    fn the_rule_wins_ties_and_loses_clear_cases() {
        let caps = gpu().caps().clone();
        let all = Variant::candidates(&caps, Form::Cpu, &product(4096), [Scalar::F32; 3]).unwrap();
        // Of each the best round and the gain over the first.
        let chosen = |of: [(f64, f64); 3]| {
            let with = |(&variant, (least_ms, gain))| Timed {
                variant,
                ms: least_ms,
                least_ms,
                gain,
            };
            let timed: Vec<Timed> = all.iter().zip(of).map(with).collect();
            let best = fastest(&timed).unwrap();
            all.iter().position(|&v| v == best).unwrap()
        };
        let refused = (f64::NAN, f64::NAN);
        assert_eq!(chosen([(1.0, 1.0), (0.98, 1.02), (2.0, 0.5)]), 0);
        assert_eq!(chosen([(1.0, 1.0), (0.9, 1.1), (0.8, 1.2)]), 2);
        assert_eq!(chosen([(1.0, 1.0), refused, (0.5, 2.0)]), 2);
        assert_eq!(chosen([(1.0, 1.0), refused, refused]), 0);
        // A lucky round, and a lucky median.
        assert_eq!(chosen([(1.0, 1.0), (0.7, 1.0), (1.1, 1.5)]), 0);
        assert_eq!(fastest(&[]), None);
    }

    #[test]
    fn other_kernels_have_another_fingerprint() {
        let caps = gpu().caps().clone();
        let formats = [Scalar::F32; 3];
        let print = |op: &GemmOp, take: usize| {
            let all = Variant::candidates(&caps, Form::Cpu, op, formats).unwrap();
            fingerprint(&caps, op, formats, &all[..take]).unwrap()
        };
        let op = product(1024);
        assert_eq!(print(&op, 2), print(&op, 2));
        assert_ne!(print(&op, 2), print(&op, 1));
        // Another loader of B.
        let GemmOp::Matmul { m, n, k, .. } = op else {
            panic!("{op}")
        };
        let plain = GemmOp::Matmul {
            m,
            n,
            k,
            batch: 1,
            trans_a: false,
            trans_b: false,
        };
        assert_ne!(print(&op, 1), print(&plain, 1));
        assert_eq!(op.to_string(), "matmul m8 n36 k1024 batch1 b_trans");
    }
}
