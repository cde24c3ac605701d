//! Which variant of an operation is the fastest on this adapter, of those that compute what the choice by rule does: timed in turns, so
//! that what else the machine does falls on all.
use super::agreement::{Agreement, Unset, allowed};
use super::bench::{self, BenchError, Operands};
use super::{Call, GemmOp, Pass, Variant, lower};
use crate::gpu::{Buffer, Caps, Dispatch, Gpu, hex, shader};
use crate::kernels::{KernelError, Scalar, timing};
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

/// How long one operation may be measured.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    /// For rounds; what comes before them is not counted.
    pub budget: Duration,
    /// When to end in any case, but for what is being compiled or executed then. The first candidate is measured even so; of the others
    /// what was measured until then counts.
    pub until: Option<Instant>,
}

impl Time {
    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// The first half of what is left. Candidates are made ready in it: that executes each of them twice, so that the other half has a
    /// round for each.
    fn half(self) -> Self {
        let now = Instant::now();
        let half = |until: Instant| now + until.saturating_duration_since(now) / 2;
        Self {
            until: self.until.map(half),
            ..self
        }
    }

    /// How often something that takes as long as `one` fits in; once at least.
    fn holds(&self, one: Duration) -> usize {
        let Some(until) = self.until else {
            return usize::MAX;
        };
        let left = until.saturating_duration_since(Instant::now());
        ((left.as_secs_f64() / one.as_secs_f64().max(1e-6)) as usize).max(1)
    }
}

/// What one variant took.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    pub variant: Variant,
    /// Median of one execution. Not a number for a variant that this adapter refuses, that computes something else than the first, or for
    /// which there was no time.
    pub ms: f64,
    /// Of the best round.
    pub least_ms: f64,
    /// Median over the rounds of: time of the first candidate / time of this one.
    pub gain: f64,
}

/// What all of them took.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// In the order of the candidates.
    pub timed: Vec<Timed>,
    /// Whether there was time enough.
    pub complete: bool,
}

/// Times the `candidates` of `op` in turns. Each is executed once to be compiled and to show what it computes: one that differs from the
/// first by more than rounding explains is left out, and the log warns of it. Then come rounds until the slow ones are out and the rest
/// has been seen often enough, or for the time's budget (three rounds in any case, but for its end).
///
/// All are bound to the same operands, in turn.
///
/// # Errors
/// [`BenchError`] of the first candidate. Others may be refused, for their scratch memory say.
pub fn compare(
    gpu: &Gpu,
    op: &GemmOp,
    formats: [Scalar; 3],
    candidates: &[Variant],
    time: Time,
) -> Result<Comparison, BenchError> {
    let call = Call {
        formats,
        ..Call::plain(op)
    };
    let lowered = candidates
        .iter()
        .map(|&variant| lower(gpu.caps(), variant, &call));
    compare_lowered(gpu, &call, candidates, lowered.collect(), time)
}

/// `lowered`: the passes of each candidate.
fn compare_lowered(
    gpu: &Gpu,
    call: &Call,
    candidates: &[Variant],
    lowered: Vec<Result<Vec<Pass>, KernelError>>,
    time: Time,
) -> Result<Comparison, BenchError> {
    let mut all = Vec::new();
    for (index, (&variant, passes)) in candidates.iter().zip(lowered).enumerate() {
        let passes = unless_first(call.op, (index, variant), passes.map_err(BenchError::from))?;
        all.push(passes);
    }
    let ground = Ground::new(gpu, call, candidates, &mut all)?;
    let half = time.half();
    let mut complete = true;
    let mut runners = Vec::new();
    // How long the first took to be made ready, and up to which candidate all are compiled.
    let (mut first, mut compiled) = (Duration::ZERO, 1);
    for (index, &variant) in candidates.iter().enumerate() {
        let mut runner = None;
        if let Some(passes) = &all[index] {
            if index > 0 && half.is_over() {
                complete = false;
            } else {
                if index >= compiled {
                    compiled = index.saturating_add(half.holds(first));
                    ground.compile(all.get(index..compiled).unwrap_or(&all[index..]));
                }
                let begun = Instant::now();
                let ready = ground.ready((index, candidates), passes);
                runner = unless_first(call.op, (index, variant), ready)?.flatten();
                if index == 0 {
                    first = begun.elapsed();
                }
            }
        }
        runners.push(runner);
    }
    complete &= rounds(gpu, &mut runners, time)?;
    let rule = seconds_of(runners.first().and_then(Option::as_ref));
    let timed = candidates.iter().zip(&runners).map(|(&variant, runner)| {
        let own = seconds_of(runner.as_ref());
        Timed {
            variant,
            ms: median(own.iter().copied()) * 1e3,
            least_ms: least(own) * 1e3,
            gain: median(rule.iter().zip(own).map(|(rule, own)| rule / own)),
        }
    });
    Ok(Comparison {
        timed: timed.collect(),
        complete,
    })
}

