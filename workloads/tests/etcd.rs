//! What the client of etcd makes of a node's behaviour: `fail` only where the operation surely did not happen, `info`
//! wherever it may have. Small HTTP/2 servers play the nodes; the bytes that they answer with are written out, so that they
//! hold the client's messages to etcd's numbering.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Response};
use rafture_workloads::operation::{Answer, Ask};
use rafture_workloads::systems::{self, Client, Layout, Options, Place, Route, Settings};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Long enough that a machine which is busy with something else does not pass for a silent node.
const PATIENCE: Duration = Duration::from_millis(1500);

/// `ResponseHeader { member_id: 1, raft_term: 3 }` as the first field of an answer.
const HEADER: [u8; 6] = [0x0a, 4, 0x10, 1, 0x20, 3];

/// How a node answers a request.
#[derive(Clone, Copy)]
enum Reply {
    /// With these fields after the header.
    Message(&'static [u8]),
    Error(&'static str),
    /// As etcd does without a leader: it refuses who demands one, and answers others.
    Leaderless(&'static [u8]),
    HangUp,
    Silence,
}

/// A node: what it says when it is asked how it is, and what when it is asked for more.
#[derive(Clone, Copy)]
struct Manners {
    status: Reply,
    other: Reply,
}

/// A node that is well, knows that member `leader` leads, and answers operations so.
fn well(leader: u8, other: Reply) -> Manners {
    let status = match leader {
        1 => &[0x20, 1],
        2 => &[0x20, 2],
        _ => &[0x20, 0],
    };
    Manners { status: Reply::Message(status), other }
}

/// Paths that a node was asked for.
type Asked = Arc<Mutex<Vec<String>>>;

async fn serve(listener: TcpListener, manners: Manners, asked: Asked) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let asked = Arc::clone(&asked);
        connections.spawn(async move {
            let mut connection = h2::server::handshake(stream).await.expect("a client that speaks HTTP/2");
            let mut unanswered = Vec::new();
            while let Some(Ok((request, respond))) = connection.accept().await {
                let path = request.uri().path().to_owned();
                let demands_leader = request.headers().get("hasleader").is_some();
                let reply = match &*path {
                    // Members 1 and 2 are n1 and n2.
                    "/etcdserverpb.Cluster/MemberList" => {
                        Reply::Message(b"\x12\x06\x08\x01\x12\x02n1\x12\x06\x08\x02\x12\x02n2")
                    }
                    "/etcdserverpb.Maintenance/Status" => manners.status,
                    _ => manners.other,
                };
                asked.lock().expect("no panic").push(path);
                match reply {
                    Reply::Message(fields) => say(respond, Some(fields), ""),
                    Reply::Leaderless(_) if demands_leader => say(respond, None, "etcdserver: no leader"),
                    Reply::Leaderless(fields) => say(respond, Some(fields), ""),
                    Reply::Error(text) => say(respond, None, text),
                    Reply::HangUp => return,
                    Reply::Silence => unanswered.push(respond),
                }
            }
        });
    }
}

fn say(mut respond: SendResponse<Bytes>, fields: Option<&[u8]>, error: &'static str) {
    let head = Response::builder().header("content-type", "application/grpc").body(()).expect("a response");
    let mut stream = respond.send_response(head, false).expect("an open stream");
    if let Some(fields) = fields {
        let length = u8::try_from(HEADER.len() + fields.len()).expect("a short message");
        let frame = [&[0, 0, 0, 0, length], &HEADER[..], fields].concat();
        stream.send_data(frame.into(), false).expect("an open stream");
    }
    let mut trailers = HeaderMap::new();
    // 14: unavailable. Almost every error of etcd's is, so it tells nothing.
    trailers.insert("grpc-status", HeaderValue::from_static(if error.is_empty() { "0" } else { "14" }));
    trailers.insert("grpc-message", HeaderValue::from_static(error));
    stream.send_trailers(trailers).expect("an open stream");
}

/// A node on a port of its own, or on that one.
async fn node(manners: Manners, port: u16) -> (SocketAddr, Asked, JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
    let (address, asked) = (listener.local_addr().expect("an address"), Asked::default());
    (address, Arc::clone(&asked), tokio::spawn(serve(listener, manners, asked)))
}

fn layout(addresses: &[SocketAddr]) -> Arc<Layout> {
    let place = |(number, &client): (usize, &SocketAddr)| Place {
        name: format!("n{}", number + 1),
        client,
        peer: client,
        peers: addresses.to_vec(),
        folder: "/nowhere".into(),
    };
    Arc::new(Layout { nodes: addresses.iter().enumerate().map(place).collect() })
}

fn client(addresses: &[SocketAddr], options: &[(&str, &str)]) -> Box<dyn Client> {
    let options: Options = options.iter().map(|&(name, value)| (name.into(), value.into())).collect();
    let system = systems::configured("etcd", &options).expect("a system");
    system.client(layout(addresses), Route::Leader(0))
}

async fn invoke(client: &mut dyn Client, f: &'static str, value: Value) -> (String, usize) {
    let ask = Ask { f, key: Some("k".into()), value };
    let (answer, node) = client.invoke(&ask, Instant::now() + PATIENCE).await;
    let text = match answer {
        Answer::Ok(value) => format!("ok {value}"),
        Answer::Fail(_) => "fail".into(),
        Answer::Info(_) => "info".into(),
    };
    (text, node)
}

/// The outcome of one operation with one node that leads, and how often the node was asked for it.
async fn outcome(manners: Manners, f: &'static str, value: Value) -> (String, usize) {
    let (address, asked, _) = node(manners, 0).await;
    let (text, _) = invoke(&mut *client(&[address], &[]), f, value).await;
    let asked = asked.lock().expect("no panic");
    (text, asked.iter().filter(|path| path.contains(".KV/")).count())
}

#[tokio::test]
async fn certain_answers_are_certain() {
    let check = async |fields, f, value: Value, expected: &str| {
        let (text, _) = outcome(well(1, Reply::Message(fields)), f, value.clone()).await;
        assert_eq!(text, expected, "{f} {value}: {fields:?}");
    };
    check(b"", "write", json!(5), "ok 5").await;
    check(b"", "read", Value::Null, "ok null").await;
    // One `KeyValue` whose value is `7`.
    check(b"\x12\x03\x2a\x017", "read", Value::Null, "ok 7").await;
    // `succeeded: true`; what is false is left out.
    check(b"\x10\x01", "cas", json!([1, 2]), "ok [1,2]").await;
    check(b"", "cas", json!([1, 2]), "fail").await;
}

#[tokio::test]
async fn refusals_before_a_proposal_are_certain_and_tried_again() {
    let (text, asked) = outcome(well(1, Reply::Error("etcdserver: no leader")), "write", json!(5)).await;
    assert_eq!(text, "fail");
    assert!(asked > 1, "asked only {asked} times in {PATIENCE:?}");
}

#[tokio::test]
async fn whatever_may_have_happened_is_info_and_not_tried_again() {
    for reply in [
        Reply::Error("etcdserver: request timed out"),
        Reply::Error("etcdserver: request timed out, possibly due to previous leader failure"),
        Reply::Error("etcdserver: leader changed"),
        Reply::Error("etcdserver: server stopped"),
        Reply::Error("transport is closing"),
        Reply::HangUp,
        Reply::Silence,
    ] {
        assert_eq!(outcome(well(1, reply), "write", json!(5)).await, ("info".into(), 1));
    }
}

/// It takes requests as one that starts does, and does them once it is up. So it must not get any.
#[tokio::test]
async fn a_node_that_does_not_answer_yet_is_sent_no_operation() {
    for status in [Reply::Silence, Reply::HangUp] {
        let manners = Manners { status, other: Reply::Message(b"") };
        assert_eq!(outcome(manners, "write", json!(5)).await, ("fail".into(), 0));
    }
}

#[tokio::test]
async fn nobody_there_is_a_certain_failure() {
    let (address, _, server) = node(well(1, Reply::Silence), 0).await;
    server.abort();
    assert!(server.await.is_err_and(|end| end.is_cancelled()));
    assert_eq!(invoke(&mut *client(&[address], &[]), "write", json!(5)).await, ("fail".into(), 0));
}

#[tokio::test]
async fn a_node_that_comes_back_is_found_again() {
    let manners = well(1, Reply::Message(b""));
    let (address, _, server) = node(manners, 0).await;
    let mut client = client(&[address], &[]);
    assert_eq!(invoke(&mut *client, "write", json!(1)).await.0, "ok 1");
    server.abort();
    assert!(server.await.is_err_and(|end| end.is_cancelled()));
    // Whether the connection's end was noticed before the request was sent decides which of them.
    let gone = invoke(&mut *client, "write", json!(2)).await.0;
    assert!(gone == "fail" || gone == "info", "{gone}");
    assert_eq!(invoke(&mut *client, "write", json!(3)).await.0, "fail");
    let _server = node(manners, address.port()).await;
    assert_eq!(invoke(&mut *client, "write", json!(4)).await.0, "ok 4");
}

#[tokio::test]
async fn operations_go_to_the_leader() {
    let one = node(well(2, Reply::Silence), 0).await;
    let other = node(well(2, Reply::Message(b"")), 0).await;
    let mut client = client(&[one.0, other.0], &[]);
    assert_eq!(invoke(&mut *client, "write", json!(5)).await, ("ok 5".into(), 1));
}

#[tokio::test]
async fn serializable_reads_do_without_a_leader() {
    let (address, ..) = node(well(0, Reply::Leaderless(b"\x12\x03\x2a\x017")), 0).await;
    let read = async |options| invoke(&mut *client(&[address], options), "read", Value::Null).await.0;
    assert_eq!(read(&[("read", "serializable")]).await, "ok 7");
    assert_eq!(read(&[("read", "linearizable")]).await, "fail");
    assert_eq!(read(&[]).await, "fail");
}

/// What follows a flag when a node is started with these times.
fn launched(timeout_ms: u64, heartbeat_ms: u64, flag: &str) -> String {
    let timeout = Duration::from_millis(timeout_ms);
    let settings = Settings {
        rafture: "/nowhere".into(),
        election_timeout: (timeout, timeout * 2),
        heartbeat: Duration::from_millis(heartbeat_ms),
        pre_vote: None,
        seed: 1,
        defect: None,
        traced: true,
        changes_members: false,
    };
    let layout = layout(&[([10, 0, 0, 1], 7000).into(), ([10, 0, 0, 2], 7000).into()]);
    let launch = systems::find("etcd").expect("a system").launch(1, &layout, &settings);
    let values: BTreeMap<&str, &str> =
        launch.arguments.chunks(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
    values[flag].to_owned()
}

#[test]
fn a_node_gets_timeouts_that_it_accepts() {
    assert_eq!(launched(1000, 100, "--election-timeout"), "1000");
    assert_eq!(launched(1000, 100, "--heartbeat-interval"), "100");
    // It demands five heartbeats in an election timeout.
    assert_eq!(launched(150, 50, "--heartbeat-interval"), "30");
}
