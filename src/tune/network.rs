//! The network between the members: given in a few words, read as a matrix from a file, known by name, or measured from here.
//!
//! A matrix holds round trips, in milliseconds, as operators see them (`ping`); half of one is taken as each way.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

use rafture_nemesis::hosts::{Condition, Link};
use rafture_reports::tune::NetworkFacts;
use rafture_sim::elections::{Delay, LinkSpec};

use crate::error::Error;

/// Round trips that were published, in milliseconds.
struct Known {
    name: &'static str,
    members: &'static [&'static str],
    source: &'static str,
    upper_half: &'static [f64],
}

/// As CockroachDB's `demo --global` has them, which simulates three regions of a public cloud; and a cluster in one place.
const KNOWN: [Known; 3] = [
    Known {
        name: "us-eu",
        members: &["us-east1", "us-west1", "europe-west1"],
        source: "the latencies that `cockroach demo --global` simulates",
        upper_half: &[66.0, 64.0, 146.0],
    },
    Known {
        name: "us-eu-5",
        members: &["us-east1", "us-east1", "us-west1", "europe-west1", "europe-west1"],
        source: "the latencies that `cockroach demo --global` simulates, and 1 ms inside a region",
        upper_half: &[1.0, 66.0, 64.0, 64.0, 66.0, 64.0, 64.0, 146.0, 146.0, 1.0],
    },
    Known {
        name: "availsim",
        members: &["1", "2", "3", "4", "5"],
        source: "the dissertation's wide-area cluster: 30 to 40 ms one way, here 70 ms there and back for all",
        upper_half: &[70.0; 10],
    },
];

/// How often a host is asked, and how long it has to answer.
const PROBES: usize = 20;
const PROBE_PATIENCE: Duration = Duration::from_secs(2);
const PROBE_INTERVAL: Duration = Duration::from_millis(25);

/// The network between the members.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Network {
    /// Round trips in milliseconds, row by row.
    pub(super) round_trip_ms: Vec<Vec<f64>>,
    /// What chance adds to one way, on average.
    pub(super) jitter: Duration,
    /// Share of packets that are lost.
    pub(super) loss: f64,
    /// Where it comes from, if not from the arguments.
    source: Option<String>,
}

impl Network {
    /// All members are as far from each other.
    pub(super) fn uniform(nodes: usize, round_trip: Duration, jitter: Duration, loss: f64) -> Network {
        let row = |from: usize| {
            (0..nodes).map(|to| if from == to { 0.0 } else { milliseconds(round_trip) }).collect()
        };
        Network { round_trip_ms: (0..nodes).map(row).collect(), jitter, loss, source: None }
    }

    /// The matrix of that name, or in that file.
    pub(super) fn matrix(text: &str, jitter: Duration, loss: f64) -> Result<Network, Error> {
        let (round_trip_ms, source) = match KNOWN.iter().find(|known| known.name == text) {
            Some(known) => (known.matrix(), format!("{}: {}", known.members.join(", "), known.source)),
            None => (read(Path::new(text))?, format!("`{text}`")),
        };
        Ok(Network { round_trip_ms, jitter, loss, source: Some(source) })
    }

    /// What lies between these hosts, as far as it can be seen from here: the first one is taken to be this machine, or near it. The way between two
    /// others leads over here, for want of better: it is no longer than that.
    /// Jitter is measured unless it is given; loss cannot be seen by connecting.
    pub(super) fn measured(hosts: &[String], jitter: Option<Duration>, loss: f64) -> Result<Network, Error> {
        let mut ways: Vec<Vec<f64>> = Vec::new();
        for host in hosts {
            ways.push(probe(host)?);
        }
        let median = |way: &Vec<f64>| way[way.len() / 2];
        let least = ways.iter().map(median).fold(f64::MAX, f64::min);
        let between = |from: usize, to: usize| match from == to {
            true => 0.0,
            // A way to whoever is nearest is the way from here.
            false => (median(&ways[from]) + median(&ways[to]) - least).max(least),
        };
        let nodes = 0..hosts.len();
        let round_trip_ms =
            nodes.clone().map(|from| nodes.clone().map(|to| between(from, to)).collect()).collect();
        let excess = |way: &Vec<f64>| way.iter().map(|ms| ms - way[0]).sum::<f64>() / way.len() as f64 / 2.0;
        let jitter_ms = ways.iter().map(excess).fold(0.0, f64::max);
        let source = format!("measured from here to {}, by {PROBES} connections each", hosts.join(", "));
        let jitter = jitter.unwrap_or(Duration::from_secs_f64(jitter_ms / 1e3));
        Ok(Network { round_trip_ms, jitter, loss, source: Some(source) })
    }

