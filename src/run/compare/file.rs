//! What a comparison is written in: presets, what is changed of them, seeds, a budget.
//!
//! ```toml
//! title = "Penalties on the ring"
//! preset = "ring8"          # of every variant that names none: a built-in preset or a TOML file like config.toml
//! seeds = 3                 # 0, 1, 2; or a list
//! budget = "2000steps"      # or 50kimg, 20epochs, 60s, 10m
//! metrics = ["modes", "hq"] # all that apply, if left out
//! [config]                  # laid over every preset, key by key
//! data.source = "ring8"
//! [[variant]]
//! name = "no penalty"
//! config.method.regularisers = []
//! published = { modes = 6.3 }
//! ```
use super::overlay::{lay, stack};
use super::{CompareError, Comparison, Variant, budget};
use crate::run::config::TrainConfig;
use crate::run::presets;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Table;

/// A comparison as it is written, before presets are looked up.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparisonFile {
    /// The file's name, for errors.
    #[serde(skip)]
    pub file: String,
    pub title: String,
    pub preset: Option<String>,
    pub seeds: Seeds,
    pub budget: String,
    #[serde(default)]
    pub metrics: Vec<String>,
    pub samples: Option<usize>,
    /// The file that images are judged by.
    pub classifier: Option<PathBuf>,
    #[serde(default)]
    pub config: Table,
    pub variant: Vec<VariantFile>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariantFile {
    pub name: String,
    pub preset: Option<String>,
    #[serde(default)]
    pub config: Table,
    #[serde(default)]
    pub published: BTreeMap<String, f64>,
}

/// So many from 0, or these.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a number of seeds or a list of them")]
pub enum Seeds {
    Count(u64),
    List(Vec<u64>),
}

/// More runs per variant than anyone waits for: a slip of the finger.
const MAX_SEEDS: u64 = 1000;

impl Seeds {
    fn list(&self) -> Result<Vec<u64>, String> {
        let seeds = match self {
            Seeds::Count(n) if *n > MAX_SEEDS => {
                return Err(format!("seeds = {n}; at most {MAX_SEEDS} are taken"));
            }
            Seeds::Count(n) => (0..*n).collect(),
            Seeds::List(list) => list.clone(),
        };
        if seeds.is_empty() {
            return Err("there is no seed; give at least one".into());
        }
        match seeds
            .iter()
            .enumerate()
            .find(|(i, s)| seeds[..*i].contains(s))
        {
            Some((_, seed)) => Err(format!("seed {seed} is there twice")),
            None => Ok(seeds),
        }
    }
}

