//! `history.jsonl` as it grows: a thread of its own takes events off the clients' hands, writes them, and watches whether they can
//! still be explained.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rafture_checker::history::Event;
use rafture_checker::online::Watch;
use tokio::sync::watch;

/// The file is at most this far behind what happened; the contract says one second.
const LAG_MAX: Duration = Duration::from_millis(250);

/// Whoever looks at events before they are all there.
pub(super) struct Watcher {
    /// Nothing where the model cannot be watched.
    pub(super) watch: Option<Watch>,
    /// Is told true as soon as the history cannot be explained any more.
    pub(super) halt: watch::Sender<bool>,
}

/// The thread that writes; it ends with what was watched.
pub(super) type Writer = JoinHandle<io::Result<Option<Watch>>>;

/// Starts to write `path`. Send events; when every sender is gone, the thread ends with what came of them.
///
/// # Errors
/// When the file cannot be made or no thread can be started.
pub(super) fn write_history(path: &Path, watcher: Watcher) -> io::Result<(Sender<Event>, Writer)> {
    let file = BufWriter::with_capacity(1 << 16, File::create(path)?);
    let (sender, receiver) = channel();
    let keep = move || keep(file, &receiver, watcher);
    let thread = std::thread::Builder::new().name("history".into()).spawn(keep)?;
    Ok((sender, thread))
}

fn keep(
    mut file: BufWriter<File>,
    events: &Receiver<Event>,
    mut watcher: Watcher,
) -> io::Result<Option<Watch>> {
    let mut flushed = Instant::now();
    loop {
        let event = events.recv_timeout(LAG_MAX);
        if let Ok(event) = &event {
            serde_json::to_writer(&mut file, event)?;
            file.write_all(b"\n")?;
            watcher.feed(event);
        }
        let is_over = matches!(event, Err(RecvTimeoutError::Disconnected));
        if is_over || flushed.elapsed() >= LAG_MAX {
            file.flush()?;
            watcher.settle();
            flushed = Instant::now();
        }
        if is_over {
            return Ok(watcher.watch);
        }
    }
}

impl Watcher {
    fn feed(&mut self, event: &Event) {
        if let Some(watch) = &mut self.watch {
            watch.feed(event);
        }
    }

    fn settle(&mut self) {
        if self.watch.as_mut().is_some_and(|watch| watch.settle().is_some()) {
            self.halt.send_replace(true);
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
        let watcher = Watcher { watch: None, halt: watch::channel(false).0 };
        let (sender, thread) = write_history(&path, watcher).expect("a file");
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
