//! From the operations of a program to one variant for each: recorded, remembered, measured, or by rule.
use super::{Entry, NamedChoices, TuneStore, key};
use crate::gpu::{AdapterClass, CacheFolder, Gpu};
use crate::graph::plan::{Contraction, Target};
use crate::kernels::gemm::bench::BenchError;
use crate::kernels::gemm::compare::{Time, Timed, compare, fastest, fingerprint};
use crate::kernels::gemm::{Choices, Variant};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How much may be measured now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// What is not known yet, where that is quick: on GPUs, for a few seconds in all. On software adapters nothing: the rules were made
    /// by measuring there, and to measure anew takes 4 to 13 s for a model of `bench step` (lavapipe 25.0.7, warm), for a gain within
    /// the noise of a shared machine.
    FirstUse,
    /// Everything that is not known yet, or with `force` everything, for so long per operation (compiling not counted).
    Ahead { force: bool, each: Duration },
}

/// When the measuring of a first use ends, in all: after about five seconds. The clock is looked at between the variants of an operation,
/// before they are compiled and before each is executed. What is under way then ends later: one variant's executions, or the compilation of
/// some that, judged by the rule's choice, would have been ready in time. The rule's choice for an operation that was begun is measured in
/// any case.
const FIRST_USE: Duration = Duration::from_secs(5);
/// Of one operation at first use.
const FIRST_USE_EACH: Duration = Duration::from_millis(50);

/// One operation and what is known about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    pub operation: String,
    pub choice: String,
    pub by_rule: String,
    /// Whether it was measured just now.
    pub measured: bool,
    /// Median milliseconds by variant; empty if nobody measured.
    pub ms: BTreeMap<String, f64>,
}

/// What is chosen for a program.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    pub choices: Choices,
    /// The same by name. Those that follow the rule too: on CPUs it depends on the number of cores, and a run that is resumed with another
    /// number, or by a version with other rules, is to be the same run.
    pub named: NamedChoices,
    /// One per distinct operation, in order of first use.
    pub rows: Vec<Row>,
    /// Whether what was measured is on disk.
    pub kept: bool,
}

impl Decision {
    /// Chosen before, in another process; by rule, and from now on recorded, where nothing was. What this version does not know follows its
    /// rule, and the log says so.
    pub fn recorded(target: &Target, contractions: &[Contraction], named: &NamedChoices) -> Self {
        let mut decision = Self {
            // As it was written: another machine that resumes the run may know the rest.
            named: named.clone(),
            ..Self::default()
        };
        let mut unknown = Vec::new();
        for c in contractions {
            let key = key(c);
            let chosen = match named.get(&key) {
                Some(name) => match variant(target, c, name) {
                    Some(variant) => variant,
                    None => {
                        unknown.push(format!("`{name}` of {key}"));
                        continue;
                    }
                },
                None => c.variant,
            };
            decision.choices.insert(c.op, c.formats, chosen);
            decision
                .named
                .entry(key)
                .or_insert_with(|| chosen.to_string());
        }
        if let Some(first) = unknown.first() {
            log::warn!(
                "{} of the variants that the run recorded are none here, the first {first}; \
                 their rules decide, and low bits of results may differ from the run so far",
                unknown.len()
            );
        }
        decision
    }
}

fn variant(target: &Target, c: &Contraction, name: &str) -> Option<Variant> {
    Variant::named(name, &target.caps, target.form, &c.op, c.formats)
}

