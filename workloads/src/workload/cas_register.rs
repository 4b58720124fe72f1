//! `cas-register`: reads, writes and compare-and-sets of a few registers, every written value unique.
//!
//! A bug looks as in `register`, or like two compare-and-sets that both succeeded from one value (lost update).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rafture_checker::models::ModelKind;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::{Generator, KEYS, Part, Values, Workload, draw_key, key_name};
use crate::operation::{Answer, Ask};

#[derive(Default)]
pub(super) struct CasRegister {
    latest: Arc<Latest>,
}

/// The value that a client last knew each register to have; 0 when none did. A compare-and-set from a value
/// that was drawn blindly would never succeed.
#[derive(Default)]
struct Latest([AtomicU64; KEYS]);

struct Client {
    random: ChaCha8Rng,
    part: Part,
    values: Values,
    key: usize,
    latest: Arc<Latest>,
}

impl Workload for CasRegister {
    fn name(&self) -> &'static str {
        "cas-register"
    }

    fn summary(&self) -> &'static str {
        "reads, writes and compare-and-sets of a few registers"
    }

    fn model(&self) -> ModelKind {
        ModelKind::CasRegister
    }

    fn operations(&self) -> &'static [&'static str] {
        &["read", "write", "cas"]
    }

    fn generator(&self, worker: usize, part: Part, random: ChaCha8Rng) -> Box<dyn Generator> {
        let latest = Arc::clone(&self.latest);
        Box::new(Client { random, part, values: Values::of(worker), key: 0, latest })
    }
}

impl Generator for Client {
    fn next(&mut self) -> Ask {
        self.key = draw_key(&mut self.random);
        let key = key_name(self.key);
        let kind = match self.part {
            Part::Observer => 0,
            Part::Any => self.random.random_range(0..3),
        };
        let known = self.latest.0[self.key].load(Ordering::Relaxed);
        match kind {
            0 => Ask { f: "read", key, value: Value::Null },
            1 if known != 0 => Ask { f: "cas", key, value: json!([known, self.values.next()]) },
            _ => Ask { f: "write", key, value: json!(self.values.next()) },
        }
    }

    fn learn(&mut self, ask: &Ask, answer: &Answer) {
        let Answer::Ok(result) = answer else {
            return;
        };
        let value = match ask.f {
            "read" => result.as_u64(),
            "cas" => ask.value[1].as_u64(),
            _ => ask.value.as_u64(),
        };
        if let Some(value) = value {
            self.latest.0[self.key].store(value, Ordering::Relaxed);
        }
    }
}
