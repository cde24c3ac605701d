//! Reading PyTorch's goldens (`assets/goldens`) and feeding them to the f64 evaluator. Each story uses a part of it.
#![allow(dead_code)]
use gan_gpu::data::rng::{threefry2x32, uniform01};
use gan_gpu::graph::{Expr, Graph, Reference, Shape};
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::HashMap;

/// A tensor of a golden file, row-major in PyTorch's layout.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

impl Tensor {
    /// Exchanges the first two axes: PyTorch's batch first is features first here. Vectors and scalars stay.
    pub fn swap_batch(&self) -> Tensor {
        if self.shape.len() < 2 {
            return self.clone();
        }
        let (a, b) = (self.shape[0], self.shape[1]);
        let inner: usize = self.shape[2..].iter().product();
        let mut values = Vec::with_capacity(self.values.len());
        for j in 0..b {
            for i in 0..a {
                let at = (i * b + j) * inner;
                values.extend_from_slice(&self.values[at..at + inner]);
            }
        }
        let mut shape = self.shape.clone();
        shape.swap(0, 1);
        Tensor { shape, values }
    }
}

/// One golden file.
pub struct Goldens {
    pub tensors: HashMap<String, Tensor>,
    pub metadata: HashMap<String, String>,
}

impl Goldens {
    pub fn open(name: &str) -> Goldens {
        // From the repository's root, where cargo and tools/bench-gpu run the tests: the programs may have been built elsewhere.
        let path = format!("assets/goldens/{name}");
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let tensors = file.tensors().into_iter().map(|(name, t)| {
            let values = t.data().chunks_exact(4);
            let values = values.map(|b| f32::from_le_bytes(b.try_into().unwrap()) as f64);
            let (shape, values) = (t.shape().to_vec(), values.collect());
            (name, Tensor { shape, values })
        });
        Goldens {
            tensors: tensors.collect(),
            metadata: metadata.metadata().clone().unwrap_or_default(),
        }
    }
    pub fn get(&self, name: &str) -> &Tensor {
        (self.tensors.get(name)).unwrap_or_else(|| panic!("the goldens have no {name}"))
    }
    /// A nested value of the metadata.
    pub fn json(&self, key: &str) -> Value {
        serde_json::from_str(&self.metadata[key]).unwrap()
    }
    /// A list of the metadata.
    pub fn list(&self, key: &str) -> Vec<Value> {
        self.json(key).as_array().unwrap().clone()
    }
}

/// Element `index` of a stream of the goldens' own random numbers: f32((2u - 1) scale).
pub fn uniform_at(seed: u32, stream: u32, scale: f64, index: usize) -> f64 {
    let u = uniform01(threefry2x32([seed, stream], [index as u32, 0])[0]) as f64;
    ((2.0 * u - 1.0) * scale) as f32 as f64
}

/// A tensor of the goldens' own random numbers, in PyTorch's layout.
pub fn uniform(seed: u32, stream: u32, shape: &[usize], scale: f64) -> Tensor {
    let count: usize = shape.iter().product();
    let values = (0..count).map(|i| uniform_at(seed, stream, scale, i));
    Tensor {
        shape: shape.to_vec(),
        values: values.collect(),
    }
}

/// A parameter before training, by its entry in `parameters_g` or `parameters_d`.
pub fn fill(seed: u32, entry: &Value) -> Tensor {
    let number = |key: &str| entry[key].as_f64().unwrap();
    let axes = entry["shape"].as_array().unwrap();
    let shape: Vec<usize> = axes.iter().map(|v| v.as_u64().unwrap() as usize).collect();
    let count = shape.iter().product();
    let values = match entry["fill"].as_str().unwrap() {
        "uniform" => return uniform(seed, number("stream") as u32, &shape, number("scale")),
        "constant" => vec![number("value"); count],
        "alternating" => {
            let period = number("period") as usize;
            let sign = |i: usize| if i % period == period - 1 { -1.0 } else { 1.0 };
            (0..count).map(|i| sign(i) * number("value")).collect()
        }
        fill => panic!("unknown fill {fill}"),
    };
    Tensor { shape, values }
}

/// A graph whose leaves have values.
#[derive(Default)]
pub struct Bench {
    pub g: Graph,
    pub reference: Reference,
}

impl Bench {
    /// A leaf with values.
    pub fn leaf(&mut self, name: &str, shape: impl Into<Shape>, values: &[f64]) -> Expr {
        let e = self.g.leaf(name, shape);
        self.reference.bind(&self.g, e, values.to_vec());
        e
    }
    /// A leaf from a golden tensor.
    pub fn tensor(&mut self, name: &str, t: &Tensor) -> Expr {
        self.leaf(name, t.shape.clone(), &t.values)
    }
    pub fn value(&self, e: Expr) -> Vec<f64> {
        self.reference.evaluate(&self.g, &[e]).unwrap().remove(0)
    }
    pub fn scalar(&self, e: Expr) -> f64 {
        let v = self.value(e);
        assert_eq!(v.len(), 1);
        v[0]
    }
}

/// Relative error in the Euclidean norm.
pub fn distance(got: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let square = |v: f64| v * v;
    let error: f64 = got.iter().zip(expected).map(|(a, b)| square(a - b)).sum();
    let norm: f64 = expected.iter().map(|&b| square(b)).sum();
    error.sqrt() / norm.sqrt().max(1e-9)
}

/// The goldens are f64 results rounded to f32.
pub const GOLDEN: f64 = 1e-6;

/// Fails unless `got` is the golden to f32 rounding.
#[track_caller]
pub fn assert_golden(what: &str, got: &[f64], expected: &[f64]) {
    let d = distance(got, expected);
    assert!(d < GOLDEN, "{what}: relative distance {d:.1e} from PyTorch");
}