/// Decides for each of the `contractions`, which are by rule, and keeps what it measures in the cache folder, operation by operation.
/// `tell` hears of each row once it stands.
///
/// # Errors
/// Those of the device, and of operations that no variant computes.
pub fn decide(
    gpu: &Gpu,
    target: &Target,
    contractions: &[Contraction],
    folder: &CacheFolder,
    policy: Policy,
    mut tell: impl FnMut(&Row),
) -> Result<Decision, BenchError> {
    let report = gpu.report();
    let mut store = TuneStore::open(folder, &report.cache_key());
    let mut decision = Decision::default();
    let started = Instant::now();
    for c in contractions {
        let Target { caps, form, .. } = target;
        let candidates = Variant::candidates(caps, *form, &c.op, c.formats)?;
        let kernels = fingerprint(caps, &c.op, c.formats, &candidates);
        let Some(&by_rule) = candidates.first() else {
            continue;
        };
        let key = key(c);
        let known = store.get(&key, &kernels).cloned();
        let time = match policy {
            Policy::Ahead { force, each } => {
                let whole = known.as_ref().is_some_and(|entry| !entry.partial);
                let time = Time {
                    budget: each,
                    until: None,
                };
                (force || !whole).then_some(time)
            }
            Policy::FirstUse => {
                let quick = report.caps.class != AdapterClass::Software
                    && folder.path_of("").is_some()
                    && started.elapsed() < FIRST_USE;
                let time = Time {
                    budget: FIRST_USE_EACH,
                    until: Some(started + FIRST_USE),
                };
                (quick && known.is_none()).then_some(time)
            }
        };
        // With nothing to choose from, nothing is worth a measurement either.
        let time = time.filter(|_| candidates.len() > 1);
        let (entry, measured) = match time {
            Some(time) => {
                let unknown = Entry {
                    kernels: kernels.clone(),
                    choice: by_rule.to_string(),
                    ms: BTreeMap::new(),
                    partial: true,
                };
                // Should a kernel take this process with it, the next one does without.
                store.insert(
                    key.clone(),
                    Entry {
                        partial: true,
                        ..known.unwrap_or(unknown)
                    },
                );
                store.save();
                let compared = compare(gpu, &c.op, c.formats, &candidates, time)?;
                let entry = Entry {
                    kernels,
                    choice: fastest(&compared.timed).unwrap_or(by_rule).to_string(),
                    ms: milliseconds(&compared.timed),
                    partial: !compared.complete,
                };
                store.insert(key.clone(), entry.clone());
                store.save();
                (Some(entry), true)
            }
            None => (known, false),
        };
        let chosen = entry.as_ref().and_then(|e| variant(target, c, &e.choice));
        let chosen = chosen.unwrap_or(by_rule);
        decision.choices.insert(c.op, c.formats, chosen);
        decision.named.insert(key.clone(), chosen.to_string());
        let row = Row {
            operation: key,
            choice: chosen.to_string(),
            by_rule: by_rule.to_string(),
            measured,
            ms: entry.map(|e| e.ms).unwrap_or_default(),
        };
        tell(&row);
        decision.rows.push(row);
    }
    decision.kept = store.save();
    Ok(decision)
}

