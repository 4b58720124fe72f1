//! Histories from anywhere: every reader understands what it is given or refuses it in one line, and nothing more.
//!
//! `FUZZ=10000000 cargo test --release -p rafture-checker --test readers` tries so many inputs, all readers together; `SEED=17`
//! begins elsewhere. Inputs are valid ones with bytes changed, cut, doubled, replaced, lines swapped, and words of other places put in.
//! Whatever comes out of that must be the same in whichever pieces it came; and what is accepted is written in both formats,
//! read again, and must be what it was.

use rafture_checker::ParseError;
use rafture_checker::history::{Format, Reader, Recorded};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const JSONL: &str = r#"{"index":0,"time":10,"process":1,"type":"invoke","f":"write","key":"x","value":1,"node":"n1"}
{"index":1,"time":20,"process":2,"type":"invoke","f":"read","key":"x","value":null}
{"index":2,"time":30,"process":2,"type":"ok","f":"read","key":"x","value":1,"node":"n2"}
{"index":3,"time":35,"process":"nemesis","type":"info","f":"kill","value":{"target":"leader","n":[1,-2.5e3]}}
{"index":4,"time":40,"process":1,"type":"info","f":"write","key":"x","value":1,"error":"timeout \"é\" 😀","more":{"a":[true]}}
{"index":9,"time":45,"process":7,"type":"invoke","f":"txn","value":[["append","k",1],["r",3,null]]}
{"index":10,"time":46,"process":7,"type":"ok","f":"txn","value":[["append","k",1],["r",3,[18446744073709551615]]]}
"#;

const EDN: &str = r#"; a comment
{:type :invoke, :f :cas, :value [1 2], :process 0, :time 5, :index 0}
#jepsen.history.Op{:process 0, :type :ok, :f :cas, :value [1 2], :time 7, :index 1, :error nil}
{:type :info, :process :nemesis, :f :start-partition, :value #{"n1" "n2"}, :time 8}
{:type :invoke, :f :txn, :value [[:r 1 nil] [:append 2 3N]], :process 3 :time 9 #_ignored}
{:type :fail, :f :txn, :value [[:r 1 nil] [:append 2 3N]], :process 3 :time 10, :error [:conflict "\u0041\n"], :node "n1"}
{:type :invoke :f :read :process 4 :value nil}
{:type :ok :f :read :process 4 :value (1 2.5 1/2 {:a {"b" \c}})}
"#;

const TUPLES: &str = "[{:type :invoke, :f :read, :value [x nil], :process 0}
{:type :invoke, :f :write, :value [y 3], :process 1}
{:type :ok, :f :read, :value [x 4], :process 0} {:type :info :process 1 :f :write :value [y 3] :error :timeout}]";

const ARRAY: &str = r#"[{"type":"invoke","f":"read","value":null,"process":0,"time":1,"index":0},
 {"type":"ok","f":"read","value":[1,"a\u00e9"],"process":0,"time":2,"index":1,"extra":null}]
"#;

const LOG: &str = "INFO  jepsen.util - 3\t:invoke\t:write\t4
noise
INFO  jepsen.util - 3\t:ok\t:write\t4
INFO  jepsen.util - :nemesis\t:info\t:start\t\"cut\"
5 :invoke :cas [1 2]
5 :fail :cas [1 2] :timed-out
";

const KV: &str = r#"{:process 0, :type :invoke, :f :put, :key "1", :value "x"}
{:process 1, :type :invoke, :f :get, :key "1", :value nil}
{:process 0, :type :ok, :f :put, :key "1", :value "x"}
{:process 1, :type :ok, :f :get, :key "1", :value "x"}
"#;

const COLLECTION: &str = "# @object atomic-queue
[1] call enq(4)
[2] call deq()
[1] return
[2] return [4]
[3] call deq
[3] return empty # a comment
";

