//! What this machine allows, found out by trying, and what each lack costs.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;

use crate::clocks;
use crate::disk::{self, Disks};
use crate::hosts::{Condition, Hosts, Link, NetworkChoice, privilege};

/// How late datagrams are made to see whether links can be spoilt.
const DELAY: Duration = Duration::from_millis(5);

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub name: &'static str,
    /// Whether it works.
    pub works: bool,
    /// What was seen.
    pub detail: String,
    /// What cannot be done without it.
    pub cost: &'static str,
}

/// Open files that a run with many clients takes.
const FILES_MIN: u64 = 4096;
/// Free space below which a long run may fill the disk.
const FREE_BYTES_MIN: u64 = 2 << 30;
/// Syncs to measure a disk by.
const SYNCS: usize = 20;

/// Tries everything. `store` is where runs go, or would go.
pub fn examine(store: &Path) -> Vec<Finding> {
    let folder = store.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
    vec![
        network(
            "network namespaces",
            NetworkChoice::Netns,
            "partitions go through proxies, for systems that can be told an address per peer",
        ),
        network("proxies", NetworkChoice::Proxy, "no partitions without network namespaces"),
        user_namespaces(),
        disks(),
        packets(),
        resets(),
        clocks(),
        open_files(),
        free_space(folder),
        syncs(folder),
    ]
}

fn network(name: &'static str, choice: NetworkChoice, cost: &'static str) -> Finding {
    // Namespaces change the thread that makes them, so it is one of its own.
    let tried = thread::spawn(move || {
        let start = Instant::now();
        let mut hosts = Hosts::open(choice, 3).map_err(|error| error.to_string())?;
        let opened = start.elapsed();
        let cut = hosts.cut(&crate::hosts::Link::all(3).collect()).map_err(|error| error.to_string())?;
        Ok::<_, String>(format!("{}; 3 hosts in {opened:.1?}, all links cut in {cut:.1?}", hosts.reason()))
    });
    let tried = tried.join().unwrap_or_else(|_| Err("the attempt crashed".into()));
    let works = tried.is_ok();
    Finding { name, works, detail: tried.unwrap_or_else(|error| error), cost }
}

/// Entering a user namespace needs a process without threads, so it is read off the settings.
fn user_namespaces() -> Finding {
    let setting = |path: &str| fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let most = setting("/proc/sys/user/max_user_namespaces").unwrap_or(0);
    let closed = setting("/proc/sys/kernel/unprivileged_userns_clone") == Some(0)
        || setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1);
    Finding {
        name: "user namespaces",
        works: most > 0 && !closed,
        detail: format!(
            "at most {most}{}; this process has: {}",
            if closed { ", closed to users" } else { "" },
            privilege()
        ),
        cost: "an ordinary user has no network namespaces, and gets proxies",
    }
}

/// Tried as a run does it, by a thread that may move to a mount namespace of its own.
fn disks() -> Finding {
    let tried = thread::spawn(|| {
        let start = Instant::now();
        let folder = std::env::temp_dir().join(format!("rafture-doctor-{}", std::process::id()));
        fs::create_dir(&folder).map_err(|error| error.to_string())?;
        let opened = match disk::lack() {
            Some(lack) => Err(lack),
            None => Disks::open(std::slice::from_ref(&folder)).map(drop).map_err(|error| error.to_string()),
        };
        let took = start.elapsed();
        let _ = fs::remove_dir_all(&folder);
        opened.map(|()| format!("/dev/fuse: a disk was mounted in {took:.1?}"))
    });
    let tried = tried.join().unwrap_or_else(|_| Err("the attempt crashed".into()));
    Finding {
        name: "FUSE",
        works: tried.is_ok(),
        detail: tried.unwrap_or_else(|error| error),
        cost: "no faults of disks under a running program",
    }
}

