//! Situations with a name: the tests of MIT's Raft labs, and what teaches Raft, each told by its trace.
//!
//! A scenario is a function over a `Scene`: it cuts, crashes, asks and waits, and says what must be so. The labs' limits
//! on messages, bytes and time are kept (6.5840, labs 3 and 4); times are virtual.
//!
//! `scene` is what a scenario can do; `elections`, `agreement`, `persistence`, `snapshots` and `service` are the labs' tests
//! (2A, 2B, 2C, 2D and the key-value service); `lessons` is what teaches Raft.

mod agreement;
mod elections;
mod lessons;
mod persistence;
mod scene;
mod service;
mod snapshots;

use scene::Scene;

/// A situation.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// What happens, and what must come of it.
    pub summary: &'static str,
    nodes: usize,
    act: fn(&mut Scene) -> Result<(), String>,
}

/// How a scenario went.
#[derive(Debug, Clone)]
pub struct Performance {
    /// What is wrong, if anything.
    pub complaint: Option<String>,
    /// Virtual time that it took.
    pub simulated: std::time::Duration,
    /// Messages between nodes, and their bytes.
    pub messages: (u64, u64),
    /// What happened, one line an event, if it was asked for.
    pub trace: Vec<String>,
}

/// Every scenario there is.
pub fn all() -> Vec<Scenario> {
    [
        &elections::SCENARIOS[..],
        &agreement::SCENARIOS,
        &persistence::SCENARIOS,
        &snapshots::SCENARIOS,
        &service::SCENARIOS,
        &lessons::SCENARIOS,
    ]
    .concat()
}

/// The scenario of that name.
///
/// # Errors
/// A line that says how to see all there are.
pub fn find(name: &str) -> Result<Scenario, String> {
    let found = all().into_iter().find(|scenario| scenario.name == name);
    found.ok_or_else(|| format!("unknown scenario `{name}` (hint: `rafture sim --scenario list` has all)"))
}

/// Plays a scenario. `traced`: every event is told.
pub fn play(scenario: &Scenario, seed: u64, traced: bool) -> Performance {
    let mut scene = Scene::new(scenario.nodes, seed, traced);
    let result = (scenario.act)(&mut scene);
    scene.finish(result)
}
