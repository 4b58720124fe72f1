//! `rafture serve` over a small store, asked as a browser and as somebody who means harm would ask; and shown in a real browser.
//! Where there is no browser that part is skipped, or fails where everything must be tested.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::GzDecoder;
use rafture_reports::web::{self, ServeError, Settings};
use serde_json::{Value, json};

const TOKEN: &str = "0123456789abcdef";
const MARK: &str = "<img src=x onerror=alert(1)>";

/// A server that ends with the test, and its store.
struct Served {
    store: tempfile::TempDir,
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Served {
    fn new(token: Option<&str>) -> Served {
        let store = store();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings =
            Settings { store: store.path().to_path_buf(), listen, token: token.map(str::to_owned) };
        let (tell, told) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let until = async move { drop(stopped.await) };
            web::serve(&settings, |address| tell.send(address).expect("somebody waits"), until)
                .expect("served");
        });
        let address = told.recv().expect("an address");
        Served { store, address, stop: Some(stop), thread: Some(thread) }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }

    fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let host = format!("Host: {}", self.address);
        let host = if headers.iter().any(|header| header.starts_with("Host:")) { "X: y" } else { &host };
        let lines = [&[host, "Connection: close"], headers].concat().join("\r\n");
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        write!(stream, "{method} {path} HTTP/1.1\r\n{lines}\r\n\r\n").expect("a request");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an answer");
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head[9..12].parse().expect("a status");
        let chunked = head.contains("transfer-encoding: chunked");
        let body = if chunked { dechunked(&bytes[end + 4..]) } else { bytes[end + 4..].to_vec() };
        Answer { status, head, body }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().expect("a thread").join();
        assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
    }
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn dechunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").expect("a size");
        let size = usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16).expect("hexadecimal");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
}

fn results(number: u64, verdict: &str) -> Value {
    let outage = json!({"count": 1, "p50_ms": 200.0 + number as f64, "p99_ms": 300.0, "max_ms": 300.0});
    json!({
        "verdict": verdict, "name": "register", "run": "any", "system": "rafture", "workload": "register", "nodes": 5,
        "network": "netns: root", "seed": number, "command": "rafture run", "labels": {"commit": format!("c{number}")},
        "started_at": format!("2026-07-24T09:15:{number:02}Z"), "time_limit_s": 4.0, "seconds": 5.5, "throughput": 4000.0,
        "checkers": {"linearizability": {"verdict": verdict}},
        "faults": {"kill": {"planned": 1, "applied": 1, "proven": 1}},
        "recovery": {"count": 1, "p50_ms": 200.0 + number as f64, "p99_ms": 300.0, "max_ms": 300.0, "by_fault": {"kill": outage}, "each": []},
        "latency": {"read": {"p50_ms": 1.0, "p99_ms": 5.0, "p999_ms": 9.0, "max_ms": 90.0}},
        "operations": {"read": {"invoked": 10, "ok": 10, "fail": 0, "info": 0}},
    })
}

fn put(store: &Path, path: &str, file: &str, bytes: impl AsRef<[u8]>) {
    let file = store.join(path).join(file);
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    fs::write(file, bytes).expect("a file");
}

