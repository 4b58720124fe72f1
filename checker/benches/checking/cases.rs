//! The histories: those that figures are promised for, and series that grow in one direction.

use rafture_checker::models::ModelKind;

use super::generator::{Shape, Twist, generated_with};

/// One history.
pub(super) struct Case {
    /// What it is; in a series, what all of it have in common.
    pub(super) series: &'static str,
    /// What grows in the series; 0 outside of one.
    pub(super) x: f64,
    pub(super) shape: Shape,
    twist: Twist,
    bug: Bug,
}

#[derive(Clone, Copy, PartialEq)]
enum Bug {
    None,
    /// At that share of the history.
    Stale(f64),
    Phantom(f64),
}

impl Case {
    fn new(series: &'static str, shape: Shape) -> Case {
        Case { series, x: 0.0, shape, twist: Twist::None, bug: Bug::None }
    }

    pub(super) fn name(&self) -> String {
        let Shape { model, clients, operations, values, crashes, keys } = self.shape;
        let mut name = format!("{model}, ");
        if !self.series.is_empty() {
            name = format!("{}: {name}", self.series);
        }
        name += &match values {
            0 => "unique".to_owned(),
            values => format!("v={values}"),
        };
        name += &format!(", c={clients}, {operations}");
        if crashes > 0.0 {
            name += &format!(", x={}%", 100.0 * crashes);
        }
        if keys > 1 {
            name += &format!(", {keys} keys");
        }
        if self.twist != Twist::None {
            name += &format!(", {:?}", self.twist).to_lowercase();
        }
        match self.bug {
            Bug::None => name,
            Bug::Stale(_) => name + ", stale",
            Bug::Phantom(_) => name + ", phantom",
        }
    }

    /// Its events, one a line.
    pub(super) fn history(&self) -> Vec<u8> {
        let mut made = generated_with(&self.shape, self.twist, 1);
        match self.bug {
            Bug::None => {}
            Bug::Stale(share) => assert!(made.make_stale(share), "nothing was overwritten"),
            Bug::Phantom(share) => made.make_phantom(share),
        }
        let mut text = Vec::new();
        for (moment, index) in made.moments.iter().zip(0..) {
            serde_json::to_writer(&mut text, &made.event(moment, index)).expect("memory");
            text.push(b'\n');
        }
        text
    }
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
        all.push(Case { twist, bug, ..Case::new("", shape) });
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
    use ModelKind::{CasRegister, Register};
    let mut all = Vec::new();
    let mut add = |series, x: f64, shape| all.push(Case { x, ..Case::new(series, shape) });
    for operations in [1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000] {
        add("length-register", operations as f64, shape(Register, 5, 5, operations, 0.0));
        add("length-cas-register", operations as f64, shape(CasRegister, 5, 10, operations, 0.0));
        add("length-unique", operations as f64, shape(Register, 0, 10, operations, 0.0));
    }
    for clients in [1, 2, 5, 10, 15, 20, 30, 50, 100, 150, 200] {
        add("clients-register", clients as f64, shape(Register, 5, clients, 10_000, 0.0));
        add("clients-cas-register", clients as f64, shape(CasRegister, 5, clients, 10_000, 0.0));
        add("clients-unique", clients as f64, shape(Register, 0, clients, 10_000, 0.0));
    }
    for percent in [0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0] {
        add("info-register", percent, shape(Register, 5, 5, 10_000, percent / 100.0));
        add("info-cas-register", percent, shape(CasRegister, 5, 5, 10_000, percent / 100.0));
        add("info-unique", percent, shape(Register, 0, 5, 10_000, percent / 100.0));
    }
    all
}
