//! `counterexample.html` and `report.html` in a real browser: their own scripts are run, and asked by a further one what is drawn
//! after each deed. How it looks is not asked here. Without a browser it is skipped, or fails where everything must be tested.

use std::path::PathBuf;
use std::process::Command;

use rafture_checker::check::{Limits, Question, check};
use rafture_checker::history::{Event, EventKind, History, Process};
use rafture_checker::models::ModelKind;
use rafture_reports::{
    Counterexample, FaultSpan, LeaderChange, RunFolder, RunView, counterexample_html, write_reports,
};
use serde_json::{Value, json};

const OPERATIONS: u64 = 1000;
const KEYS: u64 = 4;

/// Does what a reader may do, and leaves behind how many bars were in view after it, or what was told.
const READER: &str = r#"<script>
const told = {}, field = (id) => document.getElementById(id), box = canvas.getBoundingClientRect();
const at = { clientX: box.left + 300, clientY: box.top + 20, bubbles: true, cancelable: true };
const bars = (name) => { draw(); told[name] = inView; };
const press = (key) => canvas.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const enter = (id, words) => { field(id).value = words; field(id).dispatchEvent(new Event("input")); };
bars("violation");
enter("key", ""); field("all").click(); bars("all");
const under = timeAt(300);
canvas.dispatchEvent(new WheelEvent("wheel", { ...at, deltaY: -300 })); bars("wheel");
told.moved = Math.abs(timeAt(300) - under) / length;
const left = view[0];
press("ArrowRight"); told.later = view[0] - left;
press("0"); bars("zero");
press("+"); bars("plus");
press("0"); enter("key", "k1"); bars("key");
enter("key", "none of them"); told.wrong = field("key").getAttribute("aria-invalid");
enter("key", ""); enter("find", "write 500");
field("find").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
draw(); told.found = tip.hidden ? "" : tip.textContent;
press("Escape"); draw(); told.hidden = tip.hidden;
const bar = data.culprit;
violation(); draw();
canvas.dispatchEvent(new PointerEvent("pointermove", { ...at,
  clientX: box.left + place((begin[bar] + drawn[bar]) / 2), clientY: box.top + lane[bar] * laneHeight + 12 }));
told.pointed = tip.hidden ? "" : tip.textContent;
told.tally = tally.textContent;
const answer = document.createElement("pre");
answer.id = "told"; answer.textContent = JSON.stringify(told).replace(/</g, "");
document.body.append(answer);
</script></body>"#;

/// The same for the time axis of a report.
const AXIS_READER: &str = r##"<script>{
const heard = {}, whole = view[1], box = () => canvas.getBoundingClientRect();
const at = (x, y) => ({ clientX: box().left + x, clientY: box().top + y, bubbles: true, cancelable: true, pointerType: "mouse", pointerId: 1 });
const press = (key) => canvas.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const span = (name) => { heard[name] = (view[1] - view[0]) / whole; };
draw(); span("all");
canvas.setPointerCapture = () => {};
const [from, until] = [timeAt(300), timeAt(500)];
canvas.dispatchEvent(new PointerEvent("pointerdown", at(300, 200)));
canvas.dispatchEvent(new PointerEvent("pointermove", at(500, 200)));
canvas.dispatchEvent(new PointerEvent("pointerup", at(500, 200)));
heard.dragged = Math.abs(view[0] - from) + Math.abs(view[1] - until) < whole / 1e3;
press("0"); span("zero");
canvas.dispatchEvent(new WheelEvent("wheel", { ...at(300, 200), deltaY: -300 })); span("unfocused");
canvas.focus();
canvas.dispatchEvent(new WheelEvent("wheel", { ...at(300, 200), deltaY: -300 })); span("focused");
press("0"); press("+"); span("plus");
const left = view[0];
press("ArrowRight"); heard.later = view[0] - left;
document.querySelector(".tools .strong").click();
location.hash = document.querySelector(".tools .strong").getAttribute("href"); follow();
heard.violation = [view[0] / 1e6, view[1] / 1e6];
document.getElementById("all").click(); span("button"); draw();
const worst = points.lasted.indexOf(slowestUs), panel = panels.find((panel) => panel.draw === drawLatency);
canvas.dispatchEvent(new PointerEvent("pointermove", at(place(points.at[worst]), latencyY(slowestUs, panel.top, panel.bottom))));
heard.worst = tip.hidden ? "" : tip.textContent;
press("Escape"); heard.hidden = tip.hidden;
press("."); heard.read = told.textContent;
heard.range = range.textContent;
heard.wide = document.documentElement.scrollWidth - innerWidth;
heard.fallback = document.querySelector("noscript svg") !== null;
const answer = document.createElement("pre");
answer.id = "heard"; answer.textContent = JSON.stringify(heard).replace(/</g, "");
document.body.append(answer);
}</script></body>"##;

