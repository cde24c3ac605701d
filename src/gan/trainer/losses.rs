//! What each side minimises, put together from the objective, the penalties and the methods.
use super::players::{Batch, Player, Verdict, critic, judge, rows, seen};
use super::programs::{Builder, Kind, Players, leaves};
use super::table::counter;
use crate::gan::methods::{
    EncoderMethod, conditional, info, mad, mrgan, pulling_away, unrolled, veegan,
};
use crate::gan::regularisers::{Critic, Samples};
use crate::gan::{GanError, Result};
use crate::graph::plan::{Effect, Environment, Region};
use crate::graph::{Expr, Graph};
use crate::kernels::counter_value;
use crate::nn::Given;

/// One side's loss.
pub struct Loss {
    pub value: Expr,
    /// Parts of it that are reported by name.
    pub terms: Vec<(&'static str, Expr)>,
}

impl Builder<'_> {
    /// D's loss on `[real, fake]`, penalties included, and D's mean output on both. D's and the encoder's states move.
    ///
    /// # Errors
    /// Where networks and method do not fit.
    pub(super) fn discriminator_loss(
        &self,
        g: &mut Graph,
        env: &mut Environment,
        players: &mut Players,
        sides: [&Batch; 2],
    ) -> Result<(Loss, [Expr; 2])> {
        let [real, fake] = sides;
        let mut real = *real;
        if let (Some(e), true) = (
            &mut players.e,
            self.config.encoder.is_some_and(|e| e.joint()),
        ) {
            let latents = e.pass(g, real.x.into())?.output;
            real.latents = Some(g.stop_gradient(latents));
        }
        self.discriminator_loss_of(g, env, &mut players.d, [&real, fake])
    }

    /// As [`Builder::discriminator_loss`], for any D, on samples that have their latents where D sees those.
    fn discriminator_loss_of(
        &self,
        g: &mut Graph,
        env: &mut Environment,
        d: &mut Player,
        [real, fake]: [&Batch; 2],
    ) -> Result<(Loss, [Expr; 2])> {
        let config = self.config;
        let on_real = judge(g, config, d, real)?;
        let on_fake = judge(g, config, d, fake)?;
        let outer = g.enter_scope("loss_d");
        let mut value = match config.generators {
            1 => config.discriminator_loss(g, on_real.s, on_fake.s)?,
            _ => mad::discriminator_loss(g, on_real.output, on_fake.output)?,
        };
        let mut terms = vec![];
        for regulariser in &config.regularisers {
            let within = g.enter_scope("interpolation");
            let epsilon = self.interpolation(g, env);
            g.restore_scope(within);
            let samples = Samples {
                real: seen(g, config, real)?,
                fake: seen(g, config, fake)?,
                epsilon,
            };
            let player = &*d;
            let mut forward = |g: &mut Graph, x| critic(g, config, player, real, x);
            let critic = Critic::new(&player.params, &mut forward);
            let penalty = regulariser.penalty(g, samples, critic)?;
            value = g.add(value, penalty)?;
            terms.push((regulariser.name.name(), penalty));
        }
        if let (Some(c), Some(real_label), Some(fake_label)) =
            (config.auxiliary(), real.label, fake.label)
        {
            let real_rows = rows(g, on_real.output, 1, c.classes)?;
            let fake_rows = rows(g, on_fake.output, 1, c.classes)?;
            let of_real = conditional::class_loss(g, real_rows, real_label, c.weight)?;
            let of_fake = conditional::class_loss(g, fake_rows, fake_label, c.weight)?;
            let both = g.add(of_real, of_fake)?;
            value = g.add(value, both)?;
            terms.push(("class_loss_d", both));
        }
        if let Some(loss) = self.information(g, &on_fake, fake)? {
            value = g.add(value, loss)?;
            terms.push(("information_loss_d", loss));
        }
        let (on_real, on_fake) = config.objective.statistics(g, on_real.s, on_fake.s)?;
        g.restore_scope(outer);
        Ok((Loss { value, terms }, [on_real, on_fake]))
    }

    /// InfoGAN's term of a verdict on generated samples.
    fn information(&self, g: &mut Graph, on: &Verdict, fake: &Batch) -> Result<Option<Expr>> {
        let (Some(method), Some(latents)) = (self.config.info, fake.latents) else {
            return Ok(None);
        };
        let before = 1 + self.config.auxiliary().map_or(0, |c| c.classes);
        let q = rows(g, on.output, before, method.width())?;
        let noise = g.shape(latents)[0] - method.width();
        let codes = rows(g, latents, noise, method.width())?;
        Ok(Some(info::information_loss(g, &method, q, codes)?))
    }