impl ComparisonFile {
    /// # Errors
    /// With line and column of what is wrong.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, CompareError> {
        let read: Self = toml::from_str(text).map_err(|error| CompareError::Plan {
            file: file.into(),
            problem: error.to_string().trim_end().into(),
        })?;
        Ok(Self {
            file: file.into(),
            ..read
        })
    }

    /// A comparison of presets as they are.
    pub fn of_presets(names: &[String], seeds: Seeds, budget: &str) -> Self {
        let variant = |name: &String| VariantFile {
            name: variant_name(name),
            preset: Some(name.clone()),
            ..VariantFile::default()
        };
        Self {
            file: "--presets".into(),
            title: format!("{} under {budget}", names.join(", ")),
            preset: None,
            seeds,
            budget: budget.into(),
            metrics: vec![],
            samples: None,
            classifier: None,
            config: Table::new(),
            variant: names.iter().map(variant).collect(),
        }
    }

    /// Lays a setting over one variant, or over all of them.
    ///
    /// # Errors
    /// If there is no such variant.
    pub fn set(&mut self, variant: Option<&str>, setting: &Table) -> Result<(), CompareError> {
        let Some(name) = variant else {
            // Over what the variants say themselves, too: the command line has the last word.
            for variant in &mut self.variant {
                stack(&mut variant.config, setting);
            }
            return Ok(());
        };
        match self.variant.iter_mut().find(|v| v.name == name) {
            Some(variant) => {
                stack(&mut variant.config, setting);
                Ok(())
            }
            None => Err(self.unknown_variant(name)),
        }
    }

    fn unknown_variant(&self, name: &str) -> CompareError {
        CompareError::Usage(unknown_variant(
            name,
            self.variant.iter().map(|v| v.name.as_str()),
        ))
    }

    /// The complete plan: every preset looked up, laid over, completed and checked.
    ///
    /// # Errors
    /// Which variant is wrong, and how.
    pub fn resolve(&self) -> Result<Comparison, CompareError> {
        let plan_error = |problem: String| CompareError::Plan {
            file: self.file.clone(),
            problem,
        };
        let budget = budget::parse(&self.budget)
            .map_err(|problem| plan_error(format!("budget: {problem}")))?;
        let seeds = self.seeds.list().map_err(plan_error)?;
        if self.variant.is_empty() {
            return Err(plan_error(
                "there is no variant; give at least one [[variant]]".into(),
            ));
        }
        for (i, variant) in self.variant.iter().enumerate() {
            if variant.name.contains(',') {
                return Err(plan_error(format!(
                    "variant `{}`: a comma in a name; lists like --only A,B have commas between",
                    variant.name
                )));
            }
            if self.variant[..i].iter().any(|v| v.name == variant.name) {
                return Err(plan_error(format!(
                    "there are two variants `{}`; give each its own name",
                    variant.name
                )));
            }
        }
        let resolve = |variant: &VariantFile| -> Result<Variant, CompareError> {
            let of_variant = |problem: String| CompareError::Variant {
                variant: variant.name.clone(),
                problem,
            };
            let mut table = self.preset_of(variant).map_err(of_variant)?;
            for over in [&self.config, &variant.config] {
                if let Some(problem) = of_the_comparison(over) {
                    return Err(of_variant(problem));
                }
                lay(&mut table, over);
            }
            let text = toml::to_string(&table).map_err(|error| of_variant(error.to_string()))?;
            let mut config = TrainConfig::from_toml("the preset with its changes", &text)
                .map_err(|error| of_variant(error.to_string()))?;
            config.budget = budget.clone();
            config.report.keep = 1;
            let config = config
                .resolve()
                .map_err(|error| of_variant(error.to_string()))?;
            Ok(Variant {
                name: variant.name.clone(),
                published: variant.published.clone(),
                config,
            })
        };
        Ok(Comparison {
            title: self.title.clone(),
            seeds,
            budget: self.budget.clone(),
            metrics: self.metrics.clone(),
            samples: self.samples,
            classifier: self.classifier.clone(),
            variant: self.variant.iter().map(resolve).collect::<Result<_, _>>()?,
        })
    }

    fn preset_of(&self, variant: &VariantFile) -> Result<Table, String> {
        let Some(name) = variant.preset.as_ref().or(self.preset.as_ref()) else {
            return Err("it names no preset, and there is none for all".into());
        };
        let text = presets::text_of(name)?;
        toml::from_str(&text).map_err(|error| format!("{name}: {}", error.to_string().trim_end()))
    }
}

/// What is the comparison's own to say, not a setting's: one budget and the seeds of all, and a single checkpoint of each.
fn of_the_comparison(over: &Table) -> Option<String> {
    let budget = over
        .get("budget")
        .map(|_| ("budget", "--budget, or `budget` in the file"));
    let seed = over
        .get("seed")
        .map(|_| ("seed", "--seeds, or `seeds` in the file"));
    let keep = over.get("report").and_then(|report| report.get("keep"));
    let keep = keep.map(|_| {
        (
            "report.keep",
            "nothing: a comparison keeps each run's last checkpoint",
        )
    });
    let (key, instead) = budget.or(seed).or(keep)?;
    Some(format!(
        "{key} is no setting of a variant: it is the same for all; what says it is {instead}"
    ))
}

/// A preset's name, or that of its file without folder and extension.
fn variant_name(preset: &str) -> String {
    match Path::new(preset).file_stem() {
        Some(stem) if preset.ends_with(".toml") => stem.to_string_lossy().into_owned(),
        _ => preset.into(),
    }
}

