//! How a product can be laid out over the machine: what there is to choose from, and the choice by rule.
use super::coop::CoopTile;
use super::op::{ConvShape, GemmOp};
use super::problem::{Problem, packed_len, phases_at_once};
use super::rule;
use super::tiled::Tile;
use super::unroll::{self, Unroll};
use super::winograd::{self, Winograd};
use crate::gpu::Caps;
use crate::kernels::{Form, KernelError, Scalar};
use std::collections::HashMap;
use std::fmt;

/// A way to compute an operation of the family. Its `Display` is its name, which [`Variant::named`] finds again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Variant {
    pub body: Body,
    pub scheme: Scheme,
}

/// The kernel that multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Body {
    /// For adapters that run on the CPU: no barriers, B stationary in registers and cache (gemm_cpu.wgsl).
    Cpu {
        /// How many k are unrolled: a multiple of 8 up to 104.
        k_tile: u32,
        /// Rows of C per workgroup, a multiple of 4.
        rows: u32,
        /// Stripes of 32 columns of C per workgroup: 1 or 2.
        stripes: u32,
    },
    /// For GPUs: tiles in workgroup memory, blocks of sums in registers (gemm_tiled.wgsl).
    Tiled(Tile),
    /// For GPUs with matrix units: cooperative matrices (gemm_coop.wgsl).
    Coop(CoopTile),
}

impl Body {
    /// The class of adapters that it is for.
    pub fn form(self) -> Form {
        match self {
            Body::Cpu { .. } => Form::Cpu,
            Body::Tiled(_) | Body::Coop(_) => Form::Gpu,
        }
    }
}

/// What is multiplied in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// One product. Before an input gradient of a convolution its weights are packed by stride phase, [phase, ci, (co, jh, jw)]: read in
    /// place, with four addresses per vec4, they halve the speed (64 channels, Mesa 25.0.7: 20 GFLOP/s).
    Whole,
    /// k is cut into this many parts, each summed into scratch memory by workgroups of its own; a second dispatch adds the
    /// parts in order. For products with a small C and a large k, which would leave most of the machine idle.
    SplitK(u32),
    /// Only for `Conv2dInputGrad`: the product of the transposed weights and dy, [ci * kh * kw, n * oh * ow], goes to scratch
    /// memory and a second dispatch gathers each pixel's taps. For few input channels: it reads dy once, in order, where the
    /// phases of the direct form gather it for every tap, with few rows to share the gather.
    TapsFirst,
    /// Only for convolutions: at the points of tiles of this side (`winograd`).
    Winograd(u32),
}

impl Scheme {
    /// Parts that k is cut into.
    pub(super) fn parts(self) -> u32 {
        match self {
            Scheme::SplitK(parts) => parts,
            _ => 1,
        }
    }

    /// What is multiplied for `op`. `None` where that, or the scratch memory around it, is more than kernels reach or the adapter binds.
    pub(super) fn problem(self, caps: &Caps, form: Form, op: &GemmOp) -> Option<Problem> {
        // Each part of scratch memory is a buffer of its own; buffers are cut to vec4s.
        let most = caps.max_binding_bytes.min(caps.max_buffer_bytes) / 16 * 4;
        let scratch = self.scratch(form, op);
        // Without an alternative it is for memory planning to say what is missing.
        let fits = self == Scheme::Whole || scratch.into_iter().all(|floats| floats <= most);
        let problem = Problem::new(&product(op, form, self), [0; 3]);
        problem.ok().filter(|_| fits)
    }

