//! WGSL text: joining parts, validation with line numbers, and reflection of what a kernel declares.
//!
//! Bindings, their access, the workgroup size and the size of the immediates are read from the shader itself, so that none of
//! them is typed a second time in Rust.
use super::adapter::Caps;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use sha2::{Digest, Sha256};

pub use super::translate::{portability, to_glsl, to_hlsl, to_msl, to_spirv};

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ShaderError {
    /// The text is no WGSL, or breaks one of its rules.
    #[error("line {line}, column {column}: {message}\n{excerpt}")]
    Invalid {
        /// 1-based, in the joined text; 0 where naga gives no place.
        line: u32,
        column: u32,
        message: String,
        /// The lines around the error, with carets under it.
        excerpt: String,
    },
    /// Valid WGSL that breaks a rule of this program about kernels.
    #[error("{message}")]
    Interface { message: String },
    #[error(
        "the shader needs {feature}, which this adapter lacks; choose another variant of the kernel"
    )]
    MissingFeature { feature: &'static str },
    #[error("cannot be written as {target}: {message}")]
    Translate {
        target: &'static str,
        message: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    Read,
    ReadWrite,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The variable's name in the shader.
    pub name: String,
    pub access: Access,
    /// Fewest bytes that a buffer bound here must have.
    pub min_bytes: u64,
}

/// What a kernel declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reflection {
    pub entry_point: String,
    pub workgroup_size: [u32; 3],
    /// `@group(0) @binding(i)`, at position i.
    pub bindings: Vec<Binding>,
    /// Size of `var<immediate>`, 0 without one.
    pub immediate_bytes: u32,
    /// Bytes of `var<workgroup>`.
    pub workgroup_bytes: u32,
    pub f16: bool,
    pub int64: bool,
    pub subgroups: bool,
    pub cooperative_matrix: bool,
}

/// Adds a line to generated text.
pub fn line(text: &mut String, line: std::fmt::Arguments) {
    use std::fmt::Write;
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

/// Joins the parts of a shader (prelude, libraries, epilogue, body) into one text, in order.
///
/// WGSL declarations may stand in any order, but `enable`, `requires` and `diagnostic` directives must come first: those lines
/// are moved to the top, each once. A blank line takes the place of a moved one, so parts keep their line counts.
pub fn join(parts: &[&str]) -> String {
    let mut directives: Vec<&str> = Vec::new();
    let mut body = String::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for line in parts.iter().flat_map(|part| part.lines()) {
        let text = line.trim();
        let is_directive = ["enable ", "requires ", "diagnostic(", "diagnostic "]
            .iter()
            .any(|word| text.starts_with(word));
        if !is_directive {
            body.push_str(line);
        } else if !directives.contains(&text) {
            directives.push(text);
        }
        body.push('\n');
    }
    if directives.is_empty() {
        return body;
    }
    format!("{}\n{body}", directives.join("\n"))
}

/// Adds the code of a WGSL text to a digest of kernels, so that words beside them are not mistaken for other kernels.
pub fn hash_code(hash: &mut Sha256, text: &str) {
    for line in code(text) {
        hash.update(line);
        hash.update("\n");
    }
}

/// The lines of a WGSL text without comments, indentation and blank lines. The shaders have line comments only.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let bare = |line: &'_ str| line.find("//").unwrap_or(line.len());
    text.lines()
        .map(move |line| line[..bare(line)].trim())
        .filter(|line| !line.is_empty())
}

const BASE: Capabilities = Capabilities::IMMEDIATES.union(Capabilities::SHADER_FLOAT16_IN_FLOAT32);
const SUBGROUPS: Capabilities = Capabilities::SUBGROUP.union(Capabilities::SUBGROUP_BARRIER);
const MATRIX: Capabilities = Capabilities::COOPERATIVE_MATRIX;
const F16: Capabilities = Capabilities::SHADER_FLOAT16;
const INT64: Capabilities = Capabilities::SHADER_INT64;

/// A shader that naga accepts, with what it declares.
pub(super) struct Checked {
    pub module: naga::Module,
    pub info: ModuleInfo,
    pub reflection: Reflection,
}

/// Parses and validates `source` with every feature that kernels may use, and reads its interface.
///
/// # Errors
/// [`ShaderError::Invalid`] with line and column; [`ShaderError::Interface`] if it is not one compute entry point
/// with storage buffers at `@group(0) @binding(0..n)`.
pub fn validate(source: &str) -> Result<Reflection, ShaderError> {
    check(source).map(|checked| checked.reflection)
}

