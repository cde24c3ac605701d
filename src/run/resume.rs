//! A run that goes on: from which checkpoint, whether it may, and whether anything is left to do.
use super::checkpoint::Checkpoint;
use super::config::TrainConfig;
use super::error::RunError;
use super::train::Place;
use std::path::PathBuf;

/// The checkpoint that a run goes on from, and what it holds.
///
/// # Errors
/// [`RunError::OtherRun`] for a checkpoint of another run, or a configuration that was changed since; a damaged file.
pub fn resumed(
    place: &Place,
    config: &TrainConfig,
) -> Result<Option<(PathBuf, Checkpoint)>, RunError> {
    let Place::Resume {
        folder,
        checkpoint: Some(path),
    } = place
    else {
        return Ok(None);
    };
    let checkpoint = Checkpoint::read(path)?;
    let own = TrainConfig::from_toml(&path.display().to_string(), &checkpoint.config)?;
    // How long it goes on may change.
    let run = |config: &TrainConfig| TrainConfig {
        budget: Default::default(),
        ..config.result_alone()
    };
    if run(&own) != run(config) {
        return Err(RunError::OtherRun {
            config: folder.config(),
            checkpoint: path.clone(),
        });
    }
    Ok(Some((path.clone(), checkpoint)))
}

/// Refuses a budget of so many steps that ends before the checkpoint that the run goes on from.
///
/// # Errors
/// [`RunError::Behind`].
pub fn reaches(
    steps: Option<u64>,
    resumed: &Option<(PathBuf, Checkpoint)>,
) -> Result<(), RunError> {
    let (Some(steps), Some((checkpoint, Checkpoint { data, .. }))) = (steps, resumed) else {
        return Ok(());
    };
    match data.step > steps {
        false => Ok(()),
        true => Err(RunError::Behind {
            checkpoint: checkpoint.clone(),
            step: data.step,
            steps,
        }),
    }
}

/// What `summary.json` says of a run that is at its budget's end, with every file of its end where it says: nothing is left to do. `None`
/// of any other run, and where the data would have to be counted to tell.
///
/// # Errors
/// As for [`resumed`].
pub fn finished(
    place: &Place,
    config: &TrainConfig,
) -> Result<Option<serde_json::Value>, RunError> {
    let steps = config.budget.steps_of_any_data(config.images_per_step());
    let (Place::Resume { folder, .. }, Some(steps)) = (place, steps) else {
        return Ok(None);
    };
    let summary = std::fs::read(folder.summary()).unwrap_or_default();
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap_or_default();
    let over = summary["outcome"] == "finished" && summary["steps"] == steps;
    let here = summary["run"] == folder.path().display().to_string();
    if !over || !here || !folder.report().exists() {
        return Ok(None);
    }
    let at = resumed(place, config)?.map(|(_, checkpoint)| checkpoint.data.step);
    Ok((at == Some(steps)).then_some(summary))
}
