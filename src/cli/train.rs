//! `gan-gpu train`.
use super::LINE_INTERVAL;
use super::method_flags::MethodFlags;
use super::train_flags::{BudgetFlags, DataFlags, ModelFlags, ReportFlags, RunFlags};
use super::{CliError, print_json, print_line};
use crate::data::{DataError, FORMATS, Source, stacked};
use crate::gpu::CacheFolder;
use crate::metrics::Value;
use crate::run::RunError;
use crate::run::checkpoint::{CheckpointError, CheckpointStore};
use crate::run::config::TrainConfig;
use crate::run::engine;
use crate::run::eval;
use crate::run::fit;
use crate::run::folder::{LATEST, RUNS, RunFolder};
use crate::run::interrupt::EXIT_CODE;
use crate::run::pictures::reference;
use crate::run::presets::{self, PRESETS, Preset, preset};
use crate::run::progress::{self, Reporter, Silent};
use crate::run::resume::{finished, reaches, resumed};
use crate::run::suggest::suggestion;
use crate::run::summary::{self, Outcome, Summary};
use crate::run::toy::ToySummary;
use crate::run::train::{Job, Place, Surroundings, SystemClock, run as train};
use crate::run::tune::NamedChoices;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Train a generator and a discriminator
///
/// Settings come from a preset (chosen by the data if none is named), then from the flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Start from these settings: a preset (`gan-gpu presets` lists them), or a TOML file like the config.toml of a run
    #[arg(long, value_name = "NAME|FILE")]
    preset: Option<String>,
    #[command(flatten)]
    data: DataFlags,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    method: MethodFlags,
    #[command(flatten)]
    budget: BudgetFlags,
    #[command(flatten)]
    report: ReportFlags,
    #[command(flatten)]
    run: RunFlags,
}

/// Flags that a resumed run may be given: how long, what is written, where it runs. Everything else is the run.
const WITH_RESUME: &[&str] = &[
    "resume",
    "out",
    "dry_run",
    "json",
    "adapter",
    "steps",
    "kimg",
    "epochs",
    "max_time",
    "log_every",
    "sample_every",
    "checkpoint_every",
    "keep",
    "grid",
];

/// The ids of the flags that stand on the command line.
pub fn given_flags(matches: &clap::ArgMatches) -> Vec<String> {
    let given = |id: &&str| {
        matches.try_contains_id(id).unwrap_or(false)
            && matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine)
    };
    // Groups of flags have ids too, those of their structs.
    matches
        .ids()
        .map(|id| id.as_str())
        .filter(given)
        .filter(|id| !id.ends_with("Flags") && *id != "Args")
        .map(String::from)
        .collect()
}

