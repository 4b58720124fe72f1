//! The history as it grows: events in memory in the order in which they happened, and a copy for whoever writes them
//! to disk.
//!
//! The lock gives the order. An invocation is recorded before anything is sent and a completion after the answer is in,
//! so the order of events never claims more of real time than is true.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard};

use rafture_checker::history::{Event, EventKind, Process};
use serde_json::Value;

use crate::operation::{Answer, Ask};

/// Gives nanoseconds since the start of the run.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Takes down what happens. Shared by all clients.
#[derive(Clone)]
pub struct Recorder {
    clock: Clock,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    events: Vec<Event>,
    copies: Sender<Event>,
    counts: Counts,
    /// When the operation of each process began that is under way.
    begun: BTreeMap<u64, u64>,
    latest_served: Option<u64>,
}

/// How many operations came to which end so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Happened.
    pub ok: u64,
    /// Surely did not.
    pub fail: u64,
    /// May have.
    pub info: u64,
}

impl Recorder {
    /// A recorder with an empty history; a copy of every event goes into `copies`.
    pub fn new(clock: Clock, copies: Sender<Event>) -> Recorder {
        let (events, counts) = (Vec::new(), Counts::default());
        let inner = Inner { events, copies, counts, begun: BTreeMap::new(), latest_served: None };
        Recorder { clock, inner: Arc::new(Mutex::new(inner)) }
    }

    /// Nanoseconds since the start of the run.
    pub fn now(&self) -> u64 {
        (self.clock)()
    }

    /// An operation is about to be sent. `intended` is when it should have been, if that is another time.
    pub fn invoke(&self, process: u64, ask: &Ask, node: &str, intended: Option<u64>) {
        let mut inner = self.lock();
        let time = intended.unwrap_or_else(|| (self.clock)());
        inner.begun.insert(process, time);
        inner.push(event(time, process, EventKind::Invoke, ask, ask.value.clone(), node));
    }

    /// An operation came to its end. Gives the time of it.
    pub fn complete(&self, process: u64, ask: &Ask, answer: &Answer, node: &str) -> u64 {
        let mut inner = self.lock();
        let time = (self.clock)();
        let (kind, value, error) = match answer {
            Answer::Ok(value) => (EventKind::Ok, value, None),
            Answer::Fail(reason) => (EventKind::Fail, &ask.value, Some(reason.clone())),
            Answer::Info(reason) => (EventKind::Info, &ask.value, Some(reason.clone())),
        };
        let began = inner.begun.remove(&process);
        match answer {
            Answer::Ok(_) => {
                inner.counts.ok += 1;
                inner.latest_served = inner.latest_served.max(began);
            }
            Answer::Fail(_) => inner.counts.fail += 1,
            Answer::Info(_) => inner.counts.info += 1,
        }
        inner.push(Event { error, ..event(time, process, kind, ask, value.clone(), node) });
        time
    }

    /// The nemesis did something.
    pub fn nemesis(&self, f: String, value: Value) {
        let mut inner = self.lock();
        let (time, process, kind) = ((self.clock)(), Process::Nemesis, EventKind::Info);
        let f = Cow::Owned(f);
        inner.push(Event { index: 0, time, process, kind, f, key: None, value, node: None, error: None });
    }

    /// How many operations ended how, so far.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Whether an operation succeeded that began at `since` or later.
    pub fn has_served(&self, since: u64) -> bool {
        self.lock().latest_served.is_some_and(|began| began >= since)
    }

    /// Takes the history out. What is recorded afterwards starts a new one.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.lock().events)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no client panics while it records")
    }
}

impl Inner {
    fn push(&mut self, mut event: Event) {
        event.index = self.events.len() as u64;
        // Without a reader there is nobody to copy for.
        let _ = self.copies.send(event.clone());
        self.events.push(event);
    }
}

/// An event whose index is given when it is pushed.
fn event(time: u64, process: u64, kind: EventKind, ask: &Ask, value: Value, node: &str) -> Event {
    Event {
        index: 0,
        time,
        process: Process::Client(process),
        kind,
        f: Cow::Borrowed(ask.f),
        key: ask.key.clone().map(Value::String),
        value,
        node: Some(Cow::Owned(node.to_owned())),
        error: None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_began_before_is_no_sign_of_service() {
        let time = Arc::new(AtomicU64::new(0));
        let clock: Clock = {
            let time = Arc::clone(&time);
            Arc::new(move || time.load(Ordering::Relaxed))
        };
        let recorder = Recorder::new(clock, mpsc::channel().0);
        let ask = Ask { f: "read", key: None, value: Value::Null };
        recorder.invoke(1, &ask, "n1", None);
        time.store(10, Ordering::Relaxed);
        recorder.invoke(2, &ask, "n1", None);
        recorder.complete(1, &ask, &Answer::Ok(Value::Null), "n1");
        assert!(recorder.has_served(0) && !recorder.has_served(10), "it began at 0");
        recorder.complete(2, &ask, &Answer::Fail("busy".into()), "n1");
        assert!(!recorder.has_served(10), "it was refused");
        recorder.invoke(1, &ask, "n1", None);
        recorder.complete(1, &ask, &Answer::Ok(Value::Null), "n1");
        assert!(recorder.has_served(10) && !recorder.has_served(11));
    }
}
