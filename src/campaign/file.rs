//! The file of a campaign: which runs there are to be, fully checked before any of them starts.
//!
//! The one idea: a key is a flag of `rafture run`, and its value is read as if it had been typed there, so that whatever `run` learns a
//! campaign can do, with the same words and the same complaints.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use rafture_nemesis::schedule::file::Place;
use rafture_reports::store;
use rafture_workloads::systems;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::duration::Span;
use crate::error::Error;
use crate::run::{Plan, RunArguments};

/// Nobody reads the summary of a longer night, or has it in memory.
const CELLS_MAX: usize = 100_000;
/// Nobody writes a longer file.
const BYTES_MAX: usize = 1 << 20;
/// Flags of `run` that a campaign gives itself.
const OWN: [&str; 6] = ["store", "name", "seed", "json", "label", "help"];
const TOP: [&str; 10] =
    ["name", "time-budget", "stop-after", "jobs", "seed", "matrix", "run", "canary", "labels", "retention"];

/// What a night is to be.
#[derive(Debug, Clone)]
pub(super) struct Campaign {
    /// Its runs are stored under it.
    pub(super) name: String,
    /// No run is begun later than that.
    pub(super) time_budget: Option<Duration>,
    /// No run is begun once so many have failed.
    pub(super) stop_after: Option<usize>,
    /// Clusters at once.
    pub(super) jobs: Option<usize>,
    /// Decides the seeds of all nights, so that they are the same every night.
    pub(super) seed: Option<u64>,
    /// What all runs have in common.
    fixed: Vec<Flag>,
    /// What they differ in.
    axes: Vec<Vec<Flag>>,
    seeds: Seeds,
    /// The bug that must be found.
    pub(super) canary: Canary,
    /// What is said of every run.
    pub(super) labels: BTreeMap<String, String>,
    pub(super) keep: Keep,
    /// The text of the file.
    pub(super) text: String,
}

/// A flag of `run` with its value, and where it stands.
#[derive(Debug, Clone)]
struct Flag {
    name: String,
    value: String,
    at: usize,
}

#[derive(Debug, Clone)]
enum Seeds {
    Count(u64),
    These(Vec<u64>),
}

/// The planted bug, and how it is looked for.
#[derive(Debug, Clone)]
pub(super) struct Canary {
    pub(super) defect: String,
    /// Runs until it counts as not found.
    pub(super) tries: usize,
    flags: Vec<Flag>,
}

/// What is kept of a run that passed. Of one that failed all is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    All,
    /// All but what nodes and clients have written.
    Reports,
    /// What lists and trends are made of.
    Results,
}

/// One run of the matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    /// Its place among all of them.
    pub(super) index: usize,
    /// What it is a combination of.
    pub(super) title: String,
    pub(super) system: String,
    /// Flags of `run`.
    pub(super) arguments: Vec<String>,
}

struct Complaint {
    at: usize,
    message: String,
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: RunArguments,
}

/// Reads a campaign.
///
/// # Errors
/// The first thing in the file that cannot be followed, with its place; or what a system lacks on this machine.
pub(super) fn read(path: &Path) -> Result<Campaign, Error> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::Input(format!("cannot read `{name}`: {error}")))?;
    if text.len() > BYTES_MAX {
        return Err(Error::Input(format!("`{name}` is no campaign: it has {} bytes", text.len())));
    }
    let located = |complaint: Complaint| {
        Error::Input(format!("{name}:{}: {}", Place::of(&text, complaint.at), complaint.message))
    };
    let campaign = parse(&text).map_err(located)?;
    campaign.check().map_err(located)?;
    if let Some((at, lack)) = campaign.lack() {
        return Err(Error::Harness(format!("{name}:{}: {lack}", Place::of(&text, at))));
    }
    Ok(campaign)
}

