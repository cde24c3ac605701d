//! Convolutions with fewer multiplications: Winograd's minimal filtering (Lavin and Gray, "Fast Algorithms for Convolutional Neural
//! Networks", arXiv 1509.09308).
//!
//! A convolution whose windows are r times as long as its stride is, for each stride phase of the pixels, one with r taps at stride 1.
//! For m outputs of such a one, F(m, r): y = A^t [(G g) * (B^t d)], with the m + r - 1 inputs d and taps g, multiplied element by element at
//! m + r - 1 points instead of m r times. In two dimensions F(m x m, r x r) nests it: a DCGAN's windows, 4 x 4 at stride 2, take
//! 25 multiplications for 16 outputs of a phase where the sum over taps takes 64 (m = 4, r = 2). Element by element means: at
//! each point a matrix product over channels (and phases), for which there is the body of every other product.
//!
//! | operation | left factor | right factor | result |
//! |---|---|---|---|
//! | conv2d | G w G^t, [point, co, (phase, ci)] | B^t x B, [point, (phase, ci), tile] | y = A^t . A |
//! | conv2d_input_grad, phases of a row at a time | G w' G^t, w' turned around, [phase, point, ci, co] | B^t dy B, [phase, point, co, tile] | dx = A^t . A |
//! | conv2d_weight_grad | A dy A^t, [point, co, tile] | B^t x B, [point, (phase, ci), tile] | dw = G^t . G |
//!
//! Files: `filter` the matrices, `text` the generated WGSL, `passes` the dispatches.
mod filter;
mod passes;
mod text;

use super::op::{ConvShape, Epilogue, GemmOp};
use super::{Body, Call, Pass};
use crate::gpu::Caps;
use crate::kernels::{Form, KernelError};
use filter::{Filter, transposed};
use passes::{A, B, Maker, Pixels};
use text::Segment;

/// The sides of tiles that are worth measuring.
pub const OUTPUTS: [u32; 2] = [4, 2];
/// The one that is taken without measuring. Tiles of 2 are for weights so large that those of 4 take more memory than the pixels do: 256 ->
/// 512 channels, 8 -> 4 pixels, batch 32, 25 instead of 27 ms, for which a training run would have to compile them too.
pub const BY_RULE: u32 = 4;

/// Floats of transformed pixels at a time, about: batches are cut into groups of images, so that scratch memory stays small. A step of
/// dcgan64, batch 32, takes as long with two or four times as many on CPUs, 1.15 times with half, 1.25 with a quarter. GPUs are
/// filled by more (not measured).
fn group(form: Form, op: &GemmOp) -> u64 {
    match (form, op) {
        (Form::Gpu, _) => 8 << 20,
        // Whose sums are read and written once for each group.
        (Form::Cpu, GemmOp::Conv2dWeightGrad(_)) => 2 << 20,
        (Form::Cpu, _) => 1 << 20,
    }
}

/// Floats of operands, result and scratch memory up to which the choice by rule considers it: an operation beyond that stands where a step
/// takes most memory (dcgan64 at batch 128, 335 MB without and 362 with scratch memory of 24 MB).
const MOST_HELD: u64 = 9_500_000;

/// How an operation is computed at the points of its tiles.
#[derive(Debug, Clone, Copy)]
pub struct Winograd {
    op: GemmOp,
    shape: ConvShape,
    filter: Filter,
    /// Images of a group.
    images: u32,
}

/// Along one axis the pixels of a stride phase: phase + stride j - pad, for j from `first` on.
#[derive(Debug, Clone, Copy)]
struct Phase {
    first: u32,
    /// The pixel of j = `first`.
    pixel: u32,
}

impl Phase {
    fn new(stride: u32, pad: u32, phase: u32) -> Self {
        let first = pad.saturating_sub(phase).div_ceil(stride);
        let pixel = first * stride + phase - pad;
        Self { first, pixel }
    }
}

impl Winograd {
    /// With tiles of `outputs` x `outputs`; `None` where the operation is no convolution of square windows that are two or three times as
    /// long as their stride, with channels in fours.
    pub fn new(op: &GemmOp, form: Form, outputs: u32) -> Option<Self> {
        let s = match op {
            GemmOp::Conv2d(s) | GemmOp::Conv2dInputGrad(s) | GemmOp::Conv2dWeightGrad(s) => *s,
            GemmOp::Matmul { .. } => return None,
        };
        let [stride, stride_w] = s.stride;
        let taps = s.kh / stride;
        let fits = stride == stride_w
            && [s.kh, s.kw] == [taps * stride; 2]
            && matches!(taps, 2 | 3)
            && OUTPUTS.contains(&outputs)
            && s.ci.is_multiple_of(4)
            && s.co.is_multiple_of(4);
        if !fits {
            return None;
        }
        let filter = Filter { outputs, taps };
        let mut this = Self {
            op: *op,
            shape: s,
            filter,
            images: s.n,
        };
        let rows = u64::from(this.batch()) * u64::from(this.right_rows());
        let image = rows * u64::from(this.tiles_of_image());
        let groups = (u64::from(s.n) * image).div_ceil(group(form, op));
        let groups = groups.min(u64::from(s.n));
        this.images = s.n.div_ceil(groups as u32);
        Some(this)
    }

