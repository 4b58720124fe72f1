//! Systems under test: how a node is started, when it is ready, who leads, and how a client speaks to it.
//!
//! A system is one file, or a folder. What it has in common with others is `wanderer`: how a client goes from node to node.
//! [`elections`] and [`timing`] are the words in which systems speak of elections, and are told their times.

pub mod elections;
mod etcd;
mod rafture;
pub mod timing;
mod wanderer;

use std::collections::BTreeMap;
use std::env;
use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::bench::Driver;
use crate::operation::{Answer, Ask};
use elections::ElectionEvent;
use timing::{Timing, Told};

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
    /// Whether a node asks who would vote for it before it stands for election; `None` leaves it to the system.
    pub pre_vote: Option<bool>,
    /// Seed for whatever the system draws by chance.
    pub seed: u64,
    /// Planted bug, if any.
    pub defect: Option<String>,
    /// Whether nodes tell what they do inside, if they can.
    pub traced: bool,
    /// Whether members will be removed and added while others are not well.
    pub changes_members: bool,
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

/// Something that a cluster can be asked to do to itself, about one of its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// The node is no member any more.
    Remove,
    /// The node, which has no data, is a member.
    Add,
    /// The node leads.
    Transfer,
    /// The node makes a snapshot.
    Snapshot,
    /// The node gets heartbeats but no entries while the leader leads that is asked.
    Hold,
    /// The node gets entries again.
    Release,
}

/// Something about a system that `--option NAME=VALUE` changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemOption {
    /// Its name.
    pub name: &'static str,
    /// What it can be; the first is what it is unless another is chosen.
    pub values: &'static [&'static str],
    /// One line for people.
    pub summary: &'static str,
}

/// Chosen values by the names of options.
pub type Options = BTreeMap<String, String>;

/// What a node says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Status {
    /// Its term, or whatever grows from leader to leader.
    pub term: u64,
    /// Whether it believes that it leads.
    pub leads: bool,
    /// How far its log has come.
    pub progress: u64,
}

/// A system under test.
pub trait System: Send + Sync {
    /// The name that `--system` takes.
    fn name(&self) -> &'static str;
    /// One line for people.
    fn summary(&self) -> &'static str;
    /// What this machine lacks to run it: one line, with what to do about it.
    fn lack(&self) -> Option<String>;
    /// What can be chosen about it.
    fn options(&self) -> &'static [SystemOption];
    /// Chooses one of the values of one of its options.
    fn choose(&mut self, name: &str, value: &str);
    /// Whether its nodes write traces that Raft's invariants can be held against.
    fn writes_traces(&self) -> bool;
    /// Whether a node can be told an address for each peer of its own, so that a proxy can stand on every link.
    fn reaches_peers_separately(&self) -> bool;
    /// Whether it knows the bugs that `--defect` plants.
    fn has_planted_bugs(&self) -> bool;
    /// How its nodes are told their election timeouts and heartbeats, and what they make of it.
    ///
    /// # Errors
    /// A sentence, when they cannot be told anything like it.
    fn tell(&self, timing: &Timing) -> Result<Told, String>;
    /// The file in which a node writes what it does in elections.
    fn election_log(&self, place: &Place) -> PathBuf;
    /// What a line of that file says about elections; most say nothing of them.
    fn election_event(&self, line: &[u8]) -> Option<ElectionEvent>;
    /// How to start node number `node`.
    fn launch(&self, node: usize, layout: &Layout, settings: &Settings) -> Launch;
    /// How to start a node that is not in the cluster yet, or not any more; by default like any other.
    fn launch_joining(&self, node: usize, layout: &Layout, settings: &Settings) -> Launch {
        self.launch(node, layout, settings)
    }
    /// How to start a node again and again, `lives` times so far: it does not draw the same numbers again, and a start costs little.
    /// By default as ever.
    fn launch_again(&self, node: usize, layout: &Layout, settings: &Settings, lives: u64) -> Launch {
        let _ = lives;
        self.launch(node, layout, settings)
    }
    /// What its clusters can be asked to do.
    fn orders(&self) -> &'static [Order];
    /// Whether a node must run before it can be added, or must not.
    fn adds_running_nodes(&self) -> bool;
    /// Asks a cluster, at whichever node has to be asked, to carry out an order about a node; in words what came of it.
    fn order<'a>(
        &'a self,
        order: Order,
        node: usize,
        layout: &'a Layout,
    ) -> Boxed<'a, Result<String, String>>;
    /// Asks a node how it is; `None` when it does not answer within `patience`.
    fn status<'a>(&'a self, place: &'a Place, patience: Duration) -> Boxed<'a, Option<Status>>;
    /// Connections for `count` clients to the node at `place`, which leads: how a program that wants speed would make
    /// them.
    fn drivers<'a>(
        &'a self,
        place: &'a Place,
        count: usize,
    ) -> Boxed<'a, Result<Vec<Box<dyn Driver>>, String>>;
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
    vec![Box::new(rafture::Rafture), Box::new(etcd::Etcd::default())]
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

/// The system of that name, with these choices made.
///
/// # Errors
/// A line that names what there is to choose from.
pub fn configured(name: &str, options: &Options) -> Result<Box<dyn System>, String> {
    let mut system = find(name)?;
    for (option, value) in options {
        let known = system.options();
        let Some(found) = known.iter().find(|known| known.name == option) else {
            let names: Vec<String> = known.iter().map(|known| format!("`{}`", known.name)).collect();
            let hint =
                if names.is_empty() { "it has none".into() } else { format!("it has {}", names.join(", ")) };
            return Err(format!("`{name}` has no option `{option}` (hint: {hint})"));
        };
        if !found.values.contains(&value.as_str()) {
            let values = found.values.join(", ");
            return Err(format!(
                "the option `{option}` of `{name}` cannot be `{value}` (hint: one of {values})"
            ));
        }
        system.choose(option, value);
    }
    Ok(system)
}

/// Says so if a program is not in the search path, and which Debian package has it.
fn program_missing(program: &str, package: &str) -> Option<String> {
    let is_program = |folder: PathBuf| {
        let file = folder.join(program).metadata();
        file.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    let found = env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(is_program));
    (!found).then(|| format!("there is no program `{program}` (hint: apt-get install {package})"))
}

/// What every node says of itself; those that do not answer within `patience` say nothing.
pub async fn statuses(system: &dyn System, layout: &Layout, patience: Duration) -> Vec<Option<Status>> {
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
    answers.into_iter().map(Option::flatten).collect()
}

/// The node that leads, by its own word: of several that say so, the one with the latest term.
pub fn leader_of(statuses: &[Option<Status>]) -> Option<(usize, Status)> {
    let leaders = statuses.iter().enumerate();
    let leaders = leaders.filter_map(|(node, status)| Some((node, status.filter(|status| status.leads)?)));
    leaders.max_by_key(|(_, status)| status.term)
}

/// The node that leads, asked for.
pub async fn leader(system: &dyn System, layout: &Layout, patience: Duration) -> Option<(usize, Status)> {
    leader_of(&statuses(system, layout, patience).await)
}
