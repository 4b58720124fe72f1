//! `etcd`: the key-value store that Kubernetes keeps its state in, over its own v3 interface (gRPC).
//!
//! Every node serves and passes on to the leader what only the leader can do. What is certain is narrow: nothing was
//! sent, or the node refused before it proposed anything. Whatever it says later, it may have proposed.

mod elections;
mod messages;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::wanderer::{Attempt, Nodes, Wanderer};
use super::{
    Boxed, Client, ElectionEvent, Launch, Layout, Order, Place, Route, Settings, Status, System,
    SystemOption, Timing, Told, leader, program_missing,
};
use crate::bench::{CLIENTS_PER_CONNECTION, Driver};
use crate::operation::{Answer, Ask};
use messages::{
    Compare, CompareTarget, MemberAddRequest, MemberListRequest, MemberRemoveRequest, MoveLeaderRequest,
    PutRequest, RangeRequest, Request, RequestOp, ResponseHeader, StatusRequest, TxnRequest,
};

const READ: SystemOption = SystemOption {
    name: "read",
    values: &["linearizable", "serializable"],
    summary: "whether a node asks the leader before it answers a read",
};

const FSYNC: SystemOption = SystemOption {
    name: "fsync",
    values: &["on", "off"],
    summary: "whether a node syncs what it writes (`off` is `--unsafe-no-fsync`)",
};

/// What a node says before it proposes anything. `request timed out`, `server stopped` and `leader changed` are not among
/// them: there a proposal may be on its way.
const REFUSALS: [&str; 4] = [
    "etcdserver: no leader",
    "etcdserver: not capable",
    "etcdserver: too many requests",
    "etcdserver: mvcc: database space exceeded",
];

/// How long a node has to say how it is when something is asked of the leader.
const STATUS_PATIENCE: Duration = Duration::from_millis(200);

#[derive(Default)]
pub(super) struct Etcd {
    serializable: bool,
    is_unsynced: bool,
}

