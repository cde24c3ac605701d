//! `gan-gpu compare`: several methods under one budget, in one table, side by side and along training.
use super::{CliError, print_json, print_line};
use crate::gpu::{ADAPTER_VARIABLE, CacheFolder};
use crate::run::classifier::Classifier;
use crate::run::compare::builtin::{self, COMPARISONS};
use crate::run::compare::file::{ComparisonFile, Seeds, unknown_variant};
use crate::run::compare::record::{Record, Status};
use crate::run::compare::results::{self, Figures};
use crate::run::compare::table::Table;
use crate::run::compare::work::{self, Engines};
use crate::run::compare::{CompareError, Comparison, Planned, children, overlay, picture};
use crate::run::engine;
use crate::run::eval::{self, number};
use crate::run::interrupt::{EXIT_CODE, Interrupt};
use crate::run::progress::{self, Reporter, Silent};
use crate::run::tensors::write_atomic;
use crate::run::train::{Surroundings, SystemClock};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Seconds between lines of progress where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(30);
/// Where comparisons go unless `--out` names a folder.
const COMPARISONS_FOLDER: &str = "comparisons";

/// Train several methods under one budget, and put them side by side in a table and pictures
///
/// What is compared stands in a file (`gan-gpu compare --list`, `--show NAME`), or is given by --presets. Calling it again goes on where it
/// stopped: finished runs are not repeated, an interrupted one goes on from its checkpoint.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A built-in comparison or a TOML file; without one, --presets or the comparison that --out holds
    #[arg(value_name = "NAME|FILE")]
    name: Option<String>,
    /// Compare these presets, by name or as files like config.toml
    #[arg(
        long,
        value_name = "A,B,...",
        value_delimiter = ',',
        conflicts_with = "name",
        requires = "budget"
    )]
    presets: Vec<String>,
    /// How many seeds, or which: 0,1,5, or a single one as 5, with its comma [default: the file's; 3 with --presets]
    #[arg(long, value_name = "N|LIST", value_parser = seeds)]
    seeds: Option<Seeds>,
    /// Budget of every run, with its unit: 2000steps, 50kimg, 20epochs, 60s, 10m
    #[arg(long, value_name = "BUDGET")]
    budget: Option<String>,
    /// Train all of them on this data
    #[arg(long, value_name = "PATH|NAME")]
    data: Option<String>,
    /// Change a setting of every variant, or of one: method.batch=64, "PacGAN2:method.pack=3", method.ema=none; keys as in config.toml, may be repeated
    #[arg(long, value_name = "[VARIANT:]KEY=VALUE")]
    set: Vec<String>,
    /// Metrics of the table, with commas between; the file's, else all that apply
    #[arg(short, long, value_name = "NAME,...", value_delimiter = ',')]
    metrics: Vec<String>,
    /// Samples drawn from each run to be measured; by default the protocol's number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    samples: Option<u32>,
    /// Judge images by this classifier, as `gan-gpu classify train` writes it
    #[arg(long, value_name = "FILE")]
    classifier: Option<PathBuf>,
    /// The comparison's folder, new or holding an earlier part of it [default: comparisons/NAME]
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Train only these variants now; the table keeps all
    #[arg(long, value_name = "VARIANT,...", value_delimiter = ',')]
    only: Vec<String>,
    /// Runs at once, each in a process of its own
    #[arg(short, long, value_name = "J", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Make table and pictures from what is there, and train nothing
    #[arg(long)]
    report_only: bool,
    /// vulkan, metal, dx12, gl, cpu, an index, or a part of an adapter's name
    #[arg(long, value_name = "ADAPTER", env = ADAPTER_VARIABLE)]
    adapter: Option<String>,
    /// Print the complete plan as TOML, and stop
    #[arg(long)]
    dry_run: bool,
    /// Print the table as a JSON object, and no progress; with --list a list
    #[arg(long)]
    json: bool,
    /// List the built-in comparisons, and stop
    #[arg(long)]
    list: bool,
    /// Print a built-in comparison's file, with the comments that say where its settings come from, and stop
    #[arg(long)]
    show: bool,
    /// Train one run of the comparison in --out, as a child of this command
    #[arg(long, value_name = "FOLDER", hide = true, requires = "out")]
    run: Option<String>,
}

