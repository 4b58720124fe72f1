//! Clients that try whether a write succeeds: connections to all members are open beforehand, and writes begin at a fine step without
//! waiting for one another.

use std::time::Duration;

use bytes::Bytes;
use rafture_nemesis::clock::monotonic_ns;
use rafture_workloads::bench::Driver;
use rafture_workloads::systems::{Layout, System};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Writes that may be under way at one member. More are not begun.
const UNDER_WAY_MAX: usize = 32;
/// After so long a write is given up, beside what the network takes: some systems keep what they were asked while they had no leader,
/// or have sent to one that is gone, for seconds.
const PATIENCE: Duration = Duration::from_millis(250);
/// All of them write there.
const KEY: &str = "tune";

/// The clients.
pub(super) struct Writers {
    /// Those that have nothing to do, by member.
    idle: Vec<Vec<Box<dyn Driver>>>,
    sender: mpsc::UnboundedSender<Back>,
    inbox: mpsc::UnboundedReceiver<Back>,
    patience: Duration,
    value: Bytes,
    /// Those of an earlier round are not wanted back.
    round: u64,
}

/// A client that has ended a write.
struct Back {
    round: u64,
    member: usize,
    driver: Box<dyn Driver>,
    /// When the write was acknowledged, if it was.
    acknowledged_ns: Option<u64>,
}

impl Writers {
    /// Clients that are not connected yet, of so many members on a network that takes so long at most one way.
    pub(super) fn of(members: usize, longest_delay: Duration) -> Writers {
        let (sender, inbox) = mpsc::unbounded_channel();
        Writers {
            idle: (0..members).map(|_| Vec::new()).collect(),
            sender,
            inbox,
            // There and back between members, twice, is what a write takes; twice that is plenty.
            patience: PATIENCE + 8 * longest_delay,
            value: Bytes::from_static(b"tried"),
            round: 0,
        }
    }

    /// How many members there are.
    pub(super) fn members(&self) -> usize {
        self.idle.len()
    }

    /// Fresh connections to all members but one; what was begun before is of no interest any more.
    ///
    /// # Errors
    /// When a member cannot be reached.
    pub(super) async fn renew(
        &mut self,
        system: &dyn System,
        layout: &Layout,
        without: Option<usize>,
    ) -> Result<(), String> {
        self.round += 1;
        for (member, place) in layout.nodes.iter().enumerate() {
            self.idle[member] = match without == Some(member) {
                true => Vec::new(),
                false => system.drivers(place, UNDER_WAY_MAX).await?,
            };
        }
        Ok(())
    }

    /// Begins a write at a member, unless too many are under way there.
    pub(super) fn begin(&mut self, member: usize) {
        let Some(mut driver) = self.idle[member].pop() else { return };
        let (sender, value, patience, round) =
            (self.sender.clone(), self.value.clone(), self.patience, self.round);
        tokio::task::spawn_local(async move {
            let done = timeout(patience, driver.put(KEY, &value)).await;
            let acknowledged_ns = matches!(done, Ok(Ok(()))).then(monotonic_ns);
            // Whoever waited for it may have gone.
            let _ = sender.send(Back { round, member, driver, acknowledged_ns });
        });
    }

    /// When the first write of this round was acknowledged, of those that have ended since the last question.
    pub(super) fn first_success(&mut self) -> Option<u64> {
        let mut first: Option<u64> = None;
        while let Ok(Back { round, member, driver, acknowledged_ns }) = self.inbox.try_recv() {
            if round != self.round {
                continue;
            }
            self.idle[member].push(driver);
            first = first.into_iter().chain(acknowledged_ns).min();
        }
        first
    }

    /// Writes once at a member, and waits for it.
    ///
    /// # Errors
    /// When it did not succeed.
    pub(super) async fn write(&mut self, member: usize) -> Result<(), String> {
        let driver = self.idle[member].last_mut().ok_or("no connection is free")?;
        let done = timeout(self.patience, driver.put(KEY, &self.value)).await;
        done.map_err(|_| "no answer in time".to_owned())?
    }
}