pub fn run(args: &Args, given: &[String]) -> Result<ExitCode, CliError> {
    let (config, place, base) = match &args.run.resume {
        Some(name) => {
            let (config, place) = resume(args, name, given)?;
            (config, place, None)
        }
        None => {
            let (config, place, base) = fresh(args)?;
            (config, place, Some(base))
        }
    };
    if args.run.dry_run {
        return dry_run(&config, &place, base.as_ref(), args.run.json);
    }
    if let Some(base) = &base {
        base.announce(args.run.json);
        base.find_data(&config, args)?;
    }
    if let Some(summary) = finished(&place, &config)? {
        end_at_once(&place, &summary, args.run.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut reporter: Box<dyn Reporter> = if args.run.json {
        Box::new(Silent)
    } else {
        progress::for_person(LINE_INTERVAL)
    };
    let interrupt = super::listen()?;
    let job = Job {
        reference: reference(&config),
        config,
        place,
        spent: Duration::ZERO,
    };
    let clock = SystemClock::start();
    let around = Surroundings {
        reporter: &mut *reporter,
        interrupt: &interrupt,
        clock: &clock,
    };
    let cache = CacheFolder::of_user();
    let trained = train(&job, |config| engine::open(config, &cache), around);
    if args.run.json
        && let Err(error) = &trained
        && let Some(summary) = summary::of_divergence(error)
    {
        print_json(&summary, false)?;
    }
    let summary = trained?;
    if args.run.json {
        print_json(&summary, false)?;
    } else {
        print_line(&describe(&summary))?;
    }
    Ok(match summary.outcome {
        Outcome::Finished | Outcome::TimeLimit => ExitCode::SUCCESS,
        Outcome::Interrupted => ExitCode::from(EXIT_CODE),
    })
}

/// The preset or file that is below the flags of a new run.
struct Base {
    name: String,
    /// Why it was taken, where none was named.
    chosen: Option<&'static str>,
}

impl Base {
    fn of(args: &Args) -> Result<Base, CliError> {
        let (name, chosen) = match (&args.preset, &args.data.data) {
            (Some(name), _) => (name.as_str(), None),
            (None, Some(data)) => (preset_for(data)?.name, Some("chosen for the data")),
            (None, None) => (
                Source::GLYPHS,
                Some("taken where neither --preset nor --data is given"),
            ),
        };
        let name = name.into();
        Ok(Base { name, chosen })
    }

    /// Says which one was chosen.
    fn announce(&self, json: bool) {
        if let Some(why) = self.chosen.filter(|_| !json) {
            eprintln!("preset {}, {why}", self.name);
        }
    }

    /// Refuses data that only the preset names and that are not there.
    fn find_data(&self, config: &TrainConfig, args: &Args) -> Result<(), CliError> {
        let (path, flag, missing): (_, _, fn(PathBuf) -> DataError) = match config.data.source() {
            Source::Path(path) => (path, "PATH".into(), |path| DataError::NotFound { path }),
            Source::Stacked(path) => (path, format!("{}PATH", stacked::PREFIX), |path| {
                DataError::NothingToStack { path }
            }),
            Source::Toy(_) | Source::Glyphs => return Ok(()),
        };
        if args.data.data.is_some() || path.exists() {
            return Ok(());
        }
        Err(CliError::usage(format!(
            "{}; the preset {} looks there, and --data {flag} says where the pictures are",
            missing(path),
            self.name
        )))
    }
}

/// A run that is at its end stays as it is: says so, or prints the summary that it has.
fn end_at_once(place: &Place, summary: &serde_json::Value, json: bool) -> Result<(), CliError> {
    if json {
        return print_json(summary, false);
    }
    if let (Place::Resume { folder, .. }, Some(steps)) = (place, summary["steps"].as_u64()) {
        eprintln!("{}", progress::at_its_end(folder.path(), steps));
    }
    Ok(())
}

/// A new run: preset, then flags.
fn fresh(args: &Args) -> Result<(TrainConfig, Place, Base), CliError> {
    let base = Base::of(args)?;
    let preset = base.name.as_str();
    let text = presets::text_of(preset).map_err(CliError::preset)?;
    let config = configure(TrainConfig::from_toml(preset, &text)?, args)?;
    let name = name_of(preset);
    let data = Path::new(&config.data.source);
    let data = data
        .file_stem()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let label = if name == data {
        data
    } else {
        format!("{name}-{data}")
    };
    let place = Place::New {
        out: args.run.out.clone(),
        runs: RUNS.into(),
        label,
    };
    Ok((config, place, base))
}

/// What to call a run of this preset or file.
fn name_of(preset: &str) -> String {
    let path = Path::new(preset);
    // `config` says nothing: a run's own name does.
    let stem = match path.file_stem() {
        Some(stem) if stem == "config" => path.parent().and_then(Path::file_name),
        stem => stem,
    };
    let stem = stem.unwrap_or("config".as_ref());
    stem.to_string_lossy().into_owned()
}

/// These settings under the flags, complete and checked.
fn configure(mut config: TrainConfig, args: &Args) -> Result<TrainConfig, CliError> {
    args.data.apply(&mut config);
    args.model.apply(&mut config)?;
    args.method.apply(&mut config.method)?;
    args.budget.apply(&mut config);
    args.report.apply(&mut config);
    if args.run.no_tune {
        config.choices = Some(NamedChoices::new());
    }
    Ok(config.resolve()?)
}

/// The preset whose settings suit a data set.
fn preset_for(data: &str) -> Result<&'static Preset, CliError> {
    let name = match Source::parse(data) {
        Source::Glyphs => "glyphs",
        Source::Stacked(_) => "stacked-mnist",
        Source::Toy(set) if set.dim() == 1 => "gauss1d",
        Source::Toy(set) => PRESETS
            .iter()
            .find(|preset| preset.name == set.name())
            // The grids of other papers differ in scale only.
            .or_else(|| {
                PRESETS
                    .iter()
                    .find(|preset| set.name().split('-').next() == Some(preset.name))
            })
            .map_or("ring8", |preset| preset.name),
        Source::Path(path) => match format_of(&path)? {
            "idx" => "mnist-dcgan",
            "cifar10" => "cifar10-dcgan",
            _ => "images-dcgan64",
        },
    };
    Ok(preset(name)?)
}

/// The name of the format that the data at `path` is in.
fn format_of(path: &Path) -> Result<&'static str, CliError> {
    let refuse = |error: DataError| {
        let near = suggestion(&path.to_string_lossy(), Source::built_in_names());
        CliError::usage(format!("--data: {error}{near}"))
    };
    if !path.exists() {
        return Err(refuse(DataError::NotFound { path: path.into() }));
    }
    for format in FORMATS {
        if (format.recognises)(path).map_err(refuse)? {
            return Ok(format.name);
        }
    }
    // Loading says what is wrong with it.
    Ok("")
}

