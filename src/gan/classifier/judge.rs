//! A trained classifier on the device: images go up, probabilities come back.
use super::program::probabilities;
use super::trainer::{allocate, places};
use super::{GanError, Result, classes};
use crate::gan::trainer::{State, StateTensor, arena_values};
use crate::gpu::{Buffer, Dispatch, Gpu};
use crate::graph::plan::Target;
use crate::nn::{Extent, Network};

/// Images per execution.
const CHUNK: usize = 250;

/// See the module.
pub struct Judge {
    gpu: Gpu,
    network: Network,
    classes: usize,
    images: usize,
    output: usize,
    buffers: Vec<Buffer>,
    dispatches: Vec<Dispatch>,
}

impl Judge {
    /// A network with these tensors, named as [`super::ClassifierTrainer::tensors`] names them.
    ///
    /// # Errors
    /// [`GanError::State`] where one is missing or has another shape; [`GanError::Input`] for a network that is no classifier; where it
    /// does not fit the adapter.
    pub fn new(gpu: &Gpu, network: Network, tensors: Vec<StateTensor>) -> Result<Judge> {
        let classes = classes(&network)?;
        let target = Target::of(gpu.caps());
        let mut planned = vec![];
        let mut places = places(&network, &mut planned);
        let mut push = |label: &str, floats: usize| {
            planned.push((label.into(), 4 * floats.next_multiple_of(4) as u64, None));
            planned.len() - 1
        };
        let images = push("images", CHUNK * network.input().numel());
        let output = push("probabilities", CHUNK * classes);
        places.bound = planned.len();
        let plan = probabilities(&target, &network, &places, (CHUNK, images, output))?;
        let plans = [plan];
        let buffers = allocate(gpu, planned, &plans)?;
        let state = State {
            tensors,
            counters: vec![],
        };
        for (buffer, specs) in [
            (places.params, network.params()),
            (places.state, network.states()),
        ] {
            let values = arena_values(&state, "", specs)?;
            if !values.is_empty() {
                gpu.upload(&buffers[buffer], 0, bytemuck::cast_slice(&values))?;
            }
        }
        let dispatches = plans[0].prepare(gpu, &buffers)?;
        Ok(Judge {
            gpu: gpu.clone(),
            network,
            classes,
            images,
            output,
            buffers,
            dispatches,
        })
    }

    /// Size of the images it takes.
    pub fn input(&self) -> Extent {
        self.network.input()
    }
    /// Classes it tells apart.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Probabilities `[n, classes]`, row by row, of images `[n, C, H, W]` in -1..1.
    ///
    /// # Errors
    /// [`GanError::Input`] where the numbers are no whole images; those of the device.
    pub fn probabilities(&self, images: &[f32]) -> Result<Vec<f32>> {
        let size = self.network.input().numel();
        if !images.len().is_multiple_of(size) {
            return Err(GanError::Input(format!(
                "{} numbers are no whole images of {}",
                images.len(),
                self.network.input()
            )));
        }
        let Extent::Image {
            channels,
            height,
            width,
        } = self.network.input()
        else {
            return Ok(vec![]);
        };
        let plane = height * width;
        let mut all = Vec::with_capacity(images.len() / size * self.classes);
        // [C, N, H, W]; what is left of the last chunk stays as it was, and its answers are not read.
        let mut batch = vec![0.0f32; CHUNK * size];
        for chunk in images.chunks(CHUNK * size) {
            let count = chunk.len() / size;
            for (n, image) in chunk.chunks(size).enumerate() {
                for c in 0..channels {
                    let at = (c * CHUNK + n) * plane;
                    batch[at..at + plane].copy_from_slice(&image[c * plane..(c + 1) * plane]);
                }
            }
            let bytes = bytemuck::cast_slice(&batch);
            self.gpu.upload(&self.buffers[self.images], 0, bytes)?;
            self.gpu.submit(&self.dispatches)?;
            let len = (CHUNK * self.classes) as u64 * 4;
            let got = self.gpu.download(&self.buffers[self.output], 0..len)?;
            let got: Vec<f32> = bytemuck::pod_collect_to_vec(&got);
            for n in 0..count {
                all.extend((0..self.classes).map(|c| got[c * CHUNK + n]));
            }
        }
        Ok(all)
    }

    /// The most probable class of each image `[n, C, H, W]` in -1..1.
    ///
    /// # Errors
    /// As [`Judge::probabilities`]; [`GanError::Input`] for an image that is not finite.
    pub fn labels(&self, images: &[f32]) -> Result<Vec<u8>> {
        let rows = self.probabilities(images)?;
        let label = |(i, row): (usize, &[f32])| match most_probable(row) {
            Some(label) => Ok(label),
            None => Err(GanError::Input(format!(
                "image {i} has values that are not finite; it has no class"
            ))),
        };
        rows.chunks(self.classes).enumerate().map(label).collect()
    }
}

/// The first largest; None among numbers that are not finite.
fn most_probable(row: &[f32]) -> Option<u8> {
    if row.iter().any(|p| !p.is_finite()) {
        return None;
    }
    let larger = |best: usize, i: usize| if row[i] > row[best] { i } else { best };
    u8::try_from((0..row.len()).fold(0, larger)).ok()
}