    /// Members that it is for.
    pub(super) fn nodes(&self) -> usize {
        self.round_trip_ms.len()
    }

    /// The longest round trip, in milliseconds.
    pub(super) fn round_trip_ms_max(&self) -> f64 {
        self.round_trip_ms.iter().flatten().copied().fold(0.0, f64::max)
    }

    /// The mean of one way, with its jitter, in milliseconds.
    pub(super) fn one_way_ms_mean(&self) -> f64 {
        let ways = (self.nodes() * self.nodes().saturating_sub(1)).max(1);
        self.round_trip_ms.iter().flatten().sum::<f64>() / ways as f64 / 2.0 + milliseconds(self.jitter)
    }

    /// As the record has it.
    pub(super) fn facts(&self) -> NetworkFacts {
        let jitter_ms = milliseconds(self.jitter);
        let loss = match self.loss {
            0.0 => "no loss".to_owned(),
            loss => format!("{} % lost", rounded(100.0 * loss)),
        };
        let jitter = if jitter_ms == 0.0 {
            "no jitter".into()
        } else {
            format!("{} ms of jitter", rounded(jitter_ms))
        };
        let trips = match self.is_uniform() {
            true => format!("round trips of {} ms", rounded(self.round_trip_ms_max())),
            false => format!("round trips of up to {} ms", rounded(self.round_trip_ms_max())),
        };
        let source = self.source.as_ref().map(|source| format!(" ({source})")).unwrap_or_default();
        NetworkFacts {
            words: format!("{trips}, {jitter}, {loss}{source}"),
            round_trip_ms: self.round_trip_ms.clone(),
            jitter_ms,
            loss: self.loss,
        }
    }

    fn is_uniform(&self) -> bool {
        let all = self.round_trip_ms.iter().enumerate();
        let mut others = all.flat_map(|(from, row)| {
            row.iter().enumerate().filter(move |(to, _)| *to != from).map(|(_, ms)| *ms)
        });
        let first = others.next();
        others.all(|ms| Some(ms) == first)
    }

    /// For simulation.
    pub(super) fn links(&self) -> Vec<Vec<LinkSpec>> {
        let tail_ns = self.jitter.as_nanos() as u64;
        let link =
            |ms: &f64| LinkSpec { delay: Delay { base_ns: (ms * 5e5) as u64, tail_ns }, loss: self.loss };
        self.round_trip_ms.iter().map(|row| row.iter().map(link).collect()).collect()
    }

    /// For links between real hosts. Those that are not there are as they are: a machine's own.
    pub(super) fn conditions(&self) -> BTreeMap<Link, Condition> {
        let condition = |link: &Link| Condition {
            delay: Duration::from_secs_f64(self.round_trip_ms[link.from][link.to] / 2e3),
            jitter: self.jitter,
            loss: self.loss,
            ..Condition::default()
        };
        let links = Link::all(self.nodes()).map(|link| (link, condition(&link)));
        links.filter(|(_, condition)| *condition != Condition::default()).collect()
    }
}

impl Known {
    fn matrix(&self) -> Vec<Vec<f64>> {
        let nodes = self.members.len();
        let mut matrix = vec![vec![0.0; nodes]; nodes];
        let pairs = (0..nodes).flat_map(|from| (from + 1..nodes).map(move |to| (from, to)));
        for ((from, to), &ms) in pairs.zip(self.upper_half) {
            (matrix[from][to], matrix[to][from]) = (ms, ms);
        }
        matrix
    }
}

/// The names of the matrices that are known.
fn names() -> String {
    KNOWN.map(|known| known.name).join(", ")
}

/// Rows of numbers, in milliseconds, parted by blanks or commas; `#` begins a remark.
fn read(path: &Path) -> Result<Vec<Vec<f64>>, Error> {
    let name = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        Error::Input(format!(
            "cannot read the matrix `{name}`: {error} (hint: a file, or one of {})",
            names()
        ))
    })?;
    parse(&text).map_err(|(line, complaint)| Error::Input(format!("{name}:{line}: {complaint}")))
}