    /// G's loss, and the encoder's: one sum, of which each takes its gradient. States move.
    ///
    /// # Errors
    /// Where networks and method do not fit.
    pub(super) fn generator_loss(
        &self,
        g: &mut Graph,
        env: &mut Environment,
        kind: Kind,
        players: &mut Players,
        real: Option<&Batch>,
        fake: &Batch,
    ) -> Result<Loss> {
        let config = self.config;
        if let Some(unroll) = &config.unrolled() {
            let Some(real) = real else {
                return Err(no_real("unroll"));
            };
            let from = self.standing(g, env, kind, &players.d.params);
            let now = players.d.clone();
            let mut loss = |g: &mut Graph, params: &[Expr]| {
                let mut d = Player {
                    params: params.to_vec(),
                    ..now.clone()
                };
                let (loss, _) = self.discriminator_loss_of(g, env, &mut d, [real, fake])?;
                Ok::<Expr, GanError>(loss.value)
            };
            players.d.params = unrolled::unrolled(g, unroll, &config.optimiser.d, from, &mut loss)?;
        }
        let judged = judge(g, config, &mut players.d, fake)?;
        // Seen through D's updates, the value on real samples depends on G too.
        let whole = config.unrolled().is_some() && config.objective.zero_sum();
        let sees_real = whole || config.objective.generator_sees_real();
        let s_real = match (sees_real, real) {
            (true, Some(real)) => Some(judge(g, config, &mut players.d, real)?.s),
            (true, None) => return Err(no_real("objective")),
            (false, _) => None,
        };
        let outer = g.enter_scope("loss_g");
        let mut terms = vec![];
        let mut value = match (config.encoder, config.generators) {
            (Some(EncoderMethod::Veegan { .. }), _) => veegan::generator_loss(g, judged.s)?,
            (_, 1) => match s_real.filter(|_| whole) {
                Some(s_real) => {
                    let value = config.discriminator_loss(g, s_real, judged.s)?;
                    g.neg(value)
                }
                None => config.objective.generator_loss(g, s_real, judged.s)?,
            },
            _ => mad::generator_loss(g, config.objective, judged.output)?,
        };
        if let (Some(c), Some(label)) = (config.auxiliary(), fake.label) {
            let logits = rows(g, judged.output, 1, c.classes)?;
            let loss = conditional::class_loss(g, logits, label, c.weight)?;
            value = g.add(value, loss)?;
            terms.push(("class_loss_g", loss));
        }
        if let Some(loss) = self.information(g, &judged, fake)? {
            value = g.add(value, loss)?;
            terms.push(("information_loss_g", loss));
        }
        if let Some(weight) = config.pulling_away {
            let term = pulling_away::term(g, judged.features)?;
            let term = g.scale(term, weight as f32)?;
            value = g.add(value, term)?;
            terms.push(("pulling_away", term));
        }
        g.restore_scope(outer);
        for (name, term) in self.encoder_terms(g, players, real, fake)? {
            value = g.add(value, term)?;
            terms.push((name, term));
        }
        Ok(Loss { value, terms })
    }

    fn encoder_terms(
        &self,
        g: &mut Graph,
        players: &mut Players,
        real: Option<&Batch>,
        fake: &Batch,
    ) -> Result<Vec<(&'static str, Expr)>> {
        let (Some(method), Some(e)) = (self.config.encoder, &mut players.e) else {
            return Ok(vec![]);
        };
        match method {
            EncoderMethod::Mrgan { distance, realism } => {
                let Some(real) = real else {
                    return Err(no_real("encoder"));
                };
                let latents = e.pass(g, real.x.into())?.output;
                let rebuilt = players.g.pass(g, Given::from(latents))?.output;
                let batch = Batch {
                    x: rebuilt,
                    latents: Some(latents),
                    label: None,
                };
                let judged = judge(g, self.config, &mut players.d, &batch)?;
                let outer = g.enter_scope("loss_g");
                let distance = mrgan::distance(g, real.x, rebuilt, distance)?;
                let realism = mrgan::realism(g, judged.s, realism, self.config.objective)?;
                g.restore_scope(outer);
                Ok(vec![
                    ("rebuilt_distance", distance),
                    ("rebuilt_realism", realism),
                ])
            }
            EncoderMethod::Veegan { reconstruction } => {
                let Some(latents) = fake.latents else {
                    return Ok(vec![]);
                };
                let rebuilt = e.pass(g, fake.x.into())?.output;
                let outer = g.enter_scope("loss_g");
                let term = veegan::reconstruction(g, latents, rebuilt, reconstruction)?;
                g.restore_scope(outer);
                Ok(vec![("latent_reconstruction", term)])
            }
        }
    }

    /// D's optimiser as it stands before an unrolled update: after the update of this program where it makes one.
    fn standing(
        &self,
        g: &mut Graph,
        env: &mut Environment,
        kind: Kind,
        params: &[Expr],
    ) -> unrolled::Standing {
        let (network, arenas) = (&self.model.discriminator, &self.table.d);
        let (valid, made_here) = match kind.trains_d() {
            true => (1..usize::MAX, 1.0),
            false => (0..usize::MAX, 0.0),
        };
        let moments = [("d.m", arenas.moments[0]), ("d.v", arenas.moments[1])]
            .map(|(name, buffer)| leaves(g, env, name, network.params(), buffer, valid.clone()));
        let count = g.source("optimiser_steps_d", [1]);
        if let Some(id) = g.source_id(count) {
            let counters = self.table.counters;
            let make = move |region: Region| {
                Ok(Effect {
                    kernel: counter_value::kernel(&counter_value::Params {
                        index: counter::STEP_D as u32,
                        y_offset: region.offset as u32,
                    }),
                    buffers: vec![counters, region.buffer],
                    scope: "d",
                    bytes: 8,
                })
            };
            env.sources.insert(id, Box::new(make));
        }
        // Shapes [1] and [] hold the same: these cannot fail.
        let count = g.reshape(count, []).unwrap_or(count);
        let updates = g.shift(count, made_here).unwrap_or(count);
        unrolled::Standing {
            params: params.to_vec(),
            moments,
            updates,
        }
    }
}

fn no_real(field: &str) -> GanError {
    GanError::Input(format!("{field}: G's loss needs real samples here"))
}
