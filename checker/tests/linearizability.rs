//! Pairs of histories that differ by one operation, limits, and evidence.

mod generator;

use generator::{Shape, generated};
use rafture_checker::check::{Limits, Question, check};
use rafture_checker::history::{History, Reader};
use rafture_checker::models::ModelKind;
use rafture_checker::verdict::Verdict;

/// `process: f value` invokes, `process! outcome value` completes; one millisecond an event.
fn history(script: &str) -> History {
    keyed(script, |_| "x")
}

/// The same with a key for each process.
fn keyed(script: &str, key: fn(&str) -> &str) -> History {
    let mut asked = std::collections::BTreeMap::new();
    let mut lines = String::new();
    for (index, line) in script.split(';').map(str::trim).enumerate() {
        let mut words = line.splitn(3, ' ');
        let (process, kind) = (words.next().expect("a process"), words.next().expect("a word"));
        let value = words.next().unwrap_or("null");
        let (kind, f) = match kind {
            "ok" | "fail" | "info" => (kind, asked[process]),
            f => ("invoke", f),
        };
        asked.insert(process, f);
        let time = index * 1_000_000;
        lines += &format!(
            r#"{{"index":{index},"time":{time},"process":{process},"type":"{kind}","f":"{f}","key":"{}","value":{value}}}"#,
            key(process)
        );
        lines += "\n";
    }
    let mut reader = Reader::new(None);
    let read = reader.feed(lines.as_bytes()).and_then(|()| reader.finish());
    read.expect("a history").history
}

/// The verdict, with the anomaly if there is one.
fn judged(script: &str) -> String {
    let outcome = check(&history(script), &Question::strongest(ModelKind::CasRegister), &Limits::NONE)
        .expect("the shape");
    let anomaly = outcome.failure.map(|failure| {
        let culprits = failure.operations.iter().filter(|operation| operation.culprit);
        assert_eq!(culprits.count(), 1, "{failure:#?}");
        format!("{}: {}", failure.anomaly, failure.sentence)
    });
    anomaly.unwrap_or_else(|| outcome.verdict.to_string())
}

#[test]
fn pairs_that_differ_by_one_operation() {
    let cases = [
        ("0 write 1; 0 ok 1; 1 read; 1 ok 1", "valid"),
        (
            "0 write 1; 0 ok 1; 1 read; 1 ok null",
            "lost write: process 1 read x = null at 0.003 s, although process 0 wrote x = 1 at 0.001 s, which nobody ever saw",
        ),
        ("0 write 1; 1 read; 1 ok null; 0 ok 1", "valid"),
        (
            "0 write 1; 0 ok 1; 0 write 2; 0 ok 2; 2 read; 2 ok 2; 1 read; 1 ok 1",
            "stale read: process 1 read x = 1 at 0.007 s, although process 0 wrote x = 2 at 0.003 s and so had overwritten that value",
        ),
        ("0 write 1; 0 ok 1; 0 write 2; 2 read; 2 ok 2; 1 read; 1 ok 2; 0 ok 2", "valid"),
        (
            "0 write 1; 0 ok 1; 0 write 2; 2 read; 2 ok 2; 1 read; 1 ok 1; 0 ok 2",
            "stale read: process 1 read x = 1 at 0.006 s, although process 2 read x = 2 at 0.004 s: that value had already taken its place",
        ),
        ("0 write 4; 0 info; 1 read; 1 ok 4", "valid"),
        (
            "0 write 4; 0 fail; 1 read; 1 ok 4",
            "phantom read: process 1 read x = 4 at 0.003 s, although nobody ever wrote that value",
        ),
        (
            "1 read; 1 ok 4; 0 write 4; 0 ok",
            "future read: process 1 read x = 4 at 0.001 s, and only later did anybody write that value: process 0 wrote x = 4 at 0.003 s",
        ),
        ("0 write 1; 0 ok; 1 cas [1,2]; 2 cas [1,3]; 1 ok; 2 fail; 0 read; 0 ok 2", "valid"),
        (
            "0 write 1; 0 ok; 1 cas [1,2]; 2 cas [1,3]; 1 ok; 2 ok; 0 read; 0 ok 2",
            "lost update: process 2 changed x from 1 to 3 at 0.005 s, although process 1 changed x from 1 to 2 at 0.004 s had used up the same value",
        ),
        // An open call may take effect late, but only once.
        ("0 write 1; 1 write 2; 1 ok; 2 read; 2 ok 2; 2 read; 2 ok 1; 2 read; 2 ok 1", "valid"),
        (
            "0 write 1; 1 write 2; 1 ok; 2 read; 2 ok 1; 2 read; 2 ok 2; 2 read; 2 ok 1",
            "stale read: process 2 read x = 2 at 0.006 s, although process 2 read x = 1 at 0.004 s: that value had already taken its place",
        ),
    ];
    for (script, expected) in cases {
        assert_eq!(judged(script), expected, "{script}");
    }
}

