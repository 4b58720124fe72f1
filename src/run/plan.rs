//! What the arguments of `rafture run` mean, fully checked before anything starts; `plan.json` of a run.
//!
//! The plan and its seed decide what is asked and which faults strike when. With real processes they do not decide how
//! threads interleave, so the same plan may end differently.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rafture_nemesis::disk;
use rafture_nemesis::fault::{self, ClusterFault, FaultKind, FaultSpec};
use rafture_nemesis::hosts::{NODES_MAX, NetworkChoice};
use rafture_nemesis::moments::{Moment, Sign};
use rafture_nemesis::schedule::file::{self, Settings};
use rafture_nemesis::schedule::window::{latest_ms, windows};
use rafture_nemesis::schedule::{End, Episode, Schedule, record};
use rafture_node::rules::Defect;
use rafture_workloads::load::CLIENTS_MAX;
use rafture_workloads::systems::{self, Options, Order, System};
use rafture_workloads::workload;
use serde::{Deserialize, Serialize};
use std::hash::{BuildHasher, RandomState};

use super::arguments::RunArguments;
use crate::command_line::{quoted, with_flags};
use crate::duration::{Range, Span};
use crate::error::Error;

/// Name of the schedule in the folder of its run.
pub(crate) const SCHEDULE_FILE: &str = "schedule.toml";
/// What strikes if nobody says. Of the mixes that were measured with all planted bugs (`rafture defects --measure`), this one found
/// all of them, and sooner than others that did.
const FAULTS: &str = "kill,pause,partition,partition,power-loss";
/// The same where there can be no faults of disks, and for runs in which there is hardly time for more.
const FEW_FAULTS: &str = "kill,pause,partition";
/// A run that is shorter has few faults.
const FAULTS_TIME: Duration = Duration::from_secs(10);
/// How long a run is if nobody says.
const TIME_LIMIT: Span = Span(Duration::from_secs(30));
/// Nobody writes a longer one.
const SCHEDULE_BYTES_MAX: u64 = 4 << 20;

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
    /// What whoever asked for it said of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Nodes of the cluster.
    pub nodes: usize,
    /// Faults as they were asked for; nothing if a schedule was.
    pub faults: String,
    /// The file that the schedule was read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_file: Option<PathBuf>,
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
    /// Files whose content faults of disks make wrong.
    #[serde(default = "files")]
    pub files: String,
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
        let options = pairs("option", &arguments.options)?;
        let labels = pairs("label", &arguments.labels)?;
        let system = systems::configured(&arguments.system, &options).map_err(Error::Input)?;
        let workload = workload::find(&arguments.workload).map_err(Error::Input)?;
        let defect =
            arguments.defect.as_deref().map(str::parse::<Defect>).transpose().map_err(Error::Input)?;
        let faults = match (&arguments.schedule, &arguments.faults) {
            (Some(_), Some(_)) => {
                return Err(Error::Input(
                    "`--schedule` and `--faults` both say what strikes (hint: leave one of them out)".into(),
                ));
            }
            (Some(_), None) => "",
            (None, faults) => faults.as_deref().unwrap_or_else(|| usual_faults(arguments)),
        };
        let specs = fault::parse(faults).map_err(Error::input)?;
        check_abilities(arguments, &*system)?;
        specs.iter().try_for_each(|spec| check_order(spec.kind, &*system)).map_err(Error::Input)?;
        check_numbers(arguments)?;
        let concurrency = concurrency(&arguments.concurrency, arguments.nodes)?;
        let seed = arguments.seed.unwrap_or_else(fresh_seed);
        let (schedule, time_limit) = match &arguments.schedule {
            Some(file) => written(file, arguments, &*system, seed)?,
            None => {
                let limit = arguments.time_limit.unwrap_or(TIME_LIMIT);
                (drawn(arguments, &specs, seed, limit)?, limit)
            }
        };
        let upgrade_to = upgrade_to(arguments, &specs, &schedule)?;
        let name = arguments.name.clone().unwrap_or_else(|| format!("{}-{}", system.name(), workload.name()));
        Ok(Plan {
            rafture: env!("CARGO_PKG_VERSION").into(),
            command: command(arguments, &options, faults, seed),
            controller: rafture_nemesis::clean::controller(),
            name,
            system: system.name().into(),
            options,
            workload: workload.name().into(),
            labels,
            nodes: arguments.nodes,
            faults: faults.into(),
            schedule_file: arguments.schedule.clone(),
            interval: arguments.interval,
            time_limit,
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
            files: arguments.files.clone(),
            upgrade_to,
            check_time_limit: arguments.check_time_limit,
            schedule,
            store: arguments.store.clone(),
        })
    }
}

