//! `history.jsonl` as it grows: a thread of its own takes events off the clients' hands and writes them.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rafture_checker::history::Event;

/// The file is at most this far behind what happened; the contract says one second.
const LAG_MAX: Duration = Duration::from_millis(250);

/// Starts to write `path`. Send events; when every sender is gone, the thread ends with what came of it.
///
/// # Errors
/// When the file cannot be made or no thread can be started.
pub(super) fn write_history(path: &Path) -> io::Result<(Sender<Event>, JoinHandle<io::Result<()>>)> {
    let file = BufWriter::with_capacity(1 << 16, File::create(path)?);
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new().name("history".into()).spawn(move || keep(file, &receiver))?;
    Ok((sender, thread))
}

fn keep(mut file: BufWriter<File>, events: &Receiver<Event>) -> io::Result<()> {
    let mut flushed = Instant::now();
    loop {
        match events.recv_timeout(LAG_MAX) {
            Ok(event) => {
                serde_json::to_writer(&mut file, &event)?;
                file.write_all(b"\n")?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return file.flush(),
        }
        if flushed.elapsed() >= LAG_MAX {
            file.flush()?;
            flushed = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use rafture_checker::history::{EventKind, Process};

    use super::*;

    #[test]
    fn a_line_is_in_the_file_while_the_run_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("history.jsonl");
        let (sender, thread) = write_history(&path).expect("a file");
        let event = Event {
            index: 0,
            time: 7,
            process: Process::Client(3),
            kind: EventKind::Invoke,
            f: Cow::Borrowed("read"),
            key: Some("k1".into()),
            value: serde_json::Value::Null,
            node: Some(Cow::Borrowed("n1")),
            error: None,
        };
        sender.send(event).expect("the thread listens");
        let line = r#"{"index":0,"time":7,"process":3,"type":"invoke","f":"read","key":"k1","value":null,"node":"n1"}"#;
        let deadline = Instant::now() + Duration::from_secs(1);
        while std::fs::read_to_string(&path).expect("a file").trim_end() != line {
            assert!(Instant::now() < deadline, "the line is not there within a second");
            std::thread::yield_now();
        }
        drop(sender);
        thread.join().expect("no panic").expect("a file that can be written");
    }
}
