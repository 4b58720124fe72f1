//! Systems under test: how a node is started, when it is ready, who leads, and how a client speaks to it.
//!
//! A system is one file.

mod rafture;
mod wanderer;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::operation::{Answer, Ask};

/// A future that can be kept and sent.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where the nodes of a cluster are.
#[derive(Debug, Clone)]
pub struct Layout {
    /// One for each node, in order.
    pub nodes: Vec<Place>,
}

/// Where a node is, and what is its.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its name: `n1`, `n2`, …
    pub name: String,
    /// It listens here for clients.
    pub client: SocketAddr,
    /// It listens here for other nodes.
    pub peer: SocketAddr,
    /// It reaches each node there, itself included.
    pub peers: Vec<SocketAddr>,
    /// A folder of its own, which outlives the process.
    pub folder: PathBuf,
}

/// How a cluster is to be set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program of this suite, which can be the built-in node.
    pub rafture: PathBuf,
    /// Range of election timeouts.
    pub election_timeout: (Duration, Duration),
    /// Time between heartbeats.
    pub heartbeat: Duration,
    /// Seed for whatever the system draws by chance.
    pub seed: u64,
    /// Planted bug, if any.
    pub defect: Option<String>,
}

/// How to start a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// What to run.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Added to its environment.
    pub environment: BTreeMap<String, String>,
}

/// What a node says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Status {
    /// Its term, or whatever grows from leader to leader.
    pub term: u64,
    /// Whether it believes that it leads.
    pub leads: bool,
}

/// A system under test.
pub trait System: Send + Sync {
    /// The name that `--system` takes.
    fn name(&self) -> &'static str;
    /// One line for people.
    fn summary(&self) -> &'static str;
    /// How to start node number `node`.
    fn launch(&self, node: usize, layout: &Layout, settings: &Settings) -> Launch;
    /// Asks a node how it is; `None` when it does not answer within `patience`.
    fn status<'a>(&'a self, place: &'a Place, patience: Duration) -> Boxed<'a, Option<Status>>;
    /// A client.
    fn client(&self, layout: Arc<Layout>, route: Route) -> Box<dyn Client>;
}

/// Which node a client asks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The one that last turned out to lead; at first, this one.
    Leader(usize),
    /// Always this one, whatever it said before: such a client meets a former leader that does not know it yet.
    Home(usize),
}

/// One client's way to the system. It does one operation at a time.
pub trait Client: Send {
    /// The node that will be asked next.
    fn node(&self) -> usize;
    /// Does an operation, giving up at `deadline`; tells which node had the last word.
    fn invoke<'a>(&'a mut self, ask: &'a Ask, deadline: Instant) -> Boxed<'a, (Answer, usize)>;
}

/// Every system there is.
pub fn all() -> Vec<Box<dyn System>> {
    vec![Box::new(rafture::Rafture)]
}

/// The system of that name.
///
/// # Errors
/// A line that names all there are.
pub fn find(name: &str) -> Result<Box<dyn System>, String> {
    all().into_iter().find(|system| system.name() == name).ok_or_else(|| {
        let names: Vec<&str> = all().iter().map(|system| system.name()).collect();
        format!("unknown system `{name}` (hint: one of {})", names.join(", "))
    })
}

/// The node that leads, by its own word: of several that say so, the one with the latest term.
pub async fn leader(system: &dyn System, layout: &Layout, patience: Duration) -> Option<(usize, Status)> {
    let asked = layout.nodes.iter().map(|place| system.status(place, patience));
    let mut answers = Vec::with_capacity(layout.nodes.len());
    let mut waiting: Vec<_> = asked.collect();
    // All are asked at once, so that nodes which do not answer cost one patience together.
    std::future::poll_fn(|context| {
        answers.resize(waiting.len(), None);
        let mut pending = false;
        for (answer, future) in answers.iter_mut().zip(&mut waiting).filter(|(answer, _)| answer.is_none()) {
            match future.as_mut().poll(context) {
                std::task::Poll::Ready(status) => *answer = Some(status),
                std::task::Poll::Pending => pending = true,
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    let leaders = answers.into_iter().map(Option::flatten).enumerate();
    let leaders = leaders.filter_map(|(node, status)| Some((node, status.filter(|status| status.leads)?)));
    leaders.max_by_key(|(_, status)| status.term)
}
