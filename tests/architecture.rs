//! The rules of the house that a tool can see: who may import whom, and what every file begins with.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each part and the parts it may import. The root may import all.
const PARTS: [(&str, &[&str]); 6] = [
    ("node", &[]),
    ("checker", &[]),
    ("nemesis", &[]),
    ("workloads", &["checker"]),
    ("reports", &["checker"]),
    ("sim", &["node", "checker", "nemesis", "workloads"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn parts_import_only_what_lies_below_them() {
    for (part, allowed) in PARTS {
        let manifest = fs::read_to_string(root().join(part).join("Cargo.toml")).expect("a manifest");
        let imported: BTreeSet<&str> = manifest
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next()?.strip_prefix("rafture-"))
            .collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert!(imported.is_subset(&allowed), "{part} imports {imported:?}, and may import {allowed:?}");
    }
}

#[test]
fn every_part_is_listed_here_and_in_the_architecture() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let members = manifest.lines().find(|line| line.starts_with("members")).expect("members");
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("a page");
    let members: BTreeSet<&str> = members.split('"').skip(1).step_by(2).collect();
    assert_eq!(members, PARTS.iter().map(|(part, _)| *part).collect());
    for part in members {
        assert!(architecture.contains(&format!("`{part}/`")), "ARCHITECTURE.md does not speak of `{part}/`");
    }
}

/// Consensus itself knows no socket, file, clock or thread, and the checkers do no IO.
#[test]
fn what_must_be_pure_is_pure() {
    let forbidden = [
        "tokio",
        "std::net",
        "std::fs",
        "std::io",
        "std::thread::sleep",
        "Instant",
        "SystemTime",
        "async ",
        "nix::",
    ];
    let pure = ["node/src/raft", "node/src/machine", "node/src/replica", "checker/src", "sim/src"];
    for folder in pure {
        for path in sources(&root().join(folder)) {
            let text = fs::read_to_string(&path).expect("a file");
            let code = text.split("#[cfg(test)]").next().expect("a beginning");
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in lines {
                // A simulated disk refuses in the words of real ones.
                let is_allowed = |word: &str| word == "std::io" && path.ends_with("sim/src/disk.rs");
                let found = forbidden.iter().find(|word| line.contains(**word) && !is_allowed(word));
                assert_eq!(found, None, "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn every_file_opens_with_what_it_is() {
    for folder in ["src", "tests"].into_iter().chain(PARTS.map(|(part, _)| part)) {
        for path in sources(&root().join(folder)) {
            let text = fs::read_to_string(&path).expect("a file");
            assert!(text.starts_with("//! "), "{} does not say what it is", path.display());
        }
    }
}
