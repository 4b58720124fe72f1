//! What has come for a member and is not taken in yet, and how the member waits for more.
//!
//! To be woken costs tens of microseconds, more on a virtual machine whose core had gone to sleep: as much as a sync of
//! a good disk. So while things come in quick succession the member looks again and again for a short while before it
//! sleeps, as Go's scheduler and network drivers do, and between two looks leaves its core to whoever wants it.

use std::time::Duration;

use tokio::sync::mpsc;

use super::clock::now;
use super::event::{Done, Event};
use super::timer::Timer;
use crate::raft::Time;

/// Events that are taken in together.
const EVENTS_MAX: usize = 512;

/// Where everything arrives that a member has to take in.
pub(super) struct Inbox {
    events: mpsc::Receiver<Event>,
    done: mpsc::UnboundedReceiver<Done>,
    timer: Timer,
    /// How long to look before sleeping.
    busy_poll: Duration,
    /// When something last came.
    latest: Time,
    /// It came soon after what was before it, so that the next may come soon too.
    is_quick: bool,
    /// What came from connections.
    pub(super) asked: Vec<Event>,
    /// What came from disks.
    pub(super) finished: Vec<Done>,
}

impl Inbox {
    pub(super) fn new(
        events: mpsc::Receiver<Event>,
        done: mpsc::UnboundedReceiver<Done>,
        timer: Timer,
        busy_poll: Duration,
    ) -> Inbox {
        Inbox {
            events,
            done,
            timer,
            busy_poll,
            latest: now(),
            is_quick: false,
            asked: Vec::with_capacity(EVENTS_MAX),
            finished: Vec::new(),
        }
    }

    /// Waits until something has come or it is time; `false` when nothing will come any more.
    pub(super) async fn wait(&mut self, deadline: Time) -> bool {
        if !self.look(deadline).await {
            tokio::select! {
                biased;
                Some(what) = self.done.recv() => self.finished.push(what),
                count = self.events.recv_many(&mut self.asked, EVENTS_MAX) => if count == 0 {
                    return false;
                },
                () = self.timer.sleep(deadline - now()) => return true,
            }
            self.gather();
        }
        if !self.is_empty() {
            let at = now();
            self.is_quick = at - self.latest <= self.busy_poll;
            self.latest = at;
        }
        true
    }

    /// Looks for a while, if that is worth it; tells whether the wait is over.
    async fn look(&mut self, deadline: Time) -> bool {
        if !self.is_quick {
            return false;
        }
        let end = deadline.min(self.latest + self.busy_poll);
        loop {
            self.gather();
            if !self.is_empty() {
                return true;
            }
            if now() >= end {
                return end == deadline;
            }
            // The connections of this node first, then whoever else is on this core.
            tokio::task::yield_now().await;
            if self.events.is_empty() && self.done.is_empty() {
                std::thread::yield_now();
            }
        }
    }

    fn gather(&mut self) {
        while self.asked.len() < EVENTS_MAX
            && let Ok(event) = self.events.try_recv()
        {
            self.asked.push(event);
        }
        while let Ok(what) = self.done.try_recv() {
            self.finished.push(what);
        }
    }

    fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.finished.is_empty()
    }
}