    /// Whether tiles of [`BY_RULE`] take clearly less time on CPUs than the sum over taps.
    pub fn pays(op: &GemmOp) -> bool {
        /// Multiplications in the time of making or reading a transformed number: 1.1 to 1.9 ns on two cores that multiply 37e9 times a second.
        const TRANSFORMED: u64 = 48;
        /// And of weights whose channels change places, which lie far apart, where caches do not hold them all.
        const TURNED: u64 = 140;
        const CACHED: u64 = 1 << 20;
        let Some(this) = Self::new(op, Form::Cpu, BY_RULE) else {
            return false;
        };
        let held = op.lens().into_iter().chain(this.scratch());
        if held.sum::<u64>() > MOST_HELD {
            return false;
        }
        let GemmOp::Matmul { m, n, k, batch, .. } = this.product() else {
            return false;
        };
        let groups = u64::from(this.groups());
        let [m, n, k, batch] = [m, n, k, batch].map(u64::from);
        let transforms = match op {
            GemmOp::Conv2dWeightGrad(_) => TRANSFORMED * groups * ((m + n) * k + m * n),
            GemmOp::Conv2dInputGrad(s) => {
                let turned = match s.w_len() < CACHED {
                    true => TRANSFORMED,
                    false => TURNED,
                };
                turned * m * k + TRANSFORMED * groups * (k + m) * n
            }
            _ => TRANSFORMED * (m * k + groups * (k + m) * n),
        };
        let cost = u64::from(this.turns()) * batch * (groups * m * n * k + transforms);
        // Input gradients read their pixels from further apart: up to 1.5 times as long.
        let direct = match op {
            GemmOp::Conv2dInputGrad(_) => op.flops() / 4 * 3,
            _ => op.flops() / 2,
        };
        11 * cost < 10 * direct
    }

    fn phases(&self) -> u32 {
        self.shape.stride[0] * self.shape.stride[1]
    }

    /// Products that one after the other make the result: of the phases of dx that lie in the same rows, all at once.
    fn turns(&self) -> u32 {
        match self.op {
            GemmOp::Conv2dInputGrad(_) => self.shape.stride[0],
            _ => 1,
        }
    }

    /// How often [`Winograd::product`] is computed.
    pub fn rounds(&self) -> u32 {
        self.turns() * self.groups()
    }

    fn groups(&self) -> u32 {
        self.shape.n.div_ceil(self.images)
    }

    /// Products of one turn.
    fn batch(&self) -> u32 {
        let phases = match self.op {
            GemmOp::Conv2dInputGrad(_) => self.shape.stride[1],
            _ => 1,
        };
        phases * self.filter.points().pow(2)
    }

    /// Rows of the transformed pixels.
    fn right_rows(&self) -> u32 {
        match self.op {
            GemmOp::Conv2dInputGrad(_) => self.shape.co,
            _ => self.phases() * self.shape.ci,
        }
    }

    /// Tiles down and across, of y or of the largest phase of dx.
    fn tiles(&self) -> [u32; 2] {
        let s = &self.shape;
        let outputs = match self.op {
            GemmOp::Conv2dInputGrad(_) => [s.h.div_ceil(s.stride[0]), s.w.div_ceil(s.stride[1])],
            _ => [s.oh(), s.ow()],
        };
        outputs.map(|size| size.div_ceil(self.filter.outputs))
    }

    fn tiles_of_image(&self) -> u32 {
        let [h, w] = self.tiles();
        h * w
    }

    /// Tiles of a group, rounded up to fours.
    fn cols(&self) -> u32 {
        (self.images * self.tiles_of_image()).next_multiple_of(4)
    }

    /// The product of one group and turn, its batch over the points (and phases).
    pub fn product(&self) -> GemmOp {
        let s = &self.shape;
        let (m, n, k) = match self.op {
            GemmOp::Conv2dInputGrad(_) => (s.ci, self.cols(), s.co),
            GemmOp::Conv2dWeightGrad(_) => (s.co, self.right_rows(), self.cols()),
            _ => (s.co, self.cols(), self.right_rows()),
        };
        GemmOp::Matmul {
            m,
            n,
            k,
            batch: self.batch(),
            trans_a: false,
            trans_b: matches!(self.op, GemmOp::Conv2dWeightGrad(_)),
        }
    }

    /// Floats of the two parts of scratch memory: both factors, and their product.
    pub fn scratch(&self) -> [u64; 2] {
        let [left, right, result] = self.product().lens();
        [left + right, result]
    }

