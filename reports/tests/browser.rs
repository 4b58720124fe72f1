//! `counterexample.html` in a real browser: its own script is run, and asked by a second one what is drawn after each deed. How it
//! looks is not asked here. Without a browser it is skipped, or fails where everything must be tested.

use std::path::PathBuf;
use std::process::Command;

use rafture_checker::check::{Limits, Question, check};
use rafture_checker::history::{Event, EventKind, History, Process};
use rafture_checker::models::ModelKind;
use rafture_reports::{Counterexample, counterexample_html};
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
fn elements(browser: &PathBuf, page: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("counterexample.html");
    std::fs::write(&file, page).expect("room for a page");
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update", "--window-size=1200,900"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .args(["--timeout=60000", "--dump-dom"])
        .arg(format!("file://{}", file.display()))
        .output()
        .expect("the browser starts");
    let elements = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!elements.is_empty(), "the browser said nothing: {}", String::from_utf8_lossy(&output.stderr));
    elements
}

#[test]
fn zoom_keys_filter_and_hover_change_what_is_drawn() {
    let Some(browser) = browser() else {
        let why = "no chromium is in the search path";
        assert!(std::env::var_os("RAFTURE_REQUIRE_ALL").is_none(), "{why}");
        eprintln!("skipped: {why}");
        return;
    };
    let elements = elements(&browser, &page().replace("</body>", READER));
    let told = elements.split(r#"<pre id="told">"#).nth(1).and_then(|rest| rest.split("</pre>").next());
    let told: Value = serde_json::from_str(told.expect("a script of the page failed")).expect("JSON");
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