const REPORT: &str = r#"{"ClientId":1,"Input":{"Type":"txn","Txn":{"Conditions":[{"Key":"a","ExpectedRevision":0}],"OperationsOnSuccess":[{"Type":"put-operation","Put":{"Key":"a","Value":{"Value":"1","Hash":0},"LeaseID":0}}],"OperationsOnFailure":null}},"Call":5,"Output":{"Txn":{"Failure":false,"Results":[{"KVs":null,"Count":0,"Deleted":0}]},"Revision":2,"Error":""},"Return":9}
{"ClientId":2,"Input":{"Type":"range","Range":{"Start":"a","End":"b","Limit":3,"Revision":0}},"Call":6,
 "Output":{"Range":{"KVs":[{"Key":"a","Value":{"Value":"","Hash":77},"ModRevision":2}],"Count":1},"Revision":2},"Return":11}
{"ClientId":2,"Input":{"Type":"leaseGrant","LeaseGrant":{"LeaseID":4}},"Call":12,"Output":{"Revision":0,"Error":"timeout"},"Return":13}
{"Request":{"Key":"a","Revision":1,"WithPrefix":true},"Responses":[{"Events":[{"Type":"delete-operation","Key":"a","Value":{},"Revision":2}],"IsProgressNotify":false,"Revision":2,"Time":14},{"IsProgressNotify":true,"Revision":3,"Time":15}]}
"#;

const SEEDS: [(Option<Format>, &str); 9] = [
    (None, JSONL),
    (Some(Format::Jsonl), JSONL),
    (None, EDN),
    (None, TUPLES),
    (None, ARRAY),
    (None, LOG),
    (None, KV),
    (None, COLLECTION),
    (None, REPORT),
];

/// What makes parsers stumble.
const WORDS: [&str; 40] = [
    "\"",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "#{",
    "#_",
    ";",
    ":",
    ",",
    "\\u",
    "\\ud800",
    "\u{feff}",
    "\0",
    "\r\n",
    "\n",
    "nil",
    "null",
    "-0",
    "1e999",
    "99999999999999999999999",
    "0.1",
    "-1",
    "18446744073709551615",
    ":invoke",
    "\"ok\"",
    "\"info\"",
    "\"process\":",
    ":process",
    "\"time\":0,",
    ":index 0",
    "call",
    "return",
    "jepsen.util - ",
    "\"value\":",
    "{\"ClientId\":1,",
    "[[[[[[[[[[[[[[[[",
    "\t",
];

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn readers_understand_or_refuse() {
    let (inputs, seed) = (number("FUZZ", 60_000), number("SEED", 20_261_125));
    println!("SEED={seed} FUZZ={inputs}");
    let threads = 2;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut random = ChaCha8Rng::seed_from_u64(seed + thread);
                let mut accepted = [0u64; SEEDS.len()];
                for input in 0..inputs / threads {
                    let which = (input % SEEDS.len() as u64) as usize;
                    let (format, text) = SEEDS[which];
                    let mut text = text.as_bytes().to_vec();
                    spoil(&mut text, &mut random);
                    accepted[which] += u64::from(try_input(format, &text, &mut random));
                }
                // A test in which nothing is ever accepted, or everything, would prove nothing.
                let each = inputs / threads / SEEDS.len() as u64;
                for (accepted, (_, seed)) in accepted.iter().zip(SEEDS) {
                    assert!((each / 100..each).contains(accepted), "{accepted} of {each}: {seed}");
                }
            });
        }
    });
}

fn read(
    format: Option<Format>,
    text: &[u8],
    mut next: impl FnMut(usize) -> usize,
) -> Result<Recorded, ParseError> {
    let mut reader = Reader::with_tape(format);
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(next(rest.len()));
        reader.feed(piece)?;
        rest = behind;
    }
    reader.finish()
}