impl Plan {
    /// The plan of a run whose folder is `folder`. What it strikes is repeated by the schedule that is recorded there, since the
    /// file that was given may have changed by then.
    pub(super) fn in_folder(&self, folder: &Path) -> Plan {
        match self.schedule_file {
            Some(_) => Plan { command: self.replay_command(folder), ..self.clone() },
            None => self.clone(),
        }
    }

    /// The schedule as a file that strikes the same again.
    pub(super) fn recorded(&self, folder: &Path) -> String {
        let end = End { at_ms: self.time_limit.0.as_millis() as u64, after: None };
        let schedule = Schedule { end: self.schedule.end.or(Some(end)), ..self.schedule.clone() };
        let comment =
            format!("What strikes in this run. The same once more:\n{}", self.replay_command(folder));
        record::write(&schedule, &comment)
    }

    fn replay_command(&self, folder: &Path) -> String {
        let file = folder.join(SCHEDULE_FILE).display().to_string();
        with_flags(&self.command, &["faults", "interval", "schedule"], &[("schedule", &file)])
    }
}

/// What plans meant that did not say.
fn serve_within() -> Span {
    RunArguments::default().serve_within
}

/// The same of files.
fn files() -> String {
    RunArguments::default().files
}

/// What strikes if nobody says, on this machine and in so much time.
fn usual_faults(arguments: &RunArguments) -> &'static str {
    let is_short = arguments.time_limit.is_some_and(|limit| limit.0 < FAULTS_TIME);
    if is_short || disk::lack().is_some() { FEW_FAULTS } else { FAULTS }
}

/// `NAME=VALUE`, each name once.
pub(crate) fn pairs(what: &str, texts: &[String]) -> Result<BTreeMap<String, String>, Error> {
    let mut pairs = BTreeMap::new();
    for text in texts {
        let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Error::Input(format!("`{text}` is no {what} (hint: NAME=VALUE)")));
        };
        if pairs.insert(name.into(), value.into()).is_some() {
            return Err(Error::Input(format!("the {what} `{name}` is given twice (hint: leave one out)")));
        }
    }
    Ok(pairs)
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
fn check_order(kind: FaultKind, system: &dyn System) -> Result<(), String> {
    let needed: &[Order] = match kind {
        FaultKind::Cluster(ClusterFault::Membership | ClusterFault::Wipe) => &[Order::Remove, Order::Add],
        FaultKind::Cluster(ClusterFault::Transfer) => &[Order::Transfer],
        FaultKind::Cluster(ClusterFault::Snapshot) => &[Order::Snapshot],
        _ => &[],
    };
    match needed.iter().all(|order| system.orders().contains(order)) {
        true => Ok(()),
        false => Err(format!("`{}` cannot be asked for `{kind}` (hint: leave it out)", system.name())),
    }
}

/// The program to upgrade to, if there is to be an upgrade.
fn upgrade_to(
    arguments: &RunArguments,
    specs: &[FaultSpec],
    schedule: &Schedule,
) -> Result<Option<PathBuf>, Error> {
    let kinds = specs.iter().map(|spec| spec.kind);
    let is_asked = kinds
        .chain(schedule.episodes.iter().map(|episode| episode.fault.kind))
        .any(|kind| kind == FaultKind::Upgrade);
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
    } else if arguments.time_limit.is_some_and(|limit| limit.0.is_zero())
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

fn drawn(arguments: &RunArguments, specs: &[FaultSpec], seed: u64, limit: Span) -> Result<Schedule, Error> {
    Schedule::random(seed, specs, arguments.interval.0, limit.0, arguments.nodes).map_err(Error::input)
}

