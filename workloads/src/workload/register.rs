//! `register`: reads and writes of a few registers, every written value unique.
//!
//! A bug looks like a read of a value that had been overwritten before the read began (stale read), or of one that
//! was there before an acknowledged write and is back again (lost write).

use rafture_checker::models::ModelKind;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::{Generator, Part, Values, Workload, draw_key, key_name};
use crate::operation::{Answer, Ask};

pub(super) struct Register;

struct Client {
    random: ChaCha8Rng,
    part: Part,
    values: Values,
}

impl Workload for Register {
    fn name(&self) -> &'static str {
        "register"
    }

    fn summary(&self) -> &'static str {
        "reads and writes of a few registers"
    }

    fn model(&self) -> ModelKind {
        ModelKind::Register
    }

    fn operations(&self) -> &'static [&'static str] {
        &["read", "write"]
    }

    fn generator(&self, worker: usize, part: Part, random: ChaCha8Rng) -> Box<dyn Generator> {
        Box::new(Client { random, part, values: Values::of(worker) })
    }
}

impl Generator for Client {
    fn next(&mut self) -> Ask {
        let key = key_name(draw_key(&mut self.random));
        match self.part == Part::Observer || self.random.random_bool(0.5) {
            true => Ask { f: "read", key, value: Value::Null },
            false => Ask { f: "write", key, value: json!(self.values.next()) },
        }
    }

    fn learn(&mut self, _: &Ask, _: &Answer) {}
}
