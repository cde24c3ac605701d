//! Presets: whole configurations under a name (`assets/presets/*.toml`), each saying where its settings come from.
use super::config::{ConfigError, TrainConfig};
use super::suggest::suggestion;
use std::borrow::Cow;
use std::path::Path;

/// A configuration that comes with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    pub name: &'static str,
    /// The file: comments, then TOML as in `config.toml`.
    pub text: &'static str,
}

macro_rules! presets {
    ($($name:literal)*) => {
        &[$(Preset { name: $name, text: include_str!(concat!("../../assets/presets/", $name, ".toml")) }),*]
    };
}

/// Every preset, in the order in which they are listed.
pub const PRESETS: &[Preset] = presets! {
    "glyphs" "mnist-mlp" "mnist-dcgan" "mnist-wgan-gp" "ring8" "grid25" "gauss1d" "cifar10-dcgan" "images-dcgan64" "images-tiny" "stacked-mnist"
    "unrolled-ring8" "pacgan-ring8" "pacgan-grid25" "relativistic-grid25" "dragan-grid25"
    "madgan-grid25" "mrgan-ring8" "veegan-ring8" "minibatch-ring8" "ebgan-ring8"
    "cgan-mnist" "projection-mnist" "acgan-mnist" "infogan-mnist" "spectral-mnist"
};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no preset is named `{name}`{}; there are {}", suggestion(name, names()), names().collect::<Vec<_>>().join(", "))]
pub struct UnknownPreset {
    pub name: String,
}

fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|preset| preset.name)
}

/// The preset of that name.
pub fn preset(name: &str) -> Result<&'static Preset, UnknownPreset> {
    PRESETS
        .iter()
        .find(|preset| preset.name == name)
        .ok_or_else(|| UnknownPreset { name: name.into() })
}

/// The text of a preset: of that built-in name, or of that file.
///
/// # Errors
/// If there is neither, or the file cannot be read.
pub fn text_of(name: &str) -> Result<Cow<'static, str>, String> {
    match preset(name) {
        Ok(preset) => Ok(preset.text.into()),
        Err(_) if Path::new(name).is_file() => std::fs::read_to_string(name)
            .map(Cow::from)
            .map_err(|error| format!("{name}: {error}")),
        Err(error) => Err(format!("{error}; and there is no such file")),
    }
}

impl Preset {
    /// The first line of its comment.
    pub fn title(&self) -> &'static str {
        self.text
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches(['#', ' '])
    }

    /// The configuration as the file has it: the model by name only.
    pub fn unresolved(&self) -> Result<TrainConfig, ConfigError> {
        TrainConfig::from_toml(&format!("preset {}", self.name), self.text)
    }

    /// The complete, checked configuration.
    pub fn config(&self) -> Result<TrainConfig, ConfigError> {
        self.unresolved()?.resolve()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_complete_and_says_where_it_comes_from() {
        for preset in PRESETS {
            let config = preset.config().unwrap_or_else(|error| panic!("{error}"));
            assert!(config.model.generator.is_some() && config.model.discriminator.is_some());
            let comment: String = preset
                .text
                .lines()
                .take_while(|line| line.starts_with('#'))
                .collect();
            assert!(
                comment.contains("Settings:"),
                "{} has no line `# Settings: ...`",
                preset.name
            );
            assert!(preset.title().len() > 10, "{}", preset.name);
            // Presets show what they set: what is written out must say the same.
            let text = config.to_toml().unwrap();
            assert_eq!(
                TrainConfig::from_toml(preset.name, &text).unwrap(),
                config,
                "{}",
                preset.name
            );
        }
    }

    #[test]
    fn every_file_is_in_the_table() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/presets");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut table: Vec<_> = PRESETS.iter().map(|p| format!("{}.toml", p.name)).collect();
        files.sort();
        table.sort();
        assert_eq!(files, table);
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest_and_lists_all() {
        let message = preset("mnist-dcgna").unwrap_err().to_string();
        assert!(
            message.starts_with(
                "no preset is named `mnist-dcgna` (did you mean `mnist-dcgan`?); there are glyphs, "
            ),
            "{message}"
        );
    }
}
