//! What a kernel's text depends on besides its operation: the class of machine, and how numbers are stored.
use crate::gpu::AdapterClass;

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
