//! One run from its plan to its verdict, and the way from a failing plan to a short one.

use std::time::Duration;

use rafture_checker::check::{self, Limits, Question};
use rafture_checker::history::{EventKind, History};
use rafture_checker::verdict::Verdict;
use rafture_nemesis::schedule::{Episode, Schedule};
use rafture_workloads::workload;

use crate::invariants::Broken;
use crate::plan::Plan;
use crate::world::World;

/// How long the cluster is used after the last fault.
const QUIET: Duration = Duration::from_secs(2);
/// How long it then has to come to rest, with everybody at the same entry.
const REST: Duration = Duration::from_secs(20);

/// What a run has come to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What is wrong; `None` when nothing is.
    pub finding: Option<Finding>,
    /// Operations that succeeded.
    pub acknowledged: u64,
    /// Entries that were committed.
    pub committed: u64,
    /// Events that happened.
    pub events: u64,
    /// Messages between nodes, and their bytes.
    pub messages: (u64, u64),
    /// Virtual time that passed.
    pub simulated: Duration,
    /// What happened, one line an event, if it was asked for.
    pub trace: Vec<String>,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// An invariant broke.
    Invariant(Broken),
    /// The history of the clients cannot be explained; the reason in words.
    History(String),
    /// The run proves nothing: too little succeeded.
    Vacuous(String),
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Finding::Invariant(Broken { number, sentence }) => write!(f, "invariant {number}: {sentence}"),
            Finding::History(sentence) => write!(f, "the clients' history: {sentence}"),
            Finding::Vacuous(sentence) => write!(f, "nothing is proven: {sentence}"),
        }
    }
}

impl Finding {
    /// Whether two findings are of one kind.
    fn is_like(&self, other: &Finding) -> bool {
        match (self, other) {
            (Finding::Invariant(one), Finding::Invariant(other)) => one.number == other.number,
            (Finding::History(_), Finding::History(_)) | (Finding::Vacuous(_), Finding::Vacuous(_)) => true,
            _ => false,
        }
    }
}

/// Carries out a plan. `traced`: every event is told.
pub fn run(plan: &Plan, traced: bool) -> Outcome {
    let mut world = World::new(plan, traced);
    befall(&mut world, &plan.schedule);
    if world.broken.is_none() {
        world.run_until(nanoseconds(plan.options.time_limit + QUIET));
        come_to_rest(&mut world);
    }
    let finding = world.broken.take().map(Finding::Invariant).or_else(|| judge(&world));
    Outcome {
        finding,
        acknowledged: world.acknowledged,
        committed: world.committed(),
        events: world.events,
        messages: (world.messages, world.message_bytes),
        simulated: Duration::from_nanos(world.now),
        trace: world.trace.into_lines(),
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// All faults, each with its undoing, in the order of time.
fn befall(world: &mut World, schedule: &Schedule) {
    let mut moments: Vec<(u64, bool, &Episode)> = Vec::new();
    for episode in &schedule.episodes {
        moments.push((episode.at_ms, true, episode));
        moments.push((episode.at_ms + episode.lasts_ms, false, episode));
    }
    moments.sort_by_key(|(at_ms, strikes, episode)| (*at_ms, *strikes, episode.id));
    for (at_ms, strikes, episode) in moments {
        world.run_until(at_ms * 1_000_000);
        if world.broken.is_some() {
            return;
        }
        match strikes {
            true => world.strike(episode),
            false => world.undo(episode),
        }
    }
}

/// 13: nobody asks any more, and all members come to the same entry and the same state.
fn come_to_rest(world: &mut World) {
    world.is_closed = true;
    let end = world.now + nanoseconds(REST);
    while world.broken.is_none() && world.now < end {
        let next = world.now + 50_000_000;
        world.run_until(next);
        if agreement(world).is_ok() {
            return;
        }
    }
    if world.broken.is_none()
        && let Err(sentence) = agreement(world)
    {
        let sentence = format!("{REST:?} after the last fault {sentence}");
        world.broken = Some(Broken { number: 13, sentence });
    }
}

fn agreement(world: &World) -> Result<(), String> {
    let leader = world.leader().ok_or("nobody leads")?;
    let raft = world.nodes[leader].replica().expect("it leads").raft();
    let (goal, digest) =
        (raft.last().index, world.nodes[leader].replica().expect("it leads").machine().digest());
    if raft.commit() != goal {
        return Err(format!("the leader has committed {} of {goal} entries", raft.commit()));
    }
    if raft.configuration().is_joint() {
        return Err("a change of the members is not finished".into());
    }
    for id in raft.configuration().members() {
        let Some(replica) = world.nodes[id.0 as usize - 1].replica() else {
            return Err(format!("{id} is down"));
        };
        let commit = replica.raft().commit();
        if commit != goal {
            return Err(format!("{id} has committed {commit} of {goal} entries"));
        }
        if replica.machine().digest() != digest {
            return Err(format!("{id} is in another state than the leader"));
        }
    }
    Ok(())
}

/// What the clients saw.
fn judge(world: &World) -> Option<Finding> {
    if world.clients.is_empty() {
        return None;
    }
    let served_late = world.history.iter().rev().find(|event| event.kind == EventKind::Ok);
    let quiet_began = nanoseconds(world.plan.options.time_limit);
    let Some(last) = served_late else {
        return Some(Finding::Vacuous("no operation ever succeeded".into()));
    };
    if last.time < quiet_began {
        let sentence = "no operation succeeded after the faults had ended".to_owned();
        return Some(Finding::Invariant(Broken { number: 13, sentence }));
    }
    let workload = workload::find(&world.plan.options.workload).expect("the plan was checked");
    let history = match History::of(&world.history) {
        Ok(history) => history,
        Err(error) => return Some(Finding::History(error.to_string())),
    };
    let outcome = match check::check(&history, &Question::strongest(workload.model()), &Limits::NONE) {
        Ok(outcome) => outcome,
        Err(error) => return Some(Finding::History(error.to_string())),
    };
    match outcome.verdict {
        Verdict::Valid => None,
        Verdict::Invalid => {
            let failure = outcome.failure.as_ref();
            Some(Finding::History(failure.map_or_else(String::new, |failure| failure.sentence.clone())))
        }
        _ => Some(Finding::Vacuous(outcome.reason.unwrap_or_default())),
    }
}

/// The plan with the fewest episodes that still fails as `finding` does: pieces are left out, ever smaller ones, for as
/// long as that helps (delta debugging). At most `tries` runs.
pub fn shrink(plan: &Plan, finding: &Finding, tries: usize) -> Plan {
    let mut best = plan.clone();
    let mut left = tries;
    let mut piece = best.schedule.episodes.len().div_ceil(2).max(1);
    loop {
        let mut start = 0;
        let mut helped = false;
        while start < best.schedule.episodes.len() && left > 0 {
            left -= 1;
            let mut candidate = best.clone();
            let end = (start + piece).min(candidate.schedule.episodes.len());
            candidate.schedule.episodes.drain(start..end);
            if run(&candidate, false).finding.is_some_and(|found| found.is_like(finding)) {
                best = candidate;
                helped = true;
            } else {
                start += piece;
            }
        }
        if left == 0 || piece == 1 && !helped {
            return best;
        }
        piece = (piece / 2).max(1);
    }
}