    /// Floats of the two parts of scratch memory.
    fn scratch(self, form: Form, op: &GemmOp) -> [u64; 2] {
        let one = match self {
            Scheme::Whole => match op {
                GemmOp::Conv2dInputGrad(s) => packed_len(s, phases_at_once(s)).next_multiple_of(4),
                _ => 0,
            },
            Scheme::SplitK(parts) => u64::from(parts) * op.lens()[2].next_multiple_of(4),
            Scheme::TapsFirst => product(op, form, self).lens()[2],
            Scheme::Winograd(outputs) => {
                let winograd = Winograd::new(op, form, outputs);
                return winograd.map_or([0; 2], |winograd| winograd.scratch());
            }
        };
        [one, 0]
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.body {
            Body::Cpu {
                k_tile,
                rows,
                stripes: 1,
            } => write!(f, "cpu-k{k_tile}-r{rows}")?,
            Body::Cpu {
                k_tile,
                rows,
                stripes,
            } => write!(f, "cpu-k{k_tile}-r{rows}-x{stripes}")?,
            Body::Tiled(tile) => write!(f, "tiled-{tile}")?,
            Body::Coop(tile) => write!(f, "coop-{tile}")?,
        }
        match self.scheme {
            Scheme::Whole => Ok(()),
            Scheme::SplitK(parts) => write!(f, "-split{parts}"),
            Scheme::TapsFirst => f.write_str("-taps"),
            Scheme::Winograd(outputs) => write!(f, "-winograd{outputs}"),
        }
    }
}

/// The product behind a scheme: what the body is asked to multiply.
pub fn product(op: &GemmOp, form: Form, scheme: Scheme) -> GemmOp {
    match (op, scheme) {
        (GemmOp::Conv2dInputGrad(s), Scheme::TapsFirst) => GemmOp::Matmul {
            m: s.ci * s.kh * s.kw,
            n: s.n * s.oh() * s.ow(),
            k: s.co,
            batch: 1,
            trans_a: true,
            trans_b: false,
        },
        (op, Scheme::Winograd(outputs)) => {
            Winograd::new(op, form, outputs).map_or(*op, |winograd| winograd.product())
        }
        (op, _) => *op,
    }
}

impl Variant {
    /// The choice by rule: a function of adapter, operation and how A, B and C are stored, and in the form for CPUs of the number of cores.
    /// That decides into how many parts k is cut, and so low bits of results: runs record what they were started with.
    ///
    /// # Errors
    /// [`KernelError`]: an operation that no variant computes.
    pub fn by_rule(
        caps: &Caps,
        form: Form,
        op: &GemmOp,
        formats: [Scalar; 3],
    ) -> Result<Self, KernelError> {
        let problem = Problem::new(op, [0; 3])?;
        if form == Form::Gpu {
            return Ok(rule::ranked(caps, op, formats)?[0]);
        }
        let scheme = if Winograd::pays(op) {
            Scheme::Winograd(winograd::BY_RULE)
        } else if taps_pay(op) {
            Scheme::TapsFirst
        } else if splittable(op) {
            split_on_cores(caps, &problem)
        } else {
            Scheme::Whole
        };
        let (scheme, multiplied) = match scheme.problem(caps, form, op) {
            Some(multiplied) => (scheme, multiplied),
            None => (Scheme::Whole, problem),
        };
        let parts = scheme.parts();
        let unroll = Unroll::choose(caps, &multiplied, op.flops());
        Ok(Self {
            body: Body::Cpu {
                k_tile: unroll.k_tile,
                rows: rows_by_rule(caps, &multiplied, parts, unroll.stripes),
                stripes: unroll.stripes,
            },
            scheme,
        })
    }