/// The first candidate's error is that of the operation; another candidate is left out for its own.
fn unless_first<T>(
    op: &GemmOp,
    (index, variant): (usize, Variant),
    result: Result<T, BenchError>,
) -> Result<Option<T>, BenchError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if index == 0 => Err(error),
        Err(error) => {
            log::info!("{op}: {variant}: {error}");
            Ok(None)
        }
    }
}

/// Times those that are ready in turns. Returns whether there was time for as many rounds as a decision wants.
fn rounds(gpu: &Gpu, runners: &mut [Option<Runner>], time: Time) -> Result<bool, BenchError> {
    let mut running: Vec<usize> = (0..runners.len())
        .filter(|&i| runners[i].is_some())
        .collect();
    let start = Instant::now();
    for round in 1..=ENOUGH_ROUNDS {
        for &i in &running {
            // The first once whatever the time: without it there is nothing to compare with.
            if time.is_over() && (i, round) != (0, 1) {
                return Ok(round > LEAST_ROUNDS);
            }
            if let Some(runner) = &mut runners[i] {
                let seconds = timing::seconds(gpu, &runner.dispatches, runner.repeats)?;
                runner.seconds.push(seconds / runner.repeats as f64);
            }
        }
        if round < LEAST_ROUNDS {
            continue;
        }
        let least = |i: usize| least(seconds_of(runners[i].as_ref()));
        let leader = running.iter().map(|&i| least(i)).fold(f64::NAN, f64::min);
        // The first stays, to be compared with.
        running.retain(|&i| i == 0 || least(i) <= HOPELESS * leader);
        if running.len() < 2 || start.elapsed() > time.budget {
            break;
        }
    }
    Ok(true)
}

/// Not a number of nothing.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Not a number of nothing.
fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::min)
}

/// A candidate that is ready.
struct Runner {
    dispatches: Vec<Dispatch>,
    repeats: usize,
    /// Of one execution, by round.
    seconds: Vec<f64>,
}

fn seconds_of(runner: Option<&Runner>) -> &[f64] {
    runner.map_or(&[][..], |runner| &runner.seconds)
}

/// Where candidates are executed: the operands, and scratch memory for the one that needs most of it.
struct Ground<'a> {
    gpu: &'a Gpu,
    op: &'a GemmOp,
    /// Of the first candidate, whose C stays to be compared with, and of the others. A and B are the same.
    operands: [Operands; 2],
    unset: [Unset; 2],
    scratch: [Buffer; 2],
    unset_scratch: [Unset; 2],
    agreement: Agreement,
}

impl<'a> Ground<'a> {
    /// Candidates for whose scratch memory there is no room are taken out of `all`.
    fn new(
        gpu: &'a Gpu,
        call: &Call<'a>,
        candidates: &[Variant],
        all: &mut [Option<Vec<Pass>>],
    ) -> Result<Self, BenchError> {
        let Call { op, formats, .. } = *call;
        let first = Operands::new(gpu, op, formats)?;
        let others = Operands {
            c: bench::result(gpu, op, formats)?,
            ..first.clone()
        };
        let scratch = loop {
            let wanted = candidates.iter().zip(all.iter()).enumerate();
            let wanted = wanted.filter(|(_, (_, passes))| passes.is_some());
            let wanted = wanted.map(|(index, (variant, _))| (index, variant.scratch(op)));
            let wanted: Vec<(usize, [u64; 2])> = wanted.collect();
            let most = |part: usize| wanted.iter().map(|(_, floats)| floats[part]).max();
            let floats = [0, 1].map(|part| most(part).unwrap_or(0));
            match bench::scratch(gpu, floats) {
                Ok(scratch) => break scratch,
                Err(error) => {
                    let rest = wanted.iter().filter(|(index, _)| *index > 0);
                    let largest = rest.max_by_key(|(_, [one, other])| one + other);
                    let Some(&(index, _)) = largest else {
                        return Err(error.into());
                    };
                    log::info!("{op}: {}: {error}", candidates[index]);
                    all[index] = None;
                }
            }
        };
        let unset = |buffer: &Buffer| Unset::new(gpu, buffer);
        Ok(Self {
            unset: [unset(&first.c)?, unset(&others.c)?],
            unset_scratch: [unset(&scratch[0])?, unset(&scratch[1])?],
            agreement: Agreement::new(gpu, [&others.c, &first.c], op.lens()[2], formats[2])?,
            gpu,
            op,
            operands: [first, others],
            scratch,
        })
    }

