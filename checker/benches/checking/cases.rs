//! The histories: those that figures are promised for, and series that grow in one direction.

use std::io::Write;

use rafture_checker::history::Event;
use rafture_checker::models::ModelKind;

use super::database;
use super::generator::{Shape, Twist, generated_with};

/// One history.
pub(super) struct Case {
    /// What all histories of a series have in common; empty outside of one.
    pub(super) series: &'static str,
    /// What grows in the series; 0 outside of one.
    pub(super) x: f64,
    subject: Subject,
}

/// What clients work on.
enum Subject {
    Object(Shape, Twist, Bug),
    Lists(database::Shape),
}

#[derive(Clone, Copy, PartialEq)]
enum Bug {
    None,
    /// At that share of the history.
    Stale(f64),
    Phantom(f64),
}

impl Case {
    /// What it is held against.
    pub(super) fn model(&self) -> ModelKind {
        match &self.subject {
            Subject::Object(shape, ..) => shape.model,
            Subject::Lists(_) => ModelKind::Append,
        }
    }

    /// All that sets it apart from other cases.
    pub(super) fn name(&self) -> String {
        let words = match &self.subject {
            Subject::Object(shape, twist, bug) => object_words(shape, *twist, *bug),
            Subject::Lists(shape) => {
                let clients = shape.clients;
                let words = format!("{}, c={clients}, {}", ModelKind::Append, shape.transactions);
                words + &crash_words(shape.crashes)
            }
        };
        if self.series.is_empty() { words } else { format!("{}: {words}", self.series) }
    }

    /// Its events, one a line.
    pub(super) fn history(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut line = |event: &Event| {
            serde_json::to_writer(&mut text, event).expect("memory");
            text.write_all(b"\n").expect("memory");
        };
        match &self.subject {
            Subject::Object(shape, twist, bug) => {
                let mut made = generated_with(shape, *twist, 1);
                match *bug {
                    Bug::None => {}
                    Bug::Stale(share) => assert!(made.make_stale(share), "nothing was overwritten"),
                    Bug::Phantom(share) => made.make_phantom(share),
                }
                for (moment, index) in made.moments.iter().zip(0..) {
                    line(&made.event(moment, index));
                }
            }
            Subject::Lists(shape) => database::generated(shape, 1).events().for_each(|event| line(&event)),
        }
        text
    }
}

fn object_words(shape: &Shape, twist: Twist, bug: Bug) -> String {
    let &Shape { model, clients, operations, values, crashes, keys } = shape;
    let mut words = match values {
        0 => format!("{model}, unique, c={clients}, {operations}"),
        values => format!("{model}, v={values}, c={clients}, {operations}"),
    };
    words += &crash_words(crashes);
    if keys > 1 {
        words += &format!(", {keys} keys");
    }
    if twist != Twist::None {
        words += &format!(", {twist:?}").to_lowercase();
    }
    match bug {
        Bug::None => words,
        Bug::Stale(_) => words + ", stale",
        Bug::Phantom(_) => words + ", phantom",
    }
}

fn crash_words(crashes: f64) -> String {
    // In thousandths of a percent first: 7 % of one is not exactly 0.07.
    if crashes > 0.0 { format!(", x={}%", (1e5 * crashes).round() / 1e3) } else { String::new() }
}

fn shape(model: ModelKind, values: u64, clients: u64, operations: usize, crashes: f64) -> Shape {
    Shape { model, clients, operations, values, crashes, keys: 1 }
}

