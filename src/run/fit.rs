//! Whether a configuration fits an adapter, said before anything is allocated, and the largest batch that does.
use super::bench::BenchRequest;
use super::config::TrainConfig;
use super::engine::{bench_parts, build_model, engine_error, load_data};
use super::session::EngineError;
use crate::data::{ImageSet, Source};
use crate::gan::config::GanConfig;
use crate::gan::trainer::{Data, Footprint, Holding, Purpose, footprint};
use crate::gpu::{AdapterChoice, AdapterClass, Caps, list_adapters};
use crate::graph::plan::{self, Precision};
use crate::nn::{Extent, Model};
use serde::Serialize;

/// What memory is asked of.
#[derive(Clone, Debug)]
pub struct Target {
    /// The adapter's name, or what stands in for one.
    pub name: String,
    pub caps: Caps,
    pub precision: Precision,
}

impl Target {
    /// The adapter that `--adapter` means; WebGPU's default limits where this machine has no adapter at all.
    ///
    /// # Errors
    /// [`EngineError::Adapter`] if there are adapters, but not this one.
    pub fn of(adapter: &str, precision: Precision) -> Result<Target, EngineError> {
        let reports = list_adapters();
        if reports.iter().all(|report| report.unusable.is_some()) {
            return Ok(Target {
                name: "no adapter here: WebGPU's default limits".into(),
                caps: Caps::baseline(AdapterClass::Discrete),
                precision,
            });
        }
        let choice: AdapterChoice = adapter.parse().map_err(EngineError::input)?;
        let report = crate::gpu::choice::select(&choice, &reports)
            .map_err(|e| EngineError::adapter(e.to_string()))?;
        Ok(Target {
            name: report.name.clone(),
            caps: report.caps.clone(),
            precision,
        })
    }
    fn footprint(
        &self,
        model: &Model,
        config: &GanConfig,
        data: &Data,
    ) -> Result<Footprint, EngineError> {
        let target = plan::Target::of(&self.caps).with_precision(self.precision);
        footprint(&target, model, config, data).map_err(engine_error)
    }
    /// The most samples per batch, at most `config.batch`, with which every buffer is within the limits.
    fn largest_batch(&self, model: &Model, config: &GanConfig, data: &Data) -> Option<usize> {
        let fits = |batch: usize| {
            let config = GanConfig {
                batch,
                ..config.clone()
            };
            let noise;
            let data = match data {
                Data::FixedBatch(_) => {
                    let count = model.generator.output_shape(batch).numel();
                    noise = Data::FixedBatch(vec![0.0; count]);
                    &noise
                }
                other => other,
            };
            let found = self.footprint(model, &config, data);
            found.is_ok_and(|f| f.refused(&self.caps).is_none())
        };
        // Invariant: `low` fits (0 stands for nothing), `high` does not.
        let (mut low, mut high) = (0, config.batch + 1);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if fits(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        (low > 0).then_some(low)
    }
}

/// Memory and arithmetic of a configuration on an adapter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fit {
    pub adapter: String,
    /// Of all matrix products and convolutions of one step.
    pub gflop_per_step: f64,
    /// Everything that lives on the device while training; what drivers add is not known here.
    pub peak_device_bytes: u64,
    pub weights_bytes: u64,
    /// Gradients and moments.
    pub optimiser_bytes: u64,
    /// The data set.
    pub data_bytes: u64,
    /// Activations and whatever else lives for a part of a step.
    pub temporaries_bytes: u64,
    /// Scalars, and buffers of samples.
    pub results_bytes: u64,
    pub largest_binding: Holding,
    /// Bytes of the largest buffer that the adapter can bind.
    pub binding_limit_bytes: u64,
    pub fits: bool,
    /// Where it does not fit: the largest batch that does; none if no batch does.
    pub largest_batch: Option<usize>,
}

