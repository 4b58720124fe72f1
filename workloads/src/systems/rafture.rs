//! `rafture`: the built-in Raft node, a replicated key-value store that speaks RESP.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, Value as Resp};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::elections::{ElectionStep, EventTime};
use super::timing::words;
use super::wanderer::{Attempt, Nodes, Wanderer};
use super::{
    Boxed, Client, ElectionEvent, Launch, Layout, Order, Place, Route, Settings, Status, System,
    SystemOption, Timing, Told, leader,
};
use crate::bench::{CLIENTS_PER_CONNECTION, Driver};
use crate::operation::{Answer, Ask};

/// How long a node has to say how it is when something is asked of the leader.
const STATUS_PATIENCE: Duration = Duration::from_millis(200);

/// What a node does inside, in its folder.
const TRACE: &str = "trace.jsonl";

/// A segment of the log of nodes that are started again and again.
const SMALL_SEGMENT_BYTES: u64 = 1 << 20;
/// From the seed of one life of a node to that of the next: odd, so that none comes again for very long.
const SEED_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

pub(super) struct Rafture;

impl System for Rafture {
    fn name(&self) -> &'static str {
        "rafture"
    }

    fn summary(&self) -> &'static str {
        "the built-in Raft node, a replicated key-value store"
    }

    fn lack(&self) -> Option<String> {
        None
    }

    fn options(&self) -> &'static [SystemOption] {
        &[]
    }

    fn choose(&mut self, name: &str, _: &str) {
        panic!("there is no option `{name}`");
    }

    fn writes_traces(&self) -> bool {
        true
    }

    fn reaches_peers_separately(&self) -> bool {
        true
    }

    fn has_planted_bugs(&self) -> bool {
        true
    }

    fn tell(&self, timing: &Timing) -> Result<Told, String> {
        let (low, high) = timing.election_timeout;
        if timing.heartbeat.is_zero() || timing.heartbeat >= low || low > high {
            return Err(format!(
                "rafture cannot be told {}..{} with a heartbeat of {}: the heartbeat must be less than the least timeout",
                words(low),
                words(high),
                words(timing.heartbeat)
            ));
        }
        let line = format!(
            "--election-timeout {}..{} --heartbeat {}",
            words(low),
            words(high),
            words(timing.heartbeat)
        );
        Ok(Told { lines: vec![line], note: None, kept: *timing })
    }

    fn election_log(&self, place: &Place) -> PathBuf {
        place.folder.join(TRACE)
    }

    fn election_event(&self, line: &[u8]) -> Option<ElectionEvent> {
        election_event(line)
    }

    fn launch(&self, node: usize, layout: &Layout, settings: &Settings) -> Launch {
        let place = &layout.nodes[node];
        let path = |name: &str| place.folder.join(name).display().to_string();
        let members = layout.nodes.iter().zip(&place.peers);
        let members: Vec<String> =
            members.map(|(other, peer)| format!("{}={peer}/{}", other.name, other.client)).collect();
        let (low, high) = settings.election_timeout;
        let mut arguments: Vec<String> = [
            ("--id", place.name.clone()),
            ("--client", place.client.to_string()),
            ("--peer", place.peer.to_string()),
            ("--members", members.join(",")),
            ("--data", path("data")),
            ("--election-timeout", format!("{}us..{}us", low.as_micros(), high.as_micros())),
            ("--heartbeat", format!("{}us", settings.heartbeat.as_micros())),
            ("--cluster", settings.seed.to_string()),
            ("--seed", settings.seed.to_string()),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect();
        arguments.insert(0, "node".into());
        if settings.traced {
            arguments.extend(["--trace".into(), path(TRACE)]);
        }
        if let Some(pre_vote) = settings.pre_vote {
            arguments.extend(["--pre-vote".into(), if pre_vote { "on" } else { "off" }.into()]);
        }
        if let Some(defect) = &settings.defect {
            arguments.extend(["--defect".into(), defect.clone()]);
        }
        // If it panics, the last words are what it says, not where.
        let environment = BTreeMap::from([("RUST_BACKTRACE".to_owned(), "0".to_owned())]);
        Launch { program: settings.rafture.clone(), arguments, environment }
    }

    fn launch_joining(&self, node: usize, layout: &Layout, settings: &Settings) -> Launch {
        let mut launch = self.launch(node, layout, settings);
        launch.arguments.push("--join".into());
        launch
    }

    fn launch_again(&self, node: usize, layout: &Layout, settings: &Settings, lives: u64) -> Launch {
        let mut launch = self.launch(node, layout, settings);
        // The number of the cluster stays as it was.
        let seed = settings.seed.wrapping_add(lives.wrapping_mul(SEED_STEP)).to_string();
        let flag = launch.arguments.iter().position(|argument| argument == "--seed");
        launch.arguments[flag.expect("it was just put there") + 1] = seed;
        // Each start fills a segment with zeros. Those of the usual length keep a disk busy that other nodes, and other clusters, wait for.
        launch.arguments.extend(["--segment-bytes".into(), SMALL_SEGMENT_BYTES.to_string()]);
        launch
    }

    fn orders(&self) -> &'static [Order] {
        &[Order::Remove, Order::Add, Order::Transfer, Order::Snapshot, Order::Hold, Order::Release]
    }

    /// The leader brings it up to date first, and needs it for that.
    fn adds_running_nodes(&self) -> bool {
        true
    }

    fn order<'a>(
        &'a self,
        order: Order,
        node: usize,
        layout: &'a Layout,
    ) -> Boxed<'a, Result<String, String>> {
        Box::pin(async move {
            let place = &layout.nodes[node];
            let (command, asks_leader) = match order {
                Order::Remove => (vec!["RAFT.REMOVE".into(), place.name.clone()], true),
                Order::Add => {
                    let address = format!("{}/{}", place.peer, place.client);
                    (vec!["RAFT.ADD".into(), place.name.clone(), address], true)
                }
                Order::Transfer => (vec!["RAFT.TRANSFER".into(), place.name.clone()], true),
                Order::Hold => (vec!["RAFT.HOLD".into(), place.name.clone()], true),
                Order::Release => (vec!["RAFT.RELEASE".into(), place.name.clone()], true),
                Order::Snapshot => (vec!["RAFT.SNAPSHOT".into()], false),
            };
            let asked = match asks_leader {
                true => leader(self, layout, STATUS_PATIENCE).await.ok_or("nobody leads")?.0,
                false => node,
            };
            let mut connection =
                connect(layout.nodes[asked].client).await.map_err(|error| error.to_string())?;
            let mut words = redis::cmd(&command[0]);
            for word in &command[1..] {
                words.arg(word);
            }
            let reply =
                words.query_async::<Resp>(&mut connection).await.map_err(|error| error.to_string())?;
            let reply = reply.extract_error().map_err(|error| error.to_string())?;
            let name = &layout.nodes[asked].name;
            Ok(format!("{name} answered `{}` with {}", command.join(" "), word_of(&reply)))
        })
    }

    fn status<'a>(&'a self, place: &'a Place, patience: Duration) -> Boxed<'a, Option<Status>> {
        let deadline = Instant::now() + patience;
        Box::pin(async move {
            let ask = async {
                let mut connection = connect(place.client).await.ok()?;
                redis::cmd("RAFT.INFO").query_async::<String>(&mut connection).await.ok()
            };
            let text = timeout_at(deadline, ask).await.ok()??;
            let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            Some(Status {
                term: field("term")?.parse().ok()?,
                leads: field("role")? == "Leader",
                progress: field("last")?.parse().ok()?,
            })
        })
    }

    fn drivers<'a>(
        &'a self,
        place: &'a Place,
        count: usize,
    ) -> Boxed<'a, Result<Vec<Box<dyn Driver>>, String>> {
        Box::pin(async move {
            let mut connections = Vec::new();
            for _ in 0..count.div_ceil(CLIENTS_PER_CONNECTION) {
                let stream = TcpStream::connect(place.client).await.map_err(|error| error.to_string())?;
                stream.set_nodelay(true).map_err(|error| error.to_string())?;
                let (requests, inbox) = mpsc::unbounded_channel();
                tokio::spawn(carry(stream, inbox));
                connections.push(requests);
            }
            let driver = |client: usize| -> Box<dyn Driver> {
                Box::new(RespDriver { requests: connections[client % connections.len()].clone() })
            };
            Ok((0..count).map(driver).collect())
        })
    }

    fn client(&self, layout: Arc<Layout>, route: Route) -> Box<dyn Client> {
        let count = layout.nodes.len();
        Box::new(Wanderer::new(RespNodes { layout, connections: BTreeMap::new() }, count, route))
    }
}

