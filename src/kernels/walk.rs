//! What kernels share that walk flat regions of arenas: the choice of vectors of four or single elements, and the grid.
use super::scaler::Skip;
use crate::gpu::{AdapterClass, Caps, Kernel, shader};

const MAIN: &str = include_str!("../../shaders/lib/walk.wgsl");
const VEC4: &str = include_str!("../../shaders/lib/walk_vec4.wgsl");
const SCALAR: &str = include_str!("../../shaders/lib/walk_scalar.wgsl");

/// Lanes of a workgroup and values per lane. Adam on 2 million parameters on lavapipe, two cores, Mesa 22.3 / 25.0: 8 lanes x 4 values
/// 17.0 / 13.1 ms, 8 x 16: 15.0 / 8.9, 8 x 64: 14.4 / 5.8 (few workgroups for small networks), 64 x 1: 15.7 / 11.0, 64 x 16: 35 / 10.7.
pub(super) fn lanes_and_items(caps: &Caps) -> (u32, u32) {
    match caps.class {
        AdapterClass::Software => (8, 16),
        _ => (64, 1),
    }
}

/// How a kernel sees its regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// Vectors of four elements, the last one ragged.
    Vec4,
    Scalar,
}

impl Width {
    /// Vectors where every region starts at a multiple of four elements.
    pub(super) fn of(offsets: &[u32]) -> Width {
        if offsets.iter().all(|offset| offset.is_multiple_of(4)) {
            Width::Vec4
        } else {
            Width::Scalar
        }
    }
    pub(super) fn elements(self) -> u32 {
        match self {
            Width::Vec4 => 4,
            Width::Scalar => 1,
        }
    }
    /// The declarations of `value`, `words`, `flags`, `WIDTH`, `inside` and `first_of`.
    pub(super) fn wgsl(self) -> &'static str {
        match self {
            Width::Vec4 => VEC4,
            Width::Scalar => SCALAR,
        }
    }
    pub(super) fn label(self, name: &str) -> String {
        match self {
            Width::Vec4 => format!("{name}_vec4"),
            Width::Scalar => format!("{name}_scalar"),
        }
    }
}

/// The constants LANES and ITEMS.
pub(super) fn prelude(lanes: u32, items: u32) -> String {
    format!("const LANES = {lanes}u;\nconst ITEMS = {items}u;")
}

/// A grid of at least `groups` workgroups along x, then y. No kernel has 65,535^2 of them: buffers are smaller.
pub(super) fn grid(caps: &Caps, groups: u32) -> [u32; 3] {
    let groups = groups.max(1);
    let x = groups.min(caps.max_workgroups_per_dim);
    [x, groups.div_ceil(x), 1]
}

/// A kernel whose `parts` declare `im` (its first word is `count`) and `fn update(q: u32)`, called for each value of a region
/// of `count` elements. `offsets` follow `count` in the immediates, in elements here and in values there; then `rest`.
pub(super) fn kernel(
    caps: &Caps,
    label: String,
    width: Width,
    parts: &[&str],
    count: u32,
    offsets: &[u32],
    rest: &[u32],
) -> Kernel {
    let never = Skip::Never.wgsl(0);
    let parts = [parts, &[never.as_str()]].concat();
    step(caps, label, width, &parts, count, offsets, rest)
}

