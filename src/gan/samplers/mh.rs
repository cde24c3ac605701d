//! MH-GAN (Turner et al., arXiv 1811.11357): Metropolis-Hastings with the generator as an independent proposal. A chain at x moves to
//! a generated x' with probability
//!
//!   min(1, (1/D(x) - 1) / (1/D(x') - 1)) = min(1, exp(s' - s)),   s = logit of D,
//!
//! and its sample is where it stands after K proposals. Chains start at real samples, which spares burn-in; a chain that has accepted
//! nothing after K proposals still stands there, and begins again at a generated sample, so that no real sample is handed out.
//!
//! The chains of one batch run side by side on the device, one execution of the program per proposal; their state stays there.
use super::stand::{Stand, compile, leaf};
use super::{Details, Drawn, Method, Report, Request};
use crate::gan::trainer::layout::{from_batch, to_batch};
use crate::gan::trainer::programs::prior;
use crate::gan::{GanError, Result};
use crate::graph::{Distribution, Graph, Shape};

/// The random stream of what is accepted; the proposals' is that of training's latents, under other counters and another seed.
const ACCEPT_STREAM: u32 = 0x6d68;
/// The state of a chain that takes the next proposal whatever it is, and of one that takes none.
const BEFORE_ANY: f32 = -3.0e38;
const FROZEN: f32 = 3.0e38;

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Proposals per chain, K.
    pub steps: u32,
    pub start: Start,
}

/// Where chains begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At real samples.
    #[default]
    Real,
    /// At generated samples: K steps of burn-in are all there is.
    Generated,
}

impl Default for Settings {
    /// The paper's K.
    fn default() -> Settings {
        Settings {
            steps: 640,
            start: Start::Real,
        }
    }
}

/// # Errors
/// [`GanError::Input`] without real samples to start from; those of the device.
pub fn draw(stand: &Stand, request: &Request, s: &Settings, line: [f64; 2]) -> Result<Drawn> {
    let extent = stand.model().generator.output();
    let width = extent.numel();
    let real = request.starts.len() / width;
    if s.start == Start::Real && real == 0 {
        return Err(GanError::Input(
            "chains start at real samples and there are none; give some, or start them at generated ones (--mh-start generated)".into(),
        ));
    }
    if s.steps == 0 {
        return Err(GanError::Setting {
            field: "mh steps".into(),
            expected: "at least 1".into(),
            got: "0".into(),
        });
    }
    let calibrated = |s: f32| (line[0] * f64::from(s) + line[1]) as f32;
    let batch = stand.batch;
    let mut beside = stand.beside()?;
    let states = beside.push("chains", stand.sample_shape().numel())?;
    let logits = beside.push("logits of chains", batch)?;
    let moves = beside.push("accepted proposals", batch)?;
    let slope = beside.push("slope", 1)?;
    let offset = beside.push("offset", 1)?;
    let mut env = beside.environment(request.seed);
    let mut g = Graph::new();
    let shape = stand.sample_shape();
    let here = leaf(&mut g, &mut env, "chains", shape.clone(), states);
    let logit = leaf(&mut g, &mut env, "logits", [1, batch], logits);
    let moved = leaf(&mut g, &mut env, "accepted", [1, batch], moves);
    let slope_of = leaf(&mut g, &mut env, "slope", [], slope);
    let offset_of = leaf(&mut g, &mut env, "offset", [], offset);
    let z = prior(&mut g, &mut env, stand.config().prior, stand.latent_shape());
    let there = stand.generate(&mut g, &mut env, z)?;
    let score = stand.score(&mut g, &mut env, there)?;
    let scaled = g.mul(score, slope_of)?;
    let proposed = g.add(scaled, offset_of)?;
    // log u, u uniform on (0, 1].
    let u = g.random_stream(Distribution::Uniform, [1, batch], ACCEPT_STREAM);
    let one = g.scalar(1.0);
    let rest = g.sub(one, u)?;
    let log_u = g.log(rest);
    let ratio = g.sub(proposed, logit)?;
    let accept = g.less_equal(log_u, ratio)?;
    let mut per_sample = vec![1; shape.rank()];
    per_sample[1] = batch;
    let whole = g.reshape(accept, Shape::new(per_sample))?;
    let next = g.select(whole, there, here)?;
    let next_logit = g.select(accept, proposed, logit)?;
    let next_moved = g.add(moved, accept)?;
    let outputs = vec![(next, states), (next_logit, logits), (next_moved, moves)];
    let advance = beside.advance();
    let program = compile(&beside, &g, outputs, vec![advance], &env)?;
    beside.write(slope, &[line[0] as f32])?;
    beside.write(offset, &[line[1] as f32])?;

    let steps = s.steps;
    let run = || -> Result<()> {
        for _ in 0..steps {
            beside.gpu().submit(&program)?;
        }
        Ok(())
    };
    let (mut samples, mut accepted, mut proposals, mut restarted) = (vec![], 0.0, 0u64, 0);
    for first in (0..request.count).step_by(batch) {
        let chains = batch.min(request.count - first);
        // Counters of their own for every batch: K executions, K more where chains begin again, and again.
        beside.set_execution((first / batch) as u32 * (1 << 20))?;
        match s.start {
            Start::Real => {
                let at = (first..first + batch).map(|i| i % real);
                let rows: Vec<f32> = at
                    .flat_map(|i| &request.starts[i * width..(i + 1) * width])
                    .copied()
                    .collect();
                let scores = stand.scores(&rows)?;
                super::stand::finite(&scores)?;
                beside.write(states, &to_batch(extent, &rows, batch))?;
                let scores: Vec<f32> = scores.into_iter().map(calibrated).collect();
                beside.write(logits, &scores)?;
            }
            Start::Generated => beside.write(logits, &vec![BEFORE_ANY; batch])?,
        }
        beside.write(moves, &vec![0.0; batch])?;
        run()?;
        proposals += u64::from(steps) * chains as u64;
        let counts = beside.read(moves, batch)?;
        accepted += counts[..chains].iter().map(|&n| f64::from(n)).sum::<f64>();
        let stuck = |count: &f32| *count == 0.0;
        let again = counts[..chains].iter().filter(|n| stuck(n)).count();
        if again > 0 {
            let at = |n: &f32| if stuck(n) { BEFORE_ANY } else { FROZEN };
            let logit: Vec<f32> = counts.iter().map(at).collect();
            beside.write(logits, &logit)?;
            run()?;
            restarted += again;
            proposals += u64::from(steps) * again as u64;
            let counts = beside.read(moves, batch)?;
            let anew = counts[..chains].iter().zip(&logit);
            let anew = anew.filter(|(_, l)| **l == BEFORE_ANY);
            let anew: Vec<f32> = anew.map(|(&n, _)| n).collect();
            // The first proposal is taken whatever D says of it, unless that is no number.
            if anew.iter().any(stuck) {
                return Err(GanError::Input(
                    "a chain accepts nothing: the discriminator's output is not finite on generated samples; take an earlier checkpoint".into(),
                ));
            }
            accepted += anew.into_iter().map(f64::from).sum::<f64>();
        }
        let end = beside.read(states, batch * width)?;
        samples.extend(from_batch(extent, &end, batch, chains));
    }
    let report = Report {
        sampler: Method::Mh(*s).name(),
        count: request.count,
        generated: proposals,
        acceptance_rate: Some(accepted / proposals as f64),
        calibration: None,
        details: Details::Mh {
            restarted_chains: restarted,
        },
    };
    Ok(Drawn { samples, report })
}
