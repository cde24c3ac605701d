//! A GAN that learns, and one that must not: 1-D points under the real trainer come near their target within 150
//! rounds, and do not when the sign of either player's loss is flipped.
use gan_gpu::data::toy::ToySet;
use gan_gpu::gan::config::GanConfig;
use gan_gpu::gan::trainer::{Data, Kind, Sampled, State, Trainer};
use gan_gpu::gpu::testing::gpu;
use gan_gpu::metrics::{Metric, Samples, Target};
use gan_gpu::nn::model_by_name_or_file;

const ROUNDS: u64 = 150;
/// Two steps of D per step of G, so that each player has a program of its own.
const METHOD: &str = r#"
objective = "non_saturating"
batch = 128
d_steps = 2
optimiser.d = { name = "adam", lr = 1e-3, beta1 = 0.5 }
optimiser.g = { name = "adam", lr = 1e-3, beta1 = 0.5 }
"#;

/// Wasserstein-1 distance of the generator's samples from the target, in the target's standard deviations.
fn distance(trainer: &Trainer) -> f64 {
    let latents = trainer.generator().latents(2000, 17);
    let Sampled::F32(points) = trainer
        .generator()
        .sample(&latents, None, false, false)
        .unwrap()
    else {
        panic!("points are floats");
    };
    let samples = Samples::of_points(ToySet::Gauss1d, &points).unwrap();
    let metric = Metric::find("w1_sigmas").unwrap();
    let value = (metric.measure)(&Target::points(ToySet::Gauss1d), &samples).unwrap();
    value.scalar().unwrap()
}

/// Runs one program; with `flipped`, as if the player's loss had the other sign. Adam's moments are then the same but for the
/// sign of the first, and its step is the same in the other direction: the parameters are mirrored at where they were.
fn update(trainer: &mut Trainer, kind: Kind, flipped: bool) {
    let before = trainer.state().unwrap();
    trainer.run_once(kind).unwrap();
    if !flipped {
        return;
    }
    let player = match kind {
        Kind::Discriminator => "d.",
        Kind::Generator => "g.",
        Kind::Both => panic!("two players' updates in one"),
    };
    let mut after = trainer.state().unwrap();
    let mut moved = false;
    for (new, old) in after.tensors.iter_mut().zip(&before.tensors) {
        if new.name.starts_with(player) {
            moved |= new.values != old.values;
            for (new, old) in new.values.iter_mut().zip(&old.values) {
                *new = 2.0 * old - *new;
            }
        }
    }
    assert!(moved, "{kind:?} did not train");
    trainer.restore(&after).unwrap();
}

/// The distance at the end of training from `start`; `flipped` is the player whose loss has the wrong sign.
fn train(trainer: &mut Trainer, start: &State, flipped: Option<Kind>) -> f64 {
    trainer.restore(start).unwrap();
    let round = [Kind::Discriminator, Kind::Discriminator, Kind::Generator];
    for _ in 0..ROUNDS {
        for kind in round {
            update(trainer, kind, flipped == Some(kind));
        }
    }
    distance(trainer)
}

#[test]
fn learns_and_with_a_flipped_loss_does_not() {
    let model = model_by_name_or_file("gauss1d").unwrap().build().unwrap();
    let config = GanConfig::from_toml("method", METHOD).unwrap();
    let data = Data::Toy(ToySet::Gauss1d);
    let mut trainer = Trainer::new(&gpu(), model, config, data, 1).unwrap();
    let start = trainer.state().unwrap();
    let before = distance(&trainer);

    trainer.step_block(ROUNDS).unwrap();
    let whole = trainer.state().unwrap();
    let learnt = distance(&trainer);
    println!("{before:.2} standard deviations at the start, {learnt:.2} after {ROUNDS} rounds");
    assert!(learnt < 0.25 * before, "{before} -> {learnt}");

    // The same updates one by one are the same training: it is the flip alone that matters below.
    assert_eq!(train(&mut trainer, &start, None), learnt);
    assert_eq!(trainer.state().unwrap().tensors, whole.tensors);
    for player in [Kind::Generator, Kind::Discriminator] {
        let flipped = train(&mut trainer, &start, Some(player));
        println!("{player:?} flipped: {flipped:.2}");
        assert!(
            flipped > 0.5 * before,
            "{player:?} flipped: {before} -> {flipped}"
        );
    }
}
