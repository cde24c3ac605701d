//! Several runs at once, each in a process of its own.
//!
//! A software adapter spends every core on one small network and gains little by it: two processes on a core each get more done.
//! A child that loses its standard input stops with a checkpoint: so do all of them when the parent is interrupted or killed.
use super::record::{Record, Status};
use super::work::Told;
use super::{CompareError, Planned};
use crate::run::interrupt::{EXIT_CODE, Interrupt};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often children are looked at.
const POLL: Duration = Duration::from_millis(50);

/// The exit code of a child whose run another process is at work on.
const BUSY: u8 = 5;

/// Threads of Mesa's software rasteriser, in the environment of a process.
const SOFTWARE_THREADS: &str = "LP_NUM_THREADS";

/// The worker threads of each of `jobs` processes. None rather than one: then the thread that takes submissions runs the kernels itself and
/// hands no dispatch over (a step takes 0.8 of the time, ring8, mlp and gauss1d alike, Mesa 25.0.7).
fn software_threads(cores: usize, jobs: usize) -> usize {
    match cores / jobs {
        1 => 0,
        share => share,
    }
}

struct Working<'a> {
    planned: &'a Planned,
    child: Child,
}

/// Runs up to `jobs` children at once: `command` makes the one for a run. `false` if an interrupt ended it.
///
/// # Errors
/// [`CompareError::Child`] for the first that fails; the others are stopped, with checkpoints.
pub fn run(
    runs: &[Planned],
    jobs: usize,
    command: &dyn Fn(&Planned) -> Command,
    interrupt: &Interrupt,
    told: Told,
) -> Result<bool, CompareError> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut waiting = runs.iter();
    let mut working: Vec<Working> = vec![];
    let mut failed = None;
    loop {
        let stopping = interrupt.requested() || failed.is_some();
        while !stopping && working.len() < jobs {
            let Some(planned) = waiting.next() else { break };
            let mut command = command(planned);
            if std::env::var_os(SOFTWARE_THREADS).is_none() {
                command.env(SOFTWARE_THREADS, software_threads(cores, jobs).to_string());
            }
            let child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .map_err(|source| CompareError::Io {
                    path: command.get_program().into(),
                    source,
                });
            match child {
                Ok(child) => working.push(Working { planned, child }),
                Err(error) => failed = Some(error),
            }
        }
        if working.is_empty() {
            break;
        }
        if interrupt.requested() || failed.is_some() {
            for work in &mut working {
                drop(work.child.stdin.take());
            }
        }
        let mut still = vec![];
        for mut work in working {
            match work.child.try_wait() {
                Ok(None) => still.push(work),
                Ok(Some(status)) if status.code() == Some(i32::from(BUSY)) => {
                    told(work.planned, None);
                }
                Ok(Some(status)) => {
                    let code = status.code();
                    let known = [Some(0), Some(4), Some(i32::from(EXIT_CODE))].contains(&code);
                    let record = Record::read(work.planned)?;
                    match record.filter(|_| known) {
                        Some(record) => told(work.planned, Some(&record)),
                        // Interrupted before its first step.
                        None if code == Some(i32::from(EXIT_CODE)) => {}
                        None => {
                            failed.get_or_insert(CompareError::Child {
                                variant: work.planned.variant.clone(),
                                seed: work.planned.seed,
                                status: status.to_string(),
                                code,
                            });
                        }
                    }
                }
                Err(source) => {
                    failed.get_or_insert(CompareError::Io {
                        path: work.planned.folder.clone(),
                        source,
                    });
                }
            }
        }
        working = still;
        if !working.is_empty() {
            std::thread::sleep(POLL);
        }
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(!interrupt.requested()),
    }
}

/// In a child: the end of standard input is a request to stop.
pub fn stop_with_parent(interrupt: &Interrupt) {
    let interrupt = interrupt.clone();
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        let mut stdin = std::io::stdin();
        while matches!(stdin.read(&mut bytes), Ok(n) if n > 0) {}
        interrupt.request();
    });
}

/// The exit code of a child that did what `record` says, or nothing, because another process is at work on its run.
pub fn exit_code(record: Option<&Record>) -> u8 {
    match record.map(|record| &record.status) {
        Some(Status::Finished) => 0,
        Some(Status::Diverged { .. }) => 4,
        Some(Status::Interrupted | Status::Started) => EXIT_CODE,
        None => BUSY,
    }
}

#[cfg(test)]
mod tests {
    use super::software_threads;

    #[test]
    fn cores_are_shared_and_a_lone_worker_is_none() {
        let shares = [(8, 2), (2, 1), (2, 2), (4, 3), (2, 5)].map(|(c, j)| software_threads(c, j));
        assert_eq!(shares, [4, 2, 0, 0, 0]);
    }
}