/// The schedule in a file, and how long it takes at most.
fn written(
    file: &Path,
    arguments: &RunArguments,
    system: &dyn System,
    seed: u64,
) -> Result<(Schedule, Span), Error> {
    let name = file.display();
    let text = read_text(file)?;
    let settings = Settings::new(arguments.nodes, seed, arguments.interval.0);
    let script = file::read(&text, settings).map_err(|error| Error::Input(format!("{name}:{error}")))?;
    let refused = |episode: &Episode, message: String| {
        Error::Input(format!("{name}:{}: {message}", script.place(episode)))
    };
    let mut schedule = script.schedule.clone();
    for episode in &schedule.episodes {
        check_order(episode.fault.kind, system).map_err(|message| refused(episode, message))?;
        if let Some(Moment { sign: Sign::Event(event), .. }) = &episode.when
            && !system.writes_traces()
        {
            let message = format!(
                "`{event}` is seen in traces, and `{}` writes none (hint: when = {{ log = \"a line that matches\" }})",
                system.name()
            );
            return Err(refused(episode, message));
        }
    }
    let Some(limit) = arguments.time_limit else {
        let longest = Duration::from_millis(latest_ms(&schedule));
        return match longest.is_zero() {
            true => {
                Err(Error::Input(format!("{name}:1:1: this schedule takes no time (hint: lasts = \"10s\")")))
            }
            false => Ok((schedule, Span(longest))),
        };
    };
    let ends = windows(&schedule.episodes).into_iter().map(|window| Duration::from_millis(window.ends_ms.1));
    let last = schedule.episodes.iter().zip(ends).max_by_key(|(_, end)| *end);
    if let Some((episode, end)) = last.filter(|(_, end)| *end > limit.0) {
        let end = Span(end);
        return Err(refused(
            episode,
            format!(
                "`{}` may last until {end}, and the time limit is {limit} (hint: --time-limit {end}, or leave it out)",
                episode.words()
            ),
        ));
    }
    // Who says how long the run is, decides it.
    schedule.end = None;
    Ok((schedule, limit))
}

fn read_text(file: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let read = File::open(file).and_then(|file| file.take(SCHEDULE_BYTES_MAX + 1).read_to_string(&mut text));
    match read {
        Ok(count) if count as u64 > SCHEDULE_BYTES_MAX => {
            Err(Error::Input(format!("`{}` is too large to be a schedule", file.display())))
        }
        Ok(_) => Ok(text),
        Err(error) => Err(Error::Input(format!(
            "cannot read the schedule `{}`: {error} (hint: runs/latest/schedule.toml is one)",
            file.display()
        ))),
    }
}

/// The line that makes the same plan: every flag that matters, in full.
fn command(arguments: &RunArguments, options: &Options, faults: &str, seed: u64) -> String {
    let default = RunArguments::default();
    let mut line = vec!["rafture run".to_owned()];
    let mut flag = |name: &str, value: String, default: String| {
        if value != default {
            line.push(format!("--{name} {}", quoted(&value)));
        }
    };
    let path = |path: &Path| path.display().to_string();
    flag("system", arguments.system.clone(), default.system);
    for (name, value) in options {
        flag("option", format!("{name}={value}"), String::new());
    }
    flag("nodes", arguments.nodes.to_string(), default.nodes.to_string());
    flag("workload", arguments.workload.clone(), default.workload);
    // Always, since what is usual depends on the machine; but not beside a schedule.
    flag("faults", faults.into(), String::new());
    let file = arguments.schedule.as_deref().map(path);
    flag("schedule", file.clone().unwrap_or_default(), String::new());
    flag("interval", arguments.interval.to_string(), default.interval.to_string());
    // A schedule has a length of its own.
    let usual = if file.is_some() { String::new() } else { TIME_LIMIT.to_string() };
    flag("time-limit", arguments.time_limit.map_or(usual.clone(), |limit| limit.to_string()), usual);
    flag("quiet", arguments.quiet.to_string(), default.quiet.to_string());
    flag("concurrency", arguments.concurrency.clone(), default.concurrency);
    flag("patience", arguments.patience.to_string(), default.patience.to_string());
    flag("network", arguments.network.clone(), default.network);
    flag("store", path(&arguments.store), path(&default.store));
    flag("election-timeout", arguments.election_timeout.to_string(), default.election_timeout.to_string());
    flag("heartbeat", arguments.heartbeat.to_string(), default.heartbeat.to_string());
    flag("serve-within", arguments.serve_within.to_string(), default.serve_within.to_string());
    flag("files", arguments.files.clone(), default.files);
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

    /// A plan with a schedule in a file; the path of the file stands as `FILE` in what is said.
    fn plan_with(schedule: &str, flags: &str) -> Result<Plan, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("my schedule.toml");
        std::fs::write(&path, schedule).expect("a file");
        let words = ["run", "--schedule"].into_iter().chain([path.to_str().expect("a path")]);
        let line =
            Line::try_parse_from(words.chain(flags.split_whitespace())).map_err(|error| error.to_string())?;
        let plan = Plan::new(&line.arguments).map_err(|error| error.to_string());
        plan.map_err(|error| error.replace(path.to_str().expect("a path"), "FILE"))
    }

    const LEADERS: &str = r#"
