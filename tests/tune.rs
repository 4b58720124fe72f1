//! `rafture tune` as a person or a script runs it.

mod command;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use command::{Ended, end, rafture};
use serde_json::Value;

/// A tuning in a store of its own.
fn tune(store: &Path, words: &str) -> Ended {
    end(rafture(&format!("tune {words} --store")).arg(store))
}

fn json(ended: &Ended) -> Value {
    assert_eq!(ended.out.lines().count(), 1, "one line: {}", ended.out);
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {}", ended.err))
}

#[test]
fn advice_comes_with_its_figures_its_lines_and_its_files() {
    let store = tempfile::tempdir().expect("a folder");
    let words = "--sim --simulated-trials 8000 --candidates 20ms..40ms,150ms..300ms,1s..2s --target-outage 500ms --json";
    let ended = tune(store.path(), words);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let found = json(&ended);
    let advice = &found["recommendation"];
    assert_eq!(advice["election_timeout_ms"], serde_json::json!([150.0, 300.0]));
    assert_eq!(advice["heartbeat_ms"], 30.0);
    for candidate in found["candidates"].as_array().expect("candidates").iter().chain([advice]) {
        for key in ["heartbeat_ms", "outage_p50_ms", "outage_p99_ms", "false_elections_per_hour"] {
            assert!(candidate[key].is_number(), "{key}: {candidate}");
        }
    }
    let of = |place: usize, key: &str| found["candidates"][place][key].as_f64().expect("a number");
    assert!(
        of(0, "outage_p99_ms") < of(1, "outage_p99_ms") && of(1, "outage_p99_ms") < of(2, "outage_p99_ms")
    );
    assert!(of(0, "false_elections_per_hour") > 100.0 * of(1, "false_elections_per_hour"));
    let lines = advice["configuration"].as_array().expect("lines");
    assert!(lines.iter().any(|told| told["lines"][0] == "--election-timeout 150ms..300ms --heartbeat 30ms"));
    assert!(lines.iter().any(|told| told["system"] == "etcd"
        && told["lines"][0] == "--election-timeout 150 --heartbeat-interval 30"));
    let folder = store.path().join("tunings/latest");
    for file in ["report.html", "tune.json", "summary.md", "trials.csv", "trials.jsonl", "simulated.csv.gz"] {
        assert!(
            fs::metadata(folder.join(file)).is_ok_and(|file| file.len() > 0 || file.len() == 0),
            "{file}"
        );
    }
    let page = fs::read_to_string(folder.join("report.html")).expect("a page");
    let words: String =
        page.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect();
    assert!(words.contains("--election-timeout 150ms..300ms --heartbeat 30ms"), "the advice is in it");
}

#[test]
fn a_seed_repeats_what_is_simulated() {
    let store = tempfile::tempdir().expect("a folder");
    let run = |seed: u64| {
        let words = format!(
            "--sim --simulated-trials 2000 --jitter 2ms --sync 200us --candidates 50ms..100ms --seed {seed} --json"
        );
        json(&tune(store.path(), &words))["candidates"].clone()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5)[0]["steady"], run(6)[0]["steady"]);
}

#[test]
fn slower_disks_make_elections_longer() {
    let store = tempfile::tempdir().expect("a folder");
    let heard_ms = |sync: &str| {
        let words = format!("--sim --simulated-trials 2000 --candidates 300ms..600ms --sync {sync} --json");
        let found = json(&tune(store.path(), &words));
        let p50 = &found["candidates"][0]["simulated"]["kill"]["heartbeat"]["p50"];
        p50.as_f64().unwrap_or_else(|| panic!("{found}"))
    };
    // The candidate stores its vote, and those who vote for it do.
    let (quick, slow) = (heard_ms("1ms"), heard_ms("31ms"));
    assert!((55.0..90.0).contains(&(slow - quick)), "{quick} and {slow}");
}

#[test]
fn a_target_that_cannot_be_met_is_said_with_the_nearest() {
    let store = tempfile::tempdir().expect("a folder");
    let words = "--sim --simulated-trials 2000 --candidates 150ms..300ms,400ms..800ms --target-outage 50ms";
    let ended = tune(store.path(), words);
    assert_eq!(ended.code, 254);
    let said = ended.err.replace('\u{a0}', " ");
    assert!(said.contains("no candidate keeps outages below 50"), "{said}");
    assert!(said.contains("the nearest is heartbeat 30 ms, election timeout 150–300 ms with"), "{said}");
    assert!(ended.out.contains("report.html"), "there is a page all the same: {}", ended.out);
    // Real processes are not started for what simulation already knows.
    let ended = tune(store.path(), &words.replace("--sim ", ""));
    assert_eq!(ended.code, 254, "{}", ended.err);
    let record = fs::read_to_string(store.path().join("tunings/latest/tune.json")).expect("a record");
    let record: Value = serde_json::from_str(&record).expect("JSON");
    assert_eq!(record["candidates"][0]["real"], serde_json::json!({}));
}

