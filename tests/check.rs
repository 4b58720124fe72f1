//! `rafture check` and `rafture history` as a user types them.

mod command;

use std::fs;
use std::io::Write;
use std::path::Path;

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
        r#"{:f :write, :index 0, :key "x", :node "n1", :process 1, :time 10, :type :invoke, :value 1}"#
    );
    let jsonl = converted("jsonl", &edn);
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
    assert!(shown.out.contains("write") && shown.code == 0, "{}", shown.out);
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