impl System for Etcd {
    fn name(&self) -> &'static str {
        "etcd"
    }

    fn summary(&self) -> &'static str {
        "etcd 3.4 or later, a replicated key-value store"
    }

    fn lack(&self) -> Option<String> {
        program_missing("etcd", "etcd-server")
    }

    fn options(&self) -> &'static [SystemOption] {
        &[READ, FSYNC]
    }

    fn choose(&mut self, name: &str, value: &str) {
        match name {
            name if name == READ.name => self.serializable = value == "serializable",
            name if name == FSYNC.name => self.is_unsynced = value == "off",
            _ => unreachable!("no option is called {name}"),
        }
    }

    fn writes_traces(&self) -> bool {
        false
    }

    /// A member's peer addresses are the same for all members: they are part of what its id is computed from.
    fn reaches_peers_separately(&self) -> bool {
        false
    }

    fn has_planted_bugs(&self) -> bool {
        false
    }

    fn tell(&self, timing: &Timing) -> Result<Told, String> {
        elections::tell(timing)
    }

    fn election_log(&self, place: &Place) -> PathBuf {
        place.folder.join("stderr.log")
    }

    fn election_event(&self, line: &[u8]) -> Option<ElectionEvent> {
        elections::event(line)
    }

    fn launch(&self, node: usize, layout: &Layout, settings: &Settings) -> Launch {
        let place = &layout.nodes[node];
        let url = |address: SocketAddr| format!("http://{address}");
        let members = layout.nodes.iter().map(|other| format!("{}={}", other.name, url(other.peer)));
        let members: Vec<String> = members.collect();
        let timing = Timing { election_timeout: settings.election_timeout, heartbeat: settings.heartbeat };
        let (timeout_ms, heartbeat_ms) = elections::milliseconds(&timing);
        let arguments = [
            ("--name", place.name.clone()),
            ("--data-dir", place.folder.join("data").display().to_string()),
            ("--listen-client-urls", url(place.client)),
            ("--advertise-client-urls", url(place.client)),
            ("--listen-peer-urls", url(place.peer)),
            ("--initial-advertise-peer-urls", url(place.peer)),
            ("--initial-cluster", members.join(",")),
            ("--initial-cluster-token", format!("rafture-{}", settings.seed)),
            ("--initial-cluster-state", "new".into()),
            ("--election-timeout", timeout_ms.to_string()),
            ("--heartbeat-interval", heartbeat_ms.to_string()),
            ("--logger", "zap".into()),
            ("--log-outputs", "stderr".into()),
        ];
        let mut arguments: Vec<String> =
            arguments.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
        arguments.extend(settings.pre_vote.map(|pre_vote| format!("--pre-vote={pre_vote}")));
        arguments.extend(self.is_unsynced.then(|| "--unsafe-no-fsync".into()));
        // It would refuse changes for five seconds after any member was away.
        arguments.extend(settings.changes_members.then(|| "--strict-reconfig-check=false".into()));
        // A proxy that the environment names leads to the world outside, not to another node.
        let environment = ["NO_PROXY", "no_proxy"].map(|name| (name.to_owned(), "*".to_owned()));
        Launch { program: "etcd".into(), arguments, environment: environment.into() }
    }

    fn launch_joining(&self, node: usize, layout: &Layout, settings: &Settings) -> Launch {
        let mut launch = self.launch(node, layout, settings);
        for argument in &mut launch.arguments {
            if argument == "new" {
                *argument = "existing".into();
            }
        }
        launch
    }

    fn orders(&self) -> &'static [Order] {
        &[Order::Remove, Order::Add, Order::Transfer]
    }

    /// It would find that it is no member, and end.
    fn adds_running_nodes(&self) -> bool {
        false
    }

    fn order<'a>(
        &'a self,
        order: Order,
        node: usize,
        layout: &'a Layout,
    ) -> Boxed<'a, Result<String, String>> {
        Box::pin(async move {
            let place = &layout.nodes[node];
            let (asked, _) = leader(self, layout, STATUS_PATIENCE).await.ok_or("nobody leads")?;
            let said = |status: tonic::Status| innermost(&status);
            let channel = connect(layout.nodes[asked].client).await.map_err(|error| innermost(&error))?;
            let member = async || -> Result<Option<u64>, String> {
                let list = call(&channel, MemberListRequest {}).await.map_err(said)?;
                // One that was added and has never been started has no name yet.
                let address = format!("http://{}", place.peer);
                let found = list
                    .members
                    .iter()
                    .find(|member| member.name == place.name || member.peer_urls.contains(&address));
                Ok(found.map(|member| member.id))
            };
            let no_member = || format!("{} is no member", place.name);
            let (what, id) = match order {
                Order::Remove => {
                    // It may have been removed by an order whose answer was lost.
                    let Some(id) = member().await? else { return Ok(no_member()) };
                    call(&channel, MemberRemoveRequest { id }).await.map_err(said)?;
                    ("removed", id)
                }
                Order::Add => {
                    if let Some(id) = member().await? {
                        return Ok(format!("{} is a member: {id:x}", place.name));
                    }
                    let request = MemberAddRequest { peer_urls: vec![format!("http://{}", place.peer)] };
                    let added = call(&channel, request).await.map_err(said)?;
                    ("added", added.member.map_or(0, |member| member.id))
                }
                Order::Transfer => {
                    let id = member().await?.ok_or_else(no_member)?;
                    call(&channel, MoveLeaderRequest { target: id }).await.map_err(said)?;
                    ("made the leader", id)
                }
                Order::Snapshot => return Err("etcd cannot be asked for one".into()),
                Order::Hold | Order::Release => return Err("etcd cannot be asked to hold a follower".into()),
            };
            Ok(format!("{} was {what}, by {}: member {id:x}", place.name, layout.nodes[asked].name))
        })
    }

    fn status<'a>(&'a self, place: &'a Place, patience: Duration) -> Boxed<'a, Option<Status>> {
        let deadline = Instant::now() + patience;
        Box::pin(async move {
            let ask = async { call(&connect(place.client).await.ok()?, StatusRequest {}).await.ok() };
            let status = timeout_at(deadline, ask).await.ok()??;
            let header = status.header?;
            let leads = status.leader == header.member_id;
            Some(Status { term: header.raft_term, leads, progress: status.raft_index })
        })
    }

    fn drivers<'a>(
        &'a self,
        place: &'a Place,
        count: usize,
    ) -> Boxed<'a, Result<Vec<Box<dyn Driver>>, String>> {
        Box::pin(async move {
            let mut channels = Vec::new();
            for _ in 0..count.div_ceil(CLIENTS_PER_CONNECTION) {
                channels.push(connect(place.client).await.map_err(|error| innermost(&error))?);
            }
            let serializable = self.serializable;
            let driver = |client: usize| -> Box<dyn Driver> {
                let channel = channels[client % channels.len()].clone();
                Box::new(GrpcDriver { channel, serializable })
            };
            Ok((0..count).map(driver).collect())
        })
    }

    fn client(&self, layout: Arc<Layout>, route: Route) -> Box<dyn Client> {
        let count = layout.nodes.len();
        let nodes = GrpcNodes {
            layout,
            serializable: self.serializable,
            seeks_leader: matches!(route, Route::Leader(_)),
            connections: BTreeMap::new(),
            members: BTreeMap::new(),
            term: 0,
        };
        Box::new(Wanderer::new(nodes, count, route))
    }
}