/// One after another: writes on four keys in turn, and at last a read of the first value of the first.
fn page() -> String {
    let mut events = Vec::new();
    for number in 0..OPERATIONS {
        let is_read = number == OPERATIONS - 1;
        let (f, value) = if is_read { ("read", json!(0)) } else { ("write", json!(number)) };
        let key = if is_read { 0 } else { number % KEYS };
        for (kind, time) in [(EventKind::Invoke, number * 10), (EventKind::Ok, number * 10 + 8)] {
            let is_asked = is_read && kind == EventKind::Invoke;
            events.push(Event {
                index: 0,
                time: time * 1_000_000,
                process: Process::Client(number % 5),
                kind,
                f: f.into(),
                key: Some(json!(format!("k{key}"))),
                value: if is_asked { Value::Null } else { value.clone() },
                node: None,
                error: None,
            });
        }
    }
    let history = History::of(&events).expect("one after another");
    let outcome =
        check(&history, &Question::strongest(ModelKind::Register), &Limits::NONE).expect("registers");
    assert!(outcome.failure.is_some(), "the read is stale");
    counterexample_html(&Counterexample {
        title: "a stale read",
        verdict: outcome.verdict,
        facts: &[],
        reason: None,
        failure: outcome.failure.as_ref(),
        history: &history,
        faults: &[],
        command: None,
    })
}

fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut files = std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    files.find(|file| file.is_file())
}

/// What the page's elements are after all scripts have run.
fn elements(browser: &PathBuf, page: &str, width: u32) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("counterexample.html");
    std::fs::write(&file, page).expect("room for a page");
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update"])
        .arg(format!("--window-size={width},900"))
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .args(["--timeout=60000", "--dump-dom"])
        .arg(format!("file://{}", file.display()))
        .output()
        .expect("the browser starts");
    let elements = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!elements.is_empty(), "the browser said nothing: {}", String::from_utf8_lossy(&output.stderr));
    elements
}

fn browser_or_skip() -> Option<PathBuf> {
    let browser = browser();
    if browser.is_none() {
        let why = "no chromium is in the search path";
        assert!(std::env::var_os("RAFTURE_REQUIRE_ALL").is_none(), "{why}");
        eprintln!("skipped: {why}");
    }
    browser
}