impl Fit {
    /// Of these settings on this adapter.
    ///
    /// # Errors
    /// [`EngineError::Input`] where model, data and settings do not go together.
    pub fn of(
        target: &Target,
        model: &Model,
        config: &GanConfig,
        data: &Data,
    ) -> Result<Fit, EngineError> {
        let found = target.footprint(model, config, data)?;
        let fits = found.refused(&target.caps).is_none();
        let largest = found.largest().cloned();
        let Some(largest_binding) = largest else {
            return Err(EngineError::device("a trainer without buffers"));
        };
        Ok(Fit {
            adapter: target.name.clone(),
            gflop_per_step: found.flops_per_step as f64 / 1e9,
            peak_device_bytes: found.bytes(),
            weights_bytes: found.bytes_for(Purpose::Weights),
            optimiser_bytes: found.bytes_for(Purpose::Optimiser),
            data_bytes: found.bytes_for(Purpose::Data),
            temporaries_bytes: found.bytes_for(Purpose::Temporaries),
            results_bytes: found.bytes_for(Purpose::Results),
            largest_binding,
            binding_limit_bytes: Footprint::limit(&target.caps),
            fits,
            largest_batch: match fits {
                true => None,
                false => target.largest_batch(model, config, data),
            },
        })
    }
    /// What is too large and what to do about it; None where everything fits.
    pub fn refusal(&self, batch: usize) -> Option<String> {
        let what = match self.fits {
            true => return None,
            false => &self.largest_binding,
        };
        let advice = match (self.largest_batch, what.purpose) {
            (Some(largest), _) => {
                format!("the largest batch that fits is --batch {largest} (now {batch})")
            }
            (None, Purpose::Data) => {
                "no batch fits: use fewer images (--limit) or smaller ones (--size)".to_string()
            }
            (None, _) => "no batch fits: use a smaller model, or another --adapter".to_string(),
        };
        Some(format!(
            "{} needs {} bytes in one binding, adapter `{}` allows {}; {advice}",
            what.what, what.bytes, self.adapter, self.binding_limit_bytes
        ))
    }
}

/// What `train` with this configuration would need on the adapter it names.
///
/// # Errors
/// As for [`super::engine::open`]; a data set that is not there is left out ([`DryRun::data_is_here`]).
pub fn dry_run(config: &TrainConfig) -> Result<DryRun, EngineError> {
    let target = Target::of(&config.adapter, config.precision)?;
    let model = build_model(config)?;
    let missing = match config.data.source() {
        Source::Path(path) | Source::Stacked(path) => !path.exists(),
        _ => false,
    };
    let data = match (missing, model.sample) {
        (false, _) => load_data(config)?,
        // One black image: the smallest set there is.
        (
            true,
            Extent::Image {
                channels,
                height,
                width,
            },
        ) => {
            let stacked = matches!(config.data.source(), Source::Stacked(_));
            let channels = if stacked { 1 } else { channels };
            // The last class, so that the set has as many as the method wants.
            let classes = config.method.conditional.map_or(1, |c| c.classes);
            let set = ImageSet {
                name: config.data.source.clone(),
                count: 1,
                channels,
                height,
                width,
                pixels: vec![0; channels * height * width],
                labels: Some(vec![classes.saturating_sub(1) as u32]),
                class_names: None,
                source: config.data.source.clone().into(),
            };
            match stacked {
                true => Data::Stacked(set),
                false => Data::Set(set),
            }
        }
        (true, _) => load_data(config)?,
    };
    Ok(DryRun {
        data_is_here: !missing,
        data_len: data.count().filter(|_| !missing),
        fit: Fit::of(&target, &model, &config.method, &data)?,
    })
}

/// What `bench step` with this model would need.
///
/// # Errors
/// As for [`super::engine::open_bench`].
pub fn dry_bench(request: &BenchRequest) -> Result<Fit, EngineError> {
    let target = Target::of(&request.adapter, request.precision)?;
    let (model, config) = bench_parts(request)?;
    let count = model.discriminator.input_shape(request.batch).numel();
    let data = Data::FixedBatch(vec![0.0; count]);
    Fit::of(&target, &model, &config, &data)
}

/// See [`dry_run`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DryRun {
    /// False where the data set does not exist: its bytes are not in the sum.
    pub data_is_here: bool,
    /// Samples of a data set that is there and has an end.
    #[serde(skip)]
    pub data_len: Option<u64>,
    #[serde(flatten)]
    pub fit: Fit,
}