/// Like [`validate`], for an adapter: a feature that it lacks is an error with the feature's name.
pub fn validate_for(source: &str, caps: &Caps) -> Result<Reflection, ShaderError> {
    let reflection = validate(source)?;
    let missing = |feature| Err(ShaderError::MissingFeature { feature });
    if reflection.f16 && !caps.f16 {
        return missing("16-bit floats (f16)");
    }
    if reflection.int64 && !caps.int64 {
        return missing("64-bit integers");
    }
    if reflection.subgroups && !caps.subgroups {
        return missing("subgroup operations");
    }
    if reflection.cooperative_matrix && caps.cooperative_matrix.is_empty() {
        return missing("cooperative matrices");
    }
    Ok(reflection)
}

pub(super) fn check(source: &str) -> Result<Checked, ShaderError> {
    let module = naga::front::wgsl::parse_str(source).map_err(|error| {
        let place = error.location(source);
        ShaderError::Invalid {
            line: place.map_or(0, |p| p.line_number),
            column: place.map_or(0, |p| p.line_position),
            message: error.message().to_string(),
            excerpt: error.emit_to_string(source),
        }
    })?;
    let run = |capabilities| {
        Validator::new(ValidationFlags::all(), capabilities)
            .validate(&module)
            .map_err(|error| {
                let place = error.location(source);
                ShaderError::Invalid {
                    line: place.map_or(0, |p| p.line_number),
                    column: place.map_or(0, |p| p.line_position),
                    message: chain(error.as_inner()),
                    excerpt: error.emit_to_string(source),
                }
            })
    };
    // An optional feature is needed exactly if the shader is invalid without it, as one that declares 64-bit integers is. Most need no
    // other, and pay one validation.
    let words = module.types.iter().any(|(_, declared)| {
        let scalar = declared.inner.scalar();
        scalar.is_some_and(|s| s.width == 8 && s.kind != naga::ScalarKind::Float)
    });
    let least = if words { BASE | INT64 } else { BASE };
    let all = BASE | SUBGROUPS | MATRIX | F16 | INT64;
    let (info, [f16, subgroups, cooperative_matrix, int64]) = match run(least) {
        Ok(info) => (info, [false, false, false, words]),
        Err(_) => (
            run(all)?,
            [F16, SUBGROUPS, MATRIX, INT64].map(|one| run(all - one).is_err()),
        ),
    };
    let mut reflection = reflect(&module)?;
    reflection.f16 = f16 || source_enables_f16(source);
    reflection.int64 = int64;
    reflection.subgroups = subgroups;
    reflection.cooperative_matrix = cooperative_matrix;
    Ok(Checked {
        module,
        info,
        reflection,
    })
}

/// wgpu refuses an `enable f16;` line on an adapter without f16 even if nothing uses it, and naga's module forgets the line.
fn source_enables_f16(source: &str) -> bool {
    source
        .lines()
        .map(str::trim)
        .any(|line| line.starts_with("enable ") && line.contains("f16"))
}