/// On hosts of their own, on a thread that may move to them.
fn on_hosts(
    name: &'static str,
    cost: &'static str,
    tried: impl FnOnce(&mut Hosts) -> Result<String, String> + Send + 'static,
) -> Finding {
    let tried = thread::spawn(move || {
        let mut hosts = Hosts::open(NetworkChoice::Netns, 2).map_err(|error| error.to_string())?;
        tried(&mut hosts)
    });
    let tried = tried.join().unwrap_or_else(|_| Err("the attempt crashed".into()));
    Finding { name, works: tried.is_ok(), detail: tried.unwrap_or_else(|error| error), cost }
}

fn packets() -> Finding {
    on_hosts("packet path", "no faults of links but partitions", |hosts| {
        let links: BTreeSet<Link> = [Link { from: 0, to: 1 }].into();
        let late = Condition { delay: DELAY, ..Condition::default() };
        let late = links.iter().map(|&link| (link, late)).collect();
        hosts.condition(late, 0).map_err(|error| error.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let measured = runtime
            .map_err(|error| error.to_string())?
            .block_on(hosts.measure(&links, 50 * DELAY))
            .map_err(|error| error.to_string())?;
        let words = format!("datagrams to be {DELAY:?} late took {:.1?}", measured.median());
        if measured.median() < DELAY { Err(words) } else { Ok(words) }
    })
}

fn resets() -> Finding {
    on_hosts("connection resets", "`reset` breaks no connections off", |hosts| {
        let text = |error: io::Error| error.to_string();
        // This thread lives on the host of the clients.
        let listener = TcpListener::bind("127.0.0.1:0").map_err(text)?;
        let connection = TcpStream::connect(listener.local_addr().map_err(text)?).map_err(text)?;
        let broken = hosts.reset(&[Link::clients(2)]).map_err(|error| error.to_string())?;
        match (broken, connection.peer_addr()) {
            (1.., Err(_)) => Ok("a connection was broken off".into()),
            _ => Err("a connection outlived it".into()),
        }
    })
}

fn clocks() -> Finding {
    let tried = clocks::check();
    Finding {
        name: "ptrace and vDSO",
        works: tried.is_ok(),
        detail: tried.unwrap_or_else(|error| error),
        cost: "no faults of clocks",
    }
}

fn open_files() -> Finding {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((0, 0));
    Finding {
        name: "open files",
        works: soft >= FILES_MIN,
        detail: format!("{soft}, at most {hard}"),
        cost: "a thousand clients run out of sockets (hint: ulimit -n 65536)",
    }
}

fn free_space(folder: &Path) -> Finding {
    let free = statvfs(folder).map(|status| status.blocks_available() * status.fragment_size());
    Finding {
        name: "free space",
        works: free.is_ok_and(|free| free >= FREE_BYTES_MIN),
        detail: match free {
            Ok(free) => format!("{} MB at `{}`", free >> 20, folder.display()),
            Err(error) => format!("`{}`: {error}", folder.display()),
        },
        cost: "long runs may fill the disk: nodes keep whole logs and traces",
    }
}

fn syncs(folder: &Path) -> Finding {
    let measured = measure_syncs(folder);
    Finding {
        name: "disk syncs",
        works: measured.as_ref().is_ok_and(|median| *median < Duration::from_millis(20)),
        detail: match measured {
            Ok(median) => format!("a small write is synced in {median:.2?} (median of {SYNCS})"),
            Err(error) => format!("cannot write to `{}`: {error}", folder.display()),
        },
        cost: "elections and writes are slow, and operations time out without any fault",
    }
}

fn measure_syncs(folder: &Path) -> io::Result<Duration> {
    let path = folder.join(format!(".rafture-doctor-{}", std::process::id()));
    let mut file = File::options().append(true).create_new(true).open(&path)?;
    // The name is not needed, and would stay if this were killed.
    fs::remove_file(&path)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let start = Instant::now();
        file.write_all(&[7; 512])?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[SYNCS / 2])
}
