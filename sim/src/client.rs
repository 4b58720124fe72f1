//! Those who use the cluster: clients of a workload, who leave a history, and one with a session, who insists.

use bytes::Bytes;
use rafture_node::replica::{ParseOutcome, Request, Session, parse};
use rafture_node::resp::Reply;
use rafture_workloads::operation::{Answer, Ask};
use rafture_workloads::workload::{Generator, Part, Workload};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Whose turn it is and what it is waiting for.
pub(crate) struct Client {
    pub(crate) kind: Kind,
    /// The node that it asks next.
    pub(crate) node: usize,
    /// Each try has a number of its own; an answer to an earlier one comes too late.
    pub(crate) attempt: u64,
    /// The number that the first try of its operation had, or will have.
    pub(crate) first_attempt: u64,
    /// What it wants just now.
    pub(crate) wish: Option<Wish>,
}

pub(crate) enum Kind {
    /// A client of the workload.
    Worker(Worker),
    /// A client that must get each of its writes done once.
    Insistent(Insistent),
}

pub(crate) struct Worker {
    /// Its number in the history; a new one after every operation of unknown outcome.
    pub(crate) process: u64,
    /// It always begins with this node, and reads there, whoever leads.
    pub(crate) home: Option<usize>,
    generator: Box<dyn Generator>,
}

/// Appends 1, 2, 3 … to a list of its own, each in a session under its own serial number, and asks again and again until
/// it knows that it was done. The list's length says whether it was done once.
pub(crate) struct Insistent {
    pub(crate) session: Option<u64>,
    pub(crate) serial: u64,
    /// Which list, for a session that expired may have left an append open.
    pub(crate) list: u64,
}

#[derive(Clone)]
pub(crate) struct Wish {
    pub(crate) ask: Option<Ask>,
    pub(crate) request: Request,
}

/// What a reply means for a try.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reaction {
    /// The wish has come to its end.
    Over(Answer),
    /// It surely had no effect; another node may do better, this one if it is known to lead.
    Elsewhere(Option<usize>),
    /// What came of it is not known.
    Unknown,
}

impl Client {
    pub(crate) fn worker(number: usize, nodes: usize, workload: &dyn Workload, seed: u64) -> Client {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(number as u64 + 1);
        let node = number / 2 % nodes;
        let (part, home) = match number.is_multiple_of(2) {
            true => (Part::Any, None),
            false => (Part::Observer, Some(node)),
        };
        let generator = workload.generator(number, part, random);
        let worker = Worker { process: number as u64, home, generator };
        Client { kind: Kind::Worker(worker), node, attempt: 0, first_attempt: 0, wish: None }
    }

    pub(crate) fn insistent(node: usize) -> Client {
        let insistent = Insistent { session: None, serial: 0, list: 1 };
        Client { kind: Kind::Insistent(insistent), node, attempt: 0, first_attempt: 0, wish: None }
    }

    /// The node that it always asks first, if it is one of those that look.
    pub(crate) fn home_mut(&mut self) -> Option<&mut usize> {
        match &mut self.kind {
            Kind::Worker(worker) => worker.home.as_mut(),
            Kind::Insistent(_) => None,
        }
    }

    /// What it wants next.
    pub(crate) fn next(&mut self) -> Wish {
        let wish = match &mut self.kind {
            Kind::Worker(worker) => {
                let ask = worker.generator.next();
                self.node = worker.home.unwrap_or(self.node);
                let request = request(&words(&ask), worker.home.is_some());
                Wish { ask: Some(ask), request }
            }
            Kind::Insistent(insistent) => {
                let request = match insistent.session {
                    None => request(&["RAFT.SESSION".into(), "OPEN".into()], false),
                    Some(session) => {
                        insistent.serial += 1;
                        let serial = insistent.serial.to_string();
                        let (session, list) = (session.to_string(), format!("log{}", insistent.list));
                        let words = ["RAFT.SESSION", "DO", &session, &serial, "RPUSH", &list, &serial];
                        request(&words.map(str::to_owned), false)
                    }
                };
                Wish { ask: None, request }
            }
        };
        self.wish = Some(wish.clone());
        self.first_attempt = self.attempt + 1;
        wish
    }

    pub(crate) fn learn(&mut self, ask: &Ask, answer: &Answer) {
        if let Kind::Worker(worker) = &mut self.kind {
            worker.generator.learn(ask, answer);
        }
    }
}

/// What a worker asks, as it would be typed.
fn words(ask: &Ask) -> Vec<String> {
    let key = ask.key.clone().unwrap_or_else(|| "register".into());
    match ask.f {
        "read" => vec!["GET".into(), key],
        "write" => vec!["SET".into(), key, ask.value.to_string()],
        "cas" => {
            let (old, new) = (ask.value[0].to_string(), ask.value[1].to_string());
            vec!["SET".into(), key, new, "IFEQ".into(), old]
        }
        other => panic!("no workload asks for `{other}`"),
    }
}

pub(crate) fn request(words: &[String], here: bool) -> Request {
    let mut session = Session::default();
    if here {
        parse(&mut session, vec![Bytes::from("READONLY")]);
    }
    let words = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
    match parse(&mut session, words) {
        ParseOutcome::Ask(request) => request,
        other => panic!("a client asked what no node understands: {other:?}"),
    }
}

/// What an answer to a worker means.
pub(crate) fn interpret(ask: &Ask, reply: &Reply, nodes: usize) -> Reaction {
    match (ask.f, reply) {
        (_, Reply::Error(text)) => error(text, nodes),
        ("read", Reply::Null) => Reaction::Over(Answer::Ok(Value::Null)),
        ("read", Reply::Bulk(text)) => {
            let value = serde_json::from_slice(text).unwrap_or_else(|_| json!(String::from_utf8_lossy(text)));
            Reaction::Over(Answer::Ok(value))
        }
        ("cas", Reply::Null) => Reaction::Over(Answer::Fail("another value".into())),
        ("write" | "cas", Reply::Simple("OK")) => Reaction::Over(Answer::Ok(ask.value.clone())),
        (_, reply) => Reaction::Over(Answer::Info(format!("a strange reply: {reply:?}").into())),
    }
}

/// What an error means, whoever asked.
pub(crate) fn error(text: &str, nodes: usize) -> Reaction {
    let (code, rest) = text.split_once(' ').unwrap_or((text, ""));
    match code {
        "UNKNOWN" => Reaction::Unknown,
        "MOVED" => {
            let node = rest.strip_prefix("0 n").and_then(|rest| rest.split_once(':'));
            let node = node.and_then(|(node, _)| node.parse::<usize>().ok()).map(|node| node - 1);
            Reaction::Elsewhere(node.filter(|&node| node < nodes))
        }
        _ => Reaction::Elsewhere(None),
    }
}