/// The nodes, over connections of one client.
struct RespNodes {
    layout: Arc<Layout>,
    connections: BTreeMap<usize, MultiplexedConnection>,
}

impl Nodes for RespNodes {
    fn attempt<'a>(&'a mut self, node: usize, ask: &'a Ask, deadline: Instant) -> Boxed<'a, Attempt> {
        Box::pin(self.attempt(node, ask, deadline))
    }
}

impl RespNodes {
    async fn attempt(&mut self, node: usize, ask: &Ask, deadline: Instant) -> Attempt {
        let mut connection = match self.connections.remove(&node) {
            Some(connection) => connection,
            None => match timeout_at(deadline, connect(self.layout.nodes[node].client)).await {
                Ok(Ok(connection)) => connection,
                Ok(Err(error)) => {
                    return Attempt::Refused(format!("no connection: {error}").into(), None);
                }
                Err(_) => return Attempt::Refused("no connection in time".into(), None),
            },
        };
        // A connection over which an answer may still come is never used again: it is put back only when the
        // answer is in.
        let reply = match timeout_at(deadline, connection.send_packed_command(&command(ask))).await {
            Err(_) => return Attempt::Lost("no answer in time".into()),
            Ok(Err(error)) => return Attempt::Lost(error.to_string().into()),
            Ok(Ok(reply)) => reply,
        };
        self.connections.insert(node, connection);
        match reply.extract_error() {
            Ok(reply) => Attempt::Answered(interpret(ask, reply)),
            Err(error) => self.refusal(&error),
        }
    }

