//! What of the machine itself a suite that harms clusters could spoil, as it stands: compared before and after.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use nix::time::{ClockId, clock_gettime};

/// How far the wall clock may move against the time since the machine was started: what corrects it does so slowly.
const CLOCK_SLACK: Duration = Duration::from_millis(500);

/// The machine at one moment.
pub(crate) struct Machine {
    /// By what it is.
    facts: BTreeMap<String, String>,
    /// When the machine was started, by the wall clock.
    booted: Duration,
}

impl Machine {
    pub(crate) fn now() -> Machine {
        let mut facts = BTreeMap::new();
        let mut note = |what: &str, is: String| drop(facts.insert(what.to_owned(), is));
        for file in ["/proc/self/mounts", "/proc/net/route", "/proc/net/fib_trie", "/proc/self/limits"] {
            note(file, fs::read_to_string(file).unwrap_or_default());
        }
        for folder in ["/sys/class/net", "/run/netns", "/dev/shm", "/dev/mqueue", "/run/lock"] {
            note(folder, names(Path::new(folder)).join(" "));
        }
        note("cgroups", cgroups().join("\n"));
        note("nftables", format!("{:?}", filter_tables()));
        for folder in ["/proc/sys/net", "/proc/sys/vm", "/proc/sys/fs", "/proc/sys/user"] {
            settings(Path::new(folder), &mut note);
        }
        let clock = |id| Duration::from(clock_gettime(id).expect("a clock"));
        let booted = clock(ClockId::CLOCK_REALTIME) - clock(ClockId::CLOCK_BOOTTIME);
        Machine { facts, booted }
    }

    /// Panics with what is different now.
    pub(crate) fn check_unchanged(&self) {
        let now = Machine::now();
        let changed = |(what, is): &(&String, &String)| self.facts.get(*what) != Some(is);
        let changes: Vec<String> = now
            .facts
            .iter()
            .filter(changed)
            .map(|(what, is)| format!("{what} was\n{:?}\nand is\n{is}", self.facts.get(what)))
            .collect();
        assert!(changes.is_empty(), "{}", changes.join("\n"));
        assert_eq!(self.facts.len(), now.facts.len(), "something is gone");
        let moved = now.booted.abs_diff(self.booted);
        assert!(moved < CLOCK_SLACK, "the wall clock has moved by {moved:?}");
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The topmost control groups of each hierarchy, and all below the one that this process is in: where somebody makes one who does not
/// look for a better place. Those of others come and go.
fn cgroups() -> Vec<String> {
    let root = Path::new("/sys/fs/cgroup");
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut found: Vec<String> = Vec::new();
    for hierarchy in names(root).iter().map(|name| root.join(name)) {
        found.extend(
            names(&hierarchy)
                .iter()
                .map(|name| hierarchy.join(name))
                .filter(|path| path.is_dir())
                .map(|path| path.display().to_string()),
        );
        for line in own.lines() {
            let path = line.rsplit(':').next().unwrap_or_default().trim_start_matches('/');
            if !path.is_empty() {
                found.extend(folders(&hierarchy.join(path)));
            }
        }
    }
    found
}

/// All folders in one, and those in them.
fn folders(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for name in names(folder) {
        let path = folder.join(name);
        if fs::symlink_metadata(&path).is_ok_and(|entry| entry.is_dir()) {
            found.push(path.display().to_string());
            found.extend(folders(&path));
        }
    }
    found
}

/// Settings of the kernel, but for what counts or measures.
fn settings(folder: &Path, note: &mut impl FnMut(&str, String)) {
    for name in names(folder) {
        let path = folder.join(&name);
        let is_count =
            ["inode-nr", "inode-state", "dentry-state", "file-nr", "aio-nr", "quota", "binfmt_misc"];
        if is_count.contains(&name.as_str()) {
            continue;
        }
        match path.is_dir() {
            true => settings(&path, note),
            // Some may be written and not read.
            false => note(&path.display().to_string(), fs::read_to_string(&path).unwrap_or_default()),
        }
    }
}

/// The tables of the machine's own packet filter, as the kernel lists them.
fn filter_tables() -> Vec<Vec<u8>> {
    const GET_TABLE: u16 = 10 << 8 | 1;
    const REQUEST_ALL: u16 = 0x301;
    const DONE: u16 = 3;
    const ERROR: u16 = 2;
    let flags = SockFlag::SOCK_CLOEXEC;
    let Ok(netlink) = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkNetFilter)
    else {
        return Vec::new();
    };
    let mut message = 20_u32.to_ne_bytes().to_vec();
    message.extend([GET_TABLE, REQUEST_ALL].iter().flat_map(|word| word.to_ne_bytes()));
    message.extend([0; 12]);
    send(netlink.as_raw_fd(), &message, MsgFlags::empty()).expect("a question");
    let mut tables = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = recv(netlink.as_raw_fd(), &mut buffer, MsgFlags::empty()).expect("an answer");
        let mut rest = &buffer[..length];
        while rest.len() >= 16 {
            let size = u32::from_ne_bytes(*rest.first_chunk().expect("a size")) as usize;
            match u16::from_ne_bytes([rest[4], rest[5]]) {
                DONE | ERROR => return tables,
                // What comes before is who asked, and how often anything was changed.
                _ => tables.push(rest[20..size].to_vec()),
            }
            rest = &rest[size.next_multiple_of(4).min(rest.len())..];
        }
    }
}
