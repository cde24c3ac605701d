//! Comparisons that come with the program: `assets/compare/*.toml`, one table of a paper each.
use crate::run::suggest::suggestion;

/// A comparison file under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builtin {
    pub name: &'static str,
    pub text: &'static str,
}

macro_rules! comparisons {
    ($($name:literal)*) => {
        &[$(Builtin { name: $name, text: include_str!(concat!("../../../assets/compare/", $name, ".toml")) }),*]
    };
}

/// Every built-in comparison, in the order in which they are listed.
pub const COMPARISONS: &[Builtin] = comparisons! {
    "penalties-ring" "unrolled-ring" "pacgan-ring" "pacgan-grid" "cures-grid25" "stacked-mnist"
};

/// The built-in comparison of that name.
pub fn find(name: &str) -> Option<&'static Builtin> {
    COMPARISONS.iter().find(|c| c.name == name)
}

/// The message for a name that is neither a built-in comparison nor a file.
pub fn unknown(name: &str) -> String {
    let names = || COMPARISONS.iter().map(|c| c.name);
    format!(
        "no comparison is named `{name}`{}, and there is no such file; there are {}",
        suggestion(name, names()),
        names().collect::<Vec<_>>().join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::file::ComparisonFile;
    use super::*;

    #[test]
    fn every_comparison_resolves_and_says_what_it_is() {
        for builtin in COMPARISONS {
            let file = ComparisonFile::from_toml(builtin.name, builtin.text)
                .unwrap_or_else(|error| panic!("{error}"));
            let plan = file.resolve().unwrap_or_else(|error| panic!("{error}"));
            assert!(plan.variant.len() >= 2, "{}", builtin.name);
            assert!(plan.title.len() > 10, "{}", builtin.name);
            // What it is measured by applies to what it learns.
            for variant in &plan.variant {
                let judged = plan.classifier.as_ref().map(|_| 10);
                let target = crate::run::eval::target(&variant.config, judged).unwrap();
                crate::run::eval::select(&plan.metrics, &target)
                    .unwrap_or_else(|error| panic!("{}: {error}", builtin.name));
                for metric in variant.published.keys() {
                    assert!(
                        plan.metrics.contains(metric),
                        "{} {}: a published {metric} that is not measured",
                        builtin.name,
                        variant.name
                    );
                }
            }
            assert!(
                builtin.text.starts_with("# "),
                "{} says in a comment where its settings come from",
                builtin.name
            );
        }
    }

    #[test]
    fn every_file_is_in_the_table() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/compare");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut table: Vec<_> = COMPARISONS
            .iter()
            .map(|c| format!("{}.toml", c.name))
            .collect();
        files.sort();
        table.sort();
        assert_eq!(files, table);
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        let message = unknown("penalty-ring");
        assert!(
            message.contains("did you mean `penalties-ring`?"),
            "{message}"
        );
    }
}
