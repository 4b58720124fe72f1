//! Fresh runs of what is advised, at other seeds: whether they keep what the advice promises.

use std::time::Duration;

use rafture_reports::tune::{Check, Elections, Source, Target, Timing, Trial};

use super::{Parts, Work, outage};
use crate::error::Error;

/// As many runs as were asked for. For outages, each makes all failures again, on real processes unless only simulation was asked for; false
/// elections are too rare to be waited for, and are simulated.
pub(super) fn checks(work: &Work<'_>, timing: &Timing) -> Result<Vec<Check>, Error> {
    (1..=work.arguments.checks)
        .map(|number| check(work, timing, work.arguments.seed.wrapping_add(1000 * number)))
        .collect()
}

fn check(work: &Work<'_>, timing: &Timing, seed: u64) -> Result<Check, Error> {
    match work.plan.target {
        Target::OutageMs(target) => {
            let (source, trials) = match work.arguments.sim {
                false => {
                    let measured = work.measure(std::slice::from_ref(timing), Duration::ZERO, seed)?;
                    (Source::Real, measured.into_iter().flat_map(|found| found.trials).collect())
                }
                true => {
                    let mut world = work.world();
                    world.seed = seed;
                    let mut parts = Parts::default();
                    parts.simulate(work, &world, (0, &work.kept(timing)?));
                    (Source::Simulated, parts.simulated)
                }
            };
            let trials: Vec<Trial> = trials;
            let [_, measured] = outage(Some(&Elections::of(trials.iter())));
            Ok(Check { seed, source, measured, met: measured <= target })
        }
        Target::FalseElectionsPerHour(target) => {
            let mut world = work.world();
            world.seed = seed;
            let steady = world.steady(0, &work.kept(timing)?);
            let measured = steady.iter().map(|steady| steady.per_hour).sum();
            Ok(Check { seed, source: Source::Simulated, measured, met: measured <= target })
        }
    }
}