/// What figures are promised for, and what makes other checkers give up.
pub(super) fn figures() -> Vec<Case> {
    use ModelKind::{CasRegister, Register};
    const LAKH: usize = 100_000;
    const MILLION: usize = 1_000_000;
    let mut all = Vec::new();
    let mut add = |shape: Shape, twist: Twist, bug: Bug| {
        all.push(Case { series: "", x: 0.0, subject: Subject::Object(shape, twist, bug) });
    };
    add(shape(Register, 0, 50, MILLION, 0.01), Twist::None, Bug::None);
    add(shape(CasRegister, 5, 10, MILLION, 0.0), Twist::None, Bug::None);
    for model in [Register, CasRegister] {
        for values in [0, 5] {
            for bug in [Bug::Stale(0.9), Bug::Phantom(0.9)] {
                add(shape(model, values, 10, LAKH, 0.05), Twist::None, bug);
            }
        }
    }
    add(shape(Register, 0, 1, MILLION, 0.0), Twist::None, Bug::None);
    for clients in [5, 10, 20, 50] {
        for operations in [10_000, LAKH, MILLION] {
            add(shape(Register, 5, clients, operations, 0.0), Twist::None, Bug::None);
        }
    }
    for clients in [10, 20, 50] {
        add(shape(Register, 0, clients, LAKH, 0.0), Twist::None, Bug::None);
    }
    for operations in [10_000, LAKH, MILLION] {
        add(shape(Register, 5, 5, operations, 0.01), Twist::None, Bug::None);
        add(shape(CasRegister, 5, 5, operations, 0.01), Twist::None, Bug::None);
    }
    for (operations, clients, crashes) in
        [(1000, 5, 0.0), (1000, 5, 0.01), (1000, 5, 0.05), (10_000, 10, 0.0), (10_000, 10, 0.01)]
    {
        add(shape(Register, 0, clients, operations, crashes), Twist::None, Bug::Stale(0.9));
        add(shape(Register, 5, clients, operations, crashes), Twist::None, Bug::Stale(0.9));
        add(shape(CasRegister, 5, clients, operations, crashes), Twist::None, Bug::Stale(0.9));
    }
    for (clients, crashes) in [(5, 0.01), (5, 0.05), (10, 0.01), (10, 0.05)] {
        add(shape(CasRegister, 5, clients, 1000, crashes), Twist::None, Bug::Phantom(0.9));
    }
    for model in [Register, CasRegister] {
        add(shape(model, 5, 10, LAKH, 0.01), Twist::Burst, Bug::None);
        add(shape(model, 5, 10, LAKH, 0.01), Twist::Burst, Bug::Stale(0.9));
        add(shape(model, 5, 10, LAKH, 0.01), Twist::Late, Bug::None);
        add(shape(model, 0, 10, LAKH, 0.01), Twist::Late, Bug::None);
        add(shape(model, 5, 10, LAKH, 0.01), Twist::OwnValue, Bug::None);
        add(shape(model, 1, 10, LAKH, 0.01), Twist::None, Bug::None);
        add(shape(model, 5, 10, LAKH, 0.01), Twist::Pauses, Bug::None);
        add(shape(model, 5, 10, LAKH, 0.01), Twist::Pauses, Bug::Stale(0.9));
        add(Shape { keys: 10_000, ..shape(model, 5, 50, MILLION, 0.01) }, Twist::HotKey, Bug::None);
    }
    add(Shape { keys: 1000, ..shape(Register, 5, 50, MILLION, 0.01) }, Twist::None, Bug::None);
    add(shape(Register, 0, 10, 10 * MILLION, 0.0), Twist::None, Bug::Stale(0.01));
    add(shape(Register, 5, 10, 10 * MILLION, 0.0), Twist::None, Bug::Stale(0.01));
    for (model, values, clients, operations) in [
        (ModelKind::Counter, 5, 10, 1000),
        (ModelKind::Counter, 5, 10, 10_000),
        (ModelKind::Set, 20, 10, LAKH),
        (ModelKind::Queue, 0, 5, 1000),
        (ModelKind::Queue, 5, 5, 1000),
        (ModelKind::Stack, 0, 10, 1000),
        (ModelKind::Stack, 5, 10, 1000),
        (ModelKind::List, 0, 5, 1000),
        (ModelKind::List, 0, 10, 1000),
    ] {
        let crashes = if model == ModelKind::Counter { 0.01 } else { 0.0 };
        add(shape(model, values, clients, operations, crashes), Twist::None, Bug::None);
    }
    all
}

/// Length, concurrency and share of `info`, each by itself.
pub(super) fn growth() -> Vec<Case> {
    use ModelKind::{CasRegister, Queue, Register};
    let mut all = Vec::new();
    let mut add = |series, x: f64, shape, bug| {
        all.push(Case { series, x, subject: Subject::Object(shape, Twist::None, bug) });
    };
    const LENGTHS: [usize; 13] =
        [10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000];
    for operations in LENGTHS {
        let x = operations as f64;
        if operations >= 1000 {
            add("length-register", x, shape(Register, 5, 5, operations, 0.0), Bug::None);
            add("length-cas-register", x, shape(CasRegister, 5, 10, operations, 0.0), Bug::None);
            add("length-unique", x, shape(Register, 0, 10, operations, 0.0), Bug::None);
        }
        add("length-queue", x, shape(Queue, 0, 5, operations, 0.0), Bug::None);
    }
    for clients in [1, 2, 5, 10, 15, 20, 30, 50, 100, 150, 200] {
        let x = clients as f64;
        add("clients-register", x, shape(Register, 5, clients, 10_000, 0.0), Bug::None);
        add("clients-cas-register", x, shape(CasRegister, 5, clients, 10_000, 0.0), Bug::None);
        add("clients-unique", x, shape(Register, 0, clients, 10_000, 0.0), Bug::None);
    }
    for percent in [0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0] {
        let share = percent / 100.0;
        add("info-register", percent, shape(Register, 5, 5, 10_000, share), Bug::None);
        add("info-cas-register", percent, shape(CasRegister, 5, 5, 10_000, share), Bug::None);
        add("info-stale", percent, shape(Register, 0, 5, 1000, share), Bug::Stale(0.9));
    }
    for transactions in LENGTHS.into_iter().filter(|length| (1000..=1_000_000).contains(length)) {
        let subject = Subject::Lists(lists(transactions));
        all.push(Case { series: "length-append", x: transactions as f64, subject });
    }
    all
}

/// Transactions of a strictly serializable database: ten lists at a time, each replaced after a hundred appends.
fn lists(transactions: usize) -> database::Shape {
    database::Shape {
        lists: true,
        isolation: database::Isolation::Serializable,
        clients: 20,
        transactions,
        keys: 10,
        writes_per_key: 100,
        steps_max: 4,
        crashes: 0.001,
    }
}