fn parse(text: &str) -> Result<Campaign, Complaint> {
    let (parsed, errors) = DeTable::parse_recoverable(text);
    let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    if let Some(error) = errors.iter().min_by_key(|error| start(error)) {
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        return Err(Complaint { at: start(error), message });
    }
    let top = parsed.get_ref();
    known(top, &TOP)?;
    let Some(name) = top.get("name") else {
        return Err(Complaint {
            at: 0,
            message: "a campaign needs a name (hint: name = \"nightly\")".into(),
        });
    };
    store::check_name(text_of(name)?).map_err(|error| complain(name, &error))?;
    let (axes, seeds) = matrix(top.get("matrix"))?;
    Ok(Campaign {
        name: text_of(name)?.to_owned(),
        time_budget: top.get("time-budget").map(duration).transpose()?,
        stop_after: top.get("stop-after").map(count).transpose()?,
        jobs: top.get("jobs").map(count).transpose()?,
        seed: top.get("seed").map(number).transpose()?,
        fixed: top.get("run").map(flags).transpose()?.unwrap_or_default(),
        axes,
        seeds,
        canary: canary(top.get("canary"))?,
        labels: labels(top.get("labels"))?,
        keep: keep(top.get("retention"))?,
        text: text.to_owned(),
    })
}

fn matrix(value: Option<&Spanned<DeValue<'_>>>) -> Result<(Vec<Vec<Flag>>, Seeds), Complaint> {
    let mut seeds = Seeds::Count(1);
    let mut axes = Vec::new();
    let Some(value) = value else {
        return Ok((axes, seeds));
    };
    for (key, value) in sorted(table(value)?) {
        if key.get_ref() == "seeds" {
            seeds = match value.get_ref() {
                DeValue::Array(values) => {
                    Seeds::These(values.iter().map(number).collect::<Result<_, Complaint>>()?)
                }
                _ => Seeds::Count(count(value)? as u64),
            };
            continue;
        }
        let DeValue::Array(values) = value.get_ref() else {
            let message =
                format!("`{}` in [matrix] is a list (hint: one value stands in [run])", key.get_ref());
            return Err(complain(value, &message));
        };
        if values.is_empty() {
            return Err(complain(value, &"this list is empty, so there would be no run at all"));
        }
        axes.push(values.iter().map(|value| flag(key, value)).collect::<Result<_, Complaint>>()?);
    }
    Ok((axes, seeds))
}

/// The flags of a table; one that may be given several times may have a list.
fn flags(value: &Spanned<DeValue<'_>>) -> Result<Vec<Flag>, Complaint> {
    let mut flags = Vec::new();
    for (key, value) in sorted(table(value)?) {
        match value.get_ref() {
            DeValue::Array(values) if key.get_ref() == "option" => {
                for value in values {
                    flags.push(flag(key, value)?);
                }
            }
            DeValue::Array(_) => {
                let message =
                    format!("`{}` in [run] is one value (hint: a list stands in [matrix])", key.get_ref());
                return Err(complain(value, &message));
            }
            _ => flags.push(flag(key, value)?),
        }
    }
    Ok(flags)
}

fn flag(key: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) -> Result<Flag, Complaint> {
    let name = key.get_ref().to_string();
    let names = flag_names();
    if !names.contains(&name) {
        let at = key.span().start;
        let message = match OWN.contains(&&*name) {
            true => format!("`{name}` is not chosen here (hint: a campaign gives it itself)"),
            false => format!("unknown key `{name}` (hint: a flag of `rafture run`: {})", names.join(", ")),
        };
        return Err(Complaint { at, message });
    }
    let text = match value.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        _ => return Err(complain(value, &format!("`{name}` is a text or a number"))),
    };
    // A value that looks like a flag must not become one.
    let words = ["run".to_owned(), format!("--{name}={text}")];
    if let Err(error) = Line::try_parse_from(words) {
        let message = error.to_string();
        let first = message.lines().next().unwrap_or_default();
        return Err(complain(value, &first.strip_prefix("error: ").unwrap_or(first)));
    }
    Ok(Flag { name, value: text, at: value.span().start })
}

fn flag_names() -> Vec<String> {
    let command = Line::command();
    let names = command.get_arguments().filter_map(|argument| argument.get_long());
    names.filter(|name| !OWN.contains(name)).map(str::to_owned).collect()
}

fn canary(value: Option<&Spanned<DeValue<'_>>>) -> Result<Canary, Complaint> {
    let mut canary = Canary { defect: "read-local".into(), tries: 3, flags: Vec::new() };
    let Some(value) = value else {
        return Ok(canary);
    };
    for (key, value) in sorted(table(value)?) {
        match &**key.get_ref() {
            "tries" => canary.tries = count(value)?,
            "defect" => canary.defect = flag(key, value)?.value,
            _ => canary.flags.push(flag(key, value)?),
        }
    }
    let words = canary.arguments(1);
    Plan::new(&arguments(&words)).map_err(|error| complain(value, &error))?;
    Ok(canary)
}

