//! What a kernel's text depends on besides its operation: the class of machine, and how numbers are stored.
use crate::gpu::{AdapterClass, Caps};

/// How kernels are shaped for a class of adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// 8 lanes that loop, no barriers.
    Cpu,
    /// Wide workgroups, one value per lane, sums through workgroup memory.
    Gpu,
}

impl Form {
    /// Software adapters run on CPUs.
    pub fn of(class: AdapterClass) -> Form {
        match class {
            AdapterClass::Software => Form::Cpu,
            _ => Form::Gpu,
        }
    }
}

/// How a storage buffer is bound that is read or written four f32 at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fours {
    /// A vec4<f32>.
    Vector,
    /// Two 64-bit integers.
    Words,
}

impl Fours {
    /// Words where a driver that runs on the CPU has them: it expands loads and stores number by number, of words half as many.
    pub fn of(form: Form, caps: &Caps) -> Fours {
        match form {
            Form::Cpu if caps.int64 => Fours::Words,
            _ => Fours::Vector,
        }
    }

    /// The declarations of `f32x4`, `four` and `four_stored`.
    pub fn wgsl(self) -> &'static str {
        match self {
            Fours::Vector => include_str!("../../shaders/lib/fours.wgsl"),
            Fours::Words => include_str!("../../shaders/lib/fours_words.wgsl"),
        }
    }

    /// WGSL of the single number `a` in the array `name` of fours.
    pub fn single(self, name: &str) -> String {
        match self {
            Fours::Vector => format!("{name}[a / 4u][a % 4u]"),
            Fours::Words => {
                format!("bitcast<f32>(u32({name}[a / 4u][a % 4u / 2u] >> (a % 2u * 32u)))")
            }
        }
    }
}

/// How a tensor's elements are stored. Arithmetic is f32 whatever the storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scalar {
    #[default]
    F32,
    F16,
}

impl Scalar {
    /// The type's name in WGSL.
    pub fn wgsl(self) -> &'static str {
        match self {
            Scalar::F32 => "f32",
            Scalar::F16 => "f16",
        }
    }

    /// Bytes of one element.
    pub fn bytes(self) -> u64 {
        match self {
            Scalar::F32 => 4,
            Scalar::F16 => 2,
        }
    }
}