    /// Makes the pipelines of some candidates, on several threads.
    fn compile(&self, some: &[Option<Vec<Pass>>]) {
        let kernels = some.iter().flatten().flatten().map(|pass| &pass.kernel);
        // Of a candidate with a kernel that is refused more is said when it is bound.
        if let Err(error) = self.gpu.prepare_pipelines(kernels) {
            log::debug!("{}: {error}", self.op);
        }
    }

    /// Executes a candidate twice: `None` if it computes something else than the first.
    fn ready(
        &self,
        (index, candidates): (usize, &[Variant]),
        passes: &[Pass],
    ) -> Result<Option<Runner>, BenchError> {
        let Self { gpu, op, .. } = *self;
        let variant = candidates[index];
        let which = index.min(1);
        let operands = &self.operands[which];
        let dispatches = operands.bind(gpu, passes, &self.scratch)?;
        let mut recorder = gpu.record()?;
        // Not what another candidate left there.
        self.unset[which].record(&mut recorder, operands.c.bytes() / 4)?;
        for (unset, floats) in self.unset_scratch.iter().zip(variant.scratch(op)) {
            unset.record(&mut recorder, floats)?;
        }
        for dispatch in &dispatches {
            recorder.dispatch(dispatch)?;
        }
        gpu.wait(&recorder.submit()?)?;
        if index > 0 {
            let allowed = allowed(op, [candidates[0], variant]);
            let found = self.agreement.differences(gpu, allowed)?;
            if found.wrong > 0 {
                log::warn!(
                    "{op}: {variant} is left out, it computes something else than {} on {}: \
                     {} of {} numbers, {} of them none, differ by up to {:e}; {allowed:e} may be rounding",
                    candidates[0],
                    gpu.report().name,
                    found.wrong,
                    op.lens()[2],
                    found.missing,
                    found.worst,
                );
                return Ok(None);
            }
        }
        let once = timing::seconds(gpu, &dispatches, 1)?;
        let repeats = (SUBMISSION.as_secs_f64() / once.max(1e-6)).clamp(1.0, 1000.0);
        Ok(Some(Runner {
            dispatches,
            repeats: repeats as usize,
            seconds: vec![],
        }))
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
pub fn fingerprint(
    caps: &Caps,
    op: &GemmOp,
    formats: [Scalar; 3],
    candidates: &[Variant],
) -> String {
    let call = Call {
        formats,
        ..Call::plain(op)
    };
    let mut hash = Sha256::new();
    for &variant in candidates {
        hash.update(variant.to_string());
        match lower(caps, variant, &call) {
            Ok(passes) => {
                for Pass { kernel, .. } in passes {
                    shader::hash_code(&mut hash, &kernel.source);
                    hash.update(bytemuck::cast_slice::<u32, u8>(&kernel.grid));
                }
            }
            // A candidate that is left out: which are is a fact about the kernels too.
            Err(error) => hash.update(error.to_string()),
        }
    }
    hex(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::super::Scheme;
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

    const F32: [Scalar; 3] = [Scalar::F32; 3];
    /// As few rounds as there can be.
    const QUICK: Time = Time {
        budget: Duration::ZERO,
        until: None,
    };

    #[test]
    fn every_candidate_is_timed_in_both_forms() {
        let gpu = gpu();
        for form in [Form::Cpu, Form::Gpu] {
            let op = product(1024);
            let all = Variant::candidates(gpu.caps(), form, &op, F32).unwrap();
            assert!(all.len() > 1, "{form:?}: nothing to choose from");
            let before = gpu.traffic().buffers_created;
            let Comparison { timed, complete } = compare(&gpu, &op, F32, &all, QUICK).unwrap();
            assert!(complete);
            assert!(timed.iter().map(|t| t.variant).eq(all.iter().copied()));
            assert!(
                timed.iter().all(|t| t.least_ms > 0.0 && t.least_ms <= t.ms),
                "{timed:?}"
            );
            assert_eq!(timed[0].gain, 1.0);
            assert!(all.contains(&fastest(&timed).unwrap()));
            // A, B, C twice, two parts of scratch memory, what a comparison found and what it is read through.
            let created = gpu.traffic().buffers_created - before;
            assert!(
                created <= 8,
                "{created} buffers for {} candidates",
                all.len()
            );
        }
    }

    /// Tiles of four round more coarsely, and are not taken for wrong.
    #[test]
    fn convolutions_at_points_agree_with_others() {
        let gpu = gpu();
        let shape = bench::dcgan_conv(3, 8, 12, 14);
        for op in [GemmOp::Conv2d(shape), GemmOp::Conv2dWeightGrad(shape)] {
            let Variant { body, .. } = Variant::by_rule(gpu.caps(), Form::Cpu, &op, F32).unwrap();
            let schemes = [Scheme::Whole, Scheme::Winograd(2), Scheme::Winograd(4)];
            let all = schemes.map(|scheme| Variant { body, scheme });
            let compared = compare(&gpu, &op, F32, &all, QUICK).unwrap();
            assert!(
                compared.timed.iter().all(|t| t.ms > 0.0),
                "{op}: {compared:?}"
            );
        }
    }

    /// A kernel that a driver has made something else of is often the fastest.
    #[test]
    fn what_computes_something_else_is_left_out() {
        let gpu = gpu();
        let op = product(1024);
        let call = Call::plain(&op);
        let all = Variant::candidates(gpu.caps(), Form::Gpu, &op, F32).unwrap();
        let all = &all[..2];
        let in_time = |doctor: &dyn Fn(&mut Vec<Pass>)| {
            let mut lowered: Vec<_> = all
                .iter()
                .map(|&variant| lower(gpu.caps(), variant, &call))
                .collect();
            doctor(lowered[1].as_mut().unwrap());
            let compared = compare_lowered(&gpu, &call, all, lowered, QUICK).unwrap();
            let timed = compared.timed;
            assert!(timed[0].ms > 0.0, "{timed:?}");
            assert!(all.contains(&fastest(&timed).unwrap()));
            timed[1].ms > 0.0
        };
        let scaled = |by: &str| {
            let (text, by) = ("    return v;", format!("    return v * {by};"));
            move |passes: &mut Vec<Pass>| {
                for Pass { kernel, .. } in passes {
                    let head = "fn epilogue(v: f32, i: u32) -> f32 {\n";
                    let (from, to) = (format!("{head}{text}"), format!("{head}{by}"));
                    assert!(kernel.source.contains(&from), "{}", kernel.source);
                    kernel.source = kernel.source.replace(&from, &to).into();
                }
            }
        };
        assert!(in_time(&|_| ()));
        assert!(in_time(&scaled("1.0000001")));
        assert!(!in_time(&scaled("1.001")));
        // Nothing is computed; and all but the last step.
        assert!(!in_time(&|passes| passes.clear()));
        assert!(!in_time(&|passes| drop(passes.pop())));
    }

    #[test]
    fn what_is_refused_is_left_out_and_the_rule_is_not() {
        let gpu = gpu();
        let op = product(1024);
        let rule = Variant::by_rule(gpu.caps(), Form::Gpu, &op, F32).unwrap();
        let refused = Variant {
            scheme: Scheme::TapsFirst,
            ..rule
        };
        let compared = compare(&gpu, &op, F32, &[rule, refused], QUICK).unwrap();
        assert!(compared.timed[0].ms > 0.0 && compared.timed[1].ms.is_nan());
        assert!(compare(&gpu, &op, F32, &[refused, rule], QUICK).is_err());
    }

    #[test]
    fn when_time_is_over_the_rule_stays() {
        let gpu = gpu();
        let op = product(1024);
        let all = Variant::candidates(gpu.caps(), Form::Gpu, &op, F32).unwrap();
        let over = Time {
            budget: Duration::from_secs(600),
            until: Some(Instant::now()),
        };
        let Comparison { timed, complete } = compare(&gpu, &op, F32, &all, over).unwrap();
        assert!(!complete);
        assert!(timed[0].ms > 0.0);
        assert!(timed[1..].iter().all(|t| t.ms.is_nan()), "{timed:?}");
        assert_eq!(fastest(&timed), Some(all[0]));
    }

    #[test]
    fn time_is_divided() {
        let second = Duration::from_secs(1);
        let ten = Time {
            budget: second,
            until: Some(Instant::now() + 10 * second),
        };
        assert!(!ten.is_over());
        assert!((8..=10).contains(&ten.holds(second)));
        assert!((3..=5).contains(&ten.half().holds(second)));
        assert_eq!(ten.holds(60 * second), 1);
        assert_eq!(QUICK.half().holds(second), usize::MAX);
        assert!(!QUICK.is_over());
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
            fingerprint(&caps, op, formats, &all[..take])
        };
        let op = product(1024);
        assert_eq!(print(&op, 2), print(&op, 2));
        assert_ne!(print(&op, 2), print(&op, 1));
        // One that cannot be lowered is a fact like others.
        let rule = Variant::by_rule(&caps, Form::Cpu, &op, formats).unwrap();
        let refused = Variant {
            scheme: Scheme::TapsFirst,
            ..rule
        };
        let both = fingerprint(&caps, &op, formats, &[rule, refused]);
        assert_ne!(both, print(&op, 1));
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
