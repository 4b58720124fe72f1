//! Operations on an etcd as a history has them, taken apart.
//!
//! | `f` | argument | result |
//! |---|---|---|
//! | `range` | `{start, end, limit, revision}`; an empty `end`: only `start`; `"\0"`: all from `start` on; revision 0: the latest | `{revision, found}` |
//! | `transaction` | `{if: [[key, revision, version], …], then: [step, …], else: [step, …]}` | `{revision, then, results}` |
//! | `grant-lease`, `revoke-lease` | the lease | `{revision}` |
//! | `watch` | `{key, prefix, after}` | `{until, changes}`: all changes behind the one revision up to the other |
//! | `compact`, `defragment` | – | – |
//!
//! A step is `["put", key, value, lease]`, `["delete", key]` or `["range", argument]`, with `null`, how many were deleted, or what was
//! found as its result. What was found is `{count, items: [[key, value, revision], …]}`. `revision` is that of the store when
//! it answered. A change is `[revision, "put", key, value]` or `[revision, "delete", key]`.

use std::rc::Rc;

use crate::history::{Datum, History, Operation, Outcome, Values};

/// A name in the store. Keys are in order of their bytes.
pub(super) type Key = Rc<str>;

/// Some keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Span {
    One(Key),
    Prefix(Key),
    From(Key),
    Between(Key, Key),
}

impl Span {
    pub(super) fn has(&self, key: &str) -> bool {
        match self {
            Span::One(one) => **one == *key,
            Span::Prefix(prefix) => key.starts_with(&**prefix),
            Span::From(start) => key >= &**start,
            Span::Between(start, end) => key >= &**start && key < &**end,
        }
    }
}

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Range {
    pub(super) span: Span,
    /// 0: all of them.
    pub(super) limit: usize,
    /// 0: as it is.
    pub(super) revision: u64,
}

/// A key has this revision, or this version where that is not 0; 0 where it is not there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Condition {
    pub(super) key: Key,
    pub(super) revision: u64,
    pub(super) version: u64,
}

/// A step of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Put(Key, Datum, i64),
    Delete(Key),
    Range(Range),
}

/// A change of one key at one revision; without a value it was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Change {
    pub(super) revision: u64,
    pub(super) key: Key,
    pub(super) value: Option<Datum>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Found {
    pub(super) count: usize,
    /// With the revision of each.
    pub(super) items: Vec<(Key, Datum, u64)>,
}

/// What a step of a transaction gave.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum StepResult {
    Put,
    Deleted(u64),
    Found(Found),
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Request {
    Range(Range),
    Transaction {
        conditions: Vec<Condition>,
        then: Vec<Step>,
        otherwise: Vec<Step>,
    },
    GrantLease(i64),
    RevokeLease(i64),
    Watch {
        span: Span,
        after: u64,
        until: u64,
        changes: Vec<Change>,
    },
    /// It changes nothing and says nothing.
    Nothing,
}

/// What was told, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Answer {
    /// The revision of the store.
    pub(super) revision: Option<u64>,
    pub(super) found: Option<Found>,
    /// Whether the conditions held, and what the steps gave.
    pub(super) transaction: Option<(bool, Vec<StepResult>)>,
}

/// Request and answer; `None` where nobody knows whether it happened.
pub(super) type Deed = (Request, Option<Answer>);

/// Takes an operation apart.
///
/// # Errors
/// In one line, why it is none on an etcd.
pub(super) fn deed(history: &History, operation: &Operation) -> Result<Deed, String> {
    let values = &history.values;
    let is_known = operation.outcome == Outcome::Ok;
    let f = history.f(operation);
    let argument = Part { values, value: operation.argument };
    let result = Part { values, value: operation.result };
    let wrong = || {
        let shown = |value| values.to_json(value);
        let (argument, result) = (shown(operation.argument), shown(operation.result));
        format!("`{f}` of an etcd cannot be `{argument}` with the result `{result}`")
    };
    let request = match f {
        "range" => argument.range().map(Request::Range),
        "transaction" => argument.transaction(),
        "grant-lease" => operation.argument.as_integer().map(Request::GrantLease),
        "revoke-lease" => operation.argument.as_integer().map(Request::RevokeLease),
        "watch" if is_known => watch(argument, result),
        "watch" | "compact" | "defragment" => Some(Request::Nothing),
        f => return Err(super::super::model::unknown(f, "etcd", HINT)),
    };
    let request = request.ok_or_else(wrong)?;
    let answer = match is_known {
        true => Some(result.answer(&request).ok_or_else(wrong)?),
        false => None,
    };
    Ok((request, answer))
}

const HINT: &str =
    "it has `range`, `transaction`, `grant-lease`, `revoke-lease`, `watch`, `compact` and `defragment`";

/// A value that is taken apart. `None` everywhere: it has another shape.
#[derive(Clone, Copy)]
struct Part<'v> {
    values: &'v Values,
    value: Datum,
}

