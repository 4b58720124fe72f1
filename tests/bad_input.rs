//! Whatever is wrong with what was typed or given: one line that says what, where and what to try, and exit code 254.

mod command;

use std::fs;
use std::net::TcpListener;

use command::{end, rafture};

/// Expects exit code 254 and one line with these words in it.
fn refused(words: &str, expected: &[&str]) {
    let ended = end(&mut rafture(words));
    assert_eq!(ended.code, 254, "{words}: {}{}", ended.out, ended.err);
    assert_eq!(ended.err.trim_end().lines().count(), 1, "{words}: {}", ended.err);
    for word in expected {
        assert!(ended.err.contains(word), "{words}: `{word}` is not in: {}", ended.err);
    }
    assert_eq!(ended.out, "", "{words}: errors are no results");
}

#[test]
fn runs_that_cannot_be() {
    refused("run --system mongo", &["unknown system `mongo`", "hint: one of rafture"]);
    refused("run --system etcd --option read=fast", &["cannot be `fast`", "linearizable, serializable"]);
    refused("run --option read=fast", &["`rafture` has no option `read`"]);
    refused("run --system etcd --network proxy", &["`etcd` cannot be tested with", "hint: --network netns"]);
    refused("run --workload bank", &["unknown workload `bank`", "register, cas-register"]);
    refused("run --faults meteor", &["unknown fault `meteor`", "kill, pause, partition"]);
    refused("run --faults partition:star", &["unknown shape `star`", "isolate"]);
    refused("run --faults kill@n9 --nodes 5", &["`kill@n9` is not possible with 5 nodes"]);
    refused("run --network carrier-pigeon", &["unknown network", "auto, netns, proxy"]);
    refused("run --defect typo", &["unknown defect `typo`", "read-local"]);
    refused("run --time-limit 1s", &["do not fit into 1s", "hint: at least 1.5s"]);
    refused("run --store /proc/nowhere", &["cannot write the store `/proc/nowhere`"]);
    refused("run --name ../up", &["../up"]);
}

#[test]
fn campaigns_that_cannot_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("night.toml");
    let file = path.display().to_string();
    let check = |text: &str, expected: &[&str]| {
        fs::write(&path, text).expect("a file");
        let store = folder.path().join("runs");
        refused(&format!("campaign {file} --store {}", store.display()), expected);
        assert!(!store.exists(), "it is said before there is a run");
    };
    let named = |rest: &str| format!("rafture: {file}:{rest}");
    check("", &[&named("1:1: a campaign needs a name")]);
    check("name = \"../up\"", &[&named("1:8: `../up` cannot name a run")]);
    check(
        "name = \"n\"\ntime = \"8h\"",
        &[&named("2:1: unknown key `time`"), "hint: one of name, time-budget"],
    );
    check("name = \"n\"\n[matrix]\nfualts = [\"kill\"]", &[&named("3:1: unknown key `fualts`"), "interval"]);
    check("name = \"n\"\n[matrix]\nfaults = \"kill\"", &[&named("3:10: `faults` in [matrix] is a list")]);
    check("name = \"n\"\n[matrix]\nfaults = []", &[&named("3:10: this list is empty")]);
    check("name = \"n\"\n[matrix]\nseeds = 0", &[&named("3:9: this is to be at least 1")]);
    check("name = \"n\"\n[run]\nseed = 3", &[&named("3:1: `seed` is not chosen here")]);
    check("name = \"n\"\n[run]\ntime-limit = \"6 parsecs\"", &[&named("3:14: "), "no duration"]);
    check("name = \"n\"\n[run]\nfaults = \"meteor\"", &[&named("3:10: unknown fault `meteor`")]);
    check(
        "name = \"n\"\n[matrix]\nnodes = [3, 99]",
        &[&named("3:13: 99 nodes are not possible"), "nodes = 99"],
    );
    check(
        "name = \"n\"\n[matrix]\nsystem = [\"rafture\", \"etcd\"]\nfaults = [\"kill\", \"snapshot\"]",
        &[
            &named("3:22: `etcd` cannot be asked for `snapshot`"),
            "in the combination system = etcd, faults = snapshot",
        ],
    );
    check(
        "name = \"n\"\n[run]\nfaults = \"kill\"\n[matrix]\nfaults = [\"pause\"]",
        &[&named("3:10: `faults` stands in [matrix]")],
    );
    check("name = \"n\"\n[canary]\ndefect = \"typo\"", &[&named("2:1: unknown defect `typo`")]);
    check("name = \"n\"\n[retention]\npassed = \"some\"", &[&named("3:10: `some` cannot be kept")]);
    check("name = \"n\"\n[matrix\n", &[&named("2:8: ")]);
    fs::write(&path, "name = \"n\"").expect("a file");
    refused(&format!("campaign {file} --shard 3/2"), &["`3/2` is no shard", "1/4"]);
    refused(&format!("campaign {file} --jobs 0"), &["0 clusters at once are not possible"]);
    refused(&format!("campaign {file} --label commit"), &["`commit` is no label"]);
    refused("campaign /nowhere.toml", &["cannot read `/nowhere.toml`"]);
    refused("campaign merge /nowhere --store /tmp/unused", &["`/nowhere` is no store"]);
}

