//! What this machine allows, found out by trying, and what each lack costs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;

use crate::clocks;
use crate::disk::{self, Disks};
use crate::hosts::{Hosts, NetworkChoice, privilege};

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
        device("TAP", "/dev/net/tun", "no packet path of our own by TAP; AF_PACKET may do"),
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

fn device(name: &'static str, path: &str, cost: &'static str) -> Finding {
    let opened = File::options().read(true).write(true).open(path);
    let works = opened.is_ok();
    let detail = opened.map_or_else(|error| format!("{path}: {error}"), |_| format!("{path} can be opened"));
    Finding { name, works, detail, cost }
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
