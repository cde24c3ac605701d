//! `gan-gpu sample`: draws from a run's checkpoint.
use super::sampler_flags::{SamplerFlags, describe};
use super::{CliError, parse, prepare_for, print_json, print_line};
use crate::gan::methods::Info;
use crate::gpu::{ADAPTER_VARIABLE, CacheFolder};
use crate::run::config::TrainConfig;
use crate::run::engine;
use crate::run::eval::find_checkpoint;
use crate::run::finished::Finished;
use crate::run::grid::{PackedImages, single};
use crate::run::pictures::{picture, reference};
use crate::run::samplers;
use crate::run::session::{
    EngineError, Latents, SampleRequest, SampleShape, SampleValues, Sampler, Samples,
};
use crate::run::tensors::{Tensor, TensorFile, TensorFileError};
use crate::run::traverse::{self, Code};
use image::ImageFormat;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Draw samples from a run's newest checkpoint
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run folder, `latest`, or a checkpoint file
    run: PathBuf,
    /// How many samples; by default as many as the grid holds
    #[arg(short = 'n', long = "count", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Sample i is the same for every N; by default the run's seed, as in its own pictures
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Rows and columns of the picture
    #[arg(long, value_name = "ROWSxCOLS", value_parser = parse::grid)]
    grid: Option<[usize; 2]>,
    /// A .png for one picture of all samples, or a folder for one file each [default: samples.png]
    #[arg(short, long, value_name = "FILE|DIR")]
    out: Option<PathBuf>,
    /// Draw from these latents: tensor `z` [n, latent width], F32, in a safetensors file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["count", "seed"])]
    latents: Option<PathBuf>,
    /// Only this class, from a run with --conditional; by default each row of the picture has its own
    #[arg(long, value_name = "CLASS")]
    class: Option<u32>,
    /// Let one latent code of a run with --info take all its values along each row: `categorical`, or the number of a continuous one
    #[arg(long, value_name = "CODE", conflicts_with_all = ["count", "latents", "class"])]
    traverse: Option<Code>,
    /// Write the samples as they leave the generator: tensor `images` [n, c, h, w] (or [n, features]), F32, in a safetensors file
    #[arg(long, value_name = "FILE")]
    raw: Option<PathBuf>,
    /// Use the weights themselves, not their moving average
    #[arg(long)]
    no_ema: bool,
    /// vulkan, metal, dx12, gl, cpu, an index, or a part of an adapter's name; by default the run's
    #[arg(long, value_name = "ADAPTER", env = ADAPTER_VARIABLE)]
    adapter: Option<String>,
    #[command(flatten)]
    sampler: SamplerFlags,
    /// Print what was written as a JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let run = Finished::open(find_checkpoint(&args.run, None)?)?;
    let config = &run.config;
    let plan = Plan::new(args, config)?;
    let mut sampler = engine::open_sampler(
        config,
        args.adapter.as_ref().unwrap_or(&config.adapter),
        &CacheFolder::of_user(),
    )?;
    sampler.check_count("-n", plan.count)?;
    plan.prepare_outputs(sampler.sample_shape())?;
    run.restore(&mut *sampler)?;
    let (written, report) = match &plan.request {
        Some(request) => {
            let (samples, report) = samplers::draw(&mut *sampler, config, request)?;
            (plan.write(samples, &reference(config))?, Some(report))
        }
        None => (plan.draw(&mut *sampler, &reference(config))?, None),
    };
    if args.json {
        let files: Vec<_> = written
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let count = plan.count;
        let mut json = serde_json::json!({ "checkpoint": run.path.display().to_string(), "count": count, "files": files });
        if let Some(report) = &report {
            json["sampler"] = serde_json::to_value(report).unwrap_or_default();
        }
        print_json(&json, false)?;
    } else {
        if let Some(report) = &report {
            print_line(&describe(report))?;
        }
        for path in written {
            print_line(&path.display().to_string())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What to draw and where to, checked against itself.
#[derive(Debug, PartialEq)]
struct Plan {
    latents: Latents,
    class: Option<u32>,
    traverse: Option<(Code, Info)>,
    count: usize,
    grid: [usize; 2],
    use_ema: bool,
    raw: Option<PathBuf>,
    /// `None` if only raw values are wanted.
    out: Option<PathBuf>,
    /// For samplers beyond the generator alone.
    request: Option<samplers::Request>,
}

impl Plan {
    fn new(args: &Args, config: &TrainConfig) -> Result<Self, CliError> {
        let latents = match &args.latents {
            Some(path) => Some(read_latents(path, config.latent_dim()?)?),
            None => None,
        };
        let given = latents
            .as_ref()
            .map(|z| z.shape[0])
            .or(args.count.map(|n| n as usize));
        let (count, grid) = match (given, args.grid) {
            (Some(count), Some([rows, cols])) if rows * cols > count => {
                return Err(CliError::usage(format!(
                    "--grid {rows}x{cols} takes {} samples, but there are {count}",
                    rows * cols
                )));
            }
            (Some(count), Some([rows, cols])) if rows * cols < count => {
                return Err(CliError::usage(format!(
                    "--grid {rows}x{cols} holds {} of the {count} samples; take a larger one, or leave it out",
                    rows * cols
                )));
            }
            (Some(count), grid) => (count, grid.unwrap_or_else(|| square(count))),
            (None, grid) => {
                let grid = grid.unwrap_or(config.report.grid);
                let [rows, cols] = match args.traverse {
                    Some(code) => traverse::grid(code, config.method.info.as_ref(), grid)?,
                    None => grid,
                };
                (rows * cols, [rows, cols])
            }
        };
        let request = args.sampler.settings()?.map(|how| samplers::Request {
            how,
            count,
            seed: args.seed.unwrap_or(config.seed),
            use_ema: !args.no_ema,
        });
        if request.is_some()
            && (latents.is_some() || args.traverse.is_some() || args.class.is_some())
        {
            return Err(CliError::usage(
                "--latents, --traverse and --class are for the generator alone; leave --sampler out",
            ));
        }
        if let Some(request) = &request {
            samplers::check(&request.how, config)?;
        }
        if let (Some(class), None) = (args.class, config.method.conditional) {
            return Err(CliError::usage(format!(
                "--class {class}: this run has no classes; it was not trained with --conditional"
            )));
        }
        let latents = match latents {
            Some(z) => Latents::Given(z.values),
            None => Latents::Seeded {
                count,
                seed: args.seed.unwrap_or(config.seed),
            },
        };
        if let Some(out) = &args.out
            && !is_png(out)
            && ImageFormat::from_path(out).is_ok()
        {
            return Err(CliError::usage(format!(
                "-o {}: pictures are written as PNG; give a name that ends with .png, or a folder",
                out.display()
            )));
        }
        let out = match (&args.out, &args.raw) {
            (None, Some(_)) => None,
            (out, _) => Some(out.clone().unwrap_or_else(|| "samples.png".into())),
        };
        if args.grid.is_some() && out.as_ref().is_none_or(|out| !is_png(out)) {
            return Err(CliError::usage(
                "--grid makes one picture: give it a .png with -o FILE",
            ));
        }
        Ok(Self {
            latents,
            class: args.class,
            traverse: args.traverse.zip(config.method.info),
            count,
            grid,
            use_ema: !args.no_ema,
            raw: args.raw.clone(),
            out,
            request,
        })
    }

    /// Before anything is drawn: folders are made, and what cannot be written is refused.
    fn prepare_outputs(&self, shape: SampleShape) -> Result<(), CliError> {
        let folder = self.out.as_deref().filter(|out| !is_png(out));
        if let (Some(_), SampleShape::Point { .. }) = (folder, shape) {
            return Err(CliError::usage(
                "points have no files of their own; give -o FILE.png or --raw FILE",
            ));
        }
        let picture = self.out.as_deref().filter(|out| is_png(out));
        for file in picture.into_iter().chain(self.raw.as_deref()) {
            prepare_for(file)?;
        }
        folder.map_or(Ok(()), make_folder)
    }

    fn draw(&self, sampler: &mut dyn Sampler, reference: &[f32]) -> Result<Vec<PathBuf>, CliError> {
        let [_, cols] = self.grid;
        let labels = sampler.classes().map(|classes| {
            let own = |n: usize| (n / cols % classes) as u32;
            (0..self.count)
                .map(|n| self.class.unwrap_or(own(n)))
                .collect::<Vec<_>>()
        });
        let latents = match (&self.traverse, &self.latents) {
            (Some((code, info)), Latents::Seeded { count, seed }) => {
                let (drawn, width) = (sampler.latents(*count, *seed), sampler.latent_dim());
                Latents::Given(traverse::latents(*code, info, self.grid, &drawn, width))
            }
            (_, latents) => latents.clone(),
        };
        let request = |packed| SampleRequest {
            latents: latents.clone(),
            labels: labels.clone(),
            use_ema: self.use_ema,
            packed,
        };
        let mut written = vec![];
        if self.raw.is_some() {
            written.extend(self.write_raw(sampler.sample(&request(false))?)?);
        }
        if self.out.is_some() {
            let samples = sampler.sample(&request(true))?;
            written.extend(self.write_pictures(samples, reference)?);
        }
        Ok(written)
    }

    /// Samples that a sampler has drawn, as floats.
    fn write(&self, samples: Samples, reference: &[f32]) -> Result<Vec<PathBuf>, CliError> {
        let mut written = self.write_raw(samples.clone())?;
        written.extend(self.write_pictures(samplers::packed(samples), reference)?);
        Ok(written)
    }

    fn write_raw(&self, samples: Samples) -> Result<Vec<PathBuf>, CliError> {
        let Some(path) = &self.raw else {
            return Ok(vec![]);
        };
        raw_file(samples)?.write(path)?;
        Ok(vec![path.clone()])
    }

    fn write_pictures(
        &self,
        samples: Samples,
        reference: &[f32],
    ) -> Result<Vec<PathBuf>, CliError> {
        let mut written = vec![];
        let Some(out) = &self.out else {
            return Ok(written);
        };
        if is_png(out) {
            picture(&samples, self.grid, reference)?.write(out)?;
            written.push(out.clone());
            return Ok(written);
        }
        let (
            SampleValues::PackedNhwc(nhwc),
            SampleShape::Image {
                channels,
                height,
                width,
            },
        ) = (&samples.values, samples.shape)
        else {
            return Err(
                EngineError::device("samples that were asked for as pixels are none").into(),
            );
        };
        let images = PackedImages {
            height,
            width,
            channels,
            nhwc,
        };
        for index in 0..samples.count {
            let path = out.join(format!("{index:05}.png"));
            single(images, index).write(&path)?;
            written.push(path);
        }
        Ok(written)
    }
}

fn is_png(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("png"))
}

fn make_folder(folder: &Path) -> Result<(), CliError> {
    std::fs::create_dir_all(folder).map_err(|source| {
        crate::run::RunError::Io {
            path: folder.into(),
            source,
        }
        .into()
    })
}

/// The squarest grid that holds `count` samples; its last row may be partly empty.
fn square(count: usize) -> [usize; 2] {
    let cols = (count as f64).sqrt().ceil().max(1.0) as usize;
    [count.div_ceil(cols), cols]
}

/// Tensor `z` of the file, `[n, latent_dim]` with n at least 1.
fn read_latents(path: &Path, latent_dim: usize) -> Result<Tensor, CliError> {
    let mut file = TensorFile::read(path)?;
    file.get("z", path)?;
    match file.tensors.remove("z") {
        Some(z) if matches!(z.shape[..], [n, width] if n > 0 && width == latent_dim) => Ok(z),
        z => Err(TensorFileError::Shape {
            path: path.into(),
            tensor: "z".into(),
            expected: format!("[n, {latent_dim}], the run's latent width"),
            got: z.map(|z| z.shape).unwrap_or_default(),
        }
        .into()),
    }
}

/// Tensor `images`: `[n, c, h, w]` or `[n, features]`.
fn raw_file(samples: Samples) -> Result<TensorFile, CliError> {
    let SampleValues::F32(values) = samples.values else {
        return Err(
            EngineError::device("the engine packed samples that were asked for as f32").into(),
        );
    };
    let shape = match samples.shape {
        SampleShape::Image {
            channels,
            height,
            width,
        } => vec![samples.count, channels, height, width],
        SampleShape::Point { features } => vec![samples.count, features],
    };
    let mut file = TensorFile::default();
    file.tensors
        .insert("images".into(), Tensor::new(shape, values));
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parsed;
    use crate::gan::samplers;
    use crate::run::presets::preset;

    fn plan(flags: &[&str]) -> Result<Plan, CliError> {
        let words = ["run"].into_iter().chain(flags.iter().copied());
        Plan::new(
            &parsed(words).unwrap(),
            &preset("ring8").unwrap().config().unwrap(),
        )
    }

    fn latents_file(folder: &Path, name: &str, shape: &[usize]) -> String {
        let mut file = TensorFile::default();
        file.tensors.insert(
            name.into(),
            Tensor::new(shape, vec![0.5; shape.iter().product()]),
        );
        let path = folder.join("z.safetensors");
        file.write(&path).unwrap();
        path.to_str().unwrap().into()
    }

    #[test]
    fn counts_and_grids_agree() {
        let seeded = |count| Latents::Seeded { count, seed: 0 };
        let plain = plan(&[]).unwrap();
        assert_eq!(
            (plain.latents, plain.grid, plain.out),
            (seeded(64), [8, 8], Some("samples.png".into()))
        );
        let some = plan(&["-n", "12"]).unwrap();
        assert_eq!((some.latents, some.grid), (seeded(12), [3, 4]));
        let grid = plan(&["--grid", "2x5", "--seed", "9", "-o", "a.PNG"]).unwrap();
        assert_eq!(
            (grid.latents, grid.grid),
            (Latents::Seeded { count: 10, seed: 9 }, [2, 5])
        );
        assert!(plan(&["-n", "3", "--grid", "2x2"]).is_err());
        assert!(plan(&["-n", "5", "--grid", "2x2"]).is_err());
        assert!(plan(&["--grid", "2x2", "-o", "folder"]).is_err());
        assert!(plan(&["-o", "picture.jpeg"]).is_err());
    }

    #[test]
    fn raw_values_alone_make_no_picture() {
        assert_eq!(plan(&["--raw", "r.safetensors"]).unwrap().out, None);
        assert_eq!(
            plan(&["--raw", "r.safetensors", "-o", "dir"]).unwrap().out,
            Some("dir".into())
        );
    }

    #[test]
    fn squares() {
        for (count, grid) in [
            (1, [1, 1]),
            (2, [1, 2]),
            (7, [3, 3]),
            (12, [3, 4]),
            (64, [8, 8]),
            (65, [8, 9]),
        ] {
            assert_eq!(square(count), grid);
        }
    }

    #[test]
    fn given_latents_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let z = latents_file(folder.path(), "z", &[5, 64]);
        let plan5 = plan(&["--latents", &z]).unwrap();
        assert_eq!(
            (plan5.count, plan5.latents),
            (5, Latents::Given(vec![0.5; 320]))
        );
        for (name, shape) in [
            ("z", &[5, 63][..]),
            ("z", &[320]),
            ("z", &[0, 64]),
            ("latents", &[5, 64]),
        ] {
            let file = latents_file(folder.path(), name, shape);
            let error = plan(&["--latents", &file]).unwrap_err();
            assert!(
                error.to_string().contains("z.safetensors") && error.exit_code() == 2,
                "{error}"
            );
        }
    }

    /// Every image is its index; points count up.
    struct Fake(SampleShape);

    impl Sampler for Fake {
        fn classes(&self) -> Option<usize> {
            None
        }
        fn latents(&self, _: usize, _: u64) -> Vec<f32> {
            vec![]
        }
        fn sample_shape(&self) -> SampleShape {
            self.0
        }

        fn latent_dim(&self) -> usize {
            64
        }

        fn restore(
            &mut self,
            _: &crate::run::checkpoint::CheckpointData,
        ) -> Result<(), EngineError> {
            Ok(())
        }

        fn judge(&mut self, samples: &[f32]) -> Result<Vec<f32>, EngineError> {
            Ok(samples.to_vec())
        }

        fn draw(&mut self, _: &samplers::Request) -> Result<samplers::Drawn, EngineError> {
            panic!("nobody asks for it here")
        }

        fn sample(&mut self, request: &SampleRequest) -> Result<Samples, EngineError> {
            let Latents::Seeded { count, .. } = request.latents else {
                panic!()
            };
            let index = |i: usize| i / self.0.len();
            let all = 0..count * self.0.len();
            let values = match (request.packed, self.0) {
                (true, SampleShape::Image { .. }) => {
                    SampleValues::PackedNhwc(all.map(|i| index(i) as u8).collect())
                }
                _ => SampleValues::F32(all.map(|i| index(i) as f32).collect()),
            };
            Ok(Samples {
                count,
                shape: self.0,
                values,
            })
        }
    }

    #[test]
    fn files_are_written_as_asked() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
        let mut images = Fake(SampleShape::Image {
            channels: 1,
            height: 3,
            width: 2,
        });
        let draw = |flags: &[&str], sampler: &mut Fake, reference: &[f32]| {
            let plan = plan(flags).unwrap();
            plan.prepare_outputs(sampler.0)?;
            plan.draw(sampler, reference)
        };
        let (folder, raw) = (at("dir/sub"), at("r.safetensors"));
        let flags = ["-n", "4", "-o", &folder, "--raw", &raw];
        assert_eq!(draw(&flags, &mut images, &[]).unwrap().len(), 5);
        let third = image::open(at("dir/sub/00003.png")).unwrap().into_luma8();
        assert_eq!((third.dimensions(), third.into_raw()), ((2, 3), vec![3; 6]));
        let raw = TensorFile::read(Path::new(&at("r.safetensors"))).unwrap();
        assert_eq!(raw.tensors["images"].shape, [4, 1, 3, 2]);
        assert_eq!(raw.tensors["images"].values[6..12], [1.0; 6]);
        draw(&["-n", "4", "-o", &at("new/grid.png")], &mut images, &[]).unwrap();
        assert!(image::open(at("new/grid.png")).is_ok());

        let mut points = Fake(SampleShape::Point { features: 2 });
        let (picture, raw) = (at("p.png"), at("p.safetensors"));
        let flags = ["-n", "9", "-o", &picture, "--raw", &raw];
        draw(&flags, &mut points, &[0.0; 4]).unwrap();
        assert_eq!(
            TensorFile::read(Path::new(&at("p.safetensors")))
                .unwrap()
                .tensors["images"]
                .shape,
            [9, 2]
        );
        assert!(draw(&["-o", &at("d")], &mut points, &[]).is_err());
        assert!(!Path::new(&at("d")).exists());
    }
}