#[test]
fn bad_input_is_said_in_a_line_with_what_to_try() {
    let store = tempfile::tempdir().expect("a folder");
    let matrix = store.path().join("matrix.txt");
    fs::write(&matrix, "0 1 2\n1 0\n2 1 0\n").expect("a file");
    let matrix = matrix.display().to_string();
    let cases = [
        (
            "--candidates 150ms..300ms --heartbeat 150ms".to_owned(),
            "not below the election timeout of 150ms..300ms",
        ),
        ("--candidates 150ms..150ms".into(), "the range `150ms..150ms` is empty"),
        ("--candidates 300ms..150ms".into(), "goes from high to low"),
        (format!("--matrix {matrix}"), ":2: the matrix is not square: this row has 2 of 3 columns"),
        ("--matrix nowhere.txt".into(), "us-eu-5"),
        ("--nodes 2".into(), "clusters of 3 to 50"),
        ("--matrix us-eu --nodes 5".into(), "the network is one of 3 members"),
        ("--target-false-elections 1".into(), "1/day"),
        ("--loss 100%".into(), "at most 90%"),
        ("--study nothing".into(), "heavy-loss"),
        ("--system etcd --candidates 60s..120s".into(), "etcd"),
        ("--hosts localhost:1,localhost:2".into(), "one for each member, 3 at least"),
        ("--trials 0".into(), "1 to 10000 trials"),
        ("--real --steady 0s".into(), "nothing is known of false elections"),
        ("--sync 2s".into(), "a sync takes at most 1s"),
        ("--figure16 --candidates 1ms..2ms --sim".into(), "Figure 16 has no curve of 1ms..2ms"),
    ];
    for (words, complaint) in cases {
        let ended = tune(store.path(), &words);
        assert_eq!(ended.code, 254, "{words}: {}", ended.err);
        assert!(ended.err.contains(complaint) && ended.err.contains("hint"), "{words}: {}", ended.err);
    }
    assert!(!store.path().join("tunings").exists(), "nothing was begun");
}

#[test]
fn a_study_has_a_page() {
    let store = tempfile::tempdir().expect("a folder");
    let ended = tune(store.path(), "--study mixed-ranges --simulated-trials 2000");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(
        ended.out.contains("What do members with different ranges of timeouts do to each other?"),
        "{}",
        ended.out
    );
    assert!(store.path().join("tunings/latest/report.html").exists());
}

/// Every curve but the one without randomness, at every percentile: within 10 % or 10 ms of what was published; and what we
/// take for published is what the figure's graphics have.
#[test]
fn the_papers_figure_is_simulated() {
    let store = tempfile::tempdir().expect("a folder");
    let ended = tune(store.path(), "--figure16 --sim --json");
    assert_eq!(ended.code, 0, "{}", ended.err);
    let found = json(&ended);
    let curves = found["figure16"].as_array().expect("curves");
    assert_eq!(curves.len(), 11);
    for curve in curves {
        let range = &curve["election_timeout_ms"];
        for point in curve["points"].as_array().expect("points") {
            let simulated = &point["simulated"];
            println!("{range} p{}: {} published, {simulated}", point["percentile"], point["published_ms"]);
            assert!(simulated["is_near"] == true || range[0] == range[1], "{range}: {point}");
        }
    }
    let Ok(published) = fs::read_to_string("../shared/data/fig16_cdf.csv") else {
        return eprintln!("skipped: the published curves are not here");
    };
    for curve in curves {
        let range = curve["election_timeout_ms"].as_array().expect("a range");
        let name = format!("{}-{}", range[0], range[1]).replace(".0", "");
        let panel = if curve["panel"] == "timeout" { "scale" } else { "randomness" };
        for point in curve["points"].as_array().expect("points") {
            let share = point["percentile"].as_f64().expect("a number") / 100.0;
            let near = published.lines().filter_map(|line| {
                let [found, timeout, share_text, ms] = line.split(',').collect::<Vec<_>>()[..] else {
                    return None;
                };
                let at: f64 = share_text.parse().ok()?;
                (found == panel && timeout == name && (at - share).abs() < 0.0101)
                    .then(|| ms.parse::<f64>().ok())?
            });
            let (low, high) = near.fold((f64::MAX, 0.0), |(low, high), ms| (ms.min(low), ms.max(high)));
            let ms = point["published_ms"].as_f64().expect("a number");
            // The table has whole milliseconds.
            assert!(
                low * 0.99 - 1.0 <= ms && ms <= high * 1.01 + 1.0,
                "{panel} {name} {share}: {ms}, {low} to {high}"
            );
        }
    }
}