    /// Everything worth measuring for `op`, the choice by rule first. `formats`: how A, B and C are stored.
    ///
    /// # Errors
    /// As for [`Variant::by_rule`].
    pub fn candidates(
        caps: &Caps,
        form: Form,
        op: &GemmOp,
        formats: [Scalar; 3],
    ) -> Result<Vec<Self>, KernelError> {
        if form == Form::Gpu {
            return rule::ranked(caps, op, formats);
        }
        let first = Self::by_rule(caps, form, op, formats)?;
        let mut all = vec![first];
        for scheme in schemes_of_cpus(op) {
            let Some(problem) = scheme.problem(caps, form, op) else {
                continue;
            };
            let parts = scheme.parts();
            let unroll = Unroll::choose(caps, &problem, op.flops());
            // Parts pay where there are few workgroups, as long as each has a few tiles.
            let stripes = unroll.stripes;
            let rows_max = unroll::rows_max(caps, stripes);
            let col_blocks = problem.n.div_ceil(unroll::COLS * stripes);
            let blocks = problem.m.div_ceil(rows_max) * col_blocks * problem.depth;
            let wanted = 2 * unroll::WORKGROUPS_PER_CORE * unroll::cores();
            if parts > 1 && (blocks * parts > wanted || problem.k / parts < 256) {
                continue;
            }
            let by_rule = rows_by_rule(caps, &problem, parts, stripes);
            for rows in [by_rule, by_rule / 2, by_rule * 2] {
                let rows = rows.next_multiple_of(4);
                let variant = Self {
                    body: Body::Cpu {
                        k_tile: unroll.k_tile,
                        rows,
                        stripes,
                    },
                    scheme,
                };
                if rows <= rows_max
                    && rows < problem.m.next_multiple_of(4) + 32
                    && !all.contains(&variant)
                {
                    all.push(variant);
                }
            }
        }
        Ok(all)
    }

    /// The candidate of this name, or what the rule takes on machines with other numbers of cores.
    pub fn named(
        name: &str,
        caps: &Caps,
        form: Form,
        op: &GemmOp,
        formats: [Scalar; 3],
    ) -> Option<Self> {
        let is = |v: &Self| v.to_string() == name;
        let all = Self::candidates(caps, form, op, formats).ok()?;
        let other = || Self::on_any_cores(caps, form, op).into_iter().find(is);
        all.into_iter().find(is).or_else(other)
    }

    /// What the rule and the candidates are made of, whatever the number of cores: that decides rows and parts.
    fn on_any_cores(caps: &Caps, form: Form, op: &GemmOp) -> Vec<Self> {
        let mut all = Vec::new();
        if form == Form::Gpu {
            return all;
        }
        for scheme in schemes_of_cpus(op) {
            let Some(problem) = scheme.problem(caps, form, op) else {
                continue;
            };
            let Unroll {
                k_tile, stripes, ..
            } = Unroll::choose(caps, &problem, op.flops());
            let with = |rows| Self {
                body: Body::Cpu {
                    k_tile,
                    rows,
                    stripes,
                },
                scheme,
            };
            let rows = (4..=unroll::rows_max(caps, stripes)).step_by(4);
            all.extend(rows.map(with));
        }
        all
    }

    /// Elements of the two parts of scratch memory that `op` needs in this variant.
    pub fn scratch(&self, op: &GemmOp) -> [u64; 2] {
        self.scheme.scratch(self.body.form(), op)
    }
}

/// The schemes that compute `op`.
pub(super) fn schemes(op: &GemmOp) -> Vec<Scheme> {
    let mut all = vec![Scheme::Whole];
    if matches!(op, GemmOp::Conv2dInputGrad(_)) {
        all.push(Scheme::TapsFirst);
    }
    if splittable(op) {
        all.extend([2, 4, 8, 16, 32, 64, 128].map(Scheme::SplitK));
    }
    all
}

fn schemes_of_cpus(op: &GemmOp) -> impl Iterator<Item = Scheme> {
    let tiles = winograd::OUTPUTS.into_iter();
    let tiles = tiles.filter(move |&outputs| Winograd::new(op, Form::Cpu, outputs).is_some());
    schemes(op).into_iter().chain(tiles.map(Scheme::Winograd))
}

/// Batches and stride phases spread over the machine by themselves.
fn splittable(op: &GemmOp) -> bool {
    !matches!(
        op,
        GemmOp::Conv2dInputGrad(_) | GemmOp::Matmul { batch: 2.., .. }
    )
}

