//! What the arguments of `rafture run` mean, fully checked before anything starts; `plan.json` of a run.
//!
//! The plan and its seed decide what is asked and which faults strike when. With real processes they do not decide how
//! threads interleave, so the same plan may end differently.

use std::path::{Path, PathBuf};

use rafture_nemesis::fault::{self, ClusterFault, FaultKind, FaultSpec};
use rafture_nemesis::hosts::{NODES_MAX, NetworkChoice};
use rafture_nemesis::schedule::Schedule;
use rafture_node::rules::Defect;
use rafture_workloads::load::CLIENTS_MAX;
use rafture_workloads::systems::{self, Options, Order, System};
use rafture_workloads::workload;
use serde::{Deserialize, Serialize};
use std::hash::{BuildHasher, RandomState};

use super::arguments::RunArguments;
use crate::duration::{Range, Span};
use crate::error::Error;

/// Everything that is needed to repeat a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Version of rafture that made the plan.
    pub rafture: String,
    /// The line that repeats the run.
    pub command: String,
    /// `pid:starttime` of the process that carries it out: tells an unfinished run from an abandoned one.
    pub controller: String,
    /// Name of the run's folder in the store.
    pub name: String,
    /// System under test.
    pub system: String,
    /// What was chosen about it.
    #[serde(default)]
    pub options: Options,
    /// What the clients do.
    pub workload: String,
    /// Nodes of the cluster.
    pub nodes: usize,
    /// Faults as they were asked for.
    pub faults: String,
    /// Mean time between faults.
    pub interval: Span,
    /// How long the cluster is driven under faults.
    pub time_limit: Span,
    /// How long it is driven after the last fault was healed.
    pub quiet: Span,
    /// Clients of a closed loop.
    pub concurrency: usize,
    /// Operations per second of an open loop.
    pub rate: Option<f64>,
    /// When an operation counts as uncertain.
    pub patience: Span,
    /// Decides all of the plan.
    pub seed: u64,
    /// Where the nodes live, as it was asked for.
    pub network: String,
    /// Range of election timeouts.
    pub election_timeout: Range,
    /// Time between heartbeats.
    pub heartbeat: Span,
    /// Planted bug.
    pub defect: Option<String>,
    /// How long it may take until an operation succeeds, while a majority of nodes is left alone.
    #[serde(default = "serve_within")]
    pub serve_within: Span,
    /// Program that nodes are upgraded to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade_to: Option<PathBuf>,
    /// Time that each checker may take.
    pub check_time_limit: Span,
    /// Which fault strikes when.
    pub schedule: Schedule,
    /// Folder of all runs.
    #[serde(skip)]
    pub store: PathBuf,
}

impl Plan {
    /// The plan for `arguments`.
    ///
    /// # Errors
    /// The first argument that cannot be followed, and what to try instead.
    pub fn new(arguments: &RunArguments) -> Result<Plan, Error> {
        let options = options(&arguments.options)?;
        let system = systems::configured(&arguments.system, &options).map_err(Error::Input)?;
        let workload = workload::find(&arguments.workload).map_err(Error::Input)?;
        let defect =
            arguments.defect.as_deref().map(str::parse::<Defect>).transpose().map_err(Error::Input)?;
        let specs = fault::parse(&arguments.faults).map_err(Error::input)?;
        check_abilities(arguments, &*system)?;
        check_orders(&specs, &*system)?;
        let upgrade_to = upgrade_to(arguments, &specs)?;
        check_numbers(arguments)?;
        let concurrency = concurrency(&arguments.concurrency, arguments.nodes)?;
        let seed = arguments.seed.unwrap_or_else(fresh_seed);
        let schedule = schedule(arguments, &specs, seed)?;
        let name = arguments.name.clone().unwrap_or_else(|| format!("{}-{}", system.name(), workload.name()));
        Ok(Plan {
            rafture: env!("CARGO_PKG_VERSION").into(),
            command: command(arguments, &options, seed),
            controller: rafture_nemesis::clean::controller(),
            name,
            system: system.name().into(),
            options,
            workload: workload.name().into(),
            nodes: arguments.nodes,
            faults: arguments.faults.clone(),
            interval: arguments.interval,
            time_limit: arguments.time_limit,
            quiet: arguments.quiet,
            concurrency,
            rate: arguments.rate,
            patience: arguments.patience,
            seed,
            network: arguments.network.clone(),
            election_timeout: arguments.election_timeout,
            heartbeat: arguments.heartbeat,
            defect: defect.map(|defect| defect.to_string()),
            serve_within: arguments.serve_within,
            upgrade_to,
            check_time_limit: arguments.check_time_limit,
            schedule,
            store: arguments.store.clone(),
        })
    }
}

/// What plans meant that did not say.
fn serve_within() -> Span {
    RunArguments::default().serve_within
}

