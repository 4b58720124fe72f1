//! What our file system costs a program that syncs, beside the bare folder.
//!
//! `cargo bench -p rafture-nemesis --bench disk -- [--folder FOLDER] [--rounds 15] [--milliseconds 400]` writes 4 KiB and syncs (`fdatasync`), again and
//! again: at the end of a file that grows, and into one that was made ahead. The one idea: both sides are measured in turns of a fraction
//! of a second, so that whatever else the machine does befalls them alike, and what is compared are neighbours. How systems fare
//! on it is told by `rafture bench --mounted`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rafture_nemesis::disk::{Mount, enter, lack};

const BLOCK: usize = 4096;
/// Blocks of a file that is made ahead.
const BLOCKS: u64 = 4096;

/// How often in a second a turn in a folder syncs.
type Measure = fn(&Path, Duration) -> io::Result<f64>;

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
fn syncs(file: &File, turn: Duration, place: impl Fn(u64) -> u64) -> io::Result<f64> {
    let block = [7; BLOCK];
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < turn {
        file.write_all_at(&block, place(count) * BLOCK as u64)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

fn append(folder: &Path, turn: Duration) -> io::Result<f64> {
    let path = folder.join("append");
    let file = File::create(&path)?;
    let syncs = syncs(&file, turn, |count| count);
    fs::remove_file(path)?;
    syncs
}

fn overwrite(folder: &Path, turn: Duration) -> io::Result<f64> {
    let path = folder.join("ahead");
    if !path.exists() {
        let file = File::create(&path)?;
        (0..BLOCKS).try_for_each(|block| file.write_all_at(&[0; BLOCK], block * BLOCK as u64))?;
        file.sync_all()?;
    }
    syncs(&File::options().write(true).open(path)?, turn, |count| count % BLOCKS)
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
        "4 KiB and fdatasync, {} turns of {:?} each; medians\n{:<12} {:>9} {:>11} {:>9} {:>17}",
        wanted.rounds, wanted.turn, "", "bare/s", "mounted/s", "ratio", "turns min..max"
    );
    let kinds: [(&str, Measure); 2] = [("append", append), ("overwrite", overwrite)];
    for (name, kind) in kinds {
        // The first turns make files and warm up.
        kind(&bare, wanted.turn / 4)?;
        kind(&shown, wanted.turn / 4)?;
        let turn = |_| Ok((kind(&bare, wanted.turn)?, kind(&shown, wanted.turn)?));
        let turns: Vec<(f64, f64)> = (0..wanted.rounds).map(turn).collect::<io::Result<_>>()?;
        let ratio = |turn: &(f64, f64)| turn.1 / turn.0;
        let low = turns.iter().map(ratio).fold(f64::MAX, f64::min);
        let high = turns.iter().map(ratio).fold(0.0, f64::max);
        println!(
            "{name:<12} {:>9.0} {:>11.0} {:>8.1}% {:>17}",
            median(turns.iter().map(|turn| turn.0)),
            median(turns.iter().map(|turn| turn.1)),
            100.0 * median(turns.iter().map(ratio)),
            format!("{:.0}..{:.0}%", 100.0 * low, 100.0 * high)
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
