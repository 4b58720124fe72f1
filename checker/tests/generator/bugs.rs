//! Faults of collections and counters, planted into histories that have none.

use rafture_checker::history::EventKind;
use serde_json::json;

use super::{Deed, Made};

/// What goes wrong at one place of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A value is missing in a read, or was taken by nobody.
    Lost,
    /// A value is taken a second time, or is in a read twice, or is counted twice.
    Duplicated,
    /// Two takes that are far apart have each other's value, or two values of a read have changed their places.
    Reordered,
    /// A take finds nothing although there is something, or a read does.
    Empty,
}

impl Bug {
    pub(crate) const ALL: [(&str, Bug); 4] = [
        ("lost", Bug::Lost),
        ("duplicated", Bug::Duplicated),
        ("reordered", Bug::Reordered),
        ("empty", Bug::Empty),
    ];
}

/// Two takes so many places apart do not overlap.
const FAR: usize = 200;

impl Made {
    /// Plants the bug into the first take or read with a value after that share of the history.
    pub(crate) fn plant(&mut self, bug: Bug, share: f64) {
        let from = (self.deeds.len() as f64 * share) as usize;
        let has_value = |deed: &Deed| {
            let is_asked = deed.kind == EventKind::Ok && deed.argument.is_null();
            is_asked && !deed.result.is_null() && deed.result != json!([])
        };
        let find = |deeds: &[Deed], from: usize| (from..deeds.len()).find(|&at| has_value(&deeds[at]));
        let at = find(&self.deeds, from).expect("a take or a read with a value");
        let other = find(&self.deeds, at + FAR).unwrap_or(at);
        let later = self.deeds[other].result.clone();
        let deed = &mut self.deeds[at];
        if let Some(number) = deed.result.as_i64().filter(|_| deed.f == "read") {
            // More than can be open at once.
            deed.result =
                json!(if bug == Bug::Duplicated { number + FAR as i64 } else { number - FAR as i64 });
            return;
        }
        if let Some(items) = deed.result.as_array_mut() {
            let middle = items.len() / 2;
            match bug {
                Bug::Lost => drop(items.remove(middle)),
                Bug::Duplicated => items.push(items[middle].clone()),
                Bug::Reordered => items.swap(0, middle),
                Bug::Empty => items.clear(),
            }
            return;
        }
        match bug {
            // Its value is taken by nobody, and the later one twice or out of turn.
            Bug::Lost | Bug::Duplicated => deed.result = later,
            Bug::Reordered => {
                let early = std::mem::replace(&mut deed.result, later);
                self.deeds[other].result = early;
            }
            Bug::Empty => deed.result = json!(null),
        }
    }
}