/// What the reader left behind.
fn answer(elements: &str, id: &str) -> Value {
    let told =
        elements.split(&format!(r#"<pre id="{id}">"#)).nth(1).and_then(|rest| rest.split("</pre>").next());
    serde_json::from_str(told.expect("a script of the page failed")).expect("JSON")
}

/// Ten seconds of writes, one of which takes 2.5 s; a fault, two leaders, and a violation of the nodes at 4.0 to 4.1 s.
fn report() -> String {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("plan.json"), "{}").expect("a plan");
    let folder = RunFolder::open(folder.path()).expect("a plan makes a run");
    let of = |number: u64, time_ms: u64, kind| Event {
        index: 0,
        time: time_ms * 1_000_000,
        process: Process::Client(number),
        kind,
        f: "write".into(),
        key: Some(json!("<k>")),
        value: json!(number),
        node: Some("n2".into()),
        error: None,
    };
    let mut history: Vec<Event> = (0..OPERATIONS)
        .flat_map(|number| {
            let (from, lasts) = (number * 10, if number == 300 { 2_500 } else { 4 + number % 7 });
            [of(number, from, EventKind::Invoke), of(number, from + lasts, EventKind::Ok)]
        })
        .collect();
    history.sort_by_key(|event| event.time);
    let violation = json!({"sentence": "two in term 3", "times_ns": [4_100_000_000u64, 4_000_000_000u64]});
    let results = json!({
        "verdict": "invalid", "name": "register", "run": "1-1", "system": "rafture", "workload": "register", "nodes": 3,
        "network": "proxy", "seed": 1, "command": "rafture run --seed 1", "started_at": "2026-07-24T09:15:02Z",
        "time_limit_s": 10.0, "seconds": 12.0, "throughput": 100.0, "faults": {}, "latency": {}, "operations": {},
        "checkers": {"raft-invariants": {"verdict": "invalid", "violations": [violation]}},
        "recovery": {"count": 0, "p50_ms": null, "p99_ms": null, "max_ms": null, "by_fault": {}, "each": []},
    });
    let results = serde_json::from_value(results).expect("results");
    let fault = FaultSpan {
        kind: "kill".into(),
        label: "kill@leader".into(),
        nodes: vec!["n1".into()],
        applied_ns: Some(3_000_000_000),
        undone_ns: Some(5_000_000_000),
        ..FaultSpan::default()
    };
    let leader = |time_ns, node: &str, term| LeaderChange { time_ns, node: node.into(), term };
    let leaders = [leader(-5, "n1", 2), leader(3_400_000_000, "n2", 3)];
    let run = RunView { results: &results, history: &history, faults: &[fault], leaders: &leaders };
    write_reports(&folder, &run).expect("reports");
    folder.read("report.html").expect("a report")
}

#[test]
fn the_time_axis_zooms_tells_what_is_pointed_at_and_follows_links() {
    let Some(browser) = browser_or_skip() else { return };
    let heard = answer(&elements(&browser, &report().replace("</body>", AXIS_READER), 1200), "heard");
    let part = |name: &str| heard[name].as_f64().unwrap_or_else(|| panic!("{name}: {heard:#}"));
    for name in ["all", "zero", "unfocused", "button"] {
        assert_eq!(part(name), 1.0, "{name}: {heard:#}");
    }
    assert_eq!(heard["dragged"], true, "what was dragged over fills the axis: {heard:#}");
    assert!(part("focused") < 0.8 && (part("plus") - 0.5).abs() < 0.01, "{heard:#}");
    assert!(part("later") > 0.0, "{heard:#}");
    // The violation of 0.1 s with 0.4 s on both sides.
    let [from, until] = [0, 1].map(|at| heard["violation"][at].as_f64().unwrap_or_default());
    assert!((from - 3.6).abs() < 0.01 && (until - 4.5).abs() < 0.01, "{heard:#}");
    let worst = heard["worst"].as_str().unwrap_or_default();
    assert!(worst.starts_with("write k&gt; 300took"), "{worst}");
    for words in
        ["took2.50 s", "outcomeok", "process300", "noden2", "faultkill@leader", "leadern1, elected in term 2"]
    {
        assert!(worst.contains(words), "`{words}` is not in `{worst}`");
    }
    assert_eq!(heard["hidden"], true);
    let read = heard["read"].as_str().unwrap_or_default();
    assert!(read.contains("leader n1") && read.contains("answered by n2"), "{read}");
    assert_eq!(heard["range"], "whole run");
    assert_eq!(heard["fallback"], false, "what is for readers without a script is no element with one");
}

/// 360 px is the narrowest phone that is sold; a browser's window may be no narrower than 500, so the page itself is made so.
#[test]
fn no_phone_has_to_scroll_sideways() {
    let Some(browser) = browser_or_skip() else { return };
    let narrow = "<style>html{width:360px;overflow-x:auto}body{width:360px}</style></head>";
    let page = report().replace("</head>", narrow).replace("</body>", AXIS_READER);
    let page = page.replace(
        "heard.wide = document.documentElement.scrollWidth - innerWidth",
        "heard.wide = document.body.scrollWidth - 360",
    );
    let heard = answer(&elements(&browser, &page, 600), "heard");
    assert_eq!(heard["wide"], 0, "{heard:#}");
}

#[test]
fn zoom_keys_filter_and_hover_change_what_is_drawn() {
    let Some(browser) = browser_or_skip() else { return };
    let told = answer(&elements(&browser, &page().replace("</body>", READER), 1200), "told");
    let count = |name: &str| told[name].as_u64().unwrap_or_else(|| panic!("{name}: {told:#}"));
    assert_eq!(count("all"), OPERATIONS);
    assert!(count("violation") < OPERATIONS / 2, "the violation is in the midst of everything: {told:#}");
    assert!((OPERATIONS / 4..OPERATIONS * 3 / 4).contains(&count("wheel")), "{told:#}");
    assert!(told["moved"].as_f64() < Some(0.001), "what is under the pointer stays there: {told:#}");
    assert!(told["later"].as_f64() > Some(0.0), "{told:#}");
    assert_eq!(count("zero"), OPERATIONS);
    assert!((OPERATIONS / 2..OPERATIONS).contains(&count("plus")), "{told:#}");
    // The key's own, and those of the evidence.
    assert_eq!(count("key"), OPERATIONS / KEYS + 3, "{told:#}");
    assert_eq!(told["wrong"], "true");
    let found = told["found"].as_str().unwrap_or_default();
    assert!(found.starts_with("write 500process0operationwritekeyk0"), "{found}");
    assert_eq!(told["hidden"], true);
    let pointed = told["pointed"].as_str().unwrap_or_default();
    assert!(pointed.starts_with("read → 0process4operationreadkeyk0result0"), "{pointed}");
    assert!(told["tally"].as_str().is_some_and(|tally| tally.ends_with(" of 1,000 in view")), "{told:#}");
}