/// `3`, or `0,1,5`.
fn seeds(text: &str) -> Result<Seeds, String> {
    let refuse = |_| {
        format!(
            "`{text}` is neither a number of seeds nor a list like `0,1,5`, or `5,` for a single one"
        )
    };
    if !text.contains(',') {
        return Ok(Seeds::Count(text.parse().map_err(refuse)?));
    }
    // `5,` is a list of one.
    let text = text.strip_suffix(',').unwrap_or(text);
    let list: Result<Vec<u64>, _> = text.split(',').map(|s| s.trim().parse()).collect();
    Ok(Seeds::List(list.map_err(refuse)?))
}

pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    if args.list {
        list(args.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.show {
        let Some(name) = &args.name else {
            return Err(CliError::usage(
                "--show: say which comparison; --list names them",
            ));
        };
        match builtin::find(name) {
            Some(found) => print_line(found.text.trim_end())?,
            None => return Err(CliError::usage(builtin::unknown(name))),
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let (Some(run), Some(out)) = (&args.run, &args.out) {
        return child(&read_plan(out)?, out, run);
    }
    let (mut plan, out) = plan(args)?;
    if let Some(adapter) = &args.adapter {
        for variant in &mut plan.variant {
            variant.config.adapter = adapter.clone();
        }
    }
    check(&plan, &args.only)?;
    if args.dry_run {
        print_line(plan_text(&plan)?.trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    check_classifier(&plan)?;
    let mut code = ExitCode::SUCCESS;
    let mut worked = Ok(());
    if !args.report_only {
        std::fs::create_dir_all(&out).map_err(|source| CompareError::Io {
            path: out.clone(),
            source,
        })?;
        let (path, text) = (Comparison::path(&out), plan_text(&plan)?);
        write_atomic(&path, text.as_bytes()).map_err(|source| CompareError::Io { path, source })?;
        match train(args, &plan, &out) {
            Ok(true) => {}
            Ok(false) => code = ExitCode::from(EXIT_CODE),
            Err(error) => worked = Err(error),
        }
    }
    report(args, &plan, &out)?;
    worked.map(|()| code)
}

fn list(json: bool) -> Result<(), CliError> {
    let mut rows = vec![];
    for comparison in COMPARISONS {
        let file = ComparisonFile::from_toml(comparison.name, comparison.text)?;
        rows.push((comparison.name, file.title));
    }
    if json {
        let row =
            |(name, title): &(&str, String)| serde_json::json!({ "name": name, "title": title });
        return print_json(&rows.iter().map(row).collect::<Vec<_>>(), true);
    }
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, title) in rows {
        print_line(&format!("{name:width$}  {title}"))?;
    }
    Ok(())
}

/// The plan and its folder: from a name, from presets, or the one that the folder holds; under the flags.
fn plan(args: &Args) -> Result<(Comparison, PathBuf), CliError> {
    let changes = args.seeds.is_some()
        || args.budget.is_some()
        || args.data.is_some()
        || !args.set.is_empty();
    let (mut file, label) = match (&args.name, &args.presets[..]) {
        (Some(name), _) => {
            let file = match builtin::find(name) {
                Some(found) => ComparisonFile::from_toml(found.name, found.text)?,
                None if Path::new(name).is_file() => {
                    let text =
                        std::fs::read_to_string(name).map_err(|source| CompareError::Io {
                            path: name.into(),
                            source,
                        })?;
                    ComparisonFile::from_toml(name, &text)?
                }
                None => return Err(CliError::usage(builtin::unknown(name))),
            };
            let label = Path::new(name).file_stem().unwrap_or_default();
            (file, label.to_string_lossy().into_owned())
        }
        (None, []) => {
            let Some(out) = &args.out else {
                return Err(CliError::usage(
                    "nothing to compare: name a comparison (`gan-gpu compare --list`) or a file, give --presets A,B --budget 2000steps, or \
                     --out the folder of an earlier one",
                ));
            };
            if changes {
                return Err(CliError::usage(
                    "--seeds, --budget, --data and --set change a comparison that is named; the one in --out goes on as it is",
                ));
            }
            let mut plan = read_plan(out)?;
            measured_by(args, &mut plan);
            return Ok((plan, out.clone()));
        }
        (None, presets) => {
            let (seeds, budget) = (Seeds::Count(3), args.budget.as_deref());
            let file = ComparisonFile::of_presets(presets, seeds, budget.unwrap_or_default());
            let label = file.variant.iter().map(|v| v.name.as_str());
            let label = label.collect::<Vec<_>>().join("-");
            (file, label)
        }
    };
    if let Some(seeds) = &args.seeds {
        file.seeds = seeds.clone();
    }
    if let Some(budget) = &args.budget {
        file.budget = budget.clone();
    }
    if let Some(data) = &args.data {
        let quoted = serde_json::Value::from(data.as_str()).to_string();
        let setting = overlay::setting(&format!("data.source={quoted}"));
        file.set(None, &setting.map_err(CliError::usage)?)?;
    }
    for text in &args.set {
        let (variant, setting) = match text.split_once('=').map(|(key, _)| key.rsplit_once(':')) {
            Some(Some((variant, _))) => (Some(variant), &text[variant.len() + 1..]),
            _ => (None, text.as_str()),
        };
        let setting =
            overlay::setting(setting).map_err(|e| CliError::usage(format!("--set: {e}")))?;
        file.set(variant, &setting)?;
    }
    let mut plan = file.resolve()?;
    measured_by(args, &mut plan);
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| Path::new(COMPARISONS_FOLDER).join(label));
    Ok((plan, out))
}

fn measured_by(args: &Args, plan: &mut Comparison) {
    if !args.metrics.is_empty() {
        plan.metrics = args.metrics.clone();
    }
    if let Some(samples) = args.samples {
        plan.samples = Some(samples as usize);
    }
    if let Some(file) = &args.classifier {
        plan.classifier = Some(file.clone());
    }
}

fn plan_text(plan: &Comparison) -> Result<String, CliError> {
    toml::to_string(plan).map_err(|error| CliError::usage(format!("the plan: {error}")))
}

fn read_plan(out: &Path) -> Result<Comparison, CliError> {
    let path = Comparison::path(out);
    let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => CliError::usage(format!(
            "{} holds no comparison: there is no comparison.toml",
            out.display()
        )),
        _ => CompareError::Io {
            path: path.clone(),
            source: error,
        }
        .into(),
    })?;
    toml::from_str(&text).map_err(|error| {
        CompareError::Plan {
            file: path.display().to_string(),
            problem: error.to_string().trim_end().into(),
        }
        .into()
    })
}

/// What can be refused before anything is trained: names, and metrics that do not apply.
fn check(plan: &Comparison, only: &[String]) -> Result<(), CliError> {
    let names = plan.variant.iter().map(|v| v.name.as_str());
    for name in only {
        if !names.clone().any(|n| n == name) {
            return Err(CliError::usage(format!(
                "--only: {}",
                unknown_variant(name, names)
            )));
        }
    }
    // What a classifier can tell is known when it is opened.
    let unjudged = plan.classifier.is_none() && !plan.metrics.is_empty();
    for variant in plan.variant.iter().filter(|_| unjudged) {
        eval::select(&plan.metrics, &eval::target(&variant.config, None)?)?;
    }
    Ok(())
}

/// That what a plan names is there.
fn check_classifier(plan: &Comparison) -> Result<(), CliError> {
    match plan.classifier.as_ref().filter(|file| !file.is_file()) {
        Some(file) => Err(CliError::usage(format!(
            "--classifier: there is no file {}; `gan-gpu classify train` makes one",
            file.display()
        ))),
        None => Ok(()),
    }
}

/// `false` if it was interrupted.
fn train(args: &Args, plan: &Comparison, out: &Path) -> Result<bool, CliError> {
    let interrupt = listen_and_hold()?;
    let wanted = |run: &Planned| args.only.is_empty() || args.only.contains(&run.variant);
    let all: Vec<Planned> = plan.runs(out)?.into_iter().filter(wanted).collect();
    let mut open = vec![];
    for planned in &all {
        let record = Record::read(planned)?;
        let done = match record.map(|r| r.status) {
            Some(Status::Diverged { .. }) => true,
            Some(Status::Finished) => results::is_measured(plan, planned)?,
            _ => false,
        };
        if !done {
            open.push(planned.clone());
        }
    }
    let (count, done) = (all.len(), all.len() - open.len());
    let say = |text: String| {
        if !args.json {
            eprintln!("{text}");
        }
    };
    if done > 0 {
        say(format!("{done} of {count} runs are there already"));
    }
    let mut number_of = done;
    let mut told = |planned: &Planned, record: Option<&Record>| {
        number_of += 1;
        let what = match record {
            Some(record) => describe(planned, record),
            None => format!(
                "{}, seed {}: another process is at work on it; the table lacks it until it is made anew (--report-only)",
                planned.variant, planned.seed
            ),
        };
        say(format!("[{number_of}/{count}] {what}"));
    };
    if args.jobs == 1 {
        let json = args.json;
        let mut reporter = move || -> Box<dyn Reporter> {
            match json {
                true => Box::new(Silent),
                false => progress::for_person(LINE_INTERVAL),
            }
        };
        let clock = SystemClock::start();
        let watch = (
            &mut reporter as &mut dyn FnMut() -> Box<dyn Reporter>,
            &interrupt,
        );
        return with_engines(|engines| {
            Ok(work::one_by_one(
                plan, &open, engines, watch, &clock, &mut told,
            )?)
        });
    }
    let program = std::env::current_exe().map_err(|source| CompareError::Io {
        path: "the path of this program".into(),
        source,
    })?;
    let command = |planned: &Planned| {
        let mut command = std::process::Command::new(&program);
        command
            .args(["compare", "--run"])
            .args(planned.folder.file_name());
        command.arg("--out").arg(out);
        command
    };
    Ok(children::run(
        &open,
        args.jobs.into(),
        &command,
        &interrupt,
        &mut told,
    )?)
}

/// Between and beside its runs a comparison always has something to keep.
fn listen_and_hold() -> Result<Interrupt, CliError> {
    let interrupt = super::listen()?;
    interrupt.hold();
    Ok(interrupt)
}

fn with_engines<T>(work: impl FnOnce(&Engines) -> Result<T, CliError>) -> Result<T, CliError> {
    let cache = CacheFolder::of_user();
    work(&Engines {
        train: &|config| engine::open(config, &cache),
        sample: &|config| engine::open_sampler(config, &config.adapter, &cache),
        judge: &|config, file| Classifier::open(&config.adapter, file, &cache),
    })
}

/// One run, in a process of its own.
fn child(plan: &Comparison, out: &Path, run: &str) -> Result<ExitCode, CliError> {
    let interrupt = listen_and_hold()?;
    children::stop_with_parent(&interrupt);
    let runs = plan.runs(out)?;
    let name = Path::new(run).as_os_str();
    let Some(planned) = runs.iter().find(|p| p.folder.file_name() == Some(name)) else {
        return Err(CliError::usage(format!(
            "--run: the comparison in {} has no run {run}",
            out.display()
        )));
    };
    with_engines(|engines| {
        let around = Surroundings {
            reporter: &mut Silent,
            interrupt: &interrupt,
            clock: &SystemClock::start(),
        };
        let record = work::run(plan, planned, engines, around)?;
        Ok(ExitCode::from(children::exit_code(record.as_ref())))
    })
}

/// One run in a line.
fn describe(planned: &Planned, record: &Record) -> String {
    let what = match &record.status {
        Status::Finished => format!(
            "{} steps in {}: {}",
            record.steps,
            progress::short(Duration::from_secs_f64(record.seconds.max(0.0))),
            figures_of(planned).unwrap_or_else(|| "done".into())
        ),
        Status::Diverged { message, .. } => message.clone(),
        Status::Interrupted | Status::Started => {
            format!("stopped at step {}; call again to go on", record.steps)
        }
    };
    format!("{}, seed {}: {what}", planned.variant, planned.seed)
}

fn figures_of(planned: &Planned) -> Option<String> {
    let text = std::fs::read(results::evaluation_path(&planned.folder)).ok()?;
    let figures: Figures = serde_json::from_slice(&text).ok()?;
    let names = figures.metrics.keys();
    let values = names.filter_map(|name| Some(format!("{name} {}", number(figures.value(name)?))));
    Some(values.collect::<Vec<_>>().join(", "))
}

/// Table and pictures of what is there.
fn report(args: &Args, plan: &Comparison, out: &Path) -> Result<(), CliError> {
    let found = results::gather(plan, out)?;
    if found.iter().all(|run| run.record.is_none()) {
        return match args.report_only {
            true => Err(CliError::usage(format!(
                "{} holds no run of this comparison yet",
                out.display()
            ))),
            // Stopped before the first step.
            false => Ok(()),
        };
    }
    let table = Table::new(plan, &found);
    let mut written = table.write(out)?.to_vec();
    // The figures first: a damaged picture of samples costs the pictures alone.
    match args.json {
        true => print_json(&table, false)?,
        false => print_line(&table.markdown())?,
    }
    written.extend(picture::write(plan, &found, out)?);
    if !args.json {
        for path in written {
            eprintln!("{}", path.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parsed;

    fn planned(flags: &[&str]) -> Result<(Comparison, PathBuf), CliError> {
        plan(&parsed(flags.iter().copied()).unwrap())
    }

    #[test]
    fn presets_become_variants_under_the_flags() {
        let (plan, out) = planned(&[
            "--presets",
            "ring8,grid25",
            "--budget",
            "20steps",
            "--seeds",
            "4,2",
            "--data",
            "grid25-drs",
            "--set",
            "method.batch=32",
            "--set",
            "grid25:method.batch=16",
            "--metrics",
            "modes,hq",
        ])
        .unwrap();
        assert_eq!(out, Path::new("comparisons/ring8-grid25"));
        assert_eq!(
            (plan.seeds.as_slice(), plan.metrics.len()),
            (&[4, 2][..], 2)
        );
        let settings = plan.variant.iter().map(|v| {
            let c = &v.config;
            (c.data.source.as_str(), c.method.batch, c.budget.steps)
        });
        assert_eq!(
            settings.collect::<Vec<_>>(),
            [("grid25-drs", 32, Some(20)), ("grid25-drs", 16, Some(20))]
        );
    }

    #[test]
    fn bad_plans_are_refused_with_what_was_meant() {
        let presets = ["--presets", "ring8", "--budget", "20steps"];
        let with = |more: &[&str]| planned(&[&presets[..], more].concat());
        let message = |result: Result<(Comparison, PathBuf), CliError>| {
            let error = result.unwrap_err();
            assert_eq!(error.exit_code(), 2, "{error}");
            error.to_string()
        };
        for (result, part) in [
            (
                planned(&["penalties-rin"]),
                "did you mean `penalties-ring`?",
            ),
            (planned(&[]), "--presets A,B"),
            (planned(&["--out", "nowhere"]), "no comparison.toml"),
            (
                planned(&["--out", "x", "--budget", "5s"]),
                "goes on as it is",
            ),
            (with(&["--set", "method.batch"]), "key=value"),
            (with(&["--set", "method.batsh=3"]), "batsh"),
            (
                with(&["--set", "ring9:method.batch=3"]),
                "did you mean `ring8`?",
            ),
            (with(&["--set", "method.batch=0"]), "variant `ring8`"),
            (with(&["--data", "gauss1d"]), "gauss1d"),
        ] {
            let message = message(result);
            assert!(message.contains(part), "{part}: {message}");
        }
        let (plan, _) = with(&[]).unwrap();
        let refusal = check(&plan, &["ring".into()]).unwrap_err().to_string();
        assert!(refusal.contains("--only"), "{refusal}");
        let (plan, _) = with(&["--metrics", "w1"]).unwrap();
        assert!(check(&plan, &[]).is_err());
    }

    #[test]
    fn seeds_are_a_number_or_a_list() {
        assert_eq!(seeds("3"), Ok(Seeds::Count(3)));
        assert_eq!(seeds("0, 5"), Ok(Seeds::List(vec![0, 5])));
        assert_eq!(seeds("5,"), Ok(Seeds::List(vec![5])));
        assert!(
            ["a", "1,b", ",", "1,,"]
                .iter()
                .all(|text| seeds(text).is_err())
        );
    }
}