/// The run to go on with: its own configuration, under the few flags that may change.
fn resume(args: &Args, name: &Path, given: &[String]) -> Result<(TrainConfig, Place), CliError> {
    if let Some(flag) = given
        .iter()
        .find(|flag| !WITH_RESUME.contains(&flag.as_str()))
    {
        return Err(CliError::usage(format!(
            "--{} cannot be changed with --resume: a run has one configuration; leave it out, or start a new run",
            flag.replace('_', "-")
        )));
    }
    let (folder, checkpoint) = match (name, &args.run.out) {
        (file, _) if file.is_file() => (folder_of(file)?, Some(file.to_path_buf())),
        (file, _) if file.extension().is_some_and(|e| e == "safetensors") => {
            return Err(CliError::usage(format!(
                "--resume: there is no file {}",
                file.display()
            )));
        }
        // `--out DIR --resume` means the run in DIR.
        (name, Some(out)) if name == Path::new(LATEST) => newest(RunFolder::open(out)?)?,
        (name, _) => newest(RunFolder::find(name, Path::new(RUNS))?)?,
    };
    if let Some(out) = &args.run.out
        && !same_folder(out, folder.path())
    {
        return Err(CliError::usage(format!(
            "--out: a resumed run goes on in its own folder, {}; leave --out out, or copy the folder and resume the copy",
            folder.path().display()
        )));
    }
    let mut config = TrainConfig::read(&folder.config())?;
    // A run of an older version went by the rules.
    config.choices.get_or_insert_default();
    if let Some(adapter) = &args.model.adapter {
        config.adapter = adapter.clone();
    }
    args.budget.apply(&mut config);
    args.report.apply(&mut config);
    Ok((config.resolve()?, Place::Resume { folder, checkpoint }))
}

fn same_folder(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or(path.to_path_buf());
    real(a) == real(b)
}

/// The run and its newest checkpoint; none where it was killed before its first, and starts anew.
fn newest(folder: RunFolder) -> Result<(RunFolder, Option<PathBuf>), CliError> {
    match CheckpointStore::new(folder.checkpoints(), 0).latest() {
        Ok(checkpoint) => Ok((folder, Some(checkpoint))),
        Err(CheckpointError::None { .. }) => Ok((folder, None)),
        Err(error) => Err(error.into()),
    }
}

/// The run folder that a checkpoint file lies in.
fn folder_of(checkpoint: &Path) -> Result<RunFolder, CliError> {
    let file = std::path::absolute(checkpoint).map_err(|source| RunError::Io {
        path: checkpoint.into(),
        source,
    })?;
    match file.parent().and_then(Path::parent) {
        Some(run) => Ok(RunFolder::open(run)?),
        None => Err(CliError::usage(format!(
            "--resume: {} lies in no run folder",
            checkpoint.display()
        ))),
    }
}

