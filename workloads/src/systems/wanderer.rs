//! One operation, carried from node to node until something comes of it: what the clients of all systems have in common.
//! How a node is reached, and what its answers mean, is each system's own.
//!
//! A certain refusal is tried again, at the leader if one was named, else at the next node, until the operation's time is
//! up; an uncertain outcome never.

use std::borrow::Cow;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Boxed, Client, Route};
use crate::operation::{Answer, Ask};

/// Pause before a node is asked that may not know its leader yet: the resolution of recovery times.
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// What one try with one node has shown.
pub(super) enum Attempt {
    Answered(Answer),
    /// It surely had no effect; somebody else may lead.
    Refused(Cow<'static, str>, Option<usize>),
    /// It was sent, and nothing certain came back.
    Lost(Cow<'static, str>),
}

/// The nodes, as one client reaches them.
pub(super) trait Nodes: Send {
    /// Tries an operation with one of them, giving up at `deadline`.
    fn attempt<'a>(&'a mut self, node: usize, ask: &'a Ask, deadline: Instant) -> Boxed<'a, Attempt>;
}

/// A client that asks one node after the other.
pub(super) struct Wanderer<N> {
    nodes: N,
    count: usize,
    route: Route,
    /// The node to ask.
    node: usize,
}

impl<N: Nodes> Wanderer<N> {
    pub(super) fn new(nodes: N, count: usize, route: Route) -> Wanderer<N> {
        let (Route::Leader(node) | Route::Home(node)) = route;
        Wanderer { nodes, count, route, node }
    }

    /// Asks the leader next, or when none is known, the next node.
    fn turn_to(&mut self, leader: Option<usize>) {
        self.node = leader.unwrap_or((self.node + 1) % self.count);
    }

    fn go_home(&mut self) {
        if let Route::Home(home) = self.route {
            self.node = home;
        }
    }
}

impl<N: Nodes> Client for Wanderer<N> {
    fn node(&self) -> usize {
        self.node
    }

    fn invoke<'a>(&'a mut self, ask: &'a Ask, deadline: Instant) -> Boxed<'a, (Answer, usize)> {
        Box::pin(async move {
            // A try that is begun too late ends without an answer, and what could have been certain is not.
            let last_try = deadline - (deadline - Instant::now()) / 8;
            loop {
                let asked = self.node;
                let (reason, leader) = match self.nodes.attempt(asked, ask, deadline).await {
                    Attempt::Answered(answer) => {
                        self.go_home();
                        return (answer, asked);
                    }
                    Attempt::Lost(reason) => {
                        self.turn_to(None);
                        self.go_home();
                        return (Answer::Info(reason), asked);
                    }
                    Attempt::Refused(reason, leader) => (reason, leader),
                };
                self.turn_to(leader.filter(|&leader| leader != asked));
                if Instant::now() + ASK_AGAIN >= last_try {
                    self.go_home();
                    return (Answer::Fail(reason), asked);
                }
                if leader.is_none() {
                    sleep(ASK_AGAIN).await;
                }
            }
        })
    }
}