/// As [`kernel`]; the `parts` also declare `fn skipped() -> bool`.
pub(super) fn step(
    caps: &Caps,
    label: String,
    width: Width,
    parts: &[&str],
    count: u32,
    offsets: &[u32],
    rest: &[u32],
) -> Kernel {
    let (lanes, items) = lanes_and_items(caps);
    let prelude = prelude(lanes, items);
    let mut source = vec![prelude.as_str(), MAIN, width.wgsl()];
    source.extend(parts);
    let mut immediates = vec![count];
    immediates.extend(offsets.iter().map(|offset| offset / width.elements()));
    immediates.extend(rest);
    let values = count.div_ceil(width.elements());
    Kernel {
        label,
        source: shader::join(&source).into(),
        grid: grid(caps, values.div_ceil(lanes * items)),
        immediates,
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Arenas with guards around them, and both variants of every kernel on the adapter at hand.
    use super::*;
    use crate::gpu::testing::{buffer_of, read_f32};
    use crate::gpu::{Buffer, Gpu};

    /// Sizes that straddle vectors, lanes and workgroups.
    pub const COUNTS: [u32; 10] = [1, 3, 4, 15, 16, 17, 33, 64, 257, 1550];

    /// The adapter's capabilities as a software adapter's and as a GPU's: both variants run anywhere.
    pub fn variants(gpu: &Gpu) -> [Caps; 2] {
        [AdapterClass::Software, AdapterClass::Discrete].map(|class| Caps {
            class,
            ..gpu.caps().clone()
        })
    }

    /// Runs one kernel to its end.
    pub fn run(gpu: &Gpu, kernel: &Kernel, buffers: &[&Buffer]) {
        let dispatch = gpu
            .prepare(kernel, buffers)
            .unwrap_or_else(|e| panic!("{}: {e}", kernel.label));
        gpu.submit([&dispatch]).unwrap();
        gpu.wait_idle().unwrap();
    }

    /// The kernel with one piece of its text exchanged: something that a test has to catch.
    pub fn mutated(kernel: &Kernel, from: &str, to: &str) -> Kernel {
        assert!(kernel.source.contains(from), "`{from}` is not in the text");
        Kernel {
            source: kernel.source.replace(from, to).into(),
            ..kernel.clone()
        }
    }

    /// Every variant can be written for Vulkan, Metal and DirectX 12.
    pub fn assert_portable(build: impl Fn(&Caps) -> Vec<Kernel>) {
        for class in [AdapterClass::Software, AdapterClass::Discrete] {
            for kernel in build(&Caps::baseline(class)) {
                shader::portability(&kernel.source)
                    .unwrap_or_else(|e| panic!("{}: {e}", kernel.label));
                let words = kernel.immediates.len() as u32;
                let reflection = shader::validate(&kernel.source).unwrap();
                assert_eq!(reflection.immediate_bytes, 4 * words, "{}", kernel.label);
                assert!(words <= 32);
            }
        }
    }

    /// A region of a buffer with guard values before and behind it.
    pub struct Region {
        pub buffer: Buffer,
        offset: usize,
        count: usize,
    }
    const GUARD: f32 = 12345.5;
    impl Region {
        pub fn new(gpu: &Gpu, label: &str, offset: u32, values: &[f32]) -> Region {
            let offset = offset as usize;
            let mut all = vec![GUARD; offset + values.len() + 7];
            all[offset..offset + values.len()].copy_from_slice(values);
            Region {
                buffer: buffer_of(gpu, label, &all),
                offset,
                count: values.len(),
            }
        }
        /// The region's values.
        ///
        /// # Panics
        /// If anything around it was written.
        pub fn read(&self, gpu: &Gpu) -> Vec<f32> {
            let all = read_f32(gpu, &self.buffer);
            let region = self.offset..self.offset + self.count;
            for (i, v) in all.iter().enumerate() {
                assert!(region.contains(&i) || *v == GUARD, "[{i}] is outside");
            }
            all[region].to_vec()
        }
    }

    /// `count` values in [low, high), the same for the same salt.
    pub fn values(count: u32, salt: u32, low: f32, high: f32) -> Vec<f32> {
        use crate::data::rng::{threefry2x32, uniform01};
        (0..count)
            .map(|i| low + (high - low) * uniform01(threefry2x32([salt, 77], [i, 0])[0]))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_cover_and_stay_within_limits() {
        let caps = Caps {
            max_workgroups_per_dim: 100,
            ..Caps::baseline(AdapterClass::Software)
        };
        for (groups, expected) in [(0, [1, 1, 1]), (1, [1, 1, 1]), (100, [100, 1, 1])] {
            assert_eq!(grid(&caps, groups), expected);
        }
        assert_eq!(grid(&caps, 101), [100, 2, 1]);
    }

    #[test]
    fn vectors_only_where_every_region_is_aligned() {
        assert_eq!(Width::of(&[0, 8, 4]), Width::Vec4);
        assert_eq!(Width::of(&[0, 8, 5]), Width::Scalar);
    }
}