impl<'v> Part<'v> {
    fn at(self, name: &str) -> Option<Part<'v>> {
        let pairs = self.values.as_map(self.value)?.as_chunks::<2>().0;
        let pair = pairs.iter().find(|[key, _]| self.values.as_text(*key) == Some(name))?;
        Some(Part { value: pair[1], ..self })
    }

    fn items(self) -> Option<impl Iterator<Item = Part<'v>>> {
        let items = self.values.as_list(self.value)?;
        Some(items.iter().map(move |&value| Part { value, ..self }))
    }

    /// The items of a list of so many.
    fn tuple<const N: usize>(self) -> Option<[Part<'v>; N]> {
        let items: &[Datum; N] = self.values.as_list(self.value)?.try_into().ok()?;
        Some(items.map(|value| Part { value, ..self }))
    }

    fn text(self) -> Option<&'v str> {
        self.values.as_text(self.value)
    }

    fn key(self) -> Option<Key> {
        self.text().map(Key::from)
    }

    fn unsigned(self) -> Option<u64> {
        self.value.as_integer()?.try_into().ok()
    }

    fn size(self) -> Option<usize> {
        self.unsigned()?.try_into().ok()
    }

    fn range(self) -> Option<Range> {
        let (start, end) = (self.at("start")?.key()?, self.at("end")?.key()?);
        let span = match &*end {
            "" => Span::One(start),
            "\0" => Span::From(start),
            _ => Span::Between(start, end),
        };
        Some(Range { span, limit: self.at("limit")?.size()?, revision: self.at("revision")?.unsigned()? })
    }

    fn transaction(self) -> Option<Request> {
        let condition = |part: Part<'_>| {
            let [key, revision, version] = part.tuple()?;
            Some(Condition { key: key.key()?, revision: revision.unsigned()?, version: version.unsigned()? })
        };
        let steps = |name: &str| self.at(name)?.items()?.map(Part::step).collect::<Option<Vec<Step>>>();
        Some(Request::Transaction {
            conditions: self.at("if")?.items()?.map(condition).collect::<Option<_>>()?,
            then: steps("then")?,
            otherwise: steps("else")?,
        })
    }

    fn step(self) -> Option<Step> {
        let items = self.values.as_list(self.value)?;
        let part = |at: usize| Some(Part { value: *items.get(at)?, ..self });
        match (part(0)?.text()?, items.len()) {
            ("put", 4) => Some(Step::Put(part(1)?.key()?, items[2], items[3].as_integer()?)),
            ("delete", 2) => Some(Step::Delete(part(1)?.key()?)),
            ("range", 2) => Some(Step::Range(part(1)?.range()?)),
            _ => None,
        }
    }

    fn answer(self, request: &Request) -> Option<Answer> {
        if matches!(request, Request::Nothing | Request::Watch { .. }) {
            return Some(Answer::default());
        }
        let revision = Some(self.at("revision")?.unsigned()?);
        let found = match self.at("found") {
            Some(part) => Some(part.found()?),
            None => None,
        };
        let transaction = match (request, self.at("then")) {
            (Request::Transaction { then, otherwise, .. }, Some(holds)) => {
                let holds = holds.value.as_boolean()?;
                let steps = if holds { then } else { otherwise };
                let results = self.at("results")?.items()?;
                let results = results.zip(steps).map(|(part, step)| part.step_result(step));
                let results = results.collect::<Option<Vec<StepResult>>>()?;
                Some((holds, results)).filter(|(_, results)| results.len() == steps.len())
            }
            _ => None,
        };
        let is_whole = self.at("then").is_some() == transaction.is_some();
        is_whole.then_some(Answer { revision, found, transaction })
    }

    fn step_result(self, step: &Step) -> Option<StepResult> {
        match step {
            Step::Put(..) => self.value.is_null().then_some(StepResult::Put),
            Step::Delete(_) => self.unsigned().map(StepResult::Deleted),
            Step::Range(_) => self.found().map(StepResult::Found),
        }
    }

    fn found(self) -> Option<Found> {
        let item = |part: Part<'_>| {
            let [key, value, revision] = part.tuple()?;
            Some((key.key()?, value.value, revision.unsigned()?))
        };
        let items = self.at("items")?.items()?.map(item).collect::<Option<_>>()?;
        Some(Found { count: self.at("count")?.size()?, items })
    }

    fn change(self) -> Option<Change> {
        let items = self.values.as_list(self.value)?;
        let part = |at: usize| Some(Part { value: *items.get(at)?, ..self });
        let (revision, key) = (part(0)?.unsigned()?, part(2)?.key()?);
        match (part(1)?.text()?, items.len()) {
            ("put", 4) => Some(Change { revision, key, value: Some(items[3]) }),
            ("delete", 3) => Some(Change { revision, key, value: None }),
            _ => None,
        }
    }
}

fn watch(argument: Part<'_>, result: Part<'_>) -> Option<Request> {
    let key = argument.at("key")?.key()?;
    let is_prefix = argument.at("prefix")?.value.as_boolean()?;
    Some(Request::Watch {
        span: if is_prefix { Span::Prefix(key) } else { Span::One(key) },
        after: argument.at("after")?.unsigned()?,
        until: result.at("until")?.unsigned()?,
        changes: result.at("changes")?.items()?.map(Part::change).collect::<Option<_>>()?,
    })
}
