//! Which of the adapters a run uses: what `--adapter` means.
use super::adapter::{AdapterClass, AdapterReport, GpuBackend};
use super::error::GpuError;
use std::fmt;
use std::str::FromStr;

/// The environment variable that says it where `--adapter` does not.
pub const ADAPTER_VARIABLE: &str = "GAN_GPU_ADAPTER";

/// Which adapter a run shall use: what `--adapter` and `GAN_GPU_ADAPTER` take.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AdapterChoice {
    /// Discrete, then integrated, virtual, unknown, software; GL only where no other API reaches the same class.
    #[default]
    Auto,
    Backend(GpuBackend),
    /// A software adapter.
    Cpu,
    /// As listed by [`list_adapters`].
    Index(usize),
    /// A part of the adapter's name or driver, in any case.
    Name(String),
}

impl FromStr for AdapterChoice {
    type Err = std::convert::Infallible;

    /// Never fails: what is no known word and no number is part of a name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        Ok(match text.to_ascii_lowercase().as_str() {
            "" | "auto" => Self::Auto,
            "vulkan" | "vk" => Self::Backend(GpuBackend::Vulkan),
            "metal" | "mtl" => Self::Backend(GpuBackend::Metal),
            "dx12" | "d3d12" => Self::Backend(GpuBackend::Dx12),
            "gl" | "opengl" | "gles" => Self::Backend(GpuBackend::Gl),
            "cpu" | "software" => Self::Cpu,
            _ => match text.parse() {
                Ok(index) => Self::Index(index),
                Err(_) => Self::Name(text.to_string()),
            },
        })
    }
}

impl fmt::Display for AdapterChoice {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Backend(backend) => backend.fmt(f),
            Self::Cpu => f.write_str("cpu"),
            Self::Index(index) => index.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl AdapterChoice {
    fn matches(&self, report: &AdapterReport) -> bool {
        match self {
            Self::Auto => true,
            Self::Backend(backend) => report.backend == *backend,
            Self::Cpu => report.caps.class == AdapterClass::Software,
            Self::Index(index) => report.index == *index,
            Self::Name(part) => {
                let part = part.to_lowercase();
                report.name.to_lowercase().contains(&part)
                    || report.driver.to_lowercase().contains(&part)
            }
        }
    }
}

/// The adapter that `choice` means among `reports`: the best usable one that matches.
///
/// # Errors
/// [`GpuError::AdapterUnusable`] if only unusable ones match a choice other than `Auto`, [`GpuError::NoAdapter`] if none does.
pub fn select<'a>(
    choice: &AdapterChoice,
    reports: &'a [AdapterReport],
) -> Result<&'a AdapterReport, GpuError> {
    let matching = || reports.iter().filter(|report| choice.matches(report));
    if let Some(best) = matching()
        .filter(|r| r.unusable.is_none())
        .min_by_key(|r| preference(r))
    {
        return Ok(best);
    }
    match matching().find_map(|r| r.unusable.as_ref().map(|reason| (r, reason))) {
        Some((report, reason)) if *choice != AdapterChoice::Auto => {
            Err(GpuError::AdapterUnusable {
                adapter: report.name.clone(),
                reason: reason.clone(),
            })
        }
        _ => Err(GpuError::NoAdapter {
            wanted: choice.to_string(),
            available: reports.iter().map(AdapterReport::summary).collect(),
        }),
    }
}

/// Whether `report`, the best of the adapters beside GL's, is what `choice` means whatever GL's are.
pub(super) fn settled(choice: &AdapterChoice, report: &AdapterReport) -> bool {
    match choice {
        AdapterChoice::Backend(_) | AdapterChoice::Cpu => true,
        AdapterChoice::Auto | AdapterChoice::Name(_) => report.caps.class == AdapterClass::Discrete,
        // Of the list with GL's in it.
        AdapterChoice::Index(_) => false,
    }
}

