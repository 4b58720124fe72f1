//! `rafture check` and `rafture history` as a user types them.

mod command;

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;

use command::{Ended, end, rafture};

const VALID: &str = r#"{"index":0,"time":10,"process":1,"type":"invoke","f":"write","key":"x","value":1,"node":"n1"}
{"index":1,"time":20,"process":2,"type":"invoke","f":"read","key":"x","value":null}
{"index":2,"time":30,"process":2,"type":"ok","f":"read","key":"x","value":1,"node":"n2"}
{"index":3,"time":35,"process":"nemesis","type":"info","f":"kill","value":{"target":"leader"}}
{"index":4,"time":40,"process":1,"type":"info","f":"write","key":"x","value":1}
"#;

fn with(words: &str, files: &[&Path]) -> Ended {
    end(rafture(words).args(files))
}

#[test]
fn a_history_is_the_same_in_every_format_and_packing() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = folder.path().join("plain");
    fs::write(&plain, VALID).expect("a file");
    let converted = |to: &str, from: &Path| {
        let ended = with(&format!("history convert --to {to}"), &[from]);
        assert_eq!(ended.code, 0, "{}", ended.err);
        let path = folder.path().join(to);
        fs::write(&path, ended.out).expect("a file");
        path
    };
    let edn = converted("edn", &plain);
    let first = fs::read_to_string(&edn).expect("text").lines().next().expect("a line").to_owned();
    assert_eq!(
        first,
        r#"{:index 0, :time 10, :type :invoke, :process 1, :f :write, :value 1, :key "x", :node "n1"}"#
    );
    let jsonl = converted("jsonl", &edn);
    assert_eq!(
        fs::read_to_string(&jsonl).expect("text"),
        VALID,
        "nothing is lost on the way, and nothing is added"
    );
    let packed = folder.path().join("packed.gz");
    let mut encoder = flate2::write::GzEncoder::new(
        fs::File::create(&packed).expect("a file"),
        flate2::Compression::fast(),
    );
    encoder.write_all(VALID.as_bytes()).expect("room");
    encoder.finish().expect("room");
    for file in [&plain, &edn, &jsonl, &packed] {
        let ended = with("check --json", &[file]);
        assert_eq!(ended.code, 0, "{}: {}", file.display(), ended.err);
        let outcome: serde_json::Value = serde_json::from_str(&ended.out).expect("an object");
        assert_eq!((&outcome["operations"], &outcome["model"]), (&2.into(), &"register".into()), "{outcome}");
    }
    let shown = with("history show", &[&packed]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    for line in [
        "format     jsonl",
        "model      register",
        "events     5, 1 of the nemesis",
        "keys       1",
        "processes  2",
    ] {
        assert!(shown.out.contains(line), "`{line}` is not in {}", shown.out);
    }
}

const TWO_KEYS: &str = r#"{"index":0,"time":10,"process":1,"type":"invoke","f":"write","key":"x","value":1}
{"index":1,"time":20,"process":1,"type":"ok","f":"write","key":"x","value":1}
{"index":2,"time":30,"process":2,"type":"invoke","f":"read","key":"y","value":null}
{"index":3,"time":35,"process":"nemesis","type":"info","f":"kill","value":null}
{"index":4,"time":2000000000,"process":1,"type":"invoke","f":"read","key":"x","value":null}
{"index":5,"time":2000000010,"process":2,"type":"ok","f":"read","key":"y","value":null}
{"index":6,"time":2000000020,"process":1,"type":"ok","f":"read","key":"x","value":1}
"#;

#[test]
fn a_part_of_a_history_is_a_history() {
    let folder = tempfile::tempdir().expect("a folder");
    let (whole, part) = (folder.path().join("whole"), folder.path().join("part"));
    fs::write(&whole, TWO_KEYS).expect("a file");
    // What remains, as places in the whole, and the verdict on it.
    let cases = [
        ("--key x", &[0, 1, 3, 4, 6][..], 0),
        ("--key y --until 1s", &[2, 3], 0),
        ("--until 1s", &[0, 1, 2, 3], 0),
        ("-n 2", &[0, 1, 2, 3], 0),
        ("--key x --operations 1", &[0, 1, 3], 0),
        ("--from 1s", &[2, 3, 4, 5, 6], 1),
        ("--process 2", &[2, 3, 5], 0),
    ];
    for (words, places, code) in cases {
        let words = format!("history cut {words} --output {}", part.display());
        let ended = with(&words, &[&whole]);
        assert_eq!((ended.code, &*ended.out), (0, ""), "{words}: {}", ended.err);
        let is_warned = words.contains("--from") || words.contains("--process");
        assert_eq!(ended.err.contains("says nothing of the whole"), is_warned, "{words}: {}", ended.err);
        let lines: Vec<&str> = TWO_KEYS.lines().collect();
        let expected = places.iter().zip(0..).map(|(&place, index): (&usize, usize)| {
            lines[place].replace(&format!("\"index\":{place},"), &format!("\"index\":{index},")) + "\n"
        });
        assert_eq!(fs::read_to_string(&part).expect("text"), expected.collect::<String>(), "{words}");
        assert_eq!(with("check", &[&part]).code, code, "{words}");
    }
    for (words, expected) in [("--key z", "no key `z`"), ("--process 9", "no process 9")] {
        let ended = with(&format!("history cut {words}"), &[&whole]);
        assert!(ended.code == 254 && ended.err.contains(expected), "{words}: {}", ended.err);
    }
}

