//! Workloads: what the clients ask, and the model that their history is held against.
//!
//! A workload is one file. It says what it asks, and what a bug would look like.

mod cas_register;
mod register;

use rafture_checker::models::ModelKind;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::operation::{Answer, Ask};

/// Objects that a workload spreads its operations over: few enough that every one is busy.
const KEYS: usize = 5;

/// What a client is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It does everything that the workload does.
    Any,
    /// It only looks: it is never held up by a write that does not come back, so it sees what others miss.
    Observer,
}

/// A kind of load.
pub trait Workload: Send + Sync {
    /// The name that `--workload` takes.
    fn name(&self) -> &'static str;
    /// One line for people.
    fn summary(&self) -> &'static str;
    /// What the history must be explained by.
    fn model(&self) -> ModelKind;
    /// Every kind of operation that it asks for; a run in which one of them never succeeds proves nothing.
    fn operations(&self) -> &'static [&'static str];
    /// The operations of one client.
    fn generator(&self, worker: usize, part: Part, random: ChaCha8Rng) -> Box<dyn Generator>;
}

/// Decides what one client asks next.
pub trait Generator: Send {
    /// The next operation.
    fn next(&mut self) -> Ask;
    /// What became of the last one.
    fn learn(&mut self, ask: &Ask, answer: &Answer);
}

/// Every workload there is.
pub fn all() -> Vec<Box<dyn Workload>> {
    vec![Box::new(register::Register), Box::new(cas_register::CasRegister::default())]
}

/// The workload of that name.
///
/// # Errors
/// A line that names all there are.
pub fn find(name: &str) -> Result<Box<dyn Workload>, String> {
    all().into_iter().find(|workload| workload.name() == name).ok_or_else(|| {
        let names: Vec<&str> = all().iter().map(|workload| workload.name()).collect();
        format!("unknown workload `{name}` (hint: one of {})", names.join(", "))
    })
}

fn draw_key(random: &mut ChaCha8Rng) -> usize {
    random.random_range(0..KEYS)
}

fn key_name(key: usize) -> Option<String> {
    Some(format!("k{key}"))
}

/// Values that are written only once in a run: a read then names the write that it saw. `17003` is the 17th value
/// of client 3.
#[derive(Debug)]
struct Values {
    worker: usize,
    count: u64,
}

impl Values {
    fn of(worker: usize) -> Values {
        assert!(worker < 1000, "client {worker} would share its values with another");
        Values { worker, count: 0 }
    }

    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count * 1000 + self.worker as u64
    }
}