fn parse(text: &str) -> Result<Vec<Vec<f64>>, (usize, String)> {
    let mut rows: Vec<(usize, Vec<f64>)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let content = line.split('#').next().unwrap_or_default();
        let words = content.split([' ', '\t', ',', ';']).filter(|word| !word.is_empty());
        let row: Vec<f64> = words
            .map(|word| milliseconds_of(word).ok_or((number, word)))
            .collect::<Result<_, _>>()
            .map_err(|(number, word)| {
                (number, format!("`{word}` is no round trip (hint: milliseconds, 0 to 60000)"))
            })?;
        if !row.is_empty() {
            rows.push((number, row));
        }
    }
    let count = rows.len();
    if let Some((number, row)) = rows.iter().find(|(_, row)| row.len() != count) {
        let complaint = format!(
            "the matrix is not square: this row has {} of {count} columns (hint: one row and one column for each member)",
            row.len()
        );
        return Err((*number, complaint));
    }
    if count < 3 {
        return Err((1, format!("a matrix for {count} members (hint: 3 at least, a row for each)")));
    }
    let wrong = rows.iter().enumerate().find(|(place, (_, row))| row[*place] != 0.0);
    if let Some((place, (number, row))) = wrong {
        return Err((
            *number,
            format!("a member is {} ms away from itself (hint: column {} is 0)", row[place], place + 1),
        ));
    }
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn milliseconds_of(word: &str) -> Option<f64> {
    word.trim_end_matches("ms").parse().ok().filter(|ms| (0.0..=60_000.0).contains(ms))
}

/// How long connecting to a host takes, which is a round trip: sorted, in milliseconds.
fn probe(host: &str) -> Result<Vec<f64>, Error> {
    let failed = |error: String| {
        Error::Input(format!(
            "cannot measure the way to `{host}`: {error} (hint: HOST:PORT of something that listens)"
        ))
    };
    let mut addresses = host.to_socket_addrs().map_err(|error| failed(error.to_string()))?;
    let address: SocketAddr = addresses.next().ok_or_else(|| failed("it has no address".into()))?;
    let mut found = Vec::new();
    for _ in 0..PROBES {
        let began = Instant::now();
        TcpStream::connect_timeout(&address, PROBE_PATIENCE).map_err(|error| failed(error.to_string()))?;
        found.push(milliseconds(began.elapsed()));
        // Whoever is asked must not take it for an attack.
        std::thread::sleep(PROBE_INTERVAL);
    }
    found.sort_by(f64::total_cmp);
    Ok(found)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_is_read_and_what_is_wrong_is_named_with_its_line() {
        let good = "# three\n0 10 20\n10, 0, 30ms\n20 30 0 # the last\n";
        assert_eq!(
            parse(good),
            Ok(vec![vec![0.0, 10.0, 20.0], vec![10.0, 0.0, 30.0], vec![20.0, 30.0, 0.0]])
        );
        let complaint = |text: &str| parse(text).expect_err("it is wrong");
        assert_eq!(complaint("0 1 2\n1 0\n2 1 0\n").0, 2);
        assert!(complaint("0 1 2\n1 0\n2 1 0\n").1.contains("this row has 2 of 3 columns"));
        assert!(complaint("0 1 2\n1 0 1\n").1.contains("not square"));
        assert_eq!(
            complaint("0 1 2\n1 0 x\n2 1 0\n"),
            (2, "`x` is no round trip (hint: milliseconds, 0 to 60000)".into())
        );
        assert_eq!(complaint("0 1 2\n1 5 1\n2 1 0\n").0, 2);
        assert!(complaint("").1.contains("0 members"));
        assert!(complaint("0 -1 2\n1 0 1\n2 1 0\n").1.contains("`-1`"));
    }

    #[test]
    fn what_is_known_by_name_is_square_and_goes_both_ways() {
        for known in KNOWN {
            let matrix = known.matrix();
            assert_eq!(known.upper_half.len(), known.members.len() * (known.members.len() - 1) / 2);
            for (from, row) in matrix.iter().enumerate() {
                for (to, ms) in row.iter().enumerate() {
                    assert_eq!((*ms, *ms == 0.0), (matrix[to][from], from == to));
                }
            }
        }
    }

    #[test]
    fn a_network_in_words_and_as_links() {
        let network = Network::uniform(3, Duration::from_millis(2), Duration::from_micros(300), 0.01);
        assert_eq!(network.facts().words, "round trips of 2 ms, 0.3 ms of jitter, 1 % lost");
        assert_eq!(
            network.links()[0][1],
            LinkSpec { delay: Delay { base_ns: 1_000_000, tail_ns: 300_000 }, loss: 0.01 }
        );
        assert_eq!(network.conditions().len(), 6);
        assert!(Network::uniform(3, Duration::ZERO, Duration::ZERO, 0.0).conditions().is_empty());
    }
}
