//! The discriminator's raw output on given samples, in evaluation mode: norms use their running statistics, nothing of the
//! training state changes.
use super::Trainer;
use super::beside::Beside;
use super::layout::{chunk, from_batch, to_batch};
use super::players::logit;
use super::programs::leaves;
use super::table::Table;
use crate::gan::GanError;
use crate::gan::config::GanConfig;
use crate::gpu::{Dispatch, Gpu};
use crate::graph::plan::{Environment, Plan, Region, Stage};
use crate::graph::{Expr, Graph};
use crate::nn::{Extent, Mode, Model};
use std::cell::OnceCell;

/// D bound to a table's weights: whatever training has made of them when it is asked.
pub struct Judge {
    beside: Beside,
    samples: usize,
    outputs: usize,
    chunk: usize,
    /// One sample, and what D says of it.
    extents: [Extent; 2],
    program: Vec<Dispatch>,
}

impl Judge {
    /// Compiles and binds D's program.
    ///
    /// # Errors
    /// [`GanError::Input`] where D does not judge single samples; those of the device.
    pub fn new(gpu: &Gpu, table: &Table, model: &Model) -> Result<Judge, GanError> {
        takes_single_samples(model)?;
        let extents = [model.sample, model.discriminator.output()];
        let [sample, output] = extents.map(Extent::numel);
        let chunk = chunk(sample);
        let mut beside = Beside::new(gpu, table)?;
        let samples = beside.push("samples to judge", sample * chunk)?;
        let outputs = beside.push("judgements", output * chunk)?;
        let mut env = beside.environment(0);
        let mut g = Graph::new();
        let x = g.leaf("samples", model.sample.shape(chunk));
        if let Some(id) = g.leaf_id(x) {
            let region = Region {
                buffer: samples,
                offset: 0,
            };
            env.leaves.insert(id, region);
        }
        let judged = judged(&mut g, &mut env, table, model, x)?;
        let region = Region {
            buffer: outputs,
            offset: 0,
        };
        let stage = Stage {
            outputs: vec![(judged, region)],
            effects: vec![],
        };
        let plan = Plan::compile(&g, &[stage], &env)?;
        let program = beside.bind(&[plan])?.concat();
        Ok(Judge {
            beside,
            samples,
            outputs,
            chunk,
            extents,
            program,
        })
    }

    /// The one in `cell`, made now if it is empty.
    ///
    /// # Errors
    /// As for [`Judge::new`].
    pub fn of<'a>(
        cell: &'a OnceCell<Judge>,
        (gpu, table, model): (&Gpu, &Table, &Model),
    ) -> Result<&'a Judge, GanError> {
        if let Some(made) = cell.get() {
            return Ok(made);
        }
        let made = Judge::new(gpu, table, model)?;
        Ok(cell.get_or_init(|| made))
    }

    /// D's raw outputs `[count, outputs]` on samples `[count, numbers per sample]`, both row by row.
    ///
    /// # Errors
    /// [`GanError::Samples`] where the samples do not fill whole rows; those of the device.
    pub fn judge(&self, samples: &[f32]) -> Result<Vec<f32>, GanError> {
        let [sample, output] = self.extents;
        let width = sample.numel();
        if !samples.len().is_multiple_of(width) {
            return Err(GanError::Samples {
                width,
                got: samples.len(),
            });
        }
        let mut judged = vec![];
        for rows in samples.chunks(self.chunk * width) {
            let batch = to_batch(sample, rows, self.chunk);
            self.beside.write(self.samples, &batch)?;
            self.beside.gpu().submit(&self.program)?;
            let got = self
                .beside
                .read(self.outputs, self.chunk * output.numel())?;
            judged.extend(from_batch(output, &got, self.chunk, rows.len() / width));
        }
        Ok(judged)
    }
}

/// D's output, in evaluation mode, on a batch in the shape of [`Model::sample`].
///
/// # Errors
/// Where x is not such a batch.
pub fn judged(
    g: &mut Graph,
    env: &mut Environment,
    table: &Table,
    model: &Model,
    x: Expr,
) -> Result<Expr, GanError> {
    let x = model.data_to_network(g, x)?;
    on_network(g, env, table, model, x)
}

/// What the objective sees of D's output, `[1, N]`, on samples as the networks see them; evaluation mode.
///
/// # Errors
/// Where x is not such a batch.
pub fn score(
    g: &mut Graph,
    env: &mut Environment,
    (table, model, config): (&Table, &Model, &GanConfig),
    x: Expr,
) -> Result<Expr, GanError> {
    let output = on_network(g, env, table, model, x)?;
    logit(g, config, x, output)
}

fn on_network(
    g: &mut Graph,
    env: &mut Environment,
    table: &Table,
    model: &Model,
    x: Expr,
) -> Result<Expr, GanError> {
    let (net, always) = (&model.discriminator, 0..usize::MAX);
    let params = leaves(g, env, "d", net.params(), table.d.params, always.clone());
    let states = leaves(g, env, "d", net.states(), table.d.state, always);
    Ok(net.forward(g, &params, &states, x, Mode::Eval)?.output)
}

/// # Errors
/// [`GanError::Input`] where D takes more than one sample at a time, or something beside it.
pub fn takes_single_samples(model: &Model) -> Result<(), GanError> {
    let (net, sample) = (&model.discriminator, model.sample);
    let takes = net.input();
    let reason = if takes.numel() != sample.numel() {
        format!(
            "it takes {takes} and one sample is {sample}: it judges several samples together (--pack), or a sample with its latents"
        )
    } else if net.classes().is_some() {
        "it takes the sample's class beside it".into()
    } else if net
        .spec()
        .layers
        .iter()
        .any(|l| l.kind() == "minibatch_discrimination")
    {
        "its minibatch discrimination compares the samples of a training batch".into()
    } else {
        return Ok(());
    };
    Err(GanError::Input(format!(
        "this discriminator has no output for one sample alone: {reason}; train one without that to ask it"
    )))
}

impl Trainer {
    /// D's raw outputs `[count, outputs]`, in evaluation mode, on samples `[count, numbers per sample]`, both row by row: logits where
    /// the objective has any, else the critic's values. Does not change the state of training; the program is compiled at the first call.
    ///
    /// # Errors
    /// [`GanError::Samples`] where the samples do not fill whole rows; [`GanError::Input`] where D takes more than one sample at a
    /// time; those of the device.
    pub fn judge(&self, samples: &[f32]) -> Result<Vec<f32>, GanError> {
        Judge::of(&self.judge, (&self.gpu, &self.table, &self.model))?.judge(samples)
    }
}