#[test]
fn keys_are_independent_and_the_failing_one_is_named() {
    let script = "0 write 1; 0 ok; 1 read; 1 ok 1; 2 write 1; 2 ok; 3 read; 3 ok null";
    let all = keyed(script, |process| if process < "2" { "x" } else { "y" });
    for threads in [1, 2] {
        let limits = Limits { threads, ..Limits::NONE };
        let outcome = check(&all, &Question::strongest(ModelKind::Register), &limits).expect("the shape");
        assert_eq!((outcome.verdict, outcome.keys), (Verdict::Invalid, 2));
        assert_eq!(outcome.failure.and_then(|failure| failure.key), Some("y".into()));
    }
}

#[test]
fn another_shape_is_an_error() {
    let error = |script, model| {
        check(&history(script), &Question::strongest(model), &Limits::NONE).expect_err(script).to_string()
    };
    assert_eq!(error("0 cas 3; 0 ok", ModelKind::CasRegister), "`cas` takes a pair `[old, new]`, not `3`");
    assert_eq!(
        error("0 cas [1,2]; 0 ok", ModelKind::Register),
        "`cas` is no operation of the model `register` (hint: it has `read` and `write`; `cas` is in `cas-register`)"
    );
}

#[test]
fn limits_end_in_unknown_and_say_how_far_it_got_and_what_would_help() {
    let shape = Shape {
        model: ModelKind::CasRegister,
        clients: 10,
        operations: 20_000,
        values: 3,
        crashes: 0.0,
        keys: 1,
    };
    let history = generated(&shape, 1).history();
    for limits in [
        Limits { out_of_time: &|| true, ..Limits::NONE },
        Limits { memory_bytes: Some(1000), ..Limits::NONE },
    ] {
        let outcome =
            check(&history, &Question::strongest(ModelKind::CasRegister), &limits).expect("the shape");
        assert_eq!(outcome.verdict, Verdict::Unknown);
        let reason = outcome.reason.expect("a reason");
        assert!(reason.contains("limit was reached; "), "{reason}");
        assert!(reason.contains(" completed operations had been ordered (hint: "), "{reason}");
    }
}

#[test]
fn a_stale_read_in_a_long_history_is_shown_with_few_operations() {
    for (model, values) in
        [(ModelKind::Register, 0), (ModelKind::CasRegister, 0), (ModelKind::Register, 3000)]
    {
        let shape = Shape { model, clients: 5, operations: 5_000, values, crashes: 0.01, keys: 1 };
        let seed = 7;
        println!("{shape:?}, seed {seed}");
        let mut made = generated(&shape, seed);
        let verdict = |history: &History| {
            check(history, &Question::strongest(model), &Limits::NONE).expect("the shape")
        };
        assert_eq!(verdict(&made.history()).verdict, Verdict::Valid);
        assert!(made.make_stale(0.9), "there is a late read");
        let failure = verdict(&made.history()).failure.expect("it is stale");
        assert!(["stale read", "lost write"].contains(&&*failure.anomaly), "{failure:#?}");
        assert!(failure.operations.len() <= 6, "{failure:#?}");
    }
}
