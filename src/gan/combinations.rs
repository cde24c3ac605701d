//! Which methods go together: every combination that the programs cannot mean is refused here, with the reason.
use super::config::{GanConfig, Updates, above_zero, at_least_one, refuse};
use super::methods::unrolled::{can_unroll, cannot_unroll};
use super::methods::{Condition, EncoderMethod};
use super::{Objective, Result};

impl GanConfig {
    /// The checks of [`GanConfig::validate`] that concern the methods beyond the plain game.
    pub(super) fn validate_methods(&self) -> Result<()> {
        self.validate_values()?;
        self.validate_energy()?;
        self.validate_outputs()?;
        self.validate_pack()?;
        self.validate_updates()
    }

    fn validate_values(&self) -> Result<()> {
        at_least_one("pack", self.pack)?;
        at_least_one("generators", self.generators)?;
        if let Some(lr) = self.unroll.and_then(|unroll| unroll.lr) {
            above_zero("unroll.lr", lr)?;
        }
        match self.encoder {
            Some(EncoderMethod::Mrgan { distance, realism }) => {
                above_zero("encoder.distance", distance)?;
                above_zero("encoder.realism", realism)?;
            }
            Some(EncoderMethod::Veegan { reconstruction }) => {
                above_zero("encoder.reconstruction", reconstruction)?;
            }
            None => {}
        }
        if let Some(c) = self.conditional {
            if c.classes < 2 {
                return refuse("conditional.classes", "at least 2", c.classes);
            }
            above_zero("conditional.weight", c.weight)?;
        }
        if let Some(info) = self.info {
            if info.width() == 0 {
                return refuse("info", "a categorical or a continuous code", "neither");
            }
            if info.categorical == 1 {
                return refuse("info.categorical", "0, or at least 2 values", 1);
            }
            above_zero("info.weight", info.weight)?;
        }
        if let Some(margin) = self.margin {
            above_zero("margin", margin)?;
        }
        if let Some(weight) = self.pulling_away {
            above_zero("pulling_away", weight)?;
        }
        Ok(())
    }

    /// EBGAN's D is an auto-encoder: it has no logit, and no rows beside it.
    fn validate_energy(&self) -> Result<()> {
        if self.objective != Objective::Energy {
            let needs = "nothing: only the objective energy has it";
            if let Some(margin) = self.margin {
                return refuse("margin", needs, margin);
            }
            if let Some(weight) = self.pulling_away {
                return refuse("pulling_away", needs, weight);
            }
            return Ok(());
        }
        let because = "another objective than energy, whose D gives samples back and has no logits";
        if self.generators > 1 {
            return refuse("objective", because, "energy with several generators");
        }
        if self.info.is_some() {
            return refuse("objective", because, "energy with info");
        }
        if matches!(self.encoder, Some(EncoderMethod::Veegan { .. })) {
            return refuse("objective", because, "energy with the encoder veegan");
        }
        if let Some(c) = self.conditional {
            let got = format!("energy with conditional {}", c.kind.name());
            return refuse("objective", because, got);
        }
        if self.pulling_away.is_some() && self.batch < 2 {
            return refuse("batch", "at least 2 with pulling_away", self.batch);
        }
        Ok(())
    }

    /// Methods that give D's output or G's loss another meaning.
    fn validate_outputs(&self) -> Result<()> {
        let is_plain = matches!(
            self.objective,
            Objective::Minimax | Objective::NonSaturating
        );
        if self.generators > 1 {
            if !is_plain {
                let expected = "minimax or non_saturating with several generators: D is a softmax over who made a sample";
                return refuse("objective", expected, self.objective.name());
            }
            if let Some(first) = self.regularisers.first() {
                let expected = "none with several generators: D has a class per generator and no single logit to penalise";
                return refuse("regularisers", expected, first.name.name());
            }
            if self.label_smoothing > 0.0 {
                let expected = "0 with several generators, whose loss is a softmax";
                return refuse("label_smoothing", expected, self.label_smoothing);
            }
            let others = [
                ("encoder", self.encoder.is_some()),
                ("conditional", self.conditional.is_some()),
                ("info", self.info.is_some()),
            ];
            let why = "several generators: the rows of D's output are taken";
            nothing_with(why, &others)?;
            if !self.batch.is_multiple_of(self.generators) {
                let expected = format!("a multiple of the {} generators", self.generators);
                return refuse("batch", expected, self.batch);
            }
        }
        if let Some(EncoderMethod::Veegan { .. }) = self.encoder {
            if self.objective != Objective::NonSaturating {
                let expected =
                    "non_saturating with the encoder veegan, which has a generator loss of its own";
                return refuse("objective", expected, self.objective.name());
            }
            let others = [
                ("conditional", self.conditional.is_some()),
                ("info", self.info.is_some()),
                ("unroll", self.unrolled().is_some()),
            ];
            let why = "the encoder veegan, whose D judges pairs of latents and samples";
            nothing_with(why, &others)?;
        }
        if let Some(EncoderMethod::Mrgan { .. }) = self.encoder {
            let others = [
                ("conditional", self.conditional.is_some()),
                ("info", self.info.is_some()),
            ];
            let why = "the encoder mrgan, which knows neither labels nor codes of real samples";
            nothing_with(why, &others)?;
        }
        let is_projection = self
            .conditional
            .is_some_and(|c| c.kind == Condition::Projection);
        if is_projection && self.info.is_some() {
            let expected = "concat or auxiliary with info: a projection gives one logit";
            return refuse("conditional", expected, "projection");
        }
        Ok(())
    }

    fn validate_pack(&self) -> Result<()> {
        if self.pack == 1 {
            return Ok(());
        }
        let others = [
            ("generators", self.generators > 1, "whose makers differ"),
            (
                "conditional",
                self.conditional.is_some(),
                "whose labels differ",
            ),
            ("info", self.info.is_some(), "whose codes differ"),
            (
                "encoder",
                matches!(self.encoder, Some(EncoderMethod::Veegan { .. })),
                "whose latents differ",
            ),
            (
                "objective",
                self.objective == Objective::Energy,
                "which an auto-encoder would have to give back as one",
            ),
        ];
        if let Some((field, _, why)) = others.into_iter().find(|o| o.1) {
            let expected = format!("1 with {field}: D would judge samples together {why}");
            return refuse("pack", expected, self.pack);
        }
        if !self.batch.is_multiple_of(self.pack) {
            return refuse(
                "batch",
                format!("a multiple of the pack of {}", self.pack),
                self.batch,
            );
        }
        Ok(())
    }

    fn validate_updates(&self) -> Result<()> {
        if self.unrolled().is_some() && !can_unroll(&self.optimiser.d) {
            return Err(cannot_unroll(&self.optimiser.d));
        }
        if self.updates == Updates::Simultaneous {
            if (self.d_steps, self.g_steps) != (1, 1) {
                let got = format!("d_steps {} and g_steps {}", self.d_steps, self.g_steps);
                return refuse("updates", "one step each with simultaneous", got);
            }
            if self.unrolled().is_some() {
                return refuse("updates", "alternating with unroll", "simultaneous");
            }
        }
        Ok(())
    }
}

/// Refuses the first of these settings that is made.
fn nothing_with(why: &str, settings: &[(&str, bool)]) -> Result<()> {
    match settings.iter().find(|(_, is_made)| *is_made) {
        Some((field, _)) => refuse(field, format!("nothing with {why}"), field),
        None => Ok(()),
    }
}