/// What is simulated is what happens: the real distribution lies between the simulated one a little earlier and the simulated one a
/// little later, since a busy machine may be late, by what two-sample statistics allow (Kolmogorov and Smirnov, 1 %).
#[test]
fn real_elections_are_as_simulated_ones() {
    const TRIALS: usize = 40;
    let store = tempfile::tempdir().expect("a folder");
    let words = format!(
        "--candidates 300ms..600ms --heartbeat 60ms --rtt 4ms --failures kill,pause --trials {} --simulated-trials 8000 --steady 0s --seed 11 --json",
        TRIALS / 2
    );
    println!("seed 11");
    let ended = tune(store.path(), &words);
    if ended.code == 4
        && ["cannot run here", "cannot be done here"].iter().any(|words| ended.err.contains(words))
    {
        assert!(std::env::var_os("RAFTURE_REQUIRE_ALL").is_none(), "{}", ended.err);
        return eprintln!("skipped: {}", ended.err);
    }
    assert_eq!(ended.code, 0, "{}", ended.err);
    let folder = store.path().join("tunings/latest");
    let real = fs::read_to_string(folder.join("trials.jsonl")).expect("trials");
    let real = real.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let mut real: Vec<f64> = real.map(|trial| trial["heartbeat_ms"].as_f64().expect("heard")).collect();
    real.sort_by(f64::total_cmp);
    assert!(real.len() >= TRIALS * 9 / 10, "{}", real.len());
    let text = fs::File::open(folder.join("simulated.csv.gz")).expect("simulated trials");
    let mut simulated = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(text), &mut simulated).expect("text");
    let place =
        simulated.lines().next().expect("a header").split(',').position(|name| name == "new_leader_heard_ms");
    let place = place.expect("a column");
    let mut simulated: Vec<f64> = (simulated.lines().skip(1))
        .map(|line| line.split(',').nth(place).expect("a field").parse().expect("heard"))
        .collect();
    simulated.sort_by(f64::total_cmp);
    let share =
        |sorted: &[f64], ms: f64| sorted.partition_point(|&other| other <= ms) as f64 / sorted.len() as f64;
    let allowed = 1.63 / (real.len() as f64).sqrt();
    for &ms in &real {
        let (seen, sooner, later) =
            (share(&real, ms), share(&simulated, ms - 30.0), share(&simulated, ms + 5.0));
        assert!(
            sooner - allowed <= seen && seen <= later + allowed,
            "{ms}: {sooner} {seen} {later}; {real:?}"
        );
    }
}

/// Nodes die with a tuning that is killed, and what it has left goes when the next one starts.
#[test]
fn a_killed_tuning_leaves_nothing() {
    let store = tempfile::tempdir().expect("a folder");
    let mut command = rafture("tune --real --candidates 150ms..300ms --trials 1000 --store");
    let mut child =
        command.arg(store.path()).stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("a start");
    let place = store.path().display().to_string();
    let nodes = || {
        let processes = fs::read_dir("/proc").expect("processes").flatten();
        let lines = processes.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
        lines.filter(|line| line.contains("\0node\0") && line.contains(&place)).count()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while nodes() < 5 {
        if let Some(status) = child.try_wait().expect("a child") {
            assert!(std::env::var_os("RAFTURE_REQUIRE_ALL").is_none(), "{status}");
            return eprintln!("skipped: no cluster comes up here");
        }
        assert!(Instant::now() < deadline, "five nodes come up");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("a kill");
    child.wait().expect("its end");
    let deadline = Instant::now() + Duration::from_secs(10);
    while nodes() > 0 {
        assert!(Instant::now() < deadline, "nodes die with it");
        std::thread::sleep(Duration::from_millis(20));
    }
    // It is over in seconds, and seconds say little of what is rare: no promise is made of once a day.
    let words = "--real --candidates 150ms..300ms --trials 1 --failures kill --steady 1s";
    let ended = tune(store.path(), words);
    assert_eq!(ended.code, 254, "{}", ended.err);
    assert!(ended.err.contains("what was watched leaves room for more"), "{}", ended.err);
    let left = fs::read_dir(store.path().join("tunings")).expect("tunings").flatten();
    let names: Vec<String> = left.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(names.len(), 2, "the one that came to its end, and `latest`: {names:?}");
}
