//! Combinations of methods that mean nothing are refused, with the reason; those that mean something are not.
use gan_gpu::gan::{GanConfig, GanError};

fn config(objective: &str, more: &str) -> Result<GanConfig, GanError> {
    let text = format!(
        "objective = \"{objective}\"\nbatch = 12\n{more}\n[optimiser]\n\
         d = {{ name = \"adam\", lr = 1e-3 }}\ng = {{ name = \"adam\", lr = 1e-3 }}\n"
    );
    GanConfig::from_toml("test", &text)
}

const PENALTY: &str = "regularisers = [{ name = \"r1\", weight = 1.0 }]";
const MRGAN: &str = "encoder = { method = \"mrgan\" }";
const VEEGAN: &str = "encoder = { method = \"veegan\" }";
const AUXILIARY: &str = "conditional = { kind = \"auxiliary\" }";
const PROJECTION: &str = "conditional = { kind = \"projection\" }";
const INFO: &str = "info = { categorical = 10, continuous = 2 }";
const UNROLL: &str = "unroll = { steps = 5 }";
/// The plain game.
const UNROLL_NONE: &str = "unroll = { steps = 0 }";

#[test]
fn what_goes_together() {
    for (objective, more) in [
        ("relativistic", &["pack = 2", UNROLL, PENALTY][..]),
        ("relativistic_average", &[AUXILIARY, INFO]),
        ("energy", &["margin = 2.0", "pulling_away = 0.1", MRGAN]),
        ("energy", &[UNROLL, PENALTY]),
        ("hinge", &[PROJECTION, PENALTY, UNROLL_NONE]),
        ("non_saturating", &["generators = 4", UNROLL]),
        ("non_saturating", &[VEEGAN, PENALTY]),
        ("minimax", &[MRGAN, "pack = 3"]),
        (
            "least_squares",
            &["updates = \"simultaneous\"", "gradient_norms = true"],
        ),
        ("hinge", &["updates = \"simultaneous\"", UNROLL_NONE]),
        ("non_saturating", &[VEEGAN, UNROLL_NONE]),
    ] {
        config(objective, &more.join("\n")).unwrap_or_else(|e| panic!("{objective} {more:?}: {e}"));
    }
}

#[test]
fn what_does_not_is_refused_by_name_and_with_the_reason() {
    for (objective, more, field, reason) in [
        ("hinge", &["generators = 4"][..], "objective", "softmax"),
        (
            "non_saturating",
            &["generators = 5"],
            "batch",
            "multiple of the 5",
        ),
        (
            "non_saturating",
            &["generators = 4", PENALTY],
            "regularisers",
            "single logit",
        ),
        ("non_saturating", &["generators = 4", INFO], "info", "rows"),
        (
            "non_saturating",
            &["generators = 4", "pack = 2"],
            "pack",
            "makers",
        ),
        (
            "non_saturating",
            &["pack = 5"],
            "batch",
            "multiple of the pack",
        ),
        ("non_saturating", &["pack = 2", AUXILIARY], "pack", "labels"),
        ("non_saturating", &["pack = 2", VEEGAN], "pack", "latents"),
        ("non_saturating", &["pack = 0"], "pack", "at least 1"),
        ("wgan", &["clip = 0.01", VEEGAN], "objective", "of its own"),
        ("non_saturating", &[VEEGAN, UNROLL], "unroll", "pairs"),
        (
            "non_saturating",
            &[MRGAN, AUXILIARY],
            "conditional",
            "labels",
        ),
        ("energy", &[PROJECTION], "objective", "no logits"),
        ("energy", &["pack = 2"], "pack", "auto-encoder"),
        (
            "hinge",
            &["margin = 1.0"],
            "margin",
            "only the objective energy",
        ),
        (
            "hinge",
            &["pulling_away = 1.0"],
            "pulling_away",
            "only the objective energy",
        ),
        ("hinge", &[PROJECTION, INFO], "conditional", "one logit"),
        ("hinge", &["info = { weight = 1.0 }"], "info", "neither"),
        (
            "hinge",
            &["conditional = { kind = \"concat\", classes = 1 }"],
            "conditional.classes",
            "at least 2",
        ),
        (
            "hinge",
            &["updates = \"simultaneous\"", "d_steps = 2"],
            "updates",
            "one step each",
        ),
        (
            "hinge",
            &["updates = \"simultaneous\"", UNROLL],
            "updates",
            "alternating",
        ),
    ] {
        let message = match config(objective, &more.join("\n")) {
            Ok(_) => panic!("{objective} {more:?} is accepted"),
            Err(e) => e.to_string(),
        };
        assert!(message.starts_with(&format!("{field}: ")), "{message}");
        assert!(message.contains(reason), "{objective} {more:?}: {message}");
    }
}

#[test]
fn an_optimiser_that_cannot_be_unrolled_is_refused() {
    let made = |steps: usize| {
        let text = format!(
            "objective = \"hinge\"\nbatch = 4\nunroll = {{ steps = {steps} }}\n[optimiser]\n\
             d = {{ name = \"rmsprop\", lr = 1e-3 }}\ng = {{ name = \"adam\", lr = 1e-3 }}\n"
        );
        GanConfig::from_toml("test", &text)
    };
    made(0).unwrap();
    let message = made(2).unwrap_err().to_string();
    assert!(
        message.contains("unroll") && message.contains("rmsprop"),
        "{message}"
    );
}