fn labels(value: Option<&Spanned<DeValue<'_>>>) -> Result<BTreeMap<String, String>, Complaint> {
    let mut labels = BTreeMap::new();
    let Some(value) = value else {
        return Ok(labels);
    };
    for (key, value) in sorted(table(value)?) {
        labels.insert(key.get_ref().to_string(), text_of(value)?.to_owned());
    }
    Ok(labels)
}

fn keep(value: Option<&Spanned<DeValue<'_>>>) -> Result<Keep, Complaint> {
    let Some(value) = value else {
        return Ok(Keep::Reports);
    };
    let table = table(value)?;
    known(table, &["passed"])?;
    match table.get("passed").map(|value| Ok((value, text_of(value)?))).transpose()? {
        None | Some((_, "reports")) => Ok(Keep::Reports),
        Some((_, "all")) => Ok(Keep::All),
        Some((_, "results")) => Ok(Keep::Results),
        Some((value, other)) => {
            Err(complain(value, &format!("`{other}` cannot be kept (hint: all, reports, results)")))
        }
    }
}

impl Canary {
    /// Flags of the run that looks for it.
    pub(super) fn arguments(&self, seed: u64) -> Vec<String> {
        let mut words = vec!["--time-limit=20s".to_owned()];
        words.retain(|_| !self.flags.iter().any(|flag| flag.name == "time-limit"));
        words.extend(self.flags.iter().map(Flag::word));
        words.push(format!("--defect={}", self.defect));
        words.push(format!("--seed={seed}"));
        words
    }
}

impl Flag {
    fn word(&self) -> String {
        format!("--{}={}", self.name, self.value)
    }
}

/// What flags mean that were read one by one.
fn arguments(words: &[String]) -> RunArguments {
    let line = Line::try_parse_from(std::iter::once("run".to_owned()).chain(words.iter().cloned()));
    line.expect("each of them can be read").arguments
}

impl Campaign {
    /// All combinations of the axes, the last one turning fastest.
    fn combinations(&self) -> Vec<Vec<&Flag>> {
        let mut all: Vec<Vec<&Flag>> = vec![Vec::new()];
        for axis in &self.axes {
            let mut longer = Vec::new();
            for one in &all {
                longer.extend(
                    axis.iter().map(|flag| one.iter().copied().chain([flag]).collect::<Vec<&Flag>>()),
                );
            }
            all = longer;
        }
        all
    }