/// Prints what would be trained, what it takes, and whether the adapter can do it.
fn dry_run(
    config: &TrainConfig,
    place: &Place,
    base: Option<&Base>,
    json: bool,
) -> Result<ExitCode, CliError> {
    let resumed = resumed(place, config)?;
    let model = config.build_model()?;
    let found = fit::dry_run(config)?;
    let steps = steps(config, &found)?;
    reaches(steps, &resumed)?;
    let batch = config.method.batch;
    let mut sizes = serde_json::json!({
        "params_g": model.generator.param_count(),
        "params_d": model.discriminator.param_count(),
        "latent_dim": config.latent_dim()?,
        "sample": model.sample.to_string(),
        "batch": batch,
    });
    let memory = serde_json::to_value(&found).map_err(|e| CliError::Output(e.into()))?;
    for (name, value) in memory.as_object().into_iter().flatten() {
        sizes[name] = value.clone();
    }
    let refusal = found.fit.refusal(batch);
    if json {
        let all = serde_json::json!({ "config": config, "sizes": sizes, "refusal": refusal });
        print_json(&all, true)?;
        return Ok(exit_code(&refusal));
    }
    print_line(config.to_toml()?.trim_end())?;
    if let Some(base) = base {
        print_line(&format!("\n# preset: {}", base.name))?;
    }
    if let (None, Some(steps)) = (config.budget.steps, steps) {
        print_line(&format!("# steps: {steps}"))?;
    }
    print_line("\n# sizes")?;
    for (name, value) in sizes.as_object().into_iter().flatten() {
        let text = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Object(binding) => {
                format!("{} bytes: {}", binding["bytes"], binding["what"])
            }
            other => other.to_string(),
        };
        print_line(&format!("# {name}: {text}"))?;
    }
    if !found.data_is_here {
        print_line("# the data set is not there: its bytes are not in the sum")?;
    }
    match &refusal {
        None => print_line("# it fits")?,
        Some(refusal) => eprintln!("error: {refusal}"),
    }
    Ok(exit_code(&refusal))
}

/// The step at which the run would end; `None` if only time limits it, or where epochs of data that are not there cannot be counted.
fn steps(config: &TrainConfig, found: &fit::DryRun) -> Result<Option<u64>, CliError> {
    let (budget, per_step) = (&config.budget, config.images_per_step());
    match found.data_is_here {
        true => Ok(budget.steps(per_step, found.data_len)?),
        false => Ok(budget.steps_of_any_data(per_step)),
    }
}

/// What `train` itself would end with before its first step.
fn exit_code(refusal: &Option<String>) -> ExitCode {
    match refusal {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::from(2),
    }
}

/// The result, for a person: where things are and how good they are.
fn describe(summary: &Summary) -> String {
    let mut lines = vec![format!("run        {}", summary.run.display())];
    lines.push(format!("checkpoint {}", summary.checkpoint.display()));
    if let Some(samples) = &summary.samples {
        lines.push(format!("samples    {}", samples.display()));
    }
    lines.push(format!("report     {}", summary.report.display()));
    let trained = match summary.loss_d {
        Some(_) => format!(
            "{:.1} s in all, {:.0} images/s while training on {}",
            summary.wall_s, summary.images_per_second, summary.origin.adapter
        ),
        None => "no step was trained this time".into(),
    };
    lines.push(format!(
        "{} steps, {} images; {trained}",
        summary.steps, summary.images_seen
    ));
    if let Some(toy) = &summary.toy {
        lines.push(describe_toy(toy));
    }
    lines.join("\n")
}

fn describe_toy(toy: &ToySummary) -> String {
    let value = |name: &str| toy.value(name).map(eval::describe);
    let percent = toy.value("high_quality_percent").and_then(Value::scalar);
    if let (Some(modes), Some(percent), Some(of)) = (value("modes"), percent, toy.of) {
        return format!(
            "{modes} of {of} modes, {percent:.1} % of samples of high quality, reverse KL {}",
            value("reverse_kl").unwrap_or_default()
        );
    }
    if let Some(w1) = value("w1") {
        // Of densities without a width of their own there are no sigmas.
        let sigmas = value("w1_sigmas").map(|sigmas| format!(" ({sigmas} sigma)"));
        let sigmas = sigmas.unwrap_or_default();
        let outputs = toy.d_real_mean.zip(toy.d_fake_mean);
        let outputs = outputs.map(|(real, fake)| {
            format!(
                "; over the last steps D is {real:.3} on real and {fake:.3} on generated samples"
            )
        });
        return format!("W1 {w1}{sigmas}{}", outputs.unwrap_or_default());
    }
    if let Some(sliced) = value("sliced_w1") {
        return format!("sliced W1 {sliced}");
    }
    let all = toy.metrics.iter();
    let all = all.map(|m| format!("{} {}", m.name, eval::describe(&m.value)));
    all.collect::<Vec<_>>().join(", ")
}
