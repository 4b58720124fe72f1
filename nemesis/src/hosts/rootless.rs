//! Network namespaces for an ordinary user: a user namespace in which this process is root, over nothing but what it
//! makes there.

use std::fmt;
use std::fs;
use std::io;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};

use super::NetworkChoice;

/// What this process may do to networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// It is root.
    Root,
    /// It is root in a user namespace of its own.
    UserNamespace,
    /// Nothing.
    None,
}

/// What this process may do.
pub fn privilege() -> Privilege {
    // Only the first user namespace maps all numbers; in any other, being root is root over little.
    let maps_everybody = fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_whitespace().collect::<Vec<_>>() == ["0", "0", "4294967295"]);
    match (Uid::effective().is_root(), maps_everybody) {
        (true, true) => Privilege::Root,
        (true, false) => Privilege::UserNamespace,
        (false, _) => Privilege::None,
    }
}

/// Enters a user namespace if that is what it takes to have network namespaces, and gives what the process may do then.
/// It must be called before any thread exists: the kernel lets no threaded process in.
///
/// # Errors
/// When user namespaces are not allowed here; with `auto`, proxies will do then.
pub fn seek_privilege(choice: NetworkChoice) -> io::Result<Privilege> {
    if choice == NetworkChoice::Proxy || privilege() != Privilege::None {
        return Ok(privilege());
    }
    let (user, group) = (Uid::effective(), Gid::effective());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))?;
    Ok(privilege())
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Privilege::Root => "root",
            Privilege::UserNamespace => "rootless, in a user namespace",
            Privilege::None => "no privilege",
        })
    }
}