/// Smaller is better.
pub(super) fn preference(report: &AdapterReport) -> (bool, AdapterClass, bool) {
    (
        report.unusable.is_some(),
        report.caps.class,
        report.backend == GpuBackend::Gl,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{AdapterClass, Caps};

    fn fake(index: usize, name: &str, backend: GpuBackend, class: AdapterClass) -> AdapterReport {
        AdapterReport {
            index,
            name: name.into(),
            ids: [0; 2],
            backend,
            driver: format!("{name} driver 1.0"),
            caps: Caps::baseline(class),
            unusable: None,
        }
    }

    /// A laptop with everything, worst first.
    fn laptop() -> Vec<AdapterReport> {
        use AdapterClass::*;
        use GpuBackend::*;
        vec![
            fake(0, "llvmpipe", Gl, Software),
            fake(1, "llvmpipe", Vulkan, Software),
            fake(2, "NVIDIA GeForce", Gl, Other),
            fake(3, "Venus", Vulkan, Virtual),
            fake(4, "Intel Iris", Gl, Integrated),
            fake(5, "Intel Iris", Vulkan, Integrated),
            fake(6, "NVIDIA GeForce", Vulkan, Discrete),
        ]
    }

    #[test]
    fn adapters_of_gl_are_not_looked_at_where_none_could_be_chosen() {
        let reports = laptop();
        for text in ["auto", "vulkan", "cpu", "0", "nvidia", "iris", "llvm"] {
            let Ok(choice) = text.parse::<AdapterChoice>();
            let primary: Vec<_> = reports
                .iter()
                .filter(|r| r.backend != GpuBackend::Gl)
                .cloned()
                .collect();
            let Ok(best) = select(&choice, &primary) else {
                continue;
            };
            let all = select(&choice, &reports).unwrap();
            if settled(&choice, best) {
                assert_eq!(best.index, all.index, "{text}");
            }
            assert_eq!(
                settled(&choice, best),
                !["0", "iris", "llvm"].contains(&text),
                "{text}"
            );
        }
    }

    fn chosen(text: &str, reports: &[AdapterReport]) -> usize {
        let Ok(choice) = text.parse();
        select(&choice, reports).unwrap().index
    }

    #[test]
    fn choices_parse_as_documented_and_print_as_typed() {
        let parse = |text: &str| -> AdapterChoice {
            let Ok(choice) = text.parse();
            choice
        };
        assert_eq!(parse(""), AdapterChoice::Auto);
        assert_eq!(parse("auto"), AdapterChoice::Auto);
        assert_eq!(parse("Vulkan"), AdapterChoice::Backend(GpuBackend::Vulkan));
        assert_eq!(parse("metal"), AdapterChoice::Backend(GpuBackend::Metal));
        assert_eq!(parse("DX12"), AdapterChoice::Backend(GpuBackend::Dx12));
        assert_eq!(parse("gl"), AdapterChoice::Backend(GpuBackend::Gl));
        assert_eq!(parse("cpu"), AdapterChoice::Cpu);
        assert_eq!(parse(" 2 "), AdapterChoice::Index(2));
        assert_eq!(parse("RTX 4090"), AdapterChoice::Name("RTX 4090".into()));
        assert_eq!(parse("-1"), AdapterChoice::Name("-1".into()));
        for text in ["auto", "vulkan", "metal", "dx12", "gl", "cpu", "3", "Iris"] {
            assert_eq!(parse(text).to_string(), text);
        }
    }

    #[test]
    fn auto_prefers_the_fastest_class_and_gl_last_within_it() {
        let mut reports = laptop();
        let mut order = Vec::new();
        while !reports.is_empty() {
            let next = chosen("auto", &reports);
            order.push(next);
            reports.retain(|report| report.index != next);
        }
        assert_eq!(order, [6, 5, 4, 3, 2, 1, 0]);
    }

    #[test]
    fn choices_pick_the_best_match() {
        let reports = laptop();
        assert_eq!(chosen("gl", &reports), 4);
        assert_eq!(chosen("cpu", &reports), 1);
        assert_eq!(chosen("3", &reports), 3);
        assert_eq!(chosen("geforce", &reports), 6);
        assert_eq!(chosen("IRIS DRIVER", &reports), 5);
    }

    #[test]
    fn unusable_adapters_are_passed_over_or_explained() {
        let mut reports = laptop();
        reports[6].unusable = Some("it has no immediates".into());
        assert_eq!(chosen("auto", &reports), 5);
        assert_eq!(chosen("geforce", &reports), 2);
        let error = select(&AdapterChoice::Index(6), &reports).unwrap_err();
        assert!(
            matches!(&error, GpuError::AdapterUnusable { adapter, .. } if adapter == "NVIDIA GeForce"),
            "{error}"
        );
    }

    #[test]
    fn no_match_lists_what_there_is_and_none_at_all_says_what_to_install() {
        let reports = laptop();
        for text in ["7", "metal", "Radeon"] {
            let Ok(choice) = text.parse();
            let error = select(&choice, &reports).unwrap_err();
            assert!(
                matches!(&error, GpuError::NoAdapter { wanted, .. } if wanted == text),
                "{error}"
            );
            assert!(
                error
                    .to_string()
                    .contains("[6] NVIDIA GeForce (vulkan, discrete)"),
                "{error}"
            );
        }
        let error = select(&AdapterChoice::Auto, &[]).unwrap_err();
        assert!(error.to_string().contains("mesa-vulkan-drivers"), "{error}");
    }
}