/// The message for a name that no variant has.
pub fn unknown_variant<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let near = crate::run::suggest::suggestion(name, known.clone());
    let all: Vec<_> = known.collect();
    format!(
        "no variant is named `{name}`{near}; there are {}",
        all.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::overlay::setting;
    use super::*;

    const FILE: &str = r#"
        title = "a title"
        preset = "ring8"
        seeds = 2
        budget = "30steps"
        [config]
        method.batch = 64
        [[variant]]
        name = "plain"
        config.method.regularisers = []
        published = { modes = 6.3 }
        [[variant]]
        name = "other"
        preset = "grid25"
        config.method.optimiser.d = { name = "sgd", lr = 0.1 }
    "#;

    fn error(text: &str) -> String {
        match ComparisonFile::from_toml("x.toml", text).and_then(|file| file.resolve()) {
            Err(error) => error.to_string(),
            Ok(plan) => panic!("{plan:?}"),
        }
    }

    #[test]
    fn presets_are_laid_over_in_order() {
        let plan = ComparisonFile::from_toml("x.toml", FILE).unwrap();
        let plan = plan.resolve().unwrap();
        assert_eq!(
            (plan.seeds.as_slice(), plan.variant.len()),
            (&[0, 1][..], 2)
        );
        let [plain, other] = [0, 1].map(|i| &plan.variant[i].config);
        assert_eq!((plain.method.batch, other.method.batch), (64, 64));
        assert!(plain.method.regularisers.is_empty());
        assert_eq!(other.method.regularisers.len(), 2);
        assert_eq!(other.data.source, "grid25");
        assert_eq!(other.method.optimiser.d.name(), "sgd");
        assert_eq!(
            (plain.budget.steps, other.budget.steps),
            (Some(30), Some(30))
        );
        assert_eq!(plan.variant[0].published["modes"], 6.3);
    }

    #[test]
    fn the_command_line_has_the_last_word() {
        let mut plan = ComparisonFile::from_toml("x.toml", FILE).unwrap();
        plan.set(None, &setting("method.batch=8").unwrap()).unwrap();
        plan.set(Some("other"), &setting("method.batch=9").unwrap())
            .unwrap();
        let message = plan
            .set(Some("othr"), &Table::new())
            .unwrap_err()
            .to_string();
        assert!(message.contains("did you mean `other`?"), "{message}");
        let plan = plan.resolve().unwrap();
        let batches = plan.variant.iter().map(|v| v.config.method.batch);
        assert_eq!(batches.collect::<Vec<_>>(), [8, 9]);
    }

    #[test]
    fn none_takes_away_what_a_preset_says() {
        let mut plan = ComparisonFile::from_toml("x.toml", FILE).unwrap();
        plan.set(Some("other"), &setting("method.ema=none").unwrap())
            .unwrap();
        let plan = plan.resolve().unwrap();
        let emas = plan.variant.iter().map(|v| v.config.method.ema.is_some());
        assert_eq!(emas.collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn what_all_have_in_common_is_no_setting_of_a_variant() {
        for (set, flag) in [
            ("seed=5", "--seeds"),
            ("budget.steps=100", "--budget"),
            ("report.keep=5", "last checkpoint"),
        ] {
            let mut plan = ComparisonFile::from_toml("x.toml", FILE).unwrap();
            plan.set(None, &setting(set).unwrap()).unwrap();
            let message = plan.resolve().unwrap_err().to_string();
            assert!(message.contains(flag), "{message}");
        }
    }

    #[test]
    fn presets_may_be_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        let text = crate::run::presets::preset("ring8").unwrap().text;
        std::fs::write(&path, text.replace("batch = 512", "batch = 5")).unwrap();
        let names = [path.to_str().unwrap().to_string(), "ring8".into()];
        let plan = ComparisonFile::of_presets(&names, Seeds::Count(1), "1steps");
        let plan = plan.resolve().unwrap();
        let names: Vec<_> = plan.variant.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names, ["mine", "ring8"]);
        assert_eq!(plan.variant[0].config.method.batch, 5);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let changed = |from: &str, to: &str| error(&FILE.replace(from, to));
        for (message, part) in [
            (changed("seeds = 2", "sedes = 2"), "line 4"),
            (changed("seeds = 2", "seeds = 0"), "no seed"),
            (
                changed("seeds = 2", "seeds = [3, 3]"),
                "seed 3 is there twice",
            ),
            (changed("30steps", "30"), "like 2000steps"),
            (changed("\"other\"", "\"plain\""), "two variants `plain`"),
            (changed("\"other\"", "\"a, b\""), "a comma in a name"),
            (
                changed("\"grid25\"", "\"grid52\""),
                "did you mean `grid25`?",
            ),
            (
                changed("lr = 0.1", "lr = 0.1, beta1 = 0.5"),
                "variant `other`",
            ),
            (
                changed("regularisers = []", "regularizers = []"),
                "variant `plain`",
            ),
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}