    /// The dispatches.
    ///
    /// # Errors
    /// As for [`super::lower`].
    pub fn lower(
        &self,
        caps: &Caps,
        body: Body,
        call: &Call,
        epilogue: &Epilogue,
    ) -> Result<Vec<Pass>, KernelError> {
        let maker = Maker {
            caps,
            body,
            call,
            epilogue,
            of: *self,
        };
        let input = self.filter.input();
        let output = self.filter.output();
        let mut passes = vec![];
        match self.op {
            GemmOp::Conv2dInputGrad(_) => {
                for phase_h in 0..self.turns() {
                    passes.push(maker.turned_weights(phase_h)?);
                    for group in 0..self.groups() {
                        let dy = self.dy_of_phases(phase_h);
                        passes.push(maker.pixels(B, group, dy, &input)?);
                        passes.push(maker.product(false)?);
                        passes.push(maker.finish_pixels(group, self.dx(phase_h), &output)?);
                    }
                }
            }
            GemmOp::Conv2dWeightGrad(_) => {
                for group in 0..self.groups() {
                    let dy = maker.pixels(A, group, self.y(), &transposed(&output))?;
                    passes.push(dy);
                    passes.push(maker.pixels(B, group, self.x(), &input)?);
                    passes.push(maker.product(group > 0)?);
                }
                passes.push(maker.finish_weights()?);
            }
            _ => {
                passes.push(maker.weights()?);
                for group in 0..self.groups() {
                    passes.push(maker.pixels(B, group, self.x(), &input)?);
                    passes.push(maker.product(false)?);
                    passes.push(maker.finish_pixels(group, self.y(), &output)?);
                }
            }
        }
        Ok(passes)
    }

    /// The inputs of tiles of windows, of every phase.
    fn x(&self) -> Pixels {
        let s = &self.shape;
        let stride = s.stride[1];
        let shifts: Vec<u32> = (0..stride).collect();
        Pixels {
            planes: s.ci,
            size: [s.h, s.w],
            step: s.stride,
            origin: s.pad.map(|pad| -pad.cast_signed()),
            phases_h: s.stride[0],
            numbers: Segment::spaced(stride, &shifts, self.filter.points()),
        }
    }

    fn y(&self) -> Pixels {
        let s = &self.shape;
        Pixels {
            planes: s.co,
            size: [s.oh(), s.ow()],
            step: [1, 1],
            origin: [0, 0],
            phases_h: 1,
            numbers: Segment::spaced(1, &[0], self.filter.outputs),
        }
    }

    fn phase(&self, axis: usize, phase: u32) -> Phase {
        let s = &self.shape;
        Phase::new(s.stride[axis], s.pad[axis], phase)
    }

    /// The inputs of tiles of dx: pixel j of a phase is the sum over e of w'[e] dy[j - (taps - 1) + e].
    fn dy_of_phases(&self, phase_h: u32) -> Pixels {
        let s = &self.shape;
        let firsts: Vec<u32> = (0..s.stride[1]).map(|f| self.phase(1, f).first).collect();
        let least = firsts.iter().copied().min().unwrap_or(0);
        let shifts: Vec<u32> = firsts.iter().map(|first| first - least).collect();
        let before = self.filter.taps - 1;
        Pixels {
            planes: s.co,
            size: [s.oh(), s.ow()],
            step: [1, 1],
            origin: [self.phase(0, phase_h).first, least]
                .map(|first| first.cast_signed() - before.cast_signed()),
            phases_h: 1,
            numbers: Segment::spaced(1, &shifts, self.filter.points()),
        }
    }

    fn dx(&self, phase_h: u32) -> Pixels {
        let s = &self.shape;
        let stride = s.stride[1];
        let shifts: Vec<u32> = (0..stride).map(|f| self.phase(1, f).pixel).collect();
        Pixels {
            planes: s.ci,
            size: [s.h, s.w],
            step: s.stride,
            origin: [self.phase(0, phase_h).pixel.cast_signed(), 0],
            phases_h: 1,
            numbers: Segment::spaced(stride, &shifts, self.filter.outputs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_cover_every_pixel_once() {
        for (size, stride, pad) in [
            (8, 2, 1),
            (7, 2, 1),
            (9, 1, 1),
            (5, 3, 2),
            (6, 2, 0),
            (1, 2, 1),
        ] {
            let mut seen = vec![0; size as usize];
            for phase in 0..stride {
                let p = Phase::new(stride, pad, phase);
                assert!(p.pixel < stride);
                for (j, pixel) in (p.pixel..size).step_by(stride as usize).enumerate() {
                    assert_eq!(pixel + pad, (p.first + j as u32) * stride + phase);
                    seen[pixel as usize] += 1;
                }
            }
            assert!(
                seen.iter().all(|&n| n == 1),
                "{size} {stride} {pad}: {seen:?}"
            );
        }
    }
}
