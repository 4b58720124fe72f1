//! `index.sqlite`: every run of a store in one table, for lists, trends and people's own queries.
//!
//! A cache of the run folders and nothing else: an index that is damaged, or of another version, is thrown away and built
//! again from them. Several processes write it at once, each in one transaction a run.
//!
//! In reading order: `schema.sql` is what is in it, `facts` what it keeps of one folder, `folders` what is on disk, `query` what is
//! asked of it.

mod facts;
mod folders;
mod query;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};

pub use facts::{Fingerprint, State};
pub use query::{Choices, Filter, Listing, Row, Sample, Setting};

use facts::Facts;

/// The file's name in its store.
pub const FILE: &str = "index.sqlite";

/// Raised whenever `schema.sql` or the meaning of a column changes.
const VERSION: i64 = 2;
const SCHEMA: &str = include_str!("schema.sql");

/// How long a writer waits for others. A run's row is written in milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// So many runs are taken in at once: a store that is indexed for the first time holds nobody up for longer than that takes.
const BATCH: usize = 200;
/// A folder that was changed so recently may change again without its time changing: file systems keep time in ticks.
const SETTLED: Duration = Duration::from_millis(50);
/// So often all folders are looked at, not only those that are known to change.
const THOROUGH_EVERY: Duration = Duration::from_secs(60);

