//! Witnesses on disk: the order that explains a valid history, so that others can convince themselves.
//!
//! The first line is an object with `model` and `initial`; each further one has a `key` and its `order`: the `index`es of the
//! invocations, in the order in which the operations can have taken effect. Operations that are not there did not happen.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use rafture_checker::history::History;
use rafture_checker::models::ModelKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;

#[derive(Serialize, Deserialize)]
struct Head {
    model: String,
    initial: Value,
}

#[derive(Serialize, Deserialize)]
struct Order {
    key: Value,
    order: Vec<u32>,
}

/// What a witness claims.
pub struct Witness {
    /// The model that the history is to be explained by.
    pub model: ModelKind,
    /// What its registers held at first.
    pub initial: Value,
    /// For each key an order, by places of operations in the history.
    pub orders: Vec<Vec<u32>>,
}

/// Writes a witness of `history`.
///
/// # Errors
/// When the file cannot be written.
pub fn write(
    path: &Path,
    history: &History,
    of: (ModelKind, &Value),
    orders: &[Vec<u32>],
) -> Result<(), Error> {
    let cannot = |error: std::io::Error| {
        Error::Harness(format!(
            "cannot write `{}`: {error} (hint: is there room, and may you write there?)",
            path.display()
        ))
    };
    let mut file = BufWriter::new(File::create(path).map_err(cannot)?);
    let mut line = |json: String| writeln!(file, "{json}").map_err(cannot);
    let head = Head { model: of.0.to_string(), initial: of.1.clone() };
    line(serde_json::to_string(&head).expect("plain data"))?;
    for order in orders.iter().filter(|order| !order.is_empty()) {
        let operation = |&place: &u32| &history.operations[place as usize];
        let key = history.key(operation(&order[0])).unwrap_or_default();
        let order = order.iter().map(|place| operation(place).invoked_at).collect();
        line(serde_json::to_string(&Order { key, order }).expect("plain data"))?;
    }
    file.flush().map_err(cannot)
}

/// Reads a witness of `history`.
///
/// # Errors
/// When there is no such file, or it is no witness, or speaks of events that are no invocations: one line that says where.
pub fn read(path: &Path, history: &History) -> Result<Witness, Error> {
    let name = path.display();
    let cannot = |error: std::io::Error| {
        Error::Input(format!("cannot read `{name}`: {error} (hint: `rafture check --witness` writes one)"))
    };
    let wrong =
        |line: usize, error: &dyn std::fmt::Display| Error::Input(format!("{name}:{line}:1: {error}"));
    let places: HashMap<u32, u32> =
        history.operations.iter().zip(0..).map(|(operation, place)| (operation.invoked_at, place)).collect();
    let mut lines = BufReader::new(File::open(path).map_err(cannot)?).lines();
    let head = lines.next().unwrap_or(Ok(String::new())).map_err(cannot)?;
    let head: Head = serde_json::from_str(&head).map_err(|error| wrong(1, &error))?;
    let model = head.model.parse().map_err(|error| wrong(1, &error))?;
    let mut orders = Vec::new();
    for (line, number) in lines.zip(2..) {
        let order: Order =
            serde_json::from_str(&line.map_err(cannot)?).map_err(|error| wrong(number, &error))?;
        let place = |event: &u32| {
            let place = places.get(event).copied();
            place.ok_or_else(|| wrong(number, &format!("event {event} of the history invokes nothing")))
        };
        orders.push(order.order.iter().map(place).collect::<Result<_, _>>()?);
    }
    Ok(Witness { model, initial: head.initial, orders })
}
