//! Whether two variants compute the same, looked at on the device: every element of C, for one small read.
use super::bench::MEAN_PRODUCT;
use super::{GemmOp, Scheme, Variant};
use crate::gpu::{Buffer, Dispatch, Gpu, GpuError, Kernel, Recorder, shader};
use crate::kernels::Scalar;

/// Sets words to what is no number, be it one f32 or two f16.
const UNSET: &str = "struct Params { words: u32, threads: u32 }
var<immediate> im: Params;
@group(0) @binding(0) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    for (var i = id.x; i < im.words; i += im.threads) {
        y[i] = 0xffffffffu;
    }
}
";

/// Each invocation compares its share of the words and leaves what it found. Numbers are told by their bits: comparisons may lose a NaN.
const COMPARE: &str =
    "struct Params { len: u32, words: u32, threads: u32, allowed: f32, rounding: f32 }
var<immediate> im: Params;
@group(0) @binding(0) var<storage, read> got: array<u32>;
@group(0) @binding(1) var<storage, read> want: array<u32>;
@group(0) @binding(2) var<storage, read_write> found: array<vec4<u32>>;
var<private> wrong: u32;
var<private> missing: u32;
var<private> worst: f32;

fn is_number(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7f800000u) != 0x7f800000u;
}

fn look(at: u32, g: f32, w: f32) {
    if (at >= im.len) {
        return;
    }
    if (!is_number(g) || !is_number(w)) {
        wrong += 1u;
        missing += 1u;
        return;
    }
    let difference = abs(g - w);
    worst = max(worst, difference);
    wrong += select(0u, 1u, difference > im.allowed + im.rounding * abs(w));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    wrong = 0u;
    missing = 0u;
    worst = 0.0;
    for (var i = id.x; i < im.words; i += im.threads) {
        look_at_word(i, got[i], want[i]);
    }
    found[id.x] = vec4<u32>(wrong, missing, bitcast<u32>(worst), 0u);
}
";

const WORD_OF_F32: &str = "fn look_at_word(i: u32, g: u32, w: u32) {
    look(i, bitcast<f32>(g), bitcast<f32>(w));
}
";

const WORD_OF_F16: &str = "fn look_at_word(i: u32, g: u32, w: u32) {
    let gs = unpack2x16float(g);
    let ws = unpack2x16float(w);
    look(2u * i, gs.x, ws.x);
    look(2u * i + 1u, gs.y, ws.y);
}
";

const WORKGROUPS: u32 = 64;
const THREADS: u32 = 64 * WORKGROUPS;

fn kernel(label: &str, texts: &[&str], immediates: usize) -> Kernel {
    Kernel {
        label: label.into(),
        source: shader::join(texts).into(),
        grid: [WORKGROUPS, 1, 1],
        immediates: vec![0; immediates],
    }
}

fn comparison(format: Scalar) -> Kernel {
    let word = match format {
        Scalar::F32 => WORD_OF_F32,
        Scalar::F16 => WORD_OF_F16,
    };
    let label = format!("gemm_compare {}", format.wgsl());
    kernel(&label, &[COMPARE, word], 5)
}

/// Overwrites a buffer, so that what a kernel leaves out shows.
pub(super) struct Unset(Dispatch);

impl Unset {
    pub fn new(gpu: &Gpu, buffer: &Buffer) -> Result<Self, GpuError> {
        let kernel = kernel("gemm_unset", &[UNSET], 2);
        Ok(Self(gpu.prepare(&kernel, &[buffer])?))
    }

    /// Its first `words` words of 4 bytes.
    pub fn record(&self, recorder: &mut Recorder, words: u64) -> Result<(), GpuError> {
        recorder.dispatch_with(&self.0, &[words as u32, THREADS])
    }
}

/// How two results differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Differences {
    /// Elements that differ by more than is allowed, or that are no number in one of them.
    pub wrong: u64,
    /// Those of them that are no number.
    pub missing: u64,
    /// The largest difference between numbers.
    pub worst: f32,
}

/// Two results that are compared again and again.
pub(super) struct Agreement {
    dispatch: Dispatch,
    found: Buffer,
    /// Of the immediates, those that stay.
    sizes: [u32; 3],
    rounding: f32,
}

impl Agreement {
    /// Between `len` elements of `got` and of `want`.
    pub fn new(
        gpu: &Gpu,
        [got, want]: [&Buffer; 2],
        len: u64,
        format: Scalar,
    ) -> Result<Self, GpuError> {
        let found = gpu.buffer("found", 16 * u64::from(THREADS))?;
        let words = (len * format.bytes()).div_ceil(4);
        Ok(Self {
            dispatch: gpu.prepare(&comparison(format), &[got, want, &found])?,
            found,
            sizes: [len as u32, words as u32, THREADS],
            // Half a unit in the last place for each of the two, and a little for the larger one.
            rounding: match format {
                Scalar::F32 => 0.0,
                Scalar::F16 => 1.01 / 1024.0,
            },
        })
    }