    /// All runs of a night whose seeds `base` decides, unless they are written down.
    pub(super) fn cells(&self, base: u64) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (number, combination) in self.combinations().into_iter().enumerate() {
            let seeds: Vec<u64> = match &self.seeds {
                Seeds::These(seeds) => seeds.clone(),
                Seeds::Count(count) => (0..*count).map(|seed| drawn(base, number as u64, seed)).collect(),
            };
            for seed in seeds {
                let mut title: Vec<&str> = combination.iter().map(|flag| flag.value.as_str()).collect();
                let last = format!("seed {seed}");
                title.push(&last);
                let mut words: Vec<String> = self.fixed.iter().map(Flag::word).collect();
                words.extend(combination.iter().map(|flag| flag.word()));
                words.push(format!("--seed={seed}"));
                let title = title.join(" · ");
                let system = arguments(&words).system;
                cells.push(Cell { index: cells.len(), title, system, arguments: words });
            }
        }
        cells
    }

    /// Whether every combination can be.
    fn check(&self) -> Result<(), Complaint> {
        for axis in &self.axes {
            if let Some(both) =
                self.fixed.iter().find(|flag| flag.name == axis[0].name && flag.name != "option")
            {
                let message = format!("`{}` stands in [matrix] as well (hint: leave it out here)", both.name);
                return Err(Complaint { at: both.at, message });
            }
        }
        let combinations = self.combinations();
        let seeds = match &self.seeds {
            Seeds::Count(count) => *count as usize,
            Seeds::These(seeds) => seeds.len(),
        };
        let cells = combinations.len().saturating_mul(seeds);
        if !(1..=CELLS_MAX).contains(&cells) {
            let message = format!("this makes {cells} runs (hint: 1 to {CELLS_MAX})");
            return Err(Complaint { at: 0, message });
        }
        for combination in combinations {
            let words: Vec<String> =
                self.fixed.iter().chain(combination.iter().copied()).map(Flag::word).collect();
            let mut arguments = arguments(&words);
            arguments.seed = Some(1);
            Plan::new(&arguments).map_err(|error| self.blame(&combination, &error.to_string()))?;
        }
        Ok(())
    }

    /// Where what is said of a combination belongs: to the value that is named in it, or else to the last of the axes.
    fn blame(&self, combination: &[&Flag], message: &str) -> Complaint {
        let all = || combination.iter().copied().chain(&self.fixed);
        let is_named = |flag: &&Flag| message.contains(&format!("`{}`", flag.value));
        let is_meant = |flag: &&Flag| message.contains(&flag.name) || message.contains(&flag.value);
        let flag = all().find(is_named).or_else(|| all().find(is_meant)).or_else(|| all().last());
        let with: Vec<String> =
            combination.iter().map(|flag| format!("{} = {}", flag.name, flag.value)).collect();
        let with = if with.is_empty() {
            String::new()
        } else {
            format!(" (in the combination {})", with.join(", "))
        };
        Complaint { at: flag.map_or(0, |flag| flag.at), message: format!("{message}{with}") }
    }

    /// What one of the systems lacks here, and where it is asked for.
    fn lack(&self) -> Option<(usize, String)> {
        let flags = self.axes.iter().flatten().chain(&self.fixed).filter(|flag| flag.name == "system");
        let lack = |flag: &Flag| {
            let lack = systems::find(&flag.value).ok()?.lack()?;
            Some((flag.at, format!("`{}` cannot run here: {lack}", flag.value)))
        };
        flags.into_iter().find_map(lack)
    }
}

/// The seed of a run; small enough to be read out.
fn drawn(base: u64, combination: u64, seed: u64) -> u64 {
    1 + mixed(base ^ mixed(combination ^ mixed(seed))) % 999_999_999
}

/// Spreads a number over all bits (splitmix64: Steele, Lea, Flood, OOPSLA 2014).
pub(super) fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Keys in the order of the text.
fn sorted<'a, 'i>(
    table: &'a DeTable<'i>,
) -> Vec<(&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>)> {
    let mut pairs: Vec<_> = table.iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    pairs
}

fn known(table: &DeTable<'_>, keys: &[&str]) -> Result<(), Complaint> {
    match sorted(table).into_iter().find(|(key, _)| !keys.contains(&&**key.get_ref())) {
        Some((key, _)) => Err(Complaint {
            at: key.span().start,
            message: format!("unknown key `{}` (hint: one of {})", key.get_ref(), keys.join(", ")),
        }),
        None => Ok(()),
    }
}

fn complain(value: &Spanned<DeValue<'_>>, message: &impl ToString) -> Complaint {
    Complaint { at: value.span().start, message: message.to_string() }
}

fn table<'a, 'i>(value: &'a Spanned<DeValue<'i>>) -> Result<&'a DeTable<'i>, Complaint> {
    value.get_ref().as_table().ok_or_else(|| complain(value, &"this is to be a table"))
}

fn text_of<'a>(value: &'a Spanned<DeValue<'_>>) -> Result<&'a str, Complaint> {
    value.get_ref().as_str().ok_or_else(|| complain(value, &"this is to be a text"))
}

fn duration(value: &Spanned<DeValue<'_>>) -> Result<Duration, Complaint> {
    let span: Span = text_of(value)?.parse().map_err(|error: String| complain(value, &error))?;
    Ok(span.0)
}

fn number(value: &Spanned<DeValue<'_>>) -> Result<u64, Complaint> {
    let number = value.get_ref().as_integer().and_then(|number| number.to_string().parse().ok());
    number.ok_or_else(|| complain(value, &"this is to be a whole number, not below 0"))
}

fn count(value: &Spanned<DeValue<'_>>) -> Result<usize, Complaint> {
    match number(value)? {
        0 => Err(complain(value, &"this is to be at least 1")),
        number => Ok(number as usize),
    }
}