[[phase]]
lasts = "1s"
[[phase]]
sequence = [{ fault = "kill@leader", for = "500ms" }, { fault = "pause@there", when = "leader-elected", within = "2s", for = "1s" }]
[[phase]]
lasts = "1s"
"#;

    #[test]
    fn a_schedule_says_how_long_the_run_is() {
        let plan = plan_with(LEADERS, "--seed 3").expect("a plan");
        assert_eq!((plan.time_limit.to_string(), &*plan.faults), ("5500ms".into(), ""));
        assert_eq!(plan.schedule.end, Some(End { at_ms: 1000, after: Some(1) }));
        assert!(plan.command.starts_with("rafture run --schedule '/"), "{}", plan.command);
        assert!(plan.command.ends_with("my schedule.toml' --seed 3"), "{}", plan.command);
        let longer = plan_with(LEADERS, "--time-limit 30s").expect("a plan");
        assert_eq!((longer.time_limit, longer.schedule.end), (TIME_LIMIT, None));
        assert!(longer.command.contains(" --time-limit 30s "), "{}", longer.command);
    }

    /// Drawn, written by hand, or with a time limit: what is recorded strikes the same, and so does what that run records.
    #[test]
    fn what_a_run_records_is_its_plan_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let drawn = plan("--seed 5 --interval 1s --time-limit 20s --nodes 3 --store here").expect("a plan");
        let waiting = plan_with(LEADERS, "--seed 3 --nodes 3 --store here").expect("a plan");
        let longer = plan_with(LEADERS, "--seed 3 --nodes 3 --store here --time-limit 20s").expect("a plan");
        for one in [drawn, waiting, longer] {
            let text = one.recorded(folder.path());
            let path = folder.path().join(SCHEDULE_FILE);
            std::fs::write(&path, &text).expect("a file");
            let command =
                text.lines().nth(1).and_then(|line| line.strip_prefix("# rafture run")).expect(&text);
            let other = plan(command).expect("a plan");
            assert_eq!(other.schedule.episodes, one.schedule.episodes, "{command}");
            assert_eq!((other.time_limit, other.seed, other.nodes), (one.time_limit, one.seed, one.nodes));
            assert_eq!(other.recorded(folder.path()), text);
            assert_eq!(other.in_folder(folder.path()).command, format!("rafture run{command}"));
        }
    }

    #[test]
    fn schedules_that_cannot_be_carried_out_are_refused_with_their_place() {
        for (schedule, flags, expected) in [
            (
                LEADERS,
                "--faults kill",
                "`--schedule` and `--faults` both say what strikes (hint: leave one of them out)",
            ),
            (
                LEADERS,
                "--time-limit 4s",
                "FILE:5:66: `pause@there` may last until 4500ms, and the time limit is 4s (hint: --time-limit 4500ms, or leave it out)",
            ),
            (
                LEADERS,
                "--system etcd",
                "FILE:5:66: `leader-elected` is seen in traces, and `etcd` writes none (hint: when = { log = \"a line that matches\" })",
            ),
            ("[end]\nat = \"0s\"", "", "FILE:1:1: this schedule takes no time (hint: lasts = \"10s\")"),
            (
                "[[fault]]\nfault = \"kill@n4\"\nfor = \"1s\"",
                "--nodes 3",
                "FILE:2:10: `kill@n4` is not possible with 3 nodes (hint: it takes 4)",
            ),
        ] {
            assert_eq!(plan_with(schedule, flags).expect_err(flags), expected);
        }
        assert!(
            plan("--schedule /nowhere")
                .is_err_and(|error| { error.starts_with("cannot read the schedule `/nowhere`: ") })
        );
        assert!(plan("--schedule /dev/zero").is_err_and(|error| error.contains("too large")));
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