fn milliseconds(timed: &[Timed]) -> BTreeMap<String, f64> {
    let finite = timed.iter().filter(|t| t.ms.is_finite());
    // Four digits behind the point: a tenth of a microsecond.
    let rounded = |ms: f64| (ms * 1e4).round() / 1e4;
    finite
        .map(|t| (t.variant.to_string(), rounded(t.ms)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Caps;
    use crate::gpu::testing::gpu;
    use crate::kernels::gemm::{GemmOp, Scheme};
    use crate::kernels::{Form, Scalar};

    /// A product with more than one variant in this form, and one of its own rule.
    fn contraction(target: &Target) -> Contraction {
        let op = GemmOp::Matmul {
            m: 8,
            n: 36,
            k: 1024,
            batch: 1,
            trans_a: false,
            trans_b: false,
        };
        let formats = [Scalar::F32; 3];
        let variant = Variant::by_rule(&target.caps, target.form, &op, formats).unwrap();
        Contraction {
            op,
            formats,
            variant,
        }
    }

    #[test]
    fn measured_once_and_remembered() {
        let gpu = gpu();
        let target = Target::with_form(gpu.caps(), Form::Gpu);
        let all = [contraction(&target)];
        let folder = tempfile::tempdir().unwrap();
        let folder = CacheFolder::at(folder.path());
        let each = Duration::ZERO;
        let ask = |force| {
            let policy = Policy::Ahead { force, each };
            decide(&gpu, &target, &all, &folder, policy, |_| ()).unwrap()
        };
        let first = ask(false);
        let [row] = &first.rows[..] else {
            panic!("{first:?}")
        };
        assert!(row.measured && row.ms.len() > 1 && row.ms.contains_key(&row.choice));
        assert_eq!(first.named, [(key(&all[0]), row.choice.clone())].into());
        let again = ask(false);
        assert!(!again.rows[0].measured);
        assert_eq!(again.choices, first.choices);
        assert_eq!(again.rows[0].ms, row.ms);
        assert!(ask(true).rows[0].measured);

        // A remembered choice that is not the rule's is used, and named for the run's configuration.
        let mut store = TuneStore::open(&folder, &gpu.report().cache_key());
        let key = key(&all[0]);
        let other = row.ms.keys().find(|name| **name != row.by_rule).unwrap();
        let file = folder.read(&format!("tune-{}.json", gpu.report().cache_key()));
        let file: serde_json::Value = serde_json::from_slice(&file.unwrap()).unwrap();
        let kernels = file["operations"][&key]["kernels"].as_str().unwrap();
        let entry = Entry {
            kernels: kernels.into(),
            choice: other.clone(),
            ms: row.ms.clone(),
            partial: false,
        };
        store.insert(key.clone(), entry.clone());
        assert!(store.save());
        let chosen = ask(false);
        assert_eq!(chosen.named, [(key.clone(), other.clone())].into());
        let variant = |d: &Decision| {
            let c = &all[0];
            d.choices
                .get(&target.caps, target.form, &c.op, c.formats)
                .unwrap()
        };
        assert_eq!(variant(&chosen).to_string(), *other);

        // A run that recorded it goes on with it, whatever the cache says; one that recorded nothing follows the rules, and says which.
        let recorded = Decision::recorded(&target, &all, &chosen.named);
        assert_eq!(recorded.choices, chosen.choices);
        assert_eq!(recorded.named, chosen.named);
        let none = Decision::recorded(&target, &all, &NamedChoices::new());
        assert_eq!(variant(&none), all[0].variant);
        assert_eq!(none.named, [(key.clone(), row.by_rule.clone())].into());

        // What was cut short is used by runs and measured again by `tune`.
        let partial = Entry {
            partial: true,
            ..entry
        };
        store.insert(key.clone(), partial);
        assert!(store.save());
        let run = decide(&gpu, &target, &all, &folder, Policy::FirstUse, |_| ()).unwrap();
        assert!(!run.rows[0].measured);
        assert_eq!(run.named, [(key, other.clone())].into());
        assert!(ask(false).rows[0].measured);
        assert!(!ask(false).rows[0].measured);
    }

    /// What another number of cores made the rule of that machine choose.
    #[test]
    fn recorded_parts_are_kept_on_any_number_of_cores() {
        let caps = Caps::baseline(AdapterClass::Software);
        let target = Target::with_form(&caps, Form::Cpu);
        let all = [contraction(&target)];
        let c = &all[0];
        for parts in [2, 8, 32] {
            let elsewhere = Variant {
                scheme: Scheme::SplitK(parts),
                ..c.variant
            };
            let named: NamedChoices = [(key(c), elsewhere.to_string())].into();
            let recorded = Decision::recorded(&target, &all, &named);
            let chosen = recorded.choices.get(&caps, Form::Cpu, &c.op, c.formats);
            assert_eq!(chosen.unwrap(), elsewhere);
            assert_eq!(recorded.named, named);
        }
        // A name of another version is kept for it, and the rule decides.
        let named: NamedChoices = [(key(c), "cpu-k7".to_string())].into();
        let recorded = Decision::recorded(&target, &all, &named);
        let chosen = recorded.choices.get(&caps, Form::Cpu, &c.op, c.formats);
        assert_eq!(chosen.unwrap(), c.variant);
        assert_eq!(recorded.named, named);
    }

    #[test]
    fn first_use_measures_on_gpus_only_and_only_what_can_be_kept() {
        let gpu = gpu();
        let target = Target::of(gpu.caps());
        let all = [contraction(&target)];
        let folder = tempfile::tempdir().unwrap();
        let ask = |folder: &CacheFolder| {
            decide(&gpu, &target, &all, folder, Policy::FirstUse, |_| ()).unwrap()
        };
        let quick = gpu.caps().class != AdapterClass::Software;
        assert_eq!(ask(&CacheFolder::at(folder.path())).rows[0].measured, quick);
        assert!(!ask(&CacheFolder::default()).rows[0].measured);
    }
}