/// One client's share of a connection.
struct GrpcDriver {
    channel: Channel,
    serializable: bool,
}

impl Driver for GrpcDriver {
    fn put<'a>(&'a mut self, key: &'a str, value: &'a Bytes) -> Boxed<'a, Result<(), String>> {
        let request = PutRequest { key: key.as_bytes().to_vec(), value: value.to_vec() };
        Box::pin(
            async move { call(&self.channel, request).await.map(drop).map_err(|status| innermost(&status)) },
        )
    }

    fn get<'a>(&'a mut self, key: &'a str) -> Boxed<'a, Result<(), String>> {
        let request = RangeRequest { key: key.as_bytes().to_vec(), serializable: self.serializable };
        Box::pin(async move {
            let response = call(&self.channel, request).await.map_err(|status| innermost(&status))?;
            match response.kvs.is_empty() {
                true => Err("there is no such value".into()),
                false => Ok(()),
            }
        })
    }
}

/// The nodes, over connections of one client.
struct GrpcNodes {
    layout: Arc<Layout>,
    serializable: bool,
    seeks_leader: bool,
    connections: BTreeMap<usize, Connection>,
    /// Node numbers by member ids; empty until a node was asked.
    members: BTreeMap<u64, usize>,
    /// The latest that any answer spoke of.
    term: u64,
}

struct Connection {
    channel: Channel,
    /// The term that the client knew of when it asked this node who leads.
    term: u64,
}

impl Nodes for GrpcNodes {
    fn attempt<'a>(&'a mut self, node: usize, ask: &'a Ask, deadline: Instant) -> Boxed<'a, Attempt> {
        Box::pin(async move {
            let (connection, leader) = match timeout_at(deadline, self.connection(node)).await {
                Ok(Ok(met)) => met,
                Ok(Err(reason)) => return Attempt::Refused(format!("no connection: {reason}").into(), None),
                Err(_) => return Attempt::Refused("no connection in time".into(), None),
            };
            let elsewhere = leader.filter(|&leader| self.seeks_leader && leader != node);
            if elsewhere.is_some() {
                self.connections.insert(node, connection);
                return Attempt::Refused("another node leads".into(), elsewhere);
            }
            let (answer, keep) = match timeout_at(deadline, self.carry_out(&connection.channel, ask)).await {
                Err(_) => (Attempt::Lost("no answer in time".into()), false),
                Ok(Ok(answer)) => (Attempt::Answered(answer), true),
                // What has a cause is not the node's own word.
                Ok(Err(status)) => (refusal(&status), status.source().is_none()),
            };
            if keep {
                self.connections.insert(node, connection);
            }
            answer
        })
    }
}