/// An index that cannot be used. Nothing is lost: the run folders have everything.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// SQLite refuses.
    #[error("cannot use the index `{}`: {source} (hint: delete it, it is built again)", path.display())]
    Database {
        /// Where the index is.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The store cannot be listed.
    #[error("cannot read the store `{}`: {source}", path.display())]
    Store {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The index of one store.
#[derive(Debug)]
pub struct Index {
    store: PathBuf,
    connection: Connection,
    /// Which file is open: another process may put a new one in its place.
    inode: Option<u64>,
    /// When each folder of runs was last changed, as far as it is known to be in the index.
    settled: BTreeMap<String, SystemTime>,
    thorough: Option<Instant>,
    /// Folders without a plan. They may be runs that have only just been made.
    blank: Vec<String>,
}

/// What [`Index::sync`] changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Synced {
    /// Rows written, because a folder is new or its `results.json` another one.
    pub written: usize,
    /// Rows removed, because their folder is gone.
    pub removed: usize,
}

impl Index {
    /// Opens the index of `store`, or makes an empty one. What the folders have and it has not comes with [`Index::sync`].
    ///
    /// # Errors
    /// When the file can neither be read nor replaced.
    pub fn open(store: impl AsRef<Path>) -> Result<Index, IndexError> {
        let store = store.as_ref().to_path_buf();
        let path = store.join(FILE);
        let connection = match connect(&path) {
            Err(error) if is_damage(&error) => discard(&path).and_then(|()| connect(&path)),
            done => done,
        };
        let connection = connection.map_err(|source| IndexError::Database { path: path.clone(), source })?;
        Ok(Index {
            store,
            connection,
            inode: inode(&path),
            settled: BTreeMap::new(),
            thorough: None,
            blank: Vec::new(),
        })
    }

    /// Takes in the run whose folder is `run`, and whatever else is missing if the index has just been made.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn record(run: &Path) -> Result<(), IndexError> {
        let names = run.file_name().zip(run.parent().and_then(Path::file_name));
        let store = run.parent().and_then(Path::parent).filter(|store| !store.as_os_str().is_empty());
        let (Some((run, name)), store) = (names, store.unwrap_or(Path::new("."))) else { return Ok(()) };
        let mut index = Index::open(store)?;
        let path = format!("{}/{}", name.to_string_lossy(), run.to_string_lossy());
        index.repaired(|index| {
            if index.is_empty()? {
                return index.sync_all(true).map(drop);
            }
            index.write(std::slice::from_ref(&path))
        })
    }

    /// Makes the index agree with the folders. The first time, and once a minute, all of them are looked at; in between only
    /// what is known to change: folders with a new time, and runs that had not finished.
    ///
    /// # Errors
    /// When the store cannot be listed, or the index not be written.
    pub fn sync(&mut self) -> Result<Synced, IndexError> {
        if inode(&self.store.join(FILE)) != self.inode {
            *self = Index::open(&self.store)?;
        }
        self.repaired(|index| {
            let thorough = index.thorough.is_none_or(|last| last.elapsed() > THOROUGH_EVERY);
            let synced = index.sync_all(thorough)?;
            if thorough {
                index.thorough = Some(Instant::now());
            }
            Ok(synced)
        })
    }

    fn sync_all(&mut self, thorough: bool) -> Result<Synced, IndexError> {
        let store = self.store.clone();
        let names =
            folders::names(&store).map_err(|source| IndexError::Store { path: store.clone(), source })?;
        let (mut missing, mut gone) = (std::mem::take(&mut self.blank), Vec::new());
        for name in &names {
            let changed = fs::metadata(store.join(name)).and_then(|metadata| metadata.modified()).ok();
            let is_settled = changed.is_some() && self.settled.get(name).copied() == changed;
            if is_settled && !thorough {
                continue;
            }
            let mut known = self.known(name)?;
            for path in folders::runs(&store, name) {
                match known.remove(&path) {
                    Some(fingerprint) if !thorough || fingerprint == Fingerprint::of(&store.join(&path)) => {}
                    _ => missing.push(path),
                }
            }
            gone.extend(known.into_keys());
            let age = changed.and_then(|time| SystemTime::now().duration_since(time).ok());
            match changed.filter(|_| age.is_some_and(|age| age > SETTLED)) {
                Some(time) => self.settled.insert(name.clone(), time),
                None => self.settled.remove(name),
            };
        }
        missing.extend(
            self.open_runs()?
                .into_iter()
                .filter(|(path, fingerprint)| {
                    let now = Fingerprint::of(&store.join(path));
                    now != *fingerprint || !store.join(path).is_dir()
                })
                .map(|(path, _)| path),
        );
        missing.sort();
        missing.dedup();
        let (missing, blank): (Vec<String>, _) = missing.into_iter().partition(|path| {
            let folder = store.join(path);
            folders::is_run(&folder) || !folder.is_dir()
        });
        self.blank = blank;
        gone.extend(self.runs_of_other_names(&names)?);
        self.settled.retain(|name, _| names.contains(name));
        for batch in missing.chunks(BATCH) {
            self.write(batch)?;
        }
        self.remove(&gone)?;
        Ok(Synced { written: missing.len(), removed: gone.len() })
    }

    /// Does `work`; if the file turns out to be damaged, once more on a new one.
    fn repaired<T>(&mut self, work: impl Fn(&mut Index) -> Result<T, IndexError>) -> Result<T, IndexError> {
        match work(self) {
            Err(IndexError::Database { path, source }) if is_damage(&source) => {
                discard(&path).map_err(|source| IndexError::Database { path, source })?;
                *self = Index::open(&self.store)?;
                self.sync_all(true)?;
                work(self)
            }
            done => done,
        }
    }

    /// Reads the folders of `paths` and writes their rows in one transaction; a folder that is gone loses its row.
    fn write(&mut self, paths: &[String]) -> Result<(), IndexError> {
        let facts: Vec<(&String, Option<Facts>)> =
            paths.iter().map(|path| (path, Facts::read(&self.store, path))).collect();
        self.change(|transaction| {
            for (path, facts) in &facts {
                transaction.execute("DELETE FROM runs WHERE path = ?1", [path])?;
                if let Some(facts) = facts {
                    facts.insert(transaction)?;
                }
            }
            Ok(())
        })
    }

    fn remove(&mut self, paths: &[String]) -> Result<(), IndexError> {
        if paths.is_empty() {
            return Ok(());
        }
        self.change(|transaction| {
            let mut delete = transaction.prepare_cached("DELETE FROM runs WHERE path = ?1")?;
            paths.iter().try_for_each(|path| delete.execute([path]).map(drop))
        })
    }

    fn change(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), IndexError> {
        let path = self.store.join(FILE);
        let done = (|| {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            work(&transaction)?;
            transaction.commit()
        })();
        done.map_err(|source| IndexError::Database { path, source })
    }

    fn ask<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, IndexError> {
        work(&self.connection).map_err(|source| IndexError::Database { path: self.store.join(FILE), source })
    }

    fn is_empty(&self) -> Result<bool, IndexError> {
        self.ask(|connection| {
            let any = connection.query_row("SELECT 1 FROM runs LIMIT 1", [], |_| Ok(())).optional()?;
            Ok(any.is_none())
        })
    }

    /// The runs of `name` that have a row, and of which `results.json` that is.
    fn known(&self, name: &str) -> Result<BTreeMap<String, Fingerprint>, IndexError> {
        let sql = "SELECT path, results_mtime_ns, results_size FROM runs WHERE name = ?1";
        self.ask(|connection| connection.prepare_cached(sql)?.query_map([name], fingerprint)?.collect())
    }

    fn open_runs(&self) -> Result<Vec<(String, Fingerprint)>, IndexError> {
        let sql = "SELECT path, results_mtime_ns, results_size FROM runs WHERE state <> 'finished'";
        self.ask(|connection| connection.prepare_cached(sql)?.query_map([], fingerprint)?.collect())
    }

    fn runs_of_other_names(&self, names: &[String]) -> Result<Vec<String>, IndexError> {
        let distinct = self.ask(|connection| {
            let mut statement = connection.prepare_cached("SELECT DISTINCT name FROM runs")?;
            let names = statement.query_map([], |row| row.get::<_, String>(0))?;
            names.collect::<rusqlite::Result<Vec<String>>>()
        })?;
        let mut paths = Vec::new();
        for name in distinct.iter().filter(|name| !names.contains(name)) {
            paths.extend(self.known(name)?.into_keys());
        }
        Ok(paths)
    }
}