    /// An error that the node itself has said.
    fn refusal(&self, error: &redis::RedisError) -> Attempt {
        let leader = error.redirect_node().and_then(|(address, _)| {
            self.layout.nodes.iter().position(|place| place.client.to_string() == address)
        });
        match error.code() {
            Some("UNKNOWN") => Attempt::Lost("leadership was lost".into()),
            Some("NOLEADER") => Attempt::Refused("no leader is known".into(), None),
            Some("MOVED") => Attempt::Refused("another node leads".into(), leader),
            _ => Attempt::Refused(error.to_string().into(), None),
        }
    }
}

/// What a line of a trace says about elections: deeds `role`, which are few among all those of the log.
fn election_event(line: &[u8]) -> Option<ElectionEvent> {
    const SIGN: &[u8] = b"\"event\":\"role\"";
    let first_comma = line.iter().position(|&byte| byte == b',')?;
    if !line[first_comma + 1..].starts_with(SIGN) {
        return None;
    }
    let line: Value = serde_json::from_slice(line).ok()?;
    let step = match line["role"].as_str()? {
        "pre-candidate" => ElectionStep::Asked,
        "candidate" => ElectionStep::Stood,
        "leader" => ElectionStep::Led,
        "follower" if line["leader"].is_null() => ElectionStep::Waited,
        "follower" => ElectionStep::Followed,
        _ => return None,
    };
    let time = EventTime::Monotonic(line["time"].as_u64()?);
    Some(ElectionEvent { time, term: line["term"].as_u64()?, step })
}

fn word_of(reply: &Resp) -> String {
    match reply {
        Resp::Okay => "OK".into(),
        Resp::SimpleString(text) => text.clone(),
        other => format!("{other:?}"),
    }
}

async fn connect(address: SocketAddr) -> redis::RedisResult<MultiplexedConnection> {
    let client = redis::Client::open(format!("redis://{address}/"))?;
    // Time is kept by whoever asks, operation by operation.
    let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    client.get_multiplexed_async_connection_with_config(&config).await
}

fn command(ask: &Ask) -> Cmd {
    let key = ask.key.as_deref().unwrap_or("register");
    let mut command = Cmd::new();
    match ask.f {
        "read" => command.arg("GET").arg(key),
        "write" => command.arg("SET").arg(key).arg(ask.value.to_string()),
        "cas" => {
            let (old, new) = (ask.value[0].to_string(), ask.value[1].to_string());
            command.arg("SET").arg(key).arg(new).arg("IFEQ").arg(old)
        }
        other => panic!("no workload asks this system for `{other}`"),
    };
    command
}

fn interpret(ask: &Ask, reply: Resp) -> Answer {
    match (ask.f, reply) {
        ("read", Resp::Nil) => Answer::Ok(Value::Null),
        ("read", Resp::BulkString(text)) => match serde_json::from_slice(&text) {
            Ok(value) => Answer::Ok(value),
            Err(_) => Answer::Ok(json!(String::from_utf8_lossy(&text))),
        },
        ("cas", Resp::Nil) => Answer::Fail("another value".into()),
        ("write" | "cas", Resp::Okay) => Answer::Ok(ask.value.clone()),
        (_, reply) => Answer::Info(format!("a strange reply: {reply:?}").into()),
    }
}