/// A number that is too long for JSON is a text there, and the same text as a key.
#[test]
fn long_numbers_are_written_as_they_are_read_again() {
    let edn = b"{:type :invoke :f :read :process 4 :value nil}\n{:type :ok :f :read :process 4 :value {99999999999999999999999 1}}\n";
    let recorded = read(Some(Format::Edn), edn, |left| left).expect("a history");
    let text = written(&recorded, true);
    let again = read(Some(Format::Edn), text.as_bytes(), |left| left).expect("what was written");
    assert_eq!(written(&again, false), written(&recorded, false), "{text}");
    assert!(written(&recorded, false).contains(r#"{"99999999999999999999999":1}"#), "{text}");
}

/// Whether it was accepted.
fn try_input(format: Option<Format>, text: &[u8], random: &mut ChaCha8Rng) -> bool {
    let whole = read(format, text, |left| left);
    let pieces = read(format, text, |left| random.random_range(1..=left.min(40)));
    let shown = || String::from_utf8_lossy(text).into_owned();
    match (&whole, &pieces) {
        (Ok(whole), Ok(pieces)) => {
            assert_eq!(written(whole, false), written(pieces, false), "{}", shown());
            assert_eq!(whole.notices, pieces.notices, "{}", shown());
        }
        (Err(whole), Err(pieces)) => assert_eq!(whole, pieces, "{}", shown()),
        _ => panic!("whole {whole:?}, in pieces {pieces:?}: {}", shown()),
    }
    // Without a tape, the lines that are plain go another way.
    let mut plain = Reader::new(format);
    let plain = plain.feed(text).and_then(|()| plain.finish());
    let recorded = match (whole, plain) {
        (Ok(whole), Ok(plain)) => {
            assert_eq!(operations(&whole), operations(&plain), "{}", shown());
            whole
        }
        (Err(whole), Err(plain)) => {
            assert_eq!(whole, plain, "{}", shown());
            assert!(whole.line > 0 && whole.column > 0, "{whole}: {}", shown());
            assert!(!whole.message.contains('\n'), "{whole}: {}", shown());
            return false;
        }
        (whole, plain) => panic!("with a tape {whole:?}, without {plain:?}: {}", shown()),
    };
    let jsonl = written(&recorded, false);
    for (is_edn, format) in [(false, Format::Jsonl), (true, Format::Edn)] {
        let text = written(&recorded, is_edn);
        let again = read(Some(format), text.as_bytes(), |left| left);
        let again = again.unwrap_or_else(|error| panic!("{error} in {text} of {}", shown()));
        assert_eq!(written(&again, false), jsonl, "{text} of {}", shown());
        assert_eq!(operations(&again), operations(&recorded), "{text} of {}", shown());
    }
    true
}

fn written(recorded: &Recorded, is_edn: bool) -> String {
    let values = &recorded.history.values;
    let line = |(index, event): (usize, &rafture_checker::history::Taped)| match is_edn {
        true => event.to_edn(values, index) + "\n",
        false => event.to_jsonl(values, index) + "\n",
    };
    recorded.tape.iter().enumerate().map(line).collect()
}

/// All that a checker can see of a history, but for lines.
fn operations(recorded: &Recorded) -> Vec<String> {
    let history = &recorded.history;
    let shown = |value| history.values.to_json(value).to_string();
    let one = |operation: &rafture_checker::history::Operation| {
        format!(
            "{} {} {} {} {} {}..{:?} {}..{:?} {:?}",
            operation.process,
            history.f(operation),
            shown(operation.key),
            shown(operation.argument),
            shown(operation.result),
            operation.invoked_ns,
            operation.completed_ns(),
            operation.invoked_at,
            operation.completed_at(),
            operation.outcome
        )
    };
    history.operations.iter().map(one).collect()
}

fn spoil(input: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    for _ in 0..random.random_range(0..4) {
        let at = random.random_range(0..=input.len());
        let end = random.random_range(at..=input.len().min(at + 60));
        match random.random_range(0..9) {
            0 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
            1 => input.truncate(at),
            2 => input.insert(at, random.random()),
            3 => drop(input.drain(at..end)),
            4 => {
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            5 | 6 => {
                let word = WORDS[random.random_range(0..WORDS.len())];
                input.splice(at..if random.random() { at } else { end }, word.bytes());
            }
            7 => swap_lines(input, random),
            8 if random.random_bool(0.05) => {
                let (_, other) = SEEDS[random.random_range(0..SEEDS.len())];
                input.splice(at..at, other.bytes());
            }
            _ => {}
        }
    }
}

/// Two lines change their places, or one is there twice or not at all.
fn swap_lines(input: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    let mut lines: Vec<Vec<u8>> = input.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.is_empty() {
        return;
    }
    let (one, other) = (random.random_range(0..lines.len()), random.random_range(0..lines.len()));
    match random.random_range(0..3) {
        0 => lines.swap(one, other),
        1 => drop(lines.remove(one)),
        _ => lines.insert(other, lines[one].clone()),
    }
    *input = lines.concat();
}

#[test]
fn what_no_client_can_have_recorded_is_refused_with_its_place() {
    let invoke = r#"{"index":0,"time":5,"process":3,"type":"invoke","f":"write","key":"x","value":1}"#;
    let ok = r#"{"index":1,"time":6,"process":3,"type":"ok","f":"write","key":"x","value":1}"#;
    let with = |from: &str, to: &str| format!("{invoke}\n{}\n", ok.replacen(from, to, 1));
    let cases = [
        (format!("{ok}\n"), "1:1: process 3 completes an operation that it never invoked"),
        (
            format!("{invoke}\n{ok}\n{}\n", ok.replace("1,\"time", "2,\"time")),
            "3:1: process 3 completes its operation twice",
        ),
        (with("\"write\"", "\"read\""), "2:1: process 3 completes `read`, but it had invoked `write`"),
        (with("\"x\"", "\"y\""), "2:1: process 3 completes `write` of another key than it had invoked"),
        (
            with("\"value\":1", "\"value\":2"),
            "2:1: process 3 completes `write` of another value than it had invoked",
        ),
        (with("\"time\":6", "\"time\":4"), "2:1: time of process 3 runs backwards, from 5 to 4"),
        (with("\"index\":1", "\"index\":0"), "2:1: there are two events with the index 0"),
        (
            format!("{}\n{ok}\n", invoke.replace("\"index\":0", "\"index\":7")),
            "2:1: the index runs backwards, from 7 to 1",
        ),
        (
            format!("{invoke}\n{}\n", ok.replace("\"ok\"", "\"invoke\"")),
            "2:1: process 3 invokes an operation while",
        ),
        (with("\"ok\"", "\"maybe\""), "2:46: unknown variant `maybe`"),
        (format!("{invoke}\n{}{ok}\n", &ok[..40]), "2:"),
        (format!("{invoke}\n{}\n", &ok[..40]), "2:40: EOF while parsing"),
        ("\0\0\0\0".to_owned(), "1:1: no history in a format that is known"),
        ("\u{7f}ELF\u{2}\u{1}\n".to_owned(), "1:1: no history in a format that is known"),
        (String::new(), "1:1: no event"),
        ("\n\n".to_owned(), "1:1: no event"),
        ("{:type :ok, :type :fail}".to_owned(), "1:25: a map has the same key twice"),
        ("{:type :invoke :f :read :process 1 :value\n [1 }".to_owned(), "2:5: `}` closes nothing"),
        ("5\t:invoke\t:cas\t[1 2\n5\t:ok\t:cas\t]\n".to_owned(), "1:16: `[1 2` is no value"),
        (
            "[1] call enq(4)\n[1] call enq(5)\n".to_owned(),
            "2:1: process 1 invokes an operation while its last one is open",
        ),
        (
            "{\"ClientId\":1,\n \"Input\":{\"Type\":7}}".to_owned(),
            "2:18: invalid type: integer `7`, expected a string",
        ),
        (
            "{\"ClientId\":1,\"Input\":{\"Type\":\"fly\"},\"Call\":1,\"Output\":{},\"Return\":2}".to_owned(),
            "1:1: unknown type of input `fly`",
        ),
    ];
    for (text, expected) in cases {
        let error = match read(None, text.as_bytes(), |left| left) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{text} was read"),
        };
        assert!(error.starts_with(expected), "`{error}`, not `{expected}`: {text}");
    }
}

#[test]
fn marks_of_editors_and_other_systems_do_not_matter() {
    let plain = written(&read(None, JSONL.as_bytes(), |left| left).expect("a history"), false);
    for text in [format!("\u{feff}{JSONL}"), JSONL.replace('\n', "\r\n"), format!("\n\n{JSONL}\n \n")] {
        let recorded = read(None, text.as_bytes(), |left| left).expect("a history");
        assert_eq!(written(&recorded, false), plain);
    }
}

#[test]
fn independent_keys_are_found_by_reads_that_do_not_know_their_result_yet() {
    let recorded = read(None, TUPLES.as_bytes(), |left| left).expect("a history");
    let keys: Vec<_> = recorded.history.operations.iter().map(|one| recorded.history.key(one)).collect();
    assert_eq!(keys, [Some("x".into()), Some("y".into())]);
    // One value that is no pair, and none of them has a key: a compare-and-set takes a pair too.
    let text = TUPLES.replace("[y 3]", "3");
    let recorded = read(None, text.as_bytes(), |left| left).expect("a history");
    assert!(recorded.history.operations.iter().all(|one| recorded.history.key(one).is_none()));
}

#[test]
fn what_is_read_is_counted_in_memory() {
    let mut reader = Reader::new(Some(Format::Jsonl));
    let mut least = 0;
    for number in 0..10_000 {
        let line = format!(
            "{{\"index\":{number},\"time\":{number},\"process\":{number},\"type\":\"invoke\",\"f\":\"write\",\"value\":\"text {number}\"}}\n"
        );
        reader.feed(line.as_bytes()).expect("a line");
        least += 70 + 20;
    }
    let counted = reader.memory_bytes();
    assert!((least..6 * least).contains(&counted), "{counted} bytes, at least {least}");
}
