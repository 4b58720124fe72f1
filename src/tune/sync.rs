//! How long syncs take: those that are meant, and those of the disk that is to be used. Without another word they are the same; a disk that
//! is to be slower is made so for real nodes, and simulation takes whatever is meant.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rafture_nemesis::disk::Trouble;
use rafture_sim::elections::Delay;

use super::arguments::TuneArguments;
use crate::error::Error;

/// Syncs that are timed.
const SYNCS: usize = 50;
/// Bytes of each write: what a vote or a few entries take on disk.
const BYTES: usize = 4096;

/// What a sync takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Syncs {
    /// At the nodes that are meant.
    pub(super) meant: Delay,
    /// Here.
    here: Delay,
    is_told: bool,
}

impl Syncs {
    /// What was asked for, or what this disk does. `--sync` alone leaves nothing to chance; `--sync-jitter` alone comes on top of the
    /// least that this disk takes.
    ///
    /// # Errors
    /// When the disk cannot be measured.
    pub(super) fn of(arguments: &TuneArguments, folder: &Path) -> Result<Syncs, Error> {
        let here = measure(folder).map_err(|error| {
            Error::Harness(format!(
                "cannot measure the disk at `{}`: {error} (hint: --store on another)",
                folder.display()
            ))
        })?;
        let told =
            [arguments.sync, arguments.sync_jitter].map(|span| span.map(|span| span.0.as_nanos() as u64));
        let meant = match told {
            [None, None] => here,
            [base, tail] => {
                Delay { base_ns: base.unwrap_or(here.base_ns), tail_ns: tail.unwrap_or_default() }
            }
        };
        Ok(Syncs { meant, here, is_told: meant != here })
    }

    /// What the disks of real nodes do wrong, so that syncs take what is meant; `None` if this disk is meant.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.is_told.then(|| Trouble {
            slow_sync: Duration::from_nanos(self.meant.base_ns.saturating_sub(self.here.mean_ns())),
            uneven_sync: Duration::from_nanos(self.meant.tail_ns),
            ..Trouble::default()
        })
    }

    /// Says so if this disk is too slow for what is meant.
    pub(super) fn warning(&self) -> Option<String> {
        (self.is_told && self.meant.base_ns < self.here.base_ns).then(|| {
            format!(
                "a sync takes {} here, longer than --sync: real nodes have no quicker disk than that",
                milliseconds(self.here.mean_ns())
            )
        })
    }
}

/// As people say it.
pub(super) fn words(sync: Delay) -> String {
    match sync.tail_ns {
        0 => format!("syncs of {}", milliseconds(sync.base_ns)),
        tail => format!("syncs of {} and {} more by chance", milliseconds(sync.base_ns), milliseconds(tail)),
    }
}

fn milliseconds(ns: u64) -> String {
    format!("{:.2} ms", ns as f64 / 1e6)
}

/// Writes and syncs a few times in a file that goes away again.
///
/// # Errors
/// When it cannot be written or synced.
fn measure(folder: &Path) -> io::Result<Delay> {
    let mut file = tempfile::tempfile_in(folder)?;
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        took.push(sync(&mut file)?);
    }
    took.sort_unstable();
    // The fastest ones are what a sync takes at least, and the mean of the rest is beyond that.
    let base_ns = took[SYNCS / 20];
    // A few that take very long are not what every tenth one takes.
    let usual = &took[..SYNCS * 9 / 10];
    let mean = usual.iter().sum::<u64>() / usual.len() as u64;
    Ok(Delay { base_ns, tail_ns: mean.saturating_sub(base_ns) })
}

fn sync(file: &mut File) -> io::Result<u64> {
    let began = Instant::now();
    file.write_all(&[7; BYTES])?;
    file.sync_data()?;
    Ok(began.elapsed().as_nanos() as u64)
}