fn reflect(module: &naga::Module) -> Result<Reflection, ShaderError> {
    let refuse = |message: String| Err(ShaderError::Interface { message });
    let [entry] = module.entry_points.as_slice() else {
        return refuse(format!(
            "a kernel has one entry point, this shader has {}",
            module.entry_points.len()
        ));
    };
    if entry.stage != naga::ShaderStage::Compute {
        return refuse(format!("entry point `{}` is not @compute", entry.name));
    }
    if entry.workgroup_size_overrides.is_some() || !module.overrides.is_empty() {
        return refuse(
            "uses `override`; generate `const` lines instead (naga 30 panics on some overrides)"
                .into(),
        );
    }
    let size_of = |variable: &naga::GlobalVariable| {
        module.types[variable.ty]
            .inner
            .try_size(module.to_ctx())
            .unwrap_or(u32::MAX)
    };
    let mut bindings: Vec<(u32, Binding)> = Vec::new();
    let (mut immediate_bytes, mut workgroup_bytes) = (0, 0u32);
    for (_, variable) in module.global_variables.iter() {
        let name = variable.name.clone().unwrap_or_default();
        match variable.space {
            naga::AddressSpace::Storage { access } => {
                let Some(place) = variable.binding else {
                    return refuse(format!("storage variable `{name}` has no @binding"));
                };
                if place.group != 0 {
                    return refuse(format!(
                        "`{name}` is in @group({}); kernels use @group(0) only",
                        place.group
                    ));
                }
                let access = if access.contains(naga::StorageAccess::STORE) {
                    Access::ReadWrite
                } else {
                    Access::Read
                };
                bindings.push((
                    place.binding,
                    Binding {
                        name,
                        access,
                        min_bytes: size_of(variable).into(),
                    },
                ));
            }
            naga::AddressSpace::Immediate => immediate_bytes = size_of(variable),
            // The size of one variable is rounded up as the backends lay it out.
            naga::AddressSpace::WorkGroup => {
                workgroup_bytes =
                    workgroup_bytes.saturating_add(size_of(variable).next_multiple_of(16));
            }
            naga::AddressSpace::Private => {}
            _ => {
                return refuse(format!(
                    "`{name}` is neither a storage buffer nor var<immediate>, var<workgroup> or var<private>"
                ));
            }
        }
    }
    bindings.sort_by_key(|(index, _)| *index);
    for (expected, (index, binding)) in bindings.iter().enumerate() {
        if *index as usize != expected {
            return refuse(format!(
                "bindings are numbered 0, 1, 2, ... without gaps, each once; `{}` has @binding({index}) where {expected} is due",
                binding.name
            ));
        }
    }
    Ok(Reflection {
        entry_point: entry.name.clone(),
        workgroup_size: entry.workgroup_size,
        bindings: bindings.into_iter().map(|(_, binding)| binding).collect(),
        immediate_bytes,
        workgroup_bytes,
        f16: false,
        int64: false,
        subgroups: false,
        cooperative_matrix: false,
    })
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::gpu::AdapterClass;

    const KERNEL: &str = "
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(0) var<storage, read> x: array<f32>;
struct Params { n: u32, scale: vec2<f32> }
var<immediate> im: Params;
var<workgroup> tile: array<f32, 33>;
@compute @workgroup_size(8, 4) fn run(@builtin(global_invocation_id) id: vec3<u32>) {
    tile[id.x] = x[id.x];
    workgroupBarrier();
    if id.x < im.n { y[id.x] = vec4(tile[id.y] * im.scale.x); }
}";

    #[test]
    fn words_beside_the_code_are_not_of_it() {
        let code = |text| code(text).collect::<Vec<_>>();
        let lines = ["let a = b / c;", "}"];
        assert_eq!(
            code("// A sum.\n    let a = b / c; // of two\n\n}\n"),
            lines
        );
        assert_eq!(code("let a = b / c;\n}"), lines);
    }

    #[test]
    fn reflection_reads_what_the_shader_declares() {
        let reflection = validate(KERNEL).unwrap();
        let binding = |name: &str, access, min_bytes| Binding {
            name: name.into(),
            access,
            min_bytes,
        };
        let expected = Reflection {
            entry_point: "run".into(),
            workgroup_size: [8, 4, 1],
            bindings: vec![
                binding("x", Access::Read, 4),
                binding("y", Access::ReadWrite, 16),
            ],
            immediate_bytes: 16,
            workgroup_bytes: 144,
            f16: false,
            int64: false,
            subgroups: false,
            cooperative_matrix: false,
        };
        assert_eq!(reflection, expected);
    }

    #[test]
    fn optional_features_are_noticed_and_asked_of_the_adapter() {
        let f16 = join(&[
            KERNEL,
            "enable f16;",
            "fn half(v: f32) -> f16 { return f16(v); }",
        ]);
        let subgroups = KERNEL.replace("vec4(tile", "vec4(subgroupAdd(1.0) * tile");
        let int64 = join(&[KERNEL, "fn low(v: u64) -> u32 { return u32(v); }"]);
        let reflection = validate(&f16).unwrap();
        assert!(reflection.f16 && !reflection.subgroups && !reflection.int64);
        let reflection = validate(&int64).unwrap();
        assert!(reflection.int64 && !reflection.f16);
        let reflection = validate(&subgroups).unwrap();
        assert!(reflection.subgroups && !reflection.f16);
        let matrix = validate(MATRIX_KERNEL).unwrap();
        assert!(matrix.cooperative_matrix && matrix.f16);

        let mut caps = Caps::baseline(AdapterClass::Discrete);
        validate_for(KERNEL, &caps).unwrap();
        for source in [&f16, &subgroups, &int64, MATRIX_KERNEL] {
            let error = validate_for(source, &caps).unwrap_err();
            assert!(
                matches!(error, ShaderError::MissingFeature { .. }),
                "{error}"
            );
        }
        caps.f16 = true;
        caps.subgroups = true;
        caps.int64 = true;
        validate_for(&int64, &caps).unwrap();
        validate_for(&f16, &caps).unwrap();
        validate_for(&subgroups, &caps).unwrap();
        // An `enable` line alone needs the feature: wgpu refuses the line.
        assert!(validate(&join(&[KERNEL, "enable f16;"])).unwrap().f16);
    }

    pub(in crate::gpu) const MATRIX_KERNEL: &str = "
enable f16;
enable wgpu_cooperative_matrix;
@group(0) @binding(0) var<storage, read> a: array<f16>;
@group(0) @binding(1) var<storage, read> b: array<f16>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@compute @workgroup_size(32) fn main() {
    let x = coopLoadT<coop_mat16x16<f16, A>>(&a[0], 16u);
    let y = coopLoadT<coop_mat16x16<f16, B>>(&b[0], 16u);
    let z = coopMultiplyAdd(x, y, coop_mat16x16<f32, C>());
    coopStoreT(z, &c[0], 16u);
}";

    #[test]
    fn errors_carry_line_column_and_excerpt() {
        for (mistake, line) in [
            ("let a = ;", 8),
            ("let b = missing;", 8),
            ("let c: u32 = 1.5;", 8),
        ] {
            let source = KERNEL.replace("    tile[id.x] =", &format!("{mistake} tile[id.x] ="));
            let error = validate(&source).unwrap_err();
            assert!(
                matches!(&error, ShaderError::Invalid { line: l, column: 1.., .. } if *l == line),
                "{error}"
            );
            assert!(error.to_string().contains(mistake), "{error}");
        }
        // Parses, but does not validate: a write to a buffer that is read-only.
        let source = KERNEL.replace("    workgroupBarrier();", "    x[id.x] = 1.0;");
        let error = validate(&source).unwrap_err();
        assert!(
            matches!(&error, ShaderError::Invalid { line: 9, .. }),
            "{error}"
        );
    }

    #[test]
    fn interfaces_that_this_program_does_not_bind_are_refused() {
        let gap = KERNEL.replace("@binding(1)", "@binding(2)");
        let group = KERNEL.replace("@group(0) @binding(1)", "@group(1) @binding(1)");
        let uniform = KERNEL
            .replace(
                "var<storage, read> x: array<f32>",
                "var<uniform> x: array<vec4<f32>, 64>",
            )
            .replace("= x[id.x];", "= x[id.x].x;");
        let overridden = KERNEL.replace("@compute", "override k = 1u; @compute");
        let two = format!("{KERNEL} @compute @workgroup_size(1) fn other() {{}}");
        let cases = [
            (gap, "`y` has @binding(2) where 1 is due"),
            (group, "`y` is in @group(1)"),
            (uniform, "`x` is neither a storage buffer nor"),
            (overridden, "uses `override`"),
            (two, "one entry point, this shader has 2"),
        ];
        for (source, said) in cases {
            let error = validate(&source).unwrap_err();
            assert!(matches!(error, ShaderError::Interface { .. }), "{error}");
            assert!(error.to_string().contains(said), "{error}");
        }
        // naga itself refuses two variables of one entry point at the same place.
        let twice = KERNEL.replace("@binding(1)", "@binding(0)");
        assert!(matches!(validate(&twice), Err(ShaderError::Invalid { .. })));
    }

    #[test]
    fn joining_moves_directives_to_the_top_once() {
        let joined = join(&[
            "enable f16;\nconst a = 1;",
            "  enable f16;\ndiagnostic(off, derivative_uniformity);\nconst b = 2;",
        ]);
        assert_eq!(
            joined,
            "enable f16;\ndiagnostic(off, derivative_uniformity);\n\nconst a = 1;\n\n\nconst b = 2;\n"
        );
        assert_eq!(
            join(&["const a = 1;", "const b = 2;\n"]),
            "const a = 1;\nconst b = 2;\n"
        );
    }
}
