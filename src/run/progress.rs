//! What a person sees while a run goes on: operations a second, the faults in force, the leader.
//!
//! On a terminal one line that changes; elsewhere a line every few seconds, fit for a log.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use rafture_workloads::recorder::{Counts, Recorder};

/// Time between two looks.
const TICK: Duration = Duration::from_millis(250);
/// Time between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// What is going on, told by whoever does it.
#[derive(Debug, Clone, Default)]
pub(super) struct Scene(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    phase: &'static str,
    leader: Option<String>,
    faults: BTreeMap<u64, String>,
}

impl Scene {
    /// The run is in another phase.
    pub(super) fn phase(&self, phase: &'static str) {
        self.lock().phase = phase;
    }

    /// This node leads, as far as is known.
    pub(super) fn leader(&self, leader: Option<String>) {
        self.lock().leader = leader;
    }

    /// A fault is in force.
    pub(super) fn strike(&self, id: u64, fault: String) {
        self.lock().faults.insert(id, fault);
    }

    /// It is not any more.
    pub(super) fn undo(&self, id: u64) {
        self.lock().faults.remove(&id);
    }

    fn describe(&self) -> String {
        let inner = self.lock();
        let faults: Vec<&str> = inner.faults.values().map(String::as_str).collect();
        let faults = if faults.is_empty() { "no fault".into() } else { faults.join(", ") };
        let leader = inner.leader.as_deref().unwrap_or("nobody");
        format!("{}  {leader} leads  {faults}", inner.phase)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panics while telling")
    }
}

/// Shows the scene until it is dropped with its task.
pub(super) async fn show(scene: Scene, recorder: Recorder, expected: Duration) {
    let start = Instant::now();
    let is_terminal = std::io::stderr().is_terminal();
    let bar = if is_terminal { ProgressBar::new(expected.as_secs()) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{bar:24} {pos:>3}/{len} s  {msg}");
    bar.set_style(style.expect("a template that is constant").progress_chars("=> "));
    let mut spoken = Instant::now();
    let mut before = (Instant::now(), recorder.counts());
    let mut rate = 0.0;
    loop {
        tokio::time::sleep(TICK).await;
        let now = (Instant::now(), recorder.counts());
        if now.0 - before.0 >= Duration::from_secs(1) {
            rate = (now.1.ok - before.1.ok) as f64 / (now.0 - before.0).as_secs_f64();
            before = now;
        }
        let Counts { ok, fail, info } = now.1;
        let message = format!("{rate:>6.0} ok/s  {ok} ok {fail} fail {info} info  {}", scene.describe());
        if is_terminal {
            bar.set_position(start.elapsed().as_secs());
            bar.set_message(message);
        } else if spoken.elapsed() >= LINE_INTERVAL {
            eprintln!("{:>4} s  {message}", start.elapsed().as_secs());
            spoken = Instant::now();
        }
    }
}