/// `NAME=VALUE`, each name once.
fn options(texts: &[String]) -> Result<Options, Error> {
    let mut options = Options::new();
    for text in texts {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Error::Input(format!("`{text}` is no option (hint: NAME=VALUE)")));
        };
        if options.insert(name.into(), value.into()).is_some() {
            return Err(Error::Input(format!("the option `{name}` is given twice (hint: leave one out)")));
        }
    }
    Ok(options)
}

/// What not every system can do.
fn check_abilities(arguments: &RunArguments, system: &dyn System) -> Result<(), Error> {
    let network: NetworkChoice = arguments.network.parse().map_err(Error::Input)?;
    if network == NetworkChoice::Proxy && !system.reaches_peers_separately() {
        return Err(Error::Input(format!(
            "`{}` cannot be tested with `--network proxy`: a node of it has the same address for all others (hint: --network netns)",
            system.name()
        )));
    }
    if arguments.defect.is_some() && !system.has_planted_bugs() {
        return Err(Error::Input(format!(
            "`{}` has no planted bugs (hint: leave out --defect)",
            system.name()
        )));
    }
    Ok(())
}

/// What not every cluster can do to itself.
fn check_orders(specs: &[FaultSpec], system: &dyn System) -> Result<(), Error> {
    for spec in specs {
        let needed: &[Order] = match spec.kind {
            FaultKind::Cluster(ClusterFault::Membership | ClusterFault::Wipe) => &[Order::Remove, Order::Add],
            FaultKind::Cluster(ClusterFault::Transfer) => &[Order::Transfer],
            FaultKind::Cluster(ClusterFault::Snapshot) => &[Order::Snapshot],
            _ => &[],
        };
        if needed.iter().any(|order| !system.orders().contains(order)) {
            let (name, kind) = (system.name(), spec.kind);
            return Err(Error::Input(format!("`{name}` cannot be asked for `{kind}` (hint: leave it out)")));
        }
    }
    Ok(())
}

/// The program to upgrade to, if there is to be an upgrade.
fn upgrade_to(arguments: &RunArguments, specs: &[FaultSpec]) -> Result<Option<PathBuf>, Error> {
    let is_asked = specs.iter().any(|spec| spec.kind == FaultKind::Upgrade);
    match (&arguments.upgrade_to, is_asked) {
        (Some(program), true) => match program.canonicalize() {
            Ok(program) if program.is_file() => Ok(Some(program)),
            Ok(_) => Err(Error::Input(format!("`{}` is no program", program.display()))),
            Err(error) => Err(Error::Input(format!("cannot upgrade to `{}`: {error}", program.display()))),
        },
        (None, true) => Err(Error::Input(
            "`upgrade` to what? (hint: --upgrade-to PROGRAM, another build of the system)".into(),
        )),
        (Some(_), false) => {
            Err(Error::Input("`--upgrade-to` takes the fault `upgrade` (hint: --faults upgrade)".into()))
        }
        (None, false) => Ok(None),
    }
}

fn check_numbers(arguments: &RunArguments) -> Result<(), Error> {
    let RunArguments { nodes, rate, heartbeat, election_timeout, .. } = arguments;
    let complaint = if !(1..=NODES_MAX).contains(nodes) {
        format!("{nodes} nodes are not possible (hint: 1 to {NODES_MAX})")
    } else if rate.is_some_and(|rate| !(0.1..=100_000.0).contains(&rate)) {
        "the rate is out of range (hint: 0.1 to 100000 operations per second)".into()
    } else if heartbeat.0 >= election_timeout.low {
        format!(
            "a heartbeat every {heartbeat} does not fit into an election timeout of {election_timeout} (hint: at most half of it)"
        )
    } else if arguments.time_limit.0.is_zero()
        || arguments.interval.0.is_zero()
        || arguments.patience.0.is_zero()
    {
        "`--time-limit`, `--interval` and `--patience` must be longer than nothing".into()
    } else {
        return Ok(());
    };
    Err(Error::Input(complaint))
}

/// A seed that was not given. Small enough to be read out, large enough that no two nights share one.
fn fresh_seed() -> u64 {
    1 + RandomState::new().hash_one(std::process::id()) % 999_999_999
}

/// `10`, or `2n`: two per node.
fn concurrency(text: &str, nodes: usize) -> Result<usize, Error> {
    let number = match text.strip_suffix('n') {
        Some(per_node) => per_node.parse::<usize>().map(|per_node| per_node * nodes),
        None => text.parse(),
    };
    number.ok().filter(|count| (1..=CLIENTS_MAX).contains(count)).ok_or_else(|| {
        Error::Input(format!(
            "`{text}` clients are not possible (hint: 1 to {CLIENTS_MAX}, or `2n` for two per node)"
        ))
    })
}