#[test]
fn schedules_that_cannot_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("night.toml");
    let file = path.display().to_string();
    let check = |text: &str, expected: &[&str]| {
        fs::write(&path, text).expect("a file");
        let store = folder.path().join("runs").display().to_string();
        refused(&format!("run --store {store} --schedule {file}"), expected);
        assert!(!folder.path().join("runs").exists(), "it is said before there is a run");
    };
    let named = |rest: &str| format!("rafture: {file}:{rest}");
    check(
        "[[fault]]\nfault = \"meteor\"\nfor = \"1s\"\n",
        &[&named("2:10: unknown fault `meteor`"), "kill, pause"],
    );
    check("[[fault]]\nfault = \"kill@n6\"\nfor = \"1s\"\n", &[&named("2:10: `kill@n6` is not possible")]);
    check(
        "[[phase]]\nlasts = \"1s\"\nfualts = \"kill\"",
        &[&named("3:1: unknown key `fualts`"), "hint: one of"],
    );
    check("[[phase]\n", &[&named("1:9: ")]);
    refused(&format!("run --schedule {file} --faults kill"), &["`--schedule` and `--faults`", "hint: "]);
    refused("run --schedule /nowhere.toml", &["cannot read the schedule `/nowhere.toml`", "hint: "]);
}

#[test]
fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().display();
    let words = format!(
        "node --id n1 --client {address} --peer 127.0.0.1:0 --data {data} --members n1=127.0.0.1:1/{address}"
    );
    refused(&words, &["cannot listen on", "hint: is the port in use?"]);
}

#[test]
fn histories_that_cannot_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.jsonl");
    let file = path.display().to_string();
    let line = |index: u64, kind: &str| {
        format!(r#"{{"index":{index},"time":{index},"process":3,"type":"{kind}","f":"read","value":null}}"#)
    };
    let check = |text: String, expected: &str| {
        fs::write(&path, text).expect("a file");
        refused(&format!("check {file}"), &[&format!("{file}:{expected}")]);
    };
    check(line(0, "ok") + "\n", "1:1: process 3 completes an operation that it never invoked");
    check(
        [line(0, "invoke"), line(1, "ok"), line(2, "ok")].join("\n"),
        "3:1: process 3 completes its operation twice",
    );
    check(format!("{}\n{{\"index\" 1}}\n", line(0, "invoke")), "2:10: expected `:`");
    check("PK\u{3}\u{4}".into(), "1:1: ");
    check(String::new(), "1:1: no event");
    check("\u{89}PNG\r\n".into(), "1:1: no history in a format that is known");
    check([line(1, "invoke"), line(0, "ok")].join("\n"), "2:1: the index runs backwards, from 1 to 0");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, (line(0, "invoke") + "\n").repeat(100).as_bytes()).expect("room");
    let packed = packed.finish().expect("room");
    fs::write(&path, &packed[..packed.len() / 2]).expect("a file");
    refused(&format!("check {file}"), &[&file]);
    refused("check /dev/zero", &["/dev/zero:1:1: no history in a format that is known"]);
    refused(&format!("check {}", folder.path().display()), &["is a folder without `operations.json`"]);
    refused("check /nowhere/history.jsonl", &["cannot read `/nowhere/history.jsonl`"]);
    refused("report /nowhere", &["/nowhere"]);
    refused(&format!("check --model chair {file}"), &["unknown model `chair`", "register, cas-register"]);
    refused(&format!("check --format pdf {file}"), &["unknown format `pdf`", "jsonl, edn"]);
    refused(&format!("check --initial x {file}"), &["`--initial` is no JSON"]);
    refused(&format!("check --witness w {file} {file}"), &["one history at a time"]);
}

#[test]
fn a_cut_last_line_is_left_out_with_a_notice() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.jsonl");
    let line = r#"{"index":0,"time":0,"process":3,"type":"invoke","f":"read","value":null}"#;
    fs::write(&path, format!("{line}\n{}", &line[..30])).expect("a file");
    let ended = end(rafture("check").arg(&path));
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("line 2 is cut off and was left out"), "{}", ended.err);
}

#[test]
fn help_names_the_exit_codes_and_wrong_flags_are_254() {
    let help = end(&mut rafture("--help"));
    assert!(help.code == 0 && help.out.contains("vacuous"), "{}", help.out);
    assert_eq!(end(&mut rafture("run --no-such-flag")).code, 254);
    assert_eq!(end(&mut rafture("")).code, 254);
}