impl GrpcNodes {
    /// A connection to a node that has answered over it, and the leader if the node was asked for it just now.
    ///
    /// A node that starts or stands still takes connections and requests, and may do later what it was asked; so the
    /// first request over a connection is one that changes nothing. It is sent again when the term has changed, since
    /// somebody else leads then.
    async fn connection(&mut self, node: usize) -> Result<(Connection, Option<usize>), String> {
        let channel = match self.connections.remove(&node) {
            Some(connection) if connection.term == self.term => return Ok((connection, None)),
            Some(connection) => connection.channel,
            None => connect(self.layout.nodes[node].client).await.map_err(|error| innermost(&error))?,
        };
        let status = call(&channel, StatusRequest {}).await.map_err(|status| innermost(&status))?;
        if self.seeks_leader && self.members.is_empty() {
            let list = call(&channel, MemberListRequest {}).await.map_err(|status| innermost(&status))?;
            let number = |name: &str| self.layout.nodes.iter().position(|place| place.name == name);
            let members = list.members.iter();
            self.members = members.filter_map(|member| Some((member.id, number(&member.name)?))).collect();
        }
        self.note_term(status.header.as_ref());
        Ok((Connection { channel, term: self.term }, self.members.get(&status.leader).copied()))
    }

    async fn carry_out(&mut self, channel: &Channel, ask: &Ask) -> Result<Answer, tonic::Status> {
        let key = ask.key.as_deref().unwrap_or("register").as_bytes().to_vec();
        let text = |value: &Value| value.to_string().into_bytes();
        match ask.f {
            "read" => {
                let request = RangeRequest { key, serializable: self.serializable };
                let response = match self.serializable {
                    // Whoever wants any node's answer wants that of a node without a leader, too.
                    true => call(channel, request).await?,
                    false => call_led(channel, request).await?,
                };
                self.note_term(response.header.as_ref());
                Ok(Answer::Ok(response.kvs.first().map_or(Value::Null, |found| parse(&found.value))))
            }
            "write" => {
                let response = call_led(channel, PutRequest { key, value: text(&ask.value) }).await?;
                self.note_term(response.header.as_ref());
                Ok(Answer::Ok(ask.value.clone()))
            }
            "cas" => {
                let (old, new) = (text(&ask.value[0]), text(&ask.value[1]));
                let is_old =
                    Compare { target: CompareTarget::Value.into(), key: key.clone(), value: Some(old) };
                let put = RequestOp { request_put: Some(PutRequest { key, value: new }) };
                let response =
                    call_led(channel, TxnRequest { compare: vec![is_old], success: vec![put] }).await?;
                self.note_term(response.header.as_ref());
                match response.succeeded {
                    true => Ok(Answer::Ok(ask.value.clone())),
                    false => Ok(Answer::Fail("another value".into())),
                }
            }
            other => panic!("no workload asks this system for `{other}`"),
        }
    }

    fn note_term(&mut self, header: Option<&ResponseHeader>) {
        self.term = self.term.max(header.map_or(0, |header| header.raft_term));
    }
}

/// Connects at once. A channel whose connection has ended makes another when it is used next; a node that is gone is
/// then met with `ConnectError`.
async fn connect(address: SocketAddr) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_shared(format!("http://{address}"))?.connect().await
}

async fn call<Q: Request>(channel: &Channel, message: Q) -> Result<Q::Response, tonic::Status> {
    unary(channel, tonic::Request::new(message)).await
}

/// Asks a node that must refuse when it knows no leader. Otherwise it would keep the request until there is one, or
/// until the client is gone.
async fn call_led<Q: Request>(channel: &Channel, message: Q) -> Result<Q::Response, tonic::Status> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
    unary(channel, request).await
}

async fn unary<Q: Request>(
    channel: &Channel,
    request: tonic::Request<Q>,
) -> Result<Q::Response, tonic::Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| tonic::Status::from_error(error.into()))?;
    let path = PathAndQuery::from_static(Q::PATH);
    grpc.unary(request, path, ProstCodec::default()).await.map(tonic::Response::into_inner)
}

/// What an error that came instead of an answer leaves certain.
fn refusal(status: &tonic::Status) -> Attempt {
    let reason: Cow<'static, str> = innermost(status).into();
    let never_sent = causes(status).any(<dyn Error>::is::<tonic::ConnectError>);
    let refused = status.source().is_none() && REFUSALS.contains(&status.message());
    match never_sent || refused {
        true => Attempt::Refused(reason, None),
        false => Attempt::Lost(reason),
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The sentence that says what really happened; those around it say `transport error`.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let innermost = causes(error).last().expect("the error itself");
    match innermost.downcast_ref::<tonic::Status>() {
        Some(status) => status.message().to_owned(),
        None => innermost.to_string(),
    }
}

fn parse(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_else(|_| json!(String::from_utf8_lossy(text)))
}