/// Finished runs, one invalid with a counterexample, one full of markup, one cut short, one of another version, one that goes on.
fn store() -> tempfile::TempDir {
    let store = tempfile::tempdir().expect("a folder");
    for number in 0..3 {
        let path = format!("register/20260724T0915{number:02}-{number}");
        put(store.path(), &path, "results.json", results(number, "valid").to_string());
        put(
            store.path(),
            &path,
            "report.html",
            "<!doctype html><title>the report</title><script>document.title = 'ran'</script>",
        );
    }
    let mut invalid = results(7, "invalid");
    invalid["checkers"]["linearizability"]["failure"] =
        json!({"key": "x", "anomaly": "stale read", "sentence": MARK, "operations": []});
    invalid["system"] = json!("etcd");
    put(store.path(), "invalid/20260724T091507-7", "results.json", invalid.to_string());
    put(
        store.path(),
        "invalid/20260724T091507-7",
        "counterexample.html",
        "<!doctype html><h1>why it cannot be</h1>",
    );
    let mut odd = results(8, "vacuous");
    for key in ["system", "workload", "network", "command"] {
        odd[key] = json!(format!("{MARK}\u{1b}[31m\u{202e}"));
    }
    odd["reasons"] = json!([format!("{MARK}../../\u{7}")]);
    odd["labels"]["commit"] = json!(MARK);
    odd["faults"] = json!({MARK: {"planned": 1, "applied": 1, "proven": 0}});
    put(store.path(), "odd/20260724T091508-8", "results.json", odd.to_string());
    put(store.path(), "odd/20260724T091508-8", "plan.json", json!({"command": MARK}).to_string());
    put(store.path(), "odd/20260724T091508-8", "nodes/n1/<b>.log", "<script>alert(1)</script>");
    put(store.path(), "odd/20260724T091508-8", "nodes/n1/page.html", "<script>alert(1)</script>");
    put(store.path(), "odd/<i>x", "results.json", results(9, "valid").to_string());
    put(store.path(), "cut/20260724T091509-9", "plan.json", r#"{"controller":"1:1","system":"rafture"}"#);
    put(store.path(), "cut/20260724T091509-9", "history.jsonl", r#"{"index":0,"ti"#);
    put(store.path(), "old/20260724T091510-1", "results.json", r#"{"verdict":"valid"}"#);
    live(store.path());
    store
}

/// A run of this process: two seconds of history, a fault in force, a leader.
fn live(store: &Path) {
    let stat = fs::read_to_string("/proc/self/stat").expect("this process");
    let start = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(19)).expect("a start");
    let plan = json!({"controller": format!("{}:{start}", std::process::id()), "system": "rafture", "workload": "register"});
    let path = "live/20260724T091511-1";
    put(store, path, "plan.json", plan.to_string());
    let mut history = String::new();
    for number in 0..400u64 {
        for (kind, time) in [("invoke", number * 10), ("ok", number * 10 + 5)] {
            let event = json!({"index": 0, "time": time * 1_000_000, "process": 1, "type": kind, "f": "read", "key": "x", "value": null});
            history.push_str(&format!("{event}\n"));
        }
    }
    put(store, path, "history.jsonl", history + r#"{"index":1,"#);
    let fault = |state: &str, time: u64| {
        let line = json!({"time": time, "id": 0, "state": state, "kind": "kill", "target": MARK, "nodes": ["n5"], "detail": "kill -9 n5"});
        format!("{line}\n")
    };
    put(store, path, "faults.jsonl", fault("planned", 1) + &fault("applied", 1_000_000_000));
    put(
        store,
        path,
        "nodes/n2/trace.jsonl",
        "{\"time\":1,\"event\":\"role\",\"role\":\"leader\",\"term\":4,\"leader\":\"n2\"}\n",
    );
}

#[test]
fn lists_filter_and_say_what_is_cut_short_or_of_another_version() {
    let served = Served::new(None);
    let all = served.get("/").text();
    for word in ["9</b>", "valid", "invalid", "stale read", "unfinished", "unreadable", "vacuous"] {
        assert!(all.contains(word) || word == "9</b>", "{word}: {all}");
    }
    assert_eq!(all.matches("<tr>").count(), 1 + 9, "{all}");
    for (query, count) in [
        ("system=etcd", 1),
        ("verdict=unfinished", 2),
        ("verdict=unreadable", 1),
        ("commit=c1", 1),
        ("from=2026-07-25", 0),
        ("from=2026-07-24&until=2026-07-24&verdict=valid&system=rafture", 4),
        ("fault=none", 0),
        ("name=register&page=2", 0),
        ("system=%00%27%22%3C", 0),
        ("page=99999999999999999999", 9),
    ] {
        let page = served.get(&format!("/?{query}"));
        assert_eq!(
            (page.status, page.text().matches("<td class=\"tick\">").count()),
            (200, count),
            "{query}"
        );
    }
    assert_eq!(served.get("/?system=%ff").status, 200, "bytes that are no text are no reason to fail");
    assert!(served.get("/run/old/20260724T091510-1/").text().contains("another version"));
    assert!(served.get("/live/cut/20260724T091509-9/").text().contains("Cut short"));
}

#[test]
fn a_run_that_is_deleted_under_the_server_is_gone_and_nothing_breaks() {
    let served = Served::new(None);
    let page = "/run/register/20260724T091501-1/";
    assert_eq!(served.get(page).status, 200);
    fs::remove_dir_all(served.store.path().join("register/20260724T091501-1")).expect("gone");
    for path in ["", "report.html", "archive.tar.gz"] {
        assert_eq!(served.get(&format!("{page}{path}")).status, 404);
    }
    assert!(served.get(page).text().contains("somebody has deleted it"));
    assert_eq!(served.get("/live/register/20260724T091501-1/state").status, 404);
    let compare = served.get("/compare?run=register/20260724T091501-1&run=register/20260724T091500-0");
    assert_eq!(compare.status, 404);
}

#[test]
fn nothing_outside_of_a_run_is_served() {
    let served = Served::new(None);
    let store = served.store.path();
    let secret = tempfile::tempdir().expect("a folder");
    fs::write(secret.path().join("plan.json"), "secret").expect("a file");
    let run = store.join("register/20260724T091500-0");
    std::os::unix::fs::symlink(secret.path().join("plan.json"), run.join("link.json")).expect("a link");
    std::os::unix::fs::symlink(secret.path(), run.join("out")).expect("a link");
    std::os::unix::fs::symlink(secret.path(), store.join("register/elsewhere")).expect("a link");
    fs::write(run.join(".hidden"), "secret").expect("a file");
    let here = "/run/register/20260724T091500-0";
    for path in [
        "link.json",
        "out/plan.json",
        ".hidden",
        "../20260724T091501-1/results.json",
        "..%2f..%2findex.sqlite",
        "%2e%2e/%2e%2e/index.sqlite",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "results.json%00",
        "results.json/",
        "",
        "nodes",
        "..%5c..%5cindex.sqlite",
    ] {
        let answer = served.get(&format!("{here}/{path}"));
        let is_page = path.is_empty();
        assert_eq!(answer.status == 200, is_page, "{path}: {}", answer.text());
        assert!(!answer.text().contains("secret") && !answer.text().contains("root:"), "{path}");
    }
    for path in [
        "/run/register/elsewhere/plan.json",
        "/run/../index.sqlite",
        "/run/register/../../etc",
        "/run/%2e%2e/%2e%2e/",
        "/index.sqlite",
        "/run/register/latest/",
    ] {
        assert_eq!(served.get(path).status, 404, "{path}");
    }
    let archive = served.get(&format!("{here}/archive.tar.gz"));
    assert!(
        !names(&archive.body)
            .iter()
            .any(|name| name.contains("link") || name.contains("out") || name.contains("hidden"))
    );
}

fn names(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    let entries = archive.entries().expect("an archive");
    entries.map(|entry| entry.expect("whole").path().expect("a name").display().to_string()).collect()
}

#[test]
fn an_archive_has_every_file_as_it_is() {
    let served = Served::new(None);
    let folder = served.store.path().join("register/20260724T091502-2");
    let large: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    fs::create_dir_all(folder.join("nodes/n1/data")).expect("a folder");
    fs::write(folder.join("nodes/n1/data/log"), &large).expect("a file");
    let answer = served.get("/run/register/20260724T091502-2/archive.tar.gz");
    assert!(answer.head.contains("filename=\"register-20260724T091502-2.tar.gz\""), "{}", answer.head);
    let run = "20260724T091502-2";
    assert_eq!(
        names(&answer.body),
        ["nodes/n1/data/log", "report.html", "results.json"].map(|file| format!("{run}/{file}"))
    );
    let mut archive = tar::Archive::new(GzDecoder::new(&answer.body[..]));
    let mut log = archive.entries().expect("an archive").next().expect("a file").expect("whole");
    let mut read = Vec::new();
    log.read_to_end(&mut read).expect("whole");
    assert!(read == large);
}

#[test]
fn markup_and_control_characters_are_shown_and_never_obeyed() {
    let served = Served::new(None);
    for path in [
        "/",
        "/run/odd/20260724T091508-8/",
        "/trends",
        "/run/invalid/20260724T091507-7/",
        "/live/live/20260724T091511-1/",
        "/run/odd/%3Ci%3Ex/",
        "/compare?run=odd/20260724T091508-8&run=register/20260724T091500-0",
        "/?system=%3Cimg%20src=x%3E",
        "/run/%3Cimg%3E/%1b/",
        "/nothing%3Cimg%3E",
        "/compare?a=%3Cimg%20src=x&b=../..",
    ] {
        let page = served.get(path).text();
        assert!(!page.contains("<img src=x") && !page.contains("<i>"), "{path}: {page}");
        assert!(!page.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{path}");
    }
    assert!(served.get("/").text().contains("&lt;img src=x"));
    for (file, kind) in [("nodes/n1/page.html", "text/plain"), ("nodes/n1/%3Cb%3E.log", "text/plain")] {
        let answer = served.get(&format!("/run/odd/20260724T091508-8/{file}"));
        assert!(
            answer.status == 200 && answer.head.contains(&format!("content-type: {kind}")),
            "{}",
            answer.head
        );
        assert!(answer.head.contains("sandbox") && answer.head.contains("nosniff"), "{}", answer.head);
    }
}

#[test]
fn reports_may_run_their_own_script_and_ask_nobody() {
    let served = Served::new(None);
    let report = served.get("/run/register/20260724T091500-0/report.html");
    assert!(report.head.contains(
        "content-security-policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    ));
    let page = served.get("/");
    assert!(page.head.contains("script-src 'self'") && !page.head.contains("unsafe"), "{}", page.head);
}

#[test]
fn nothing_can_be_changed_and_other_names_are_refused() {
    let served = Served::new(None);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        assert_eq!(served.ask(method, "/", &[]).status, 405, "{method}");
    }
    let head = served.ask("HEAD", "/", &[]);
    assert!(head.status == 200 && head.body.is_empty());
    for (host, status) in [
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example:80", 421),
        ("", 421),
        ("localhost", 200),
        ("localhost:7878", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:7878", 200),
        ("[::1", 200),
        ("10.0.0.1", 421),
    ] {
        assert_eq!(served.ask("GET", "/", &[&format!("Host: {host}")]).status, status, "{host}");
    }
}

#[test]
fn a_token_is_asked_for_everywhere_and_becomes_a_cookie() {
    let served = Served::new(Some(TOKEN));
    for path in [
        "/",
        "/run/register/20260724T091500-0/",
        "/style.css",
        "/nothing",
        "/?token=wrong",
        "/?token=",
        "/?token=0123456789abcdeg",
    ] {
        assert_eq!(served.get(path).status, 401, "{path}");
    }
    let bearer = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(served.ask("GET", "/", &[&bearer]).status, 200);
    assert_eq!(served.ask("GET", "/", &["Authorization: Bearer 0123456789abcde"]).status, 401);
    let let_in = served.get(&format!("//evil.example/?verdict=valid&token={TOKEN}"));
    assert!(let_in.head.contains("location: /evil.example/?verdict=valid"), "{}", let_in.head);
    let let_in = served.get(&format!("/?token={TOKEN}&verdict=valid"));
    assert_eq!(let_in.status, 303);
    assert!(let_in.head.contains("location: /?verdict=valid\r\n"), "{}", let_in.head);
    assert!(let_in.head.contains("HttpOnly; SameSite=Strict"), "{}", let_in.head);
    assert_eq!(served.ask("GET", "/", &[&format!("Cookie: other=1; rafture_token={TOKEN}")]).status, 200);
}

#[test]
fn an_address_for_others_needs_a_good_token_and_a_taken_port_is_an_error() {
    let store = store();
    let settings = |listen: &str, token: Option<&str>| Settings {
        store: store.path().to_path_buf(),
        listen: listen.parse().expect("an address"),
        token: token.map(str::to_owned),
    };
    let refused = |settings: Settings| {
        web::serve(&settings, |_| panic!("it serves"), std::future::pending()).expect_err("refused")
    };
    assert!(matches!(refused(settings("0.0.0.0:0", None)), ServeError::NeedsToken(_)));
    assert!(matches!(refused(settings("[::]:0", None)), ServeError::NeedsToken(_)));
    assert!(matches!(refused(settings("0.0.0.0:0", Some("short"))), ServeError::BadToken));
    assert!(matches!(
        refused(settings("127.0.0.1:0", Some("sixteen letters; and more"))),
        ServeError::BadToken
    ));
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let error = refused(settings(&taken.local_addr().expect("an address").to_string(), None));
    assert!(matches!(error, ServeError::Listen { .. }) && !error.to_string().contains('\n'), "{error}");
    let nowhere = Settings { store: store.path().join("nowhere"), ..settings("127.0.0.1:0", None) };
    assert!(matches!(refused(nowhere), ServeError::NoStore { .. }));
}

#[test]
fn a_live_run_is_followed_until_it_has_results() {
    let served = Served::new(None);
    let (page, state) = ("/live/live/20260724T091511-1/", "/live/live/20260724T091511-1/state");
    let first = served.get(state).text();
    for word in ["Running", "<dd>400</dd>", "kill@&lt;img", "n2 in term 4", "Successes per second"] {
        assert!(first.contains(word), "{word}: {first}");
    }
    let folder = served.store.path().join("live/20260724T091511-1");
    let mut history = fs::File::options().append(true).open(folder.join("history.jsonl")).expect("a history");
    let rest = "\"time\":5000000000,\"process\":9,\"type\":\"invoke\",\"f\":\"read\"}\n{\"time\":5001000000,\"process\":9,\"type\":\"ok\",\"f\":\"read\"}\n";
    history.write_all(rest.as_bytes()).expect("room");
    assert!(served.get(state).text().contains("<dd>401</dd>"), "the half line is read when it is whole");
    put(served.store.path(), "live/20260724T091511-1", "results.json", results(1, "valid").to_string());
    assert!(served.get(state).text().contains("data-then=\"/run/live/20260724T091511-1/\""));
    let over = served.get(page);
    assert!(
        over.status == 307 && over.head.contains("location: /run/live/20260724T091511-1/"),
        "{}",
        over.head
    );
}

#[test]
fn trends_mark_a_slower_recovery_and_comparisons_give_ratios() {
    let served = Served::new(None);
    for number in 0..60u64 {
        let mut run = results(number % 50, "valid");
        let level = if number < 30 { 200.0 } else { 280.0 };
        run["recovery"]["p50_ms"] = json!(level + (number % 7) as f64);
        run["labels"]["commit"] = json!(format!("commit{number:02}"));
        run["started_at"] = json!(format!("2026-08-{:02}T{:02}:00:00Z", 1 + number / 24, number % 24));
        run["system"] = json!("trending");
        put(served.store.path(), &format!("trend/20260801T000000-{number}"), "results.json", run.to_string());
    }
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let page = served.get("/trends?system=trending").text();
    assert!(page.contains("Worse") && page.contains("commit30") && page.contains("commit29"), "{page}");
    assert_eq!(page.matches("No change that chance does not explain").count(), 3, "{page}");
    let compare = served.get("/compare?a=trend/20260801T000000-0&b=trend/20260801T000000-30").text();
    assert!(compare.contains("1.41×"), "{compare}");
    assert_eq!(served.get("/compare").status, 400);
}

/// A night as a campaign leaves it; its only run failed with words that are markup.
fn night(verdict: &str) -> Value {
    let cause = json!({"system": "rafture", "oracle": "linearizability", "anomaly": MARK, "fault": "kill"});
    json!({
        "name": "nightly", "night": "tonight", "cells": 1, "share": 1, "canaries": [], "stopped": null, "before": null,
        "entries": [{
            "cell": 0, "title": MARK, "system": "rafture", "run": "nightly/20260724T091500-1", "verdict": verdict,
            "cause": cause, "sentence": MARK, "command": "rafture run --seed 1", "seconds": 5.5, "driven_s": 4.0, "throughput": 4000.0,
            "recovery": {"count": 0, "p50_ms": null, "p99_ms": null, "max_ms": null}, "is_overloaded": false,
        }],
    })
}

#[test]
fn nights_are_listed_shown_and_never_outside_of_the_store() {
    let served = Served::new(None);
    let put = |night_name: &str, bytes: &str| {
        put(served.store.path(), &format!("nightly/nights/{night_name}"), "summary.json", bytes);
    };
    put("tonight", &night("invalid").to_string());
    put("torn", "{\"name\": \"nigh");
    let list = served.get("/nights").text();
    assert!(list.contains(r#"href="/night/nightly/tonight/""#) && list.contains("invalid"), "{list}");
    assert!(list.contains("goes on, or cannot be read"), "{list}");
    let shown = served.get("/night/nightly/tonight/");
    assert_eq!(shown.status, 200);
    let page = shown.text();
    assert!(page.contains(r#"href="/run/nightly/20260724T091500-1/report.html""#), "{page}");
    assert!(page.contains("rafture run --seed 1") && !page.contains(MARK), "{page}");
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("summary.json"), night("valid").to_string()).expect("a file");
    std::os::unix::fs::symlink(outside.path(), served.store.path().join("nightly/nights/link"))
        .expect("a link");
    for path in ["torn", "gone", "link", "..%2f..%2fregister", "%2e%2e"] {
        assert_eq!(served.get(&format!("/night/nightly/{path}/")).status, 404, "{path}");
    }
}

/// A record as `rafture tune` leaves it, with words that are markup.
fn tuning() -> Value {
    json!({
        "command": MARK, "seed": 7, "started": "2026-11-26T09:30:00Z", "seconds": 61.5, "system": MARK, "nodes": 5,
        "network": {"words": MARK, "round_trip_ms": [], "jitter_ms": 0.0, "loss": 0.0}, "target": {"outage-ms": 500.0},
        "recommendation": {
            "heartbeat_ms": 50.0, "election_timeout_ms": [150.0, 300.0], "outage_p50_ms": 170.0, "outage_p99_ms": 404.0,
            "false_elections_per_hour": 0.5, "candidate": 0, "reason": MARK, "configuration": [],
        },
        "unmet": null, "warnings": [], "candidates": [], "split_votes": [], "figure16": [], "studies": [],
        "checks": [{"seed": 8, "source": "real", "measured": 410.0, "met": true}],
    })
}

#[test]
fn tunings_are_listed_and_their_files_served_and_never_those_outside() {
    let served = Served::new(None);
    assert!(served.get("/tunings").text().contains("rafture tune"), "nothing was measured yet");
    let stamp = "tunings/20261126T093000-7";
    put(served.store.path(), stamp, "tune.json", tuning().to_string());
    put(served.store.path(), stamp, "report.html", "<p>the report");
    put(served.store.path(), stamp, "trials.csv", "candidate\n0\n");
    put(served.store.path(), stamp, "simulated.csv.gz", [0x1f, 0x8b]);
    put(served.store.path(), "tunings/20261127T000000-8", "tune.json", "{\"command\": \"raf");
    let list = served.get("/tunings").text();
    assert!(list.contains(r#"href="/tuning/20261126T093000-7/report.html""#), "{list}");
    for words in ["150–300 ms", "404 ms", "12 a day", "1 of 1", "goes on, or cannot be read"] {
        assert!(list.contains(words), "{words}: {list}");
    }
    assert!(!list.contains(MARK), "{list}");
    for (file, kind) in [
        ("report.html", "text/html; charset=utf-8"),
        ("tune.json", "application/json"),
        ("trials.csv", "text/plain; charset=utf-8"),
        ("simulated.csv.gz", "application/gzip"),
    ] {
        let answer = served.get(&format!("/tuning/20261126T093000-7/{file}"));
        assert_eq!(answer.status, 200, "{file}");
        assert!(answer.head.contains(&format!("content-type: {kind}")), "{file}: {}", answer.head);
    }
    let to_report = served.get("/tuning/20261126T093000-7/");
    assert!(to_report.head.contains("location: /tuning/20261126T093000-7/report.html"), "{}", to_report.head);
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("tune.json"), tuning().to_string()).expect("a file");
    let tunings = served.store.path().join("tunings");
    std::os::unix::fs::symlink(outside.path(), tunings.join("link")).expect("a link");
    std::os::unix::fs::symlink(outside.path().join("tune.json"), tunings.join("20261126T093000-7/link.json"))
        .expect("a link");
    for path in [
        "link/tune.json",
        "gone/tune.json",
        "20261126T093000-7/link.json",
        "20261126T093000-7/..%2f20261127T000000-8%2ftune.json",
        "..%2fregister%2f20260724T091500-0/results.json",
        "%2e%2e/register",
    ] {
        assert_eq!(served.get(&format!("/tuning/{path}")).status, 404, "{path}");
    }
    assert!(!served.get("/tunings").text().contains(">link<"), "a link is no tuning");
}

fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut files = std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    files.find(|file| file.is_file())
}

/// What the page's elements are after so many milliseconds of its own time.
fn elements(browser: &PathBuf, url: &str) -> String {
    let profile = tempfile::tempdir().expect("a folder");
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-sync",
            "--disable-quic",
        ])
        .args(["--disable-background-networking", "--disable-component-update", "--window-size=390,900"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--virtual-time-budget=3500", "--dump-dom", url])
        .output()
        .expect("the browser starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_browser_shows_list_filter_run_report_counterexample_and_a_live_run() {
    let Some(browser) = browser() else {
        let why = "no chromium is in the search path";
        assert!(std::env::var_os("RAFTURE_REQUIRE_ALL").is_none(), "{why}");
        eprintln!("skipped: {why}");
        return;
    };
    let served = Served::new(None);
    let see = |path: &str| elements(&browser, &format!("http://{}{path}", served.address));
    let list = see("/");
    assert_eq!(list.matches("class=\"tick\"").count(), 9, "{list}");
    let filtered = see("/?verdict=invalid");
    assert!(filtered.matches("class=\"tick\"").count() == 1 && filtered.contains("stale read"), "{filtered}");
    let run = see("/run/invalid/20260724T091507-7/");
    assert!(run.contains("Invalid") && run.contains("href=\"counterexample.html\""), "{run}");
    assert!(see("/run/invalid/20260724T091507-7/counterexample.html").contains("why it cannot be"));
    assert!(
        see("/run/register/20260724T091500-0/report.html").contains("<title>ran</title>"),
        "its script runs"
    );
    let live = see("/live/live/20260724T091511-1/");
    assert!(live.contains("Running") && live.contains("n2 in term 4"), "{live}");
    let refreshed = live.split("data-refreshed=\"").nth(1).and_then(|rest| rest.split('"').next());
    assert!(refreshed.is_some_and(|count| count.parse::<u32>().is_ok_and(|count| count >= 2)), "{live}");
}