    /// As they are after everything submitted so far.
    pub fn differences(&self, gpu: &Gpu, allowed: f64) -> Result<Differences, GpuError> {
        let [len, words, threads] = self.sizes;
        let [allowed, rounding] = [allowed as f32, self.rounding].map(f32::to_bits);
        let mut recorder = gpu.record()?;
        recorder.dispatch_with(&self.dispatch, &[len, words, threads, allowed, rounding])?;
        recorder.submit()?;
        let bytes = gpu.download(&self.found, 0..self.found.bytes())?;
        let found: Vec<u32> = bytemuck::pod_collect_to_vec(&bytes);
        let mut all = Differences {
            wrong: 0,
            missing: 0,
            worst: 0.0,
        };
        for share in found.chunks_exact(4) {
            all.wrong += u64::from(share[0]);
            all.missing += u64::from(share[1]);
            all.worst = all.worst.max(f32::from_bits(share[2]));
        }
        Ok(all)
    }
}

/// How far the results of two variants may be apart on the operands of `bench`, rounding to their storage not counted.
pub(super) fn allowed(op: &GemmOp, variants: [Variant; 2]) -> f64 {
    /// What each may be off by, as part of the sum of the sizes of an element's products: what `bench kernels` allows.
    const ROUNDING: f64 = 2e-6;
    // F(4, r) rounds three times as coarsely on average, and more in the worst of some thousand elements.
    let coarseness = |variant: Variant| match variant.scheme {
        Scheme::Winograd(4) => 8.0,
        _ => 1.0,
    };
    // On average: at edges, and in some stride phases, there are fewer.
    let products = op.flops() as f64 / 2.0 / op.lens()[2] as f64;
    let size = MEAN_PRODUCT * products;
    variants.map(coarseness).iter().sum::<f64>() * ROUNDING * size
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing::gpu;
    use half::f16;

    /// Numbers that f16 holds exactly, as they are stored.
    fn stored(gpu: &Gpu, values: &[f32], format: Scalar) -> Buffer {
        let bytes = match format {
            Scalar::F32 => bytemuck::cast_slice(values).to_vec(),
            Scalar::F16 => {
                let mut halves: Vec<f16> = values.iter().copied().map(f16::from_f32).collect();
                // Behind an odd number of them there is something, which must not count.
                halves.resize(halves.len().next_multiple_of(2), f16::NAN);
                halves.iter().flat_map(|h| h.to_le_bytes()).collect()
            }
        };
        gpu.buffer_from("values", &bytes).unwrap()
    }

    #[test]
    fn every_element_counts_in_both_formats() {
        let gpu = gpu();
        for (format, len) in [(Scalar::F32, 9001), (Scalar::F16, 9001), (Scalar::F16, 6)] {
            let want: Vec<f32> = (0..len).map(|i| (i % 37) as f32 - 18.0).collect();
            let differences = |got: &[f32], want: &[f32], allowed| {
                let [got, want] = [got, want].map(|values| stored(&gpu, values, format));
                let agreement = Agreement::new(&gpu, [&got, &want], len as u64, format).unwrap();
                agreement.differences(&gpu, allowed).unwrap()
            };
            let none = Differences {
                wrong: 0,
                missing: 0,
                worst: 0.0,
            };
            assert_eq!(differences(&want, &want, 1e-6), none);
            // The first and the last.
            let mut got = want.clone();
            got[0] += 0.5;
            got[len - 1] -= 1.0;
            let worst = 1.0;
            assert_eq!(
                differences(&got, &want, 0.25),
                Differences {
                    wrong: 2,
                    worst,
                    ..none
                }
            );
            assert_eq!(
                differences(&got, &want, 1.125),
                Differences { worst, ..none }
            );
            let missing = Differences {
                wrong: 1,
                missing: 1,
                ..none
            };
            for lost in [f32::NAN, f32::INFINITY] {
                let mut got = want.clone();
                got[len / 2] = lost;
                assert_eq!(differences(&got, &want, 1e9), missing);
                assert_eq!(differences(&want, &got, 1e9), missing);
                assert_eq!(differences(&got, &got, 1e9), missing);
            }
        }
    }

    #[test]
    fn what_is_unset_is_missing() {
        let gpu = gpu();
        for format in [Scalar::F32, Scalar::F16] {
            let values = vec![1.0; 5000];
            let [got, want] = [(); 2].map(|()| stored(&gpu, &values, format));
            let agreement = Agreement::new(&gpu, [&got, &want], 5000, format).unwrap();
            let unset = Unset::new(&gpu, &got).unwrap();
            for words in [0, 1, 2000] {
                let mut recorder = gpu.record().unwrap();
                unset.record(&mut recorder, words).unwrap();
                recorder.submit().unwrap();
                let found = agreement.differences(&gpu, 0.0).unwrap();
                assert_eq!(found.missing, words * 4 / format.bytes());
                assert_eq!(found.wrong, found.missing);
            }
        }
    }

    #[test]
    fn every_text_is_portable() {
        let unset = kernel("gemm_unset", &[UNSET], 2);
        for kernel in [unset, comparison(Scalar::F32), comparison(Scalar::F16)] {
            if let Err(error) = shader::portability(&kernel.source) {
                panic!("{}: {error}", kernel.label);
            }
        }
    }
}
