//! How long a sync takes on the disk that is to be used: what simulation takes for it.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use rafture_sim::elections::Delay;

/// Syncs that are timed.
const SYNCS: usize = 50;
/// Bytes of each write: what a vote or a few entries take on disk.
const BYTES: usize = 4096;

/// Writes and syncs a few times in a file that goes away again.
///
/// # Errors
/// When it cannot be written or synced.
pub(super) fn measure(folder: &Path) -> io::Result<Delay> {
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
