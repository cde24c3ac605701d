//! What a run is judged by: one file per metric, and the table of them.

pub mod density;
pub mod gaussian;
pub mod stacked;
pub mod toy;

/// A row of the table of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The key in `metrics.jsonl` and in JSON summaries; the unit is part of the name.
    pub name: &'static str,
    pub better: Better,
    pub what: &'static str,
}

/// Which way a metric improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Higher,
    Lower,
}

/// Every metric this program computes.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "modes",
        better: Better::Higher,
        what: "2-D mixtures: modes with at least one high-quality sample",
    },
    Metric {
        name: "high_quality_percent",
        better: Better::Higher,
        what: "2-D mixtures: samples within 3 sigma of their nearest mode; a perfect generator scores 98.89",
    },
    Metric {
        name: "reverse_kl",
        better: Better::Lower,
        what: "2-D mixtures: KL(histogram over modes || weights) in nats; floor 0.0014 (ring8), 0.0048 (grid25)",
    },
    Metric {
        name: "w1",
        better: Better::Lower,
        what: "1-D sets: exact Wasserstein-1 distance to the target",
    },
    Metric {
        name: "sliced_w1",
        better: Better::Lower,
        what: "2-D sets: mean Wasserstein-1 over 64 directions, against 10,000 reference samples",
    },
    Metric {
        name: "js",
        better: Better::Lower,
        what: "1-D sets: Jensen-Shannon divergence in nats, at most ln 2; floor about 0.0004 (gauss1d)",
    },
    Metric {
        name: "kl_data_model",
        better: Better::Lower,
        what: "1-D sets: KL(data || generated) in nats",
    },
    Metric {
        name: "kl_model_data",
        better: Better::Lower,
        what: "1-D sets: KL(generated || data) in nats",
    },
    Metric {
        name: "js_modes",
        better: Better::Lower,
        what: "2-D mixtures: Jensen-Shannon divergence between the histogram over modes and their weights, in nats",
    },
    Metric {
        name: "stacked_modes",
        better: Better::Higher,
        what: "Stacked-MNIST: triples of digits, of 1000, that a classifier sees in 26,000 samples",
    },
    Metric {
        name: "stacked_kl",
        better: Better::Lower,
        what: "Stacked-MNIST: KL(histogram over triples || uniform) in nats; floor 0.0236 at 26,000 samples",
    },
    Metric {
        name: "class_modes",
        better: Better::Higher,
        what: "labelled images: classes that a classifier sees in the samples",
    },
    Metric {
        name: "class_kl",
        better: Better::Lower,
        what: "labelled images: KL(histogram over classes || uniform) in nats",
    },
];
