//! Recorded histories of real systems, with the verdicts that are known of them.
//!
//! They lie beside the project, in `../shared/data`; where that is missing, there is nothing to test and each test says so.

use std::fs;
use std::path::{Path, PathBuf};

use rafture_checker::check::{Limits, Outcome, Question, check};
use rafture_checker::consistency::Consistency;
use rafture_checker::history::{Datum, Format, Reader, Recorded};
use rafture_checker::models::ModelKind;
use rafture_checker::verdict::Verdict;
use rafture_checker::witness::verify;
use serde_json::Value;

fn folder(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    let is_there = path.is_dir();
    if !is_there {
        println!("skipped: {} is not there", path.display());
    }
    is_there.then_some(path)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(file: &Path) -> Recorded {
    let text = fs::read(file).expect("a file");
    let mut reader = Reader::new(None);
    // In small pieces, as a slow disk would give them.
    for piece in text.chunks(1000) {
        reader.feed(piece).unwrap_or_else(|error| panic!("{}:{error}", file.display()));
    }
    reader.finish().unwrap_or_else(|error| panic!("{}:{error}", file.display()))
}

fn judged(file: &Path) -> Outcome {
    let Recorded { history, .. } = read(file);
    let model = ModelKind::of(&history).unwrap_or(ModelKind::CasRegister);
    let judge = |initial| {
        check(&history, &Question { initial, ..Question::strongest(model) }, &Limits::NONE)
            .unwrap_or_else(|error| panic!("{}: line {:?}: {error}", file.display(), error.line))
    };
    let outcome = judge(Datum::NULL);
    // Where nobody says what registers hold at first, it is nil or 0.
    match outcome.verdict {
        Verdict::Invalid => judge(Datum::integer(0).expect("a small one")),
        _ => outcome,
    }
}

fn assert_verdict(file: &Path, is_valid: bool) {
    let outcome = judged(file);
    let expected = if is_valid { Verdict::Valid } else { Verdict::Invalid };
    assert_eq!(outcome.verdict, expected, "{}: {outcome:#?}", file.display());
}

/// Rows of a table with a header: the first column, and whether the last says `Ok`.
fn table(file: &Path) -> Vec<(String, bool)> {
    let text = fs::read_to_string(file).expect("a table");
    let row = |line: &str| {
        let name = line.split(',').next().expect("a first column").to_owned();
        (name, line.ends_with(",Ok"))
    };
    text.lines().skip(1).map(row).collect()
}

#[test]
fn registers_of_etcd_as_porcupine_judges_them() {
    let Some(folder) = folder("porcupine") else { return };
    let mut seen = 0;
    for (name, is_valid) in table(&folder.join("etcd-verdicts.csv")) {
        let file = folder.join("jepsen").join(name);
        if file.exists() {
            assert_verdict(&file, is_valid);
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen} logs");
}

#[test]
fn key_value_maps_of_porcupine() {
    let Some(folder) = folder("porcupine/kv") else { return };
    for file in files(&folder) {
        let name = file.display().to_string();
        assert_verdict(&file, name.contains("-ok"));
    }
}

#[test]
fn histories_of_knossos() {
    let Some(folder) = folder("knossos") else { return };
    for file in files(&folder) {
        assert_verdict(&file, file.components().any(|part| part.as_os_str() == "good"));
    }
}

#[test]
fn queues_and_stacks_of_limo() {
    let Some(folder) = folder("limo") else { return };
    for (name, is_valid) in table(&folder.join("verdicts.csv")) {
        let file = folder.join(name);
        if file.exists() {
            assert_verdict(&file, is_valid);
        }
    }
}

#[test]
fn histories_of_the_command_of_elle() {
    let Some(folder) = folder("elle-cli") else { return };
    let valid = ["bank.edn", "bank-neg.edn", "counter.edn", "set.edn", "rw-register.edn", "rw-register.json"];
    let invalid = ["long-fork.edn", "paper-example.edn", "paper-example.json"];
    let mut seen = 0;
    for file in files(&folder) {
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
        let is_valid = valid.contains(&name);
        assert!(is_valid || invalid.contains(&name), "{name} is not known");
        assert_verdict(&file, is_valid);
        seen += 1;
    }
    assert_eq!(seen, valid.len() + invalid.len());
}

/// What each breaks, and what it keeps as far as anybody can tell.
#[test]
fn transactions_of_elle() {
    let Some(folder) = folder("elle") else { return };
    let anomalies = |name: &str| {
        let outcome = judged(&folder.join(name));
        assert_eq!(outcome.verdict, Verdict::Invalid, "{name}");
        let names: Vec<String> = outcome.anomalies.into_keys().collect();
        (names.join(", "), outcome.holds.expect("transactions have levels"))
    };
    // One after another, as it is recorded, it breaks real time too.
    let (names, holds) = anomalies("si-without-g-single.edn");
    assert_eq!((&*names, &*holds), ("G-single-realtime, G2-item", "strong-session-snapshot-isolation"));
    // It names no processes, so all is of one.
    let (names, holds) = anomalies("paper-example.edn");
    assert_eq!((&*names, &*holds), ("G-single-process, G2-item", "snapshot-isolation"));
    let (names, holds) = anomalies("huge-scc.edn");
    assert_eq!((&*names, &*holds), ("G-single-realtime", "strong-session-serializable"));
}

#[test]
fn transactions_of_awdit_keep_what_their_folder_says_and_no_more() {
    let Some(folder) = folder("awdit/tests") else { return };
    let levels = [Consistency::ReadCommitted, Consistency::ReadAtomic, Consistency::Causal];
    let mut seen = 0;
    for (level, kept) in levels.iter().zip(1..) {
        for file in files(&folder.join(level.to_string())) {
            let Recorded { history, format, .. } = read(&file);
            assert_eq!((format, ModelKind::of(&history)), (Format::Awdit, Some(ModelKind::RwRegister)));
            for (consistency, number) in levels.iter().zip(1..) {
                let initial = Datum::NULL;
                let question = Question { model: ModelKind::RwRegister, consistency: *consistency, initial };
                let outcome = check(&history, &question, &Limits::NONE).expect("the shape");
                let expected = if number <= kept { Verdict::Valid } else { Verdict::Invalid };
                assert_eq!(outcome.verdict, expected, "{}: {outcome:#?}", file.display());
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 11, "files");
}

/// All files of a report one behind the other, as the command feeds them; `spoil` may change a file before.
fn report(spoil: impl Fn(&Path, String) -> String) -> Option<Recorded> {
    let folder = folder("etcd-robustness")?;
    let mut reader = Reader::new(Some(Format::EtcdReport));
    for file in files(&folder) {
        reader.begin_file().expect("the file before is whole");
        let text = spoil(&file, fs::read_to_string(&file).expect("a file"));
        for piece in text.as_bytes().chunks(1000) {
            reader.feed(piece).unwrap_or_else(|error| panic!("{}:{error}", file.display()));
        }
    }
    Some(reader.finish().expect("a history"))
}

fn judged_report(recorded: &Recorded) -> Outcome {
    assert_eq!(ModelKind::of(&recorded.history), Some(ModelKind::Etcd));
    let limits = Limits { witness: true, ..Limits::NONE };
    check(&recorded.history, &Question::strongest(ModelKind::Etcd), &limits).expect("operations on an etcd")
}

#[test]
fn a_report_of_etcd_is_valid() {
    let Some(recorded) = report(|_, text| text) else { return };
    let outcome = judged_report(&recorded);
    assert_eq!(outcome.verdict, Verdict::Valid, "{outcome:#?}");
    let verified = verify(&recorded.history, (ModelKind::Etcd, &Value::Null), &outcome.witness);
    assert_eq!(verified, Ok(()));
}

/// Each plants one lie into what one client was told. The words stand only once in their file.
#[test]
fn lies_in_a_report_of_etcd_are_found() {
    let lies = [
        (
            "a changed value",
            "client-10/operations.json",
            r#""Value":"154","Hash":0},"ModRevision":139"#,
            r#""Value":"155","Hash":0},"ModRevision":139"#,
        ),
        (
            "a revision that goes back",
            "client-10/operations.json",
            r#""Revision":161,"Partial"#,
            r#""Revision":150,"Partial"#,
        ),
        (
            "a watch that is told another value",
            "client-1/watch.json",
            r#""Value":{"Value":"8","Hash":0},"Revision":4}"#,
            r#""Value":{"Value":"7","Hash":0},"Revision":4}"#,
        ),
        (
            "a watch that is told of a revision twice",
            "client-1/watch.json",
            r#""Hash":0},"Revision":46}],"IsProgressNotify":false,"Revision":46"#,
            r#""Hash":0},"Revision":45}],"IsProgressNotify":false,"Revision":45"#,
        ),
        ("a write that is lost", "client-4/operations.json", r#""Revision":551"#, r#""Revision":550"#),
        ("a write from nowhere", "client-4/operations.json", r#""Revision":551"#, r#""Revision":552"#),
    ];
    for (what, name, from, to) in lies {
        let spoil = |file: &Path, text: String| match file.ends_with(name) {
            true => {
                assert!(text.contains(from), "{what}: `{from}` is in {name}");
                text.replacen(from, to, 1)
            }
            false => text,
        };
        let Some(recorded) = report(spoil) else { return };
        assert_eq!(judged_report(&recorded).verdict, Verdict::Invalid, "{what}");
    }
}
