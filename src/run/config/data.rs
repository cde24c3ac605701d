//! What is learnt, and how images are brought to the model's size.
use super::{ConfigError, field};
use crate::data::{self, ImageOptions, Source, stacked};
use crate::nn::models::MODELS;
use crate::nn::{Extent, ModelSpec};
use serde::{Deserialize, Serialize};

/// Where to find a model for such images, to be said behind "or".
fn other_models(channels: usize, [height, width]: [usize; 2]) -> String {
    let wanted = Extent::Image {
        channels,
        height,
        width,
    };
    // Those that make a pair without a method that asks for more.
    let fits = |text: &str| {
        let spec = ModelSpec::from_toml("", text).ok()?;
        Some(spec.build().ok()?.sample == wanted)
    };
    let built_in: Vec<_> = MODELS
        .iter()
        .filter(|(_, text)| fits(text) == Some(true))
        .map(|(name, _)| *name)
        .collect();
    let built_in = match built_in[..] {
        [] => "none is built in".into(),
        _ => format!("built in: {}", built_in.join(", ")),
    };
    format!(
        "a --model for {channels}x{height}x{width} images ({built_in}; a TOML file of layers, --model FILE, serves any size)"
    )
}

/// What is learnt. The options are for images; a preset may leave size and channels out, a written configuration has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The name of a built-in set, or the path of a file or folder.
    pub source: String,
    /// Height and width to bring images to; by default what the model takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// How images of another size are brought to `size`.
    #[serde(default)]
    pub fit: Fit,
    /// 1 (grey) or 3 (RGB); by default what the model takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// RGB that shows through transparent pixels and fills the margins of `fit = "pad"`.
    #[serde(default)]
    pub background: [u8; 3],
    /// Use this many images at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    #[serde(default)]
    pub split: Split,
}

/// How an image of another size is brought to the right one; [`data::Fit`] as a setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Refuse it
    #[default]
    Exact,
    /// Stretch it, whatever becomes of its proportions
    Resize,
    /// Scale until the shorter side fits, cut the rest off evenly
    Crop,
    /// Scale until the longer side fits, fill the margins with the background
    Pad,
}

/// Which part of a data set that has two; [`data::Split`] as a setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    #[default]
    Train,
    Test,
}

impl DataConfig {
    pub fn source(&self) -> Source {
        Source::parse(&self.source)
    }

    /// Refuses what has no meaning for a built-in set, rather than that it is passed over.
    fn refuse_unused(&self) -> Result<(), ConfigError> {
        let (why, points) = match self.source() {
            Source::Toy(_) => ("points are drawn from their law, without end", true),
            Source::Glyphs => ("they are drawn as the model takes them, without end", false),
            Source::Stacked(_) | Source::Path(_) => return Ok(()),
        };
        let given = [
            ("data.size", points && self.size.is_some()),
            ("data.channels", points && self.channels.is_some()),
            ("data.fit", self.fit != Fit::Exact),
            ("data.background", self.background != [0; 3]),
            ("data.limit", self.limit.is_some()),
            ("data.split", self.split != Split::Train),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((key, _)) => Err(field(
                key,
                format!("has no meaning for `{}`: {why}; leave it out", self.source),
            )),
            None => Ok(()),
        }
    }

    /// Fills in what the model implies and refuses what it cannot take.
    pub(super) fn fit_model(&mut self, sample: Extent) -> Result<(), ConfigError> {
        self.refuse_unused()?;
        let no = |problem: String| Err(field("data.source", problem));
        match (self.source(), sample) {
            (Source::Stacked(path), _) if path.as_os_str().is_empty() => no(format!(
                "`{}` names no images; give {}PATH with the path of a grey set, such as MNIST's folder",
                self.source,
                stacked::PREFIX
            )),
            (Source::Toy(set), Extent::Features { features }) if features == set.dim() => Ok(()),
            (Source::Toy(set), _) => no(format!(
                "{set} has {} numbers per sample, but the model is for {sample}; choose another --model or --data",
                set.dim()
            )),
            (Source::Glyphs | Source::Stacked(_) | Source::Path(_), Extent::Features { .. }) => {
                no(format!(
                    "`{}` is images, but the model is for samples of {sample}; choose another --model, or give the model \
                 file a line `sample = {{ channels = .., height = .., width = .. }}`",
                    self.source
                ))
            }
            (Source::Stacked(_), Extent::Image { channels, .. })
                if channels != stacked::CHANNELS =>
            {
                no(format!(
                    "`{}` has 3 channels, one digit in each, but the model is for {sample}; choose a --model with 3 channels",
                    self.source
                ))
            }
            (
                _,
                Extent::Image {
                    channels,
                    height,
                    width,
                },
            ) => {
                let size = *self.size.get_or_insert([height, width]);
                let own = *self.channels.get_or_insert(channels);
                let [h, w] = size;
                if size != [height, width] {
                    let how = match self.source() {
                        Source::Glyphs => "",
                        _ => " (--fit says how images are brought to it)",
                    };
                    return Err(field(
                        "data.size",
                        format!(
                            "is {h}x{w}, but the model is for {height}x{width}; give --size {height}x{width}{how}, or {}",
                            other_models(own, size)
                        ),
                    ));
                }
                if own != channels {
                    return Err(field(
                        "data.channels",
                        format!(
                            "is {own}, but the model is for {channels}; give --channels {channels}, or {}",
                            other_models(own, size)
                        ),
                    ));
                }
                Ok(())
            }
        }
    }

    /// What [`data::load`] takes.
    pub fn image_options(&self) -> ImageOptions {
        ImageOptions {
            size: self.size.map(|[height, width]| (height, width)),
            fit: match self.fit {
                Fit::Exact => data::Fit::Exact,
                Fit::Resize => data::Fit::Resize,
                Fit::Crop => data::Fit::CropCenter,
                Fit::Pad => data::Fit::Pad,
            },
            // The channels of a stacked set are grey images each.
            channels: match self.source() {
                Source::Stacked(_) => Some(1),
                _ => self.channels,
            },
            background: self.background,
            limit: self.limit,
            split: match self.split {
                Split::Train => data::Split::Train,
                Split::Test => data::Split::Test,
            },
        }
    }
}