/// Refuses a configuration that does not fit, with advice.
///
/// # Errors
/// [`EngineError::Input`].
pub fn check(
    target: &Target,
    model: &Model,
    config: &GanConfig,
    data: &Data,
) -> Result<(), EngineError> {
    let fit = Fit::of(target, model, config, data)?;
    match fit.refusal(config.batch) {
        Some(refusal) => Err(EngineError::input(refusal)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing::gpu;
    use crate::run::presets::preset;

    fn small_adapter(binding: u64) -> Target {
        Target {
            name: "small".into(),
            caps: Caps {
                max_binding_bytes: binding,
                ..Caps::baseline(AdapterClass::Software)
            },
            precision: Precision::F32,
        }
    }

    fn glyphs(batch: usize) -> (Model, GanConfig) {
        let config = preset("glyphs").unwrap().config().unwrap();
        let model = config.model.spec().unwrap().build().unwrap();
        let method = GanConfig {
            batch,
            ..config.method
        };
        (model, method)
    }

    #[test]
    fn the_sum_is_what_a_trainer_holds() {
        let gpu = gpu();
        let (model, config) = glyphs(8);
        let target = Target {
            name: gpu.report().name.clone(),
            caps: gpu.caps().clone(),
            precision: Precision::F32,
        };
        let fit = Fit::of(&target, &model, &config, &Data::Glyphs).unwrap();
        let parts = fit.weights_bytes + fit.optimiser_bytes + fit.data_bytes;
        let parts = parts + fit.temporaries_bytes + fit.results_bytes;
        assert_eq!(parts, fit.peak_device_bytes);
        assert!(fit.fits && fit.refusal(8).is_none() && fit.gflop_per_step > 0.0);
        let before = gpu.traffic().current_bytes;
        let trainer =
            crate::gan::trainer::Trainer::new(&gpu, model, config, Data::Glyphs, 0).unwrap();
        assert_eq!(gpu.traffic().current_bytes - before, fit.peak_device_bytes);
        drop(trainer);
    }

    #[test]
    fn the_largest_batch_fits_and_the_next_does_not() {
        let target = small_adapter(4 << 20);
        let (model, config) = glyphs(512);
        let fit = Fit::of(&target, &model, &config, &Data::Glyphs).unwrap();
        let largest = fit.largest_batch.unwrap();
        assert!(!fit.fits && largest < 512);
        let refusal = fit.refusal(512).unwrap();
        assert!(
            refusal.contains(&format!("--batch {largest} (now 512)")),
            "{refusal}"
        );
        let at = |batch: usize| {
            let (model, config) = glyphs(batch);
            check(&target, &model, &config, &Data::Glyphs)
        };
        at(largest).unwrap();
        assert!(matches!(at(largest + 1), Err(EngineError::Input(_))));
    }

    /// PyTorch 2.15 on the CPU holds 344,823,972 bytes of live tensors at the peak of the same step (tools/torch_memory.py).
    #[test]
    fn dcgan64_takes_no_more_than_pytorch() {
        let model = crate::run::bench::BENCH_MODELS
            .iter()
            .find(|m| m.name == "dcgan64");
        let request = BenchRequest {
            model: model.unwrap().clone(),
            batch: 128,
            adapter: "auto".into(),
            tune: false,
            precision: Precision::F32,
        };
        let (model, config) = bench_parts(&request).unwrap();
        let data = Data::FixedBatch(vec![0.0; 128 * 3 * 64 * 64]);
        for (class, most) in [
            (AdapterClass::Software, 344_823_972),
            (AdapterClass::Discrete, 344_823_972),
        ] {
            let target = Target {
                name: "baseline".into(),
                caps: Caps::baseline(class),
                precision: Precision::F32,
            };
            let fit = Fit::of(&target, &model, &config, &data).unwrap();
            println!("{class:?}: {}", fit.peak_device_bytes);
            assert!(fit.fits && fit.peak_device_bytes <= most, "{fit:?}");
        }
    }

    #[test]
    fn weights_that_do_not_fit_are_no_matter_of_the_batch() {
        let (model, config) = glyphs(4);
        let error = check(&small_adapter(4096), &model, &config, &Data::Glyphs).unwrap_err();
        assert!(error.to_string().contains("no batch fits"), "{error}");
    }
}
