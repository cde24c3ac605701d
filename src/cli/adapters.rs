//! `gan-gpu adapters [--json]`: every adapter with the limits and features that matter here.
use crate::gpu::{AdapterReport, Caps, GpuError, faster_driver, list_adapters};
use std::fmt::Write as _;
use std::io::{self, Write as _};

#[derive(Debug, thiserror::Error)]
pub enum AdaptersError {
    /// There is none at all: exit code 3.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

/// Prints a table, or with `json` an array of objects, to standard output.
///
/// # Errors
/// [`GpuError::NoAdapter`] (after an empty array, with `json`) if there is no adapter.
pub fn run(json: bool) -> Result<(), AdaptersError> {
    let reports = list_adapters();
    let text = if json {
        to_json(&reports)?
    } else {
        to_table(&reports)
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // `gan-gpu adapters | head -1` is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    if reports.is_empty() {
        return Err(GpuError::NoAdapter {
            wanted: "auto".into(),
            available: Vec::new(),
        }
        .into());
    }
    Ok(())
}

fn to_json(reports: &[AdapterReport]) -> Result<String, AdaptersError> {
    let text = serde_json::to_string_pretty(reports).map_err(io::Error::from)?;
    Ok(text + "\n")
}

/// One block of lines per adapter: that many facts do not fit a row of 80 columns.
fn to_table(reports: &[AdapterReport]) -> String {
    let mut text = String::new();
    for (position, report) in reports.iter().enumerate() {
        if position > 0 {
            text.push('\n');
        }
        block(&mut text, report);
    }
    text
}

fn block(text: &mut String, report: &AdapterReport) {
    let caps = &report.caps;
    // Writing to a String cannot fail.
    let _ = writeln!(text, "[{}] {}", report.index, report.name);
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "    {name:<14}{value}");
    };
    let yes_no = |yes| if yes { "yes" } else { "no" };
    line("backend", &format!("{}, {}", report.backend, caps.class));
    line("driver", &report.driver);
    line(
        "memory",
        &format!(
            "binding up to {}, buffer up to {}, {} buffers per kernel",
            bytes(caps.max_binding_bytes),
            bytes(caps.max_buffer_bytes),
            caps.max_storage_buffers
        ),
    );
    line(
        "workgroup",
        &format!(
            "{} invocations, {} of memory, {} groups per dimension",
            caps.max_invocations,
            bytes(caps.workgroup_storage_bytes.into()),
            caps.max_workgroups_per_dim
        ),
    );
    line("immediates", &bytes(caps.max_immediate_bytes.into()));
    line("subgroups", &subgroups(caps));
    line("f16", yes_no(caps.f16));
    line("int64", yes_no(caps.int64));
    line("timestamps", yes_no(caps.timestamps));
    let tiles: Vec<String> = caps
        .cooperative_matrix
        .iter()
        .map(ToString::to_string)
        .collect();
    line(
        "matrix tiles",
        &if tiles.is_empty() {
            "none".into()
        } else {
            tiles.join(", ")
        },
    );
    if let Some(reason) = &report.unusable {
        line("UNUSABLE", reason);
    }
    if let Some(advice) = faster_driver(&report.driver) {
        line("advice", advice);
    }
}

fn subgroups(caps: &Caps) -> String {
    match (caps.subgroups, caps.subgroup_size) {
        (false, _) => "no".into(),
        (true, Some(size)) => format!("of {size}"),
        (true, None) => format!(
            "of {} to {}",
            caps.subgroup_min_size, caps.subgroup_max_size
        ),
    }
}

/// Exact in the largest unit that divides it, else to one decimal.
fn bytes(count: u64) -> String {
    let (unit, name) = match count {
        0..1024 => return format!("{count} B"),
        1024..0x10_0000 => (1024, "KiB"),
        0x10_0000..0x4000_0000 => (0x10_0000, "MiB"),
        _ => (0x4000_0000_u64, "GiB"),
    };
    if count.is_multiple_of(unit) {
        format!("{} {name}", count / unit)
    } else {
        format!("{:.1} {name}", count as f64 / unit as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{AdapterClass, GpuBackend, MatrixScalar, MatrixTile};

    fn report() -> AdapterReport {
        let tile = MatrixTile {
            m: 16,
            n: 16,
            k: 8,
            ab: MatrixScalar::F16,
            c: MatrixScalar::F32,
        };
        let caps = Caps {
            subgroups: true,
            subgroup_min_size: 32,
            subgroup_max_size: 32,
            subgroup_size: Some(32),
            max_buffer_bytes: (1 << 31) - 1,
            cooperative_matrix: vec![tile],
            ..Caps::baseline(AdapterClass::Discrete)
        };
        AdapterReport {
            index: 0,
            name: "Some GPU".into(),
            ids: [0; 2],
            backend: GpuBackend::Vulkan,
            driver: "some 1.2".into(),
            caps,
            unusable: None,
        }
    }

    #[test]
    fn the_table_states_every_fact_once() {
        let old = AdapterReport {
            index: 1,
            name: "Old".into(),
            unusable: Some("it has no immediates".into()),
            ..report()
        };
        let expected = "\
[0] Some GPU
    backend       vulkan, discrete
    driver        some 1.2
    memory        binding up to 128 MiB, buffer up to 2.0 GiB, 8 buffers per kernel
    workgroup     256 invocations, 16 KiB of memory, 65535 groups per dimension
    immediates    128 B
    subgroups     of 32
    f16           no
    int64         no
    timestamps    no
    matrix tiles  16x16x8 f16->f32
";
        let table = to_table(&[report(), old]);
        assert_eq!(&table[..expected.len()], expected);
        assert!(table.contains("\n\n[1] Old\n"));
        assert!(table.ends_with("    UNUSABLE      it has no immediates\n"));
    }

    #[test]
    fn subgroup_sizes_are_told_apart() {
        let caps = Caps {
            subgroups: true,
            subgroup_size: None,
            ..Caps::baseline(AdapterClass::Other)
        };
        assert_eq!(subgroups(&caps), "of 4 to 128");
        assert_eq!(
            subgroups(&Caps {
                subgroups: false,
                ..caps
            }),
            "no"
        );
    }

    #[test]
    fn json_is_an_array_of_flat_objects() {
        let parsed: serde_json::Value =
            serde_json::from_str(&to_json(&[report()]).unwrap()).unwrap();
        let first = &parsed[0];
        assert_eq!(first["name"], "Some GPU");
        assert_eq!(first["backend"], "vulkan");
        assert_eq!(first["class"], "discrete");
        assert_eq!(first["max_binding_bytes"], 128 << 20);
        assert_eq!(first["subgroup_size"], 32);
        assert_eq!(first["cooperative_matrix"][0]["ab"], "f16");
        assert!(first["unusable"].is_null());
        assert_eq!(to_json(&[]).unwrap(), "[]\n");
    }
}
