//! Methods with a third network, an encoder from samples to latents. It is trained with G, by G's optimiser, at G's steps.
use serde::{Deserialize, Serialize};

/// What the encoder is for, as a setting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
pub enum EncoderMethod {
    /// Mode-regularised GAN: Che et al., arXiv 1612.02136, section 3.2. See [`super::mrgan`].
    Mrgan {
        /// lambda_1, of the distance of x and G(E(x)).
        #[serde(default = "mrgan_distance")]
        distance: f64,
        /// lambda_2, of -log D(G(E(x))).
        #[serde(default = "mrgan_realism")]
        realism: f64,
    },
    /// Reconstruction in latent space and a D of pairs: Srivastava et al., arXiv 1705.07761, eq. 4 and algorithm 1. See
    /// [`super::veegan`].
    Veegan {
        /// Weight of ||z - F(G(z))||^2.
        #[serde(default = "one")]
        reconstruction: f64,
    },
}

fn mrgan_distance() -> f64 {
    0.2
}
fn mrgan_realism() -> f64 {
    0.4
}
fn one() -> f64 {
    1.0
}

impl EncoderMethod {
    /// Its name in settings and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            EncoderMethod::Mrgan { .. } => "mrgan",
            EncoderMethod::Veegan { .. } => "veegan",
        }
    }
    /// The method of that name with the paper's weights.
    pub fn named(name: &str) -> Option<EncoderMethod> {
        match name {
            "mrgan" => Some(EncoderMethod::Mrgan {
                distance: mrgan_distance(),
                realism: mrgan_realism(),
            }),
            "veegan" => Some(EncoderMethod::Veegan {
                reconstruction: one(),
            }),
            _ => None,
        }
    }
    /// Names for messages.
    pub const NAMES: [&'static str; 2] = ["mrgan", "veegan"];
    /// Whether D judges pairs of a latent and a sample.
    pub fn joint(&self) -> bool {
        matches!(self, EncoderMethod::Veegan { .. })
    }
}