/// One client's share of a connection, on which requests and replies follow each other in the same order.
struct RespDriver {
    requests: mpsc::UnboundedSender<Carried>,
}

/// A request, and where its outcome goes.
type Carried = (Vec<u8>, oneshot::Sender<Result<(), String>>);

impl Driver for RespDriver {
    fn put<'a>(&'a mut self, key: &'a str, value: &'a Bytes) -> Boxed<'a, Result<(), String>> {
        let mut request = Vec::with_capacity(value.len() + key.len() + 48);
        let (key_bytes, value_bytes) = (key.len(), value.len());
        // Writing to a vector cannot fail.
        let _ = write!(request, "*3\r\n$3\r\nSET\r\n${key_bytes}\r\n{key}\r\n${value_bytes}\r\n");
        request.extend_from_slice(value);
        request.extend_from_slice(b"\r\n");
        Box::pin(self.exchange(request))
    }

    fn get<'a>(&'a mut self, key: &'a str) -> Boxed<'a, Result<(), String>> {
        let mut request = Vec::with_capacity(key.len() + 32);
        let _ = write!(request, "*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len());
        Box::pin(self.exchange(request))
    }
}

impl RespDriver {
    /// Sends the request, waits for the whole reply.
    async fn exchange(&self, request: Vec<u8>) -> Result<(), String> {
        let (reply, replied) = oneshot::channel();
        let gone = || "the connection has ended".to_owned();
        self.requests.send((request, reply)).map_err(|_| gone())?;
        replied.await.map_err(|_| gone())?
    }
}

/// Carries requests of several clients over one connection until they or the node are gone.
async fn carry(mut stream: TcpStream, mut requests: mpsc::UnboundedReceiver<Carried>) {
    let (mut output, mut input) = (Vec::new(), BytesMut::new());
    let mut waiting = VecDeque::new();
    loop {
        tokio::select! {
            request = requests.recv() => {
                let mut next = match request {
                    Some(request) => Some(request),
                    None => return,
                };
                while let Some((request, reply)) = next {
                    output.extend_from_slice(&request);
                    waiting.push_back(reply);
                    next = requests.try_recv().ok();
                }
                if stream.write_all(&output).await.is_err() {
                    return;
                }
                output.clear();
            }
            count = stream.read_buf(&mut input), if !waiting.is_empty() => {
                if count.is_ok_and(|count| count == 0) {
                    return;
                }
                while let Some((length, result)) = take_reply(&input) {
                    input.advance(length);
                    if let Some(reply) = waiting.pop_front() {
                        // The client may have gone.
                        let _ = oneshot::Sender::send(reply, result);
                    }
                }
            }
        }
    }
}

/// The first whole reply: its length, and whether it is a success. An error is none, nor is a value that is not there.
fn take_reply(input: &[u8]) -> Option<(usize, Result<(), String>)> {
    let line = input.iter().position(|&byte| byte == b'\n')? + 1;
    let text = || String::from_utf8_lossy(&input[1..line]).trim_end().to_owned();
    match input[0] {
        b'$' => match text().parse::<i64>() {
            Ok(length) if length >= 0 => {
                let end = line + length as usize + 2;
                (end <= input.len()).then_some((end, Ok(())))
            }
            _ => Some((line, Err("there is no such value".into()))),
        },
        b'-' => Some((line, Err(text()))),
        _ => Some((line, Ok(()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_trace_says_of_elections_is_understood() {
        for (role, leader, step) in [
            ("pre-candidate", "null", ElectionStep::Asked),
            ("candidate", "null", ElectionStep::Stood),
            ("leader", "\"n2\"", ElectionStep::Led),
            ("follower", "\"n1\"", ElectionStep::Followed),
            ("follower", "null", ElectionStep::Waited),
        ] {
            let line = format!(r#"{{"time":7,"event":"role","role":"{role}","term":3,"leader":{leader}}}"#);
            let expected = ElectionEvent { time: EventTime::Monotonic(7), term: 3, step };
            assert_eq!(election_event(line.as_bytes()), Some(expected), "{line}");
        }
        for line in
            [r#"{"time":7,"event":"save","term":3,"vote":"n2"}"#, r#"{"time":7,"event":"role","ro"#, ""]
        {
            assert_eq!(election_event(line.as_bytes()), None, "{line}");
        }
    }
}
