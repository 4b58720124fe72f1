//! Many clients at once, until they are told to stop.
//!
//! *Closed loop*: a fixed number of clients, each asking again as soon as it was answered; a system that stalls is
//! asked less. *Open loop*: operations begin on schedule whether or not earlier ones came back, and their latency
//! counts from when they should have begun, so that a stall shows in full (coordinated omission).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::operation::Answer;
use crate::recorder::Recorder;
use crate::systems::{Client, Layout, Route, System};
use crate::workload::{Generator, Part, Workload};

/// Operations that may be under way at once in an open loop. Beyond it they wait, and their waiting counts.
pub const CLIENTS_MAX: usize = 1000;

/// How hard a system is driven.
#[derive(Debug, Clone)]
pub struct Load {
    /// Clients of a closed loop.
    pub concurrency: usize,
    /// Operations per second; makes it an open loop.
    pub rate: Option<f64>,
    /// After so long without an answer, an operation counts as uncertain.
    pub patience: Duration,
    /// Seed of what is asked and when.
    pub seed: u64,
}

/// Drives `system` until `stop` says so, and until every operation under way has ended.
pub async fn drive(
    load: &Load,
    system: &dyn System,
    layout: &Arc<Layout>,
    workload: &dyn Workload,
    recorder: &Recorder,
    stop: watch::Receiver<bool>,
) {
    let hire = |number| Worker::hire(number, load, system, layout, workload, recorder);
    match load.rate {
        None => closed((0..load.concurrency).map(hire).collect(), stop).await,
        Some(rate) => open(rate, load.seed, recorder.now(), hire, stop).await,
    }
}

async fn closed(workers: Vec<Worker>, stop: watch::Receiver<bool>) {
    let mut tasks = JoinSet::new();
    for mut worker in workers {
        let stop = stop.clone();
        tasks.spawn(async move {
            while !*stop.borrow() {
                worker.operate(None).await;
            }
        });
    }
    tasks.join_all().await;
}

async fn open(
    rate: f64,
    seed: u64,
    start_ns: u64,
    hire: impl Fn(usize) -> Worker,
    mut stop: watch::Receiver<bool>,
) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (back, mut returning) = mpsc::channel(CLIENTS_MAX);
    let mut idle: VecDeque<Worker> = VecDeque::new();
    let mut hired = 0;
    let (mut due, mut due_ns) = (Instant::now(), start_ns);
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|&stop| stop) => break,
            () = sleep_until(due) => {}
        }
        while let Ok(worker) = returning.try_recv() {
            idle.push_back(worker);
        }
        let mut worker = match idle.pop_front() {
            Some(worker) => worker,
            None if hired < CLIENTS_MAX => {
                hired += 1;
                hire(hired - 1)
            }
            None => match returning.recv().await {
                Some(worker) => worker,
                None => break,
            },
        };
        if worker.free_since > due_ns {
            // One process does not begin an operation before it has ended its last. It could not begin in time, since it was busy or
            // this machine was; that counts, so it is another one that should have begun then.
            worker.process += worker.stride;
        }
        let (intended, back) = (due_ns, back.clone());
        tokio::spawn(async move {
            worker.operate(Some(intended)).await;
            // The dispatcher may have stopped.
            let _ = back.send(worker).await;
        });
        // Independent arrivals: exponential gaps.
        let gap = Duration::from_secs_f64(-(1.0 - random.random::<f64>()).ln() / rate);
        due += gap;
        due_ns += gap.as_nanos() as u64;
    }
    // Those under way hold a sender each.
    drop(back);
    while returning.recv().await.is_some() {}
}

/// One client with what it asks.
struct Worker {
    process: u64,
    /// Distance to the next number of its own.
    stride: u64,
    free_since: u64,
    patience: Duration,
    layout: Arc<Layout>,
    client: Box<dyn Client>,
    generator: Box<dyn Generator>,
    recorder: Recorder,
}

impl Worker {
    /// Every other client only reads, and always asks a node of its own first; the rest follow the leader. A
    /// leader that is cut off unawares soon has all those who follow it waiting for writes: it is the observers
    /// who see what it still answers.
    fn hire(
        number: usize,
        load: &Load,
        system: &dyn System,
        layout: &Arc<Layout>,
        workload: &dyn Workload,
        recorder: &Recorder,
    ) -> Worker {
        let node = number / 2 % layout.nodes.len();
        let (part, route) = match number % 2 {
            0 => (Part::Any, Route::Leader(node)),
            _ => (Part::Observer, Route::Home(node)),
        };
        let mut random = ChaCha8Rng::seed_from_u64(load.seed);
        random.set_stream(number as u64 + 1);
        Worker {
            process: number as u64,
            stride: load.rate.map_or(load.concurrency, |_| CLIENTS_MAX) as u64,
            free_since: 0,
            patience: load.patience,
            layout: Arc::clone(layout),
            client: system.client(Arc::clone(layout), route),
            generator: workload.generator(number, part, random),
            recorder: recorder.clone(),
        }
    }

    async fn operate(&mut self, intended: Option<u64>) {
        let ask = self.generator.next();
        let node = &self.layout.nodes[self.client.node()].name;
        self.recorder.invoke(self.process, &ask, node, intended);
        let deadline = Instant::now() + self.patience;
        let (answer, node) = self.client.invoke(&ask, deadline).await;
        let node = &self.layout.nodes[node].name;
        self.free_since = self.recorder.complete(self.process, &ask, &answer, node);
        self.generator.learn(&ask, &answer);
        if matches!(answer, Answer::Info(_)) {
            // Its last operation may still take effect, so this process is never heard of again.
            self.process += self.stride;
        }
    }
}