/// Whether taps go first by rule.
///
/// With few rows (input channels) the direct form spends its time in gathering dy: 64 -> 1 channels, 4x4 stride 2, batch 64 on
/// Mesa 25.0.7: 33 ms direct, 4.5 ms taps first. And it multiplies taps that fall outside y, which are most of them where y is
/// hardly larger than a pixel (100 -> 512 channels, 1x1 -> 4x4: 56 and 19 ms). From 64 channels on the direct form is twice as
/// fast.
pub(super) fn taps_pay(op: &GemmOp) -> bool {
    matches!(op, GemmOp::Conv2dInputGrad(s) if taps_first(s))
}

fn taps_first(s: &ConvShape) -> bool {
    const FEW_CHANNELS: u32 = 4;
    const LEAST_ROWS: u32 = 8;
    const LEAST_DEPTH: u32 = 16;
    let [stride_h, stride_w] = s.stride;
    let pixels = u64::from(s.h) * u64::from(s.w);
    let direct = pixels * u64::from(s.kh.div_ceil(stride_h)) * u64::from(s.kw.div_ceil(stride_w));
    let taps = u64::from(s.oh()) * u64::from(s.ow()) * u64::from(s.kh) * u64::from(s.kw);
    let rows = s.ci.saturating_mul(s.kh * s.kw);
    // Scratch memory of that size would stand at the peak of a large batch's step (dcgan64, batch 128: 8 MB more in all).
    const MOST_SCRATCH: u64 = 4 << 20;
    let scratch = s.y_len() / u64::from(s.co) * u64::from(rows);
    rows >= LEAST_ROWS
        && scratch <= MOST_SCRATCH
        && s.co >= LEAST_DEPTH
        && (s.ci <= FEW_CHANNELS || direct >= 4 * taps)
}

/// As many parts of k as keep every core busy: more parts are better than fewer rows per workgroup, because each workgroup fills
/// its tiles of B anew.
fn split_on_cores(caps: &Caps, p: &Problem) -> Scheme {
    // The k that a part is worth. And with a few rows, all that a part does is to read its share of B.
    const LEAST_K: u32 = 512;
    const LEAST_ROWS: u32 = 8;
    let [rows, cols] = [unroll::rows_max(caps, 1), unroll::COLS];
    let blocks = p.m.div_ceil(rows).saturating_mul(p.n.div_ceil(cols));
    let wanted = unroll::WORKGROUPS_PER_CORE * unroll::cores();
    match (wanted / blocks).min(p.k / LEAST_K).min(32) {
        0 | 1 => Scheme::Whole,
        _ if p.m < LEAST_ROWS => Scheme::Whole,
        parts => Scheme::SplitK(1 << parts.ilog2()),
    }
}

fn rows_by_rule(caps: &Caps, problem: &Problem, parts: u32, stripes: u32) -> u32 {
    let others = problem.n.div_ceil(unroll::COLS * stripes) * problem.depth * parts;
    let rows_max = unroll::rows_max(caps, stripes);
    unroll::rows_per_workgroup(problem.m, others, unroll::cores(), rows_max)
}

/// Choices that were made before; what is not in it is chosen by rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices(HashMap<(GemmOp, [Scalar; 3]), Variant>);

impl Choices {
    /// Uses `variant` for `op` on operands stored so.
    pub fn insert(&mut self, op: GemmOp, formats: [Scalar; 3], variant: Variant) {
        self.0.insert((op, formats), variant);
    }

    /// The choice for `op`.
    ///
    /// # Errors
    /// As for [`Variant::by_rule`].
    pub fn get(
        &self,
        caps: &Caps,
        form: Form,
        op: &GemmOp,
        formats: [Scalar; 3],
    ) -> Result<Variant, KernelError> {
        match self.0.get(&(*op, formats)) {
            Some(&variant) => Ok(variant),
            None => Variant::by_rule(caps, form, op, formats),
        }
    }
}