fn fingerprint(row: &rusqlite::Row<'_>) -> rusqlite::Result<(String, Fingerprint)> {
    let file = row.get::<_, Option<i64>>(1)?.zip(row.get::<_, Option<i64>>(2)?);
    Ok((row.get(0)?, Fingerprint(file)))
}

fn inode(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.ino())
}

/// Opens the file and sees to it that it has this version's tables.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    // A power loss may cost the last rows, and the next look at the folders brings them back.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let version =
        |connection: &Connection| connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    if version(&connection)? == VERSION {
        return Ok(connection);
    }
    // Cascades would ask for tables that another version need not have.
    connection.pragma_update(None, "foreign_keys", false)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    if version(&transaction)? != VERSION {
        drop_everything(&transaction)?;
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

fn drop_everything(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let sql =
        "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'";
    let mut statement = transaction.prepare(sql)?;
    let things = statement.query_map(params![], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let things = things.collect::<rusqlite::Result<Vec<(String, String)>>>()?;
    for (kind, name) in things {
        transaction.execute_batch(&format!("DROP {kind} \"{}\"", name.replace('"', "\"\"")))?;
    }
    Ok(())
}

/// Whether the file is no index that SQLite can read, as opposed to one that is busy, or a disk that is full.
fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, message) => {
            let lacks =
                |message: &String| message.contains("no such table") || message.contains("no such column");
            matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                || message.as_ref().is_some_and(lacks)
        }
        // A statement that does not fit the tables, or a column of another type: somebody changed them.
        rusqlite::Error::SqlInputError { .. }
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..) => true,
        _ => false,
    }
}

/// Takes the damaged file out of the way. Its journal goes first: SQLite would play it into the next file of this name.
fn discard(path: &Path) -> rusqlite::Result<()> {
    for suffix in ["-journal", "-wal", "-shm", ""] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let failure = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_DELETE);
                return Err(rusqlite::Error::SqliteFailure(failure, Some(error.to_string())));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
