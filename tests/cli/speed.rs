//! `profile` and `bench`.
use super::{gan_gpu, refused, stdout};

#[test]
fn a_profile_accounts_for_every_dispatch() {
    let here = tempfile::tempdir().unwrap();
    let args = "profile --model gauss1d --batch 16 --steps 1 --warmup 0 --json";
    let text = stdout(here.path(), &args.split(' ').collect::<Vec<_>>());
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rows = |table: &str| json[table].as_array().unwrap().clone();
    let sum = |table: &str, column: &str| -> f64 {
        let rows = rows(table);
        rows.iter().map(|row| row[column].as_f64().unwrap()).sum()
    };
    for table in ["by_kind", "by_layer", "by_dispatch"] {
        let device_ms = json["device_ms"].as_f64().unwrap();
        assert!(
            (sum(table, "ms") - device_ms).abs() < 1e-6 * device_ms,
            "{table}"
        );
        assert_eq!(sum(table, "dispatches"), rows("by_dispatch").len() as f64);
    }
    let named = |table: &str, name: &str| rows(table).iter().any(|row| row["name"] == name);
    assert!(named("by_kind", "matmul") && named("by_kind", "adam"));
    assert!(named("by_layer", "g.0 linear, forward"));
    assert!(named("by_layer", "d.4 linear, backward"));
    assert!(named("by_layer", "d, optimiser") && named("by_layer", "latents, data"));
    assert!(json["ceilings"]["copy_gb_s"].as_f64().unwrap() > 0.0);
    assert!(json["ceilings"]["gemm_gflop_s"].as_f64().unwrap() > 0.0);
    let host = json["host_percent"].as_f64().unwrap();
    assert!(host > 0.0 && host <= 100.0, "{host}");
}

#[test]
fn a_model_file_can_be_timed() {
    let here = tempfile::tempdir().unwrap();
    let linear = |features: u32, out: u32| {
        format!(
            "input = {{ features = {features} }}\n[[{{}}.layer]]\ntype = \"linear\"\nout = {out}\n"
        )
    };
    let network = |name: &str, text: String| format!("[{name}]\n{}", text.replace("{}", name));
    let text = network("generator", linear(4, 3)) + &network("discriminator", linear(3, 1));
    std::fs::write(here.path().join("tiny.toml"), text).unwrap();
    let args = "bench step --model tiny.toml --batch 8 --steps 3 --warmup 1 --json";
    let line = stdout(here.path(), &args.split(' ').collect::<Vec<_>>());
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&json["model"], &json["batch"]),
        (&"tiny.toml".into(), &8.into())
    );
    assert!(json["ms_per_iter"].as_f64().unwrap() > 0.0);
}

#[test]
fn kernels_are_timed_with_their_check_beside() {
    let here = tempfile::tempdir().unwrap();
    let args = "bench kernels --filter pack_u8 --max-seconds 1s --json";
    let line = stdout(here.path(), &args.split(' ').collect::<Vec<_>>());
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&json["ok"], &json["wrong"]), (&true.into(), &0.into()));
    assert_eq!(json["compared"], 16 * 3 * 64 * 64);
    assert!(json["ms_median"].as_f64().unwrap() >= json["ms_min"].as_f64().unwrap());
    let refusal = refused(here.path(), &["bench", "kernels", "--filter", "no such"]);
    assert!(
        refusal.contains("no kernel's name contains `no such`"),
        "{refusal}"
    );
}

#[test]
fn a_bench_that_does_not_fit_is_refused_with_advice() {
    let here = tempfile::tempdir().unwrap();
    let args = "bench step --model dcgan64 --dry-run --json --batch";
    let call = |batch: &str| {
        let args: Vec<&str> = args.split(' ').chain([batch]).collect();
        let output = gan_gpu(here.path(), &args);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), json)
    };
    let (code, small) = call("2");
    assert_eq!((code, &small["fits"]), (Some(0), &true.into()));
    let (code, large) = call("4000");
    let largest = large["largest_binding"]["bytes"].as_u64().unwrap();
    if largest > large["binding_limit_bytes"].as_u64().unwrap() {
        let batch = large["largest_batch"].as_u64().unwrap();
        assert_eq!(code, Some(2));
        assert!(batch > 2 && batch < 4000, "{batch}");
        assert_eq!(call(&batch.to_string()).0, Some(0));
    } else {
        assert_eq!(code, Some(0));
    }
}
