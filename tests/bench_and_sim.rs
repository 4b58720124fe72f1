//! `rafture bench`, `rafture sim` and `rafture defects` as commands: what they print, how they end, what they leave.

mod command;

use command::{Ended, end, rafture};
use serde_json::Value;

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {}{}", ended.out, ended.err))
}

#[test]
fn two_clusters_are_measured_in_turns_and_nothing_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let words =
        "bench --system rafture,rafture --f mixed --concurrency 4 --keys 50 --duration 1s --rounds 2 --json";
    let ended = end(rafture(words).arg("--folder").arg(folder.path()));
    assert_eq!(ended.code, 0, "{}", ended.err);
    let measured = json(&ended);
    for name in ["rafture", "rafture-2"] {
        let rival = &measured[name];
        assert!(rival["ok"].as_u64().is_some_and(|ok| ok > 10), "{name}: {measured}");
        assert_eq!(rival["errors"], 0, "{name}: {measured}");
        assert_eq!(rival["throughputs"].as_array().map(Vec::len), Some(2), "{name}: {measured}");
        let quantile = |name: &str| rival[name].as_f64().expect("a number");
        assert!(0.0 < quantile("p50_ms") && quantile("p50_ms") <= quantile("p99_ms"), "{name}: {measured}");
    }
    assert!(measured["ratio"]["rafture-2"].as_f64().is_some_and(|ratio| ratio > 0.0), "{measured}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "something was left behind");
}

#[test]
fn an_open_loop_keeps_to_its_rate() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = "bench --rate 100 --concurrency 8 --keys 50 --duration 2s --rounds 1 --json";
    let ended = end(rafture(words).arg("--folder").arg(folder.path()));
    assert_eq!(ended.code, 0, "{}", ended.err);
    let ok = json(&ended)["rafture"]["ok"].as_u64().expect("a number");
    // 200 arrivals by chance: six standard deviations are 85.
    assert!((115..=285).contains(&ok), "{ok} operations in two seconds");
}

#[test]
fn what_cannot_be_measured_or_simulated_is_refused_in_one_line() {
    for (words, hint) in [
        ("bench --concurrency 0", "hint: --concurrency 32"),
        ("bench --rate 0", "hint: --rate 1000"),
        ("bench --system mongo", "unknown system `mongo`"),
        ("bench --folder /proc/nowhere", "cannot use `/proc/nowhere`"),
        ("bench --heartbeat 5s", "does not fit into the election timeout"),
        ("sim --faults meteor", "unknown fault `meteor`"),
        ("sim --scenario atlantis", "atlantis"),
        ("sim --nodes 0", "hint"),
    ] {
        let ended = end(&mut rafture(words));
        assert_eq!(ended.code, 254, "{words}: {}{}", ended.out, ended.err);
        assert_eq!(ended.err.trim_end().lines().count(), 1, "{words}: {}", ended.err);
        assert!(ended.err.contains(hint), "{words}: `{hint}` is not in: {}", ended.err);
    }
}

#[test]
fn seeds_that_hold_are_valid_and_a_planted_bug_is_not() {
    let ended = end(&mut rafture("sim --seeds 4 --time-limit 10s --json"));
    let result = json(&ended);
    assert_eq!(
        (ended.code, &result["verdict"], &result["seeds"]),
        (0, &"valid".into(), &4.into()),
        "{result}"
    );
    assert!(result["acknowledged"].as_u64().is_some_and(|count| count > 100), "{result}");

    let ended = end(&mut rafture("sim --seeds 4 --time-limit 20s --defect mem-vote --json"));
    let result = json(&ended);
    assert_eq!((ended.code, &result["verdict"]), (1, &"invalid".into()), "{result}");
    let text = |name: &str| result[name].as_str().unwrap_or_default().to_owned();
    assert!(!text("finding").is_empty() && text("command").contains("--defect mem-vote"), "{result}");
    assert!(result["trace"].as_array().is_some_and(|lines| !lines.is_empty()), "{result}");
    // The line that it gives repeats it.
    let command = text("command");
    let again = end(&mut rafture(command.strip_prefix("rafture ").expect("a command")));
    assert_eq!(again.code, 1, "{command}: {}", again.out);
    assert!(again.out.contains(&text("finding")), "{command}: {}", again.out);
}

#[test]
fn a_planted_bug_is_measured_under_faults_that_find_it_and_under_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = "defects --measure --only read-local --seeds 1 --time-limit 8s --mix none --mix partition@leader --json";
    let ended = end(rafture(words).arg("--store").arg(folder.path()));
    assert_eq!(ended.code, 0, "{}", ended.err);
    let measured = json(&ended);
    let found = |mix: usize| &measured["mixes"][mix]["defects"][0]["found"];
    assert_eq!((found(0), found(1)), (&Value::from(0), &Value::from(1)), "{measured}");
    assert!(measured["mixes"][0]["median_s"].is_null() && measured["mixes"][1]["median_s"].is_number());

    let listed = json(&end(&mut rafture("defects --json")));
    assert!(listed["defects"].as_array().is_some_and(|defects| defects.len() >= 6), "{listed}");
    let mistaken = end(&mut rafture("defects --measure --mix meteor"));
    assert!(mistaken.code == 254 && mistaken.err.contains("unknown fault `meteor`"), "{}", mistaken.err);
}