const REPORT: [(&str, &str); 3] = [
    (
        "client-1/operations.json",
        r#"{"ClientId":1,"Input":{"Type":"txn","Txn":{"OperationsOnSuccess":[{"Type":"put-operation","Put":{"Key":"a","Value":{"Value":"1"}}}]}},"Call":5,"Output":{"Txn":{"Results":[{}]},"Revision":2},"Return":9}"#,
    ),
    (
        "client-2/operations.json",
        r#"{"ClientId":2,"Input":{"Type":"range","Range":{"Start":"a"}},"Call":10,"Output":{"Range":{"KVs":[{"Key":"a","Value":{"Value":"1"},"ModRevision":2}],"Count":1},"Revision":2},"Return":11}"#,
    ),
    (
        "client-2/watch.json",
        r#"{"Request":{"Key":"a","Revision":1,"WithPrefix":true},"Responses":[{"Events":[{"Type":"put-operation","Key":"a","Value":{"Value":"1"},"Revision":2}],"Revision":2,"Time":14}]}"#,
    ),
];

#[test]
fn a_report_of_etcd_is_a_folder_or_any_part_of_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |lie: (&str, &str)| {
        for (name, text) in REPORT {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text.replace(lie.0, lie.1)).expect("a file");
        }
    };
    write(("", ""));
    let part = folder.path().join(REPORT[1].0);
    for file in [folder.path(), &part] {
        let ended = with("check --json", &[file]);
        let outcome: serde_json::Value = serde_json::from_str(&ended.out).expect("an object");
        assert_eq!((ended.code, &outcome["model"]), (0, &"etcd".into()), "{}{}", ended.out, ended.err);
        assert_eq!((&outcome["operations"], &outcome["format"]), (&3.into(), &"etcd-report".into()));
    }
    // Converted, it is still the same operations on the same model.
    let converted = folder.path().join("converted");
    assert_eq!(with(&format!("history convert --output {}", converted.display()), &[folder.path()]).code, 0);
    assert_eq!(with("check", &[&converted]).code, 0);
    write((r#""Value":"1"},"Mod"#, r#""Value":"2"},"Mod"#));
    assert_eq!(with("check", &[folder.path()]).code, 1, "a range found another value");
    write((r#""Value":"1"},"Revision""#, r#""Value":"2"},"Revision""#));
    assert_eq!(with("check", &[folder.path()]).code, 1, "a watch was told another value");
    write(("\"Return\":11}", "\"Return\":11"));
    let ended = with("check", &[folder.path()]);
    assert!(
        ended.code == 254 && ended.err.contains("client-2/operations.json:1:1: the file ends within"),
        "{}",
        ended.err
    );
}

/// 300,000 operations that nobody completed, packed, so that they are large only in memory.
fn large(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("large.gz");
    let file = fs::File::create(&path).expect("a file");
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    for number in 0..300_000 {
        let (process, value) = (number % 100 + 1000 * (number / 100), number);
        writeln!(encoder, r#"{{"index":{number},"time":{number},"process":{process},"type":"invoke","f":"write","value":{value}}}"#)
            .expect("room");
    }
    encoder.finish().expect("room");
    path
}

#[test]
fn more_than_the_memory_limit_is_unknown() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = large(folder.path());
    let ended = with("check --memory-limit 5", &[&path]);
    assert_eq!(ended.code, 2, "{}{}", ended.out, ended.err);
    for words in [
        "the memory limit was reached while reading; ",
        "GB of text had been read",
        "hint: a higher `--memory-limit`",
    ] {
        assert!(ended.out.contains(words), "`{words}` is not in {}", ended.out);
    }
    let ended = with("check --json --memory-limit 5", &[&path]);
    let outcome: serde_json::Value = serde_json::from_str(&ended.out).expect("an object");
    assert_eq!(outcome["verdict"], "unknown", "{outcome}");
    assert!(outcome["operations"].as_u64().is_some_and(|count| count > 1000 && count < 300_000), "{outcome}");
}

/// Additions that crashed, and a read that none of their orders explains.
#[test]
fn a_limit_of_the_search_is_unknown_with_what_would_help() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.jsonl");
    let mut text = String::new();
    let mut line = |process: usize, kind: &str, f: &str, value: serde_json::Value| {
        let index = text.lines().count();
        text += &format!(
            "{{\"index\":{index},\"time\":{index},\"process\":{process},\"type\":\"{kind}\",\"f\":\"{f}\",\"value\":{value}}}\n"
        );
    };
    // Each of them happened or not, so there are 2^30 sums, and none is what was read.
    for process in 0..30 {
        line(process, "invoke", "add", serde_json::json!(1 << process));
    }
    line(100, "invoke", "read", serde_json::Value::Null);
    line(100, "ok", "read", serde_json::json!(1u64 << 40));
    fs::write(&path, &text).expect("a file");
    for (words, reason) in [
        (
            "--time-limit 300ms",
            "the time limit was reached; 0 of 1 completed operations had been ordered (hint: a higher `--time-limit`",
        ),
        (
            "--memory-limit 20 --time-limit 60s",
            "the memory limit was reached; 0 of 1 completed operations had been ordered (hint: a higher `--memory-limit`",
        ),
    ] {
        let start = std::time::Instant::now();
        let ended = with(&format!("check --model counter {words}"), &[&path]);
        assert_eq!(ended.code, 2, "{words}: {}{}", ended.out, ended.err);
        assert!(ended.out.contains(reason), "{words}: {}", ended.out);
        assert!(start.elapsed().as_secs() < 30, "{words}: {:?}", start.elapsed());
    }
}

#[test]
fn a_witness_is_accepted_and_a_wrong_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (history, witness) = (folder.path().join("history"), folder.path().join("witness"));
    fs::write(&history, VALID).expect("a file");
    let words = format!("check --witness {}", witness.display());
    assert_eq!(with(&words, &[&history]).code, 0);
    let text = fs::read_to_string(&witness).expect("a witness");
    assert_eq!(text, "{\"model\":\"register\",\"initial\":null}\n{\"key\":\"x\",\"order\":[0,1]}\n");
    let verify = || with("history verify", &[&history, &witness]);
    let ended = verify();
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    fs::write(&witness, text.replace("[0,1]", "[1,0]")).expect("a file");
    let ended = verify();
    assert_eq!(ended.code, 2, "{}", ended.out);
    assert!(ended.out.contains("operation 1 (read) cannot have had its result there"), "{}", ended.out);
    fs::write(&witness, text.replace("[0,1]", "[0,7]")).expect("a file");
    let ended = verify();
    assert_eq!(ended.code, 254, "{}", ended.out);
    assert!(ended.err.contains("witness:2:1: event 7 of the history invokes nothing"), "{}", ended.err);
}

#[test]
fn the_model_is_found_by_the_names_of_operations() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.edn");
    let check = |text: &str| {
        fs::write(&path, text).expect("a file");
        with("check --json", &[&path])
    };
    let queue = "{:process 0 :type :invoke :f :enqueue :value 1}\n{:process 0 :type :ok :f :enqueue :value 1}\n\
                 {:process 0 :type :invoke :f :dequeue}\n{:process 0 :type :ok :f :dequeue :value 2}\n";
    let ended = check(queue);
    assert!(ended.code == 1 && ended.out.contains(r#""model":"queue""#), "{}{}", ended.out, ended.err);
    let ended = check("{:process 0 :type :invoke :f :fly}");
    assert_eq!(ended.code, 254);
    assert!(
        ended.err.contains("no model has the operations `fly` (hint: `--model` names them)"),
        "{}",
        ended.err
    );
    let ended = check("{:process 0 :type :invoke :f :read}\n{:process 0 :type :ok :f :read :value 0}\n");
    assert_eq!(ended.code, 0, "a register of Knossos may hold 0 at first: {}", ended.out);
    let ended = check("{:process 0 :type :invoke :f :read}\n{:process 0, :type \n");
    assert!(
        ended.code == 0 && ended.err.contains("line 2: the file ends within the history"),
        "{}",
        ended.err
    );
    let ended = check("{:process 0 :type :invoke :f :read}\n  {:process 0, :type :maybe}\n");
    assert!(ended.code == 254 && ended.err.contains(":2:3: `type` is none of"), "{}", ended.err);
}

#[test]
fn whoever_stops_reading_ends_the_command_quietly() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("history.jsonl");
    // Much more than fits into a pipe.
    let invoke = |number: u64| {
        let process = 10 + number;
        format!(
            r#"{{"index":{number},"time":10,"process":{process},"type":"invoke","f":"read","value":null}}"#
        )
    };
    let lines: Vec<String> = (0..20_000).map(invoke).collect();
    fs::write(&file, lines.join("\n")).expect("a file");
    let mut command = rafture("history convert");
    let mut child =
        command.arg(&file).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a command");
    drop(child.stdout.take());
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert_eq!(ended.status.signal(), Some(13));
}
