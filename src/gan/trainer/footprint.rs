//! What a configuration would hold on a device, and whether an adapter can hold it: computed from the compiled programs, without one.
use super::compile::compile;
use super::schedule;
use super::source::Data;
use super::table::Purpose;
use crate::gan::GanError;
use crate::gan::config::GanConfig;
use crate::gpu::Caps;
use crate::graph::GraphError;
use crate::graph::plan::{Plan, Target};
use crate::nn::Model;
use serde::Serialize;

/// One buffer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holding {
    /// Its name, or the largest tensor that lies in it.
    pub what: String,
    pub purpose: Purpose,
    pub bytes: u64,
}

/// Memory and arithmetic of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Every buffer that lives as long as the trainer.
    pub holdings: Vec<Holding>,
    /// Floating-point operations of the matrix products and convolutions of one round; products over up to four terms, which are written
    /// out elsewhere, not among them.
    pub flops_per_step: u64,
}

impl Footprint {
    /// Bytes of all buffers, each rounded up to 16 as the device does.
    pub fn bytes(&self) -> u64 {
        self.holdings.iter().map(Holding::on_device).sum()
    }
    /// Bytes of the buffers for one purpose.
    pub fn bytes_for(&self, purpose: Purpose) -> u64 {
        let own = self.holdings.iter().filter(|h| h.purpose == purpose);
        own.map(Holding::on_device).sum()
    }
    /// The largest buffer, all of which is bound at once.
    pub fn largest(&self) -> Option<&Holding> {
        self.holdings.iter().max_by_key(|h| h.bytes)
    }
    /// The largest buffer that the adapter refuses, if there is one.
    pub fn refused(&self, caps: &Caps) -> Option<&Holding> {
        let limit = Footprint::limit(caps);
        self.largest().filter(|h| h.on_device() > limit)
    }
    /// Bytes of the largest buffer that an adapter binds whole.
    pub fn limit(caps: &Caps) -> u64 {
        caps.max_binding_bytes.min(caps.max_buffer_bytes) / 16 * 16
    }
}

impl Holding {
    fn on_device(&self) -> u64 {
        self.bytes.next_multiple_of(16)
    }
}

/// Memory and arithmetic of what [`super::Trainer::with_target`] would make, whether it fits the adapter or not.
///
/// # Errors
/// As for [`super::Trainer::new`], limits of memory left out.
pub fn footprint(
    target: &Target,
    model: &Model,
    config: &GanConfig,
    data: &Data,
) -> Result<Footprint, GanError> {
    let mut unlimited = target.clone();
    unlimited.caps.max_binding_bytes = u64::MAX;
    unlimited.caps.max_buffer_bytes = u64::MAX;
    // The limits shape the plan; they are left out only where it cannot be made within them.
    let compiled = match compile(target, model, config, data, 0) {
        Err(GanError::Graph(GraphError::TooLarge { .. })) => {
            compile(&unlimited, model, config, data, 0)?
        }
        made => made?,
    };
    let plan_of = |kind| compiled.programs.iter().find(|(k, _)| *k == kind);
    let flops = schedule(config, false).into_iter().filter_map(plan_of);
    let flops_per_step = flops.map(|(_, plan)| plan.flops()).sum();
    let programs = compiled.programs.iter().map(|(_, plan)| plan);
    let plans: Vec<&Plan> = programs.chain(&compiled.sample_plans).collect();
    let holdings = compiled.table.holdings(plans.iter().copied());
    let first_slot = compiled.table.bound();
    let holdings = holdings.into_iter().enumerate();
    let holdings = holdings.map(|(k, (purpose, label, bytes))| Holding {
        what: k
            .checked_sub(first_slot)
            .and_then(|slot| tensor_of(&plans, slot))
            .unwrap_or(label),
        purpose,
        bytes,
    });
    Ok(Footprint {
        holdings: holdings.collect(),
        flops_per_step,
    })
}

/// The largest tensor that any of the plans keeps in a slot.
fn tensor_of(plans: &[&Plan], slot: usize) -> Option<String> {
    let using = plans.iter().filter(|p| p.slots.len() > slot);
    let largest = using.max_by_key(|p| p.slots[slot])?;
    largest.slot_tensors.get(slot).cloned()
}
