//! What our file system costs a program that syncs, beside the bare folder.
//!
//! `cargo bench -p rafture-nemesis --bench disk -- [--folder FOLDER] [--rounds 15] [--milliseconds 400]` writes 4 KiB and syncs (`fdatasync`), again and
//! again: at the end of a file that grows, and into one that was made ahead. The one idea: all sides are measured in turns of a fraction
//! of a second, so that whatever else the machine does befalls them alike, and what is compared are neighbours. How systems fare
//! on it is told by `rafture bench --mounted`.
//!
//! Our file system waits until the disk has taken what was written, and does not have the disk flush its own cache. So a third
//! side does just that on the bare folder (`taken`): beside it, one sees what the requests cost; beside the first, what a program sees.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rafture_nemesis::disk::{Mount, enter, lack};

const BLOCK: usize = 4096;
/// Blocks of a file that is made ahead.
const BLOCKS: u64 = 4096;

/// How often in a second a turn in a folder syncs in that way.
type Measure = fn(&Path, Duration, Sync) -> io::Result<f64>;

/// A way to sync a file.
type Sync = fn(&File) -> io::Result<()>;

/// What our file system does of a sync.
fn taken(file: &File) -> io::Result<()> {
    let all =
        libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: it takes numbers only, and the descriptor is open as long as `file` is borrowed.
    match unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, all) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What was asked for on the command line.
struct Wanted {
    folder: PathBuf,
    rounds: usize,
    turn: Duration,
}

/// A folder that goes when the measurement is over.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn wanted() -> Result<Wanted, String> {
    let mut wanted = Wanted { folder: ".".into(), rounds: 15, turn: Duration::from_millis(400) };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("`{word}` takes a value"));
        let number = |text: String| text.parse::<usize>().map_err(|_| format!("`{text}` is no number"));
        match word.as_str() {
            "--folder" => wanted.folder = value()?.into(),
            "--rounds" => wanted.rounds = number(value()?)?.max(1),
            "--milliseconds" => wanted.turn = Duration::from_millis(number(value()?)?.max(1) as u64),
            // Cargo says so itself.
            "--bench" => {}
            _ => return Err(format!("unknown word `{word}`")),
        }
    }
    Ok(wanted)
}

/// Syncs in a second, of blocks that are written where `place` says.
fn syncs(file: &File, turn: Duration, sync: Sync, place: impl Fn(u64) -> u64) -> io::Result<f64> {
    let block = [7; BLOCK];
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < turn {
        file.write_all_at(&block, place(count) * BLOCK as u64)?;
        sync(file)?;
        count += 1;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

fn append(folder: &Path, turn: Duration, sync: Sync) -> io::Result<f64> {
    let path = folder.join("append");
    let file = File::create(&path)?;
    let syncs = syncs(&file, turn, sync, |count| count);
    fs::remove_file(path)?;
    syncs
}

fn overwrite(folder: &Path, turn: Duration, sync: Sync) -> io::Result<f64> {
    let path = folder.join("ahead");
    if !path.exists() {
        let file = File::create(&path)?;
        (0..BLOCKS).try_for_each(|block| file.write_all_at(&[0; BLOCK], block * BLOCK as u64))?;
        file.sync_all()?;
    }
    syncs(&File::options().write(true).open(path)?, turn, sync, |count| count % BLOCKS)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn measure(wanted: &Wanted) -> io::Result<()> {
    enter()?;
    let scratch = Scratch(wanted.folder.join(format!(".rafture-bench-{}", std::process::id())));
    let [shown, behind, limbo, bare] = ["shown", "behind", "limbo", "bare"].map(|name| scratch.0.join(name));
    for folder in [&shown, &behind, &limbo, &bare] {
        fs::create_dir_all(folder)?;
    }
    let mount = Mount::open(&shown, &behind, &limbo)?;
    println!(
        "4 KiB and fdatasync, {} turns of {:?} each; medians\n{:<12} {:>8} {:>8} {:>10} {:>14} {:>14} {:>15}",
        wanted.rounds, wanted.turn, "", "bare/s", "taken/s", "mounted/s", "of bare", "turns", "of taken"
    );
    let kinds: [(&str, Measure); 2] = [("append", append), ("overwrite", overwrite)];
    for (name, kind) in kinds {
        let turn = |long: Duration| -> io::Result<[f64; 3]> {
            Ok([
                kind(&bare, long, File::sync_data)?,
                kind(&bare, long, taken)?,
                kind(&shown, long, File::sync_data)?,
            ])
        };
        // The first turn makes files and warms up.
        turn(wanted.turn / 4)?;
        let turns: Vec<[f64; 3]> =
            (0..wanted.rounds).map(|_| turn(wanted.turn)).collect::<io::Result<_>>()?;
        let ratio = |turn: &[f64; 3]| 100.0 * turn[2] / turn[0];
        let low = turns.iter().map(ratio).fold(f64::MAX, f64::min);
        let high = turns.iter().map(ratio).fold(0.0, f64::max);
        let [bare, taken, mounted] = [0, 1, 2].map(|side| median(turns.iter().map(|turn| turn[side])));
        println!(
            "{name:<12} {bare:>8.0} {taken:>8.0} {mounted:>10.0} {:>13.0}% {:>14} {:>14.0}%",
            median(turns.iter().map(ratio)),
            format!("{low:.0}..{high:.0}%"),
            median(turns.iter().map(|turn| 100.0 * turn[2] / turn[1])),
        );
    }
    drop(mount);
    Ok(())
}

fn main() {
    let done = wanted().and_then(|wanted| match lack() {
        Some(lack) => Err(lack),
        None => measure(&wanted).map_err(|error| error.to_string()),
    });
    if let Err(error) = done {
        eprintln!("disk: {error}");
        std::process::exit(1);
    }
}