fn schedule(arguments: &RunArguments, specs: &[FaultSpec], seed: u64) -> Result<Schedule, Error> {
    Schedule::random(seed, specs, arguments.interval.0, arguments.time_limit.0, arguments.nodes)
        .map_err(Error::input)
}

/// The line that makes the same plan: every flag that matters, in full.
fn command(arguments: &RunArguments, options: &Options, seed: u64) -> String {
    let default = RunArguments::default();
    let mut line = vec!["rafture run".to_owned()];
    let mut flag = |name: &str, value: String, default: String| {
        if value != default {
            line.push(format!("--{name} {value}"));
        }
    };
    let path = |path: &Path| path.display().to_string();
    flag("system", arguments.system.clone(), default.system);
    for (name, value) in options {
        flag("option", format!("{name}={value}"), String::new());
    }
    flag("nodes", arguments.nodes.to_string(), default.nodes.to_string());
    flag("workload", arguments.workload.clone(), default.workload);
    flag("faults", arguments.faults.clone(), default.faults);
    flag("interval", arguments.interval.to_string(), default.interval.to_string());
    flag("time-limit", arguments.time_limit.to_string(), default.time_limit.to_string());
    flag("quiet", arguments.quiet.to_string(), default.quiet.to_string());
    flag("concurrency", arguments.concurrency.clone(), default.concurrency);
    flag("patience", arguments.patience.to_string(), default.patience.to_string());
    flag("network", arguments.network.clone(), default.network);
    flag("store", path(&arguments.store), path(&default.store));
    flag("election-timeout", arguments.election_timeout.to_string(), default.election_timeout.to_string());
    flag("heartbeat", arguments.heartbeat.to_string(), default.heartbeat.to_string());
    flag("serve-within", arguments.serve_within.to_string(), default.serve_within.to_string());
    flag("check-time-limit", arguments.check_time_limit.to_string(), default.check_time_limit.to_string());
    for (name, value) in [
        ("rate", arguments.rate.map(|rate| rate.to_string())),
        ("name", arguments.name.clone()),
        ("defect", arguments.defect.clone()),
        ("upgrade-to", arguments.upgrade_to.as_deref().map(path)),
        ("seed", Some(seed.to_string())),
    ] {
        flag(name, value.unwrap_or_default(), String::new());
    }
    line.join(" ")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: RunArguments,
    }

    fn plan(flags: &str) -> Result<Plan, String> {
        let line = Line::try_parse_from(std::iter::once("run").chain(flags.split_whitespace()));
        Plan::new(&line.map_err(|error| error.to_string())?.arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_of_a_plan_makes_the_same_plan() {
        for flags in [
            "",
            "--nodes 3 --seed 7",
            "--system etcd --option read=serializable",
            "--rate 500 --faults kill@leader --time-limit 90s --name nightly",
        ] {
            let one = plan(flags).expect("a plan");
            let other = plan(one.command.strip_prefix("rafture run").expect("a command")).expect("a plan");
            let text = |plan: &Plan| serde_json::to_string(plan).expect("plain data");
            assert_eq!(text(&one), text(&other), "{flags}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_said_in_one_line() {
        for (flags, start) in [
            ("--system mongo", "unknown system `mongo` (hint: one of"),
            ("--option read=fast", "`rafture` has no option `read` (hint: it has none)"),
            (
                "--system etcd --option speed=high",
                "`etcd` has no option `speed` (hint: it has `read`, `fsync`)",
            ),
            (
                "--system etcd --option read=fast",
                "the option `read` of `etcd` cannot be `fast` (hint: one of linearizable, serializable)",
            ),
            ("--option read", "`read` is no option (hint: NAME=VALUE)"),
            ("--option a=1 --option a=2", "the option `a` is given twice"),
            ("--system etcd --network proxy", "`etcd` cannot be tested with `--network proxy`"),
            ("--system etcd --defect read-local", "`etcd` has no planted bugs"),
            ("--workload bank", "unknown workload `bank` (hint: one of"),
            ("--defect bugs", "unknown defect `bugs` (hint: one of"),
            ("--nodes 0", "0 nodes are not possible"),
            ("--concurrency 0", "`0` clients are not possible"),
            ("--concurrency 300n", "`300n` clients are not possible"),
            ("--heartbeat 200ms", "a heartbeat every 200ms does not fit"),
            ("--rate -1", "error: unexpected argument"),
            ("--time-limit 0s", "`--time-limit`, `--interval` and `--patience` must be longer"),
        ] {
            let error = plan(flags).expect_err(flags);
            assert!(error.starts_with(start), "{flags}: {error}");
            assert!(start.starts_with("error") || !error.contains('\n'), "{error}");
        }
        assert!(plan("--faults meteor").is_err_and(|error| error.contains("meteor")));
    }
}
