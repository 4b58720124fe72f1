//! What a file held before it was changed, since it was last synced: blocks of old content and the old length. With it,
//! what was not synced can be lost, as a whole or torn at sectors.
//!
//! The one idea: changes go through to the file at once, and only what they replace is kept. Nobody who reads has to look
//! into two places, and a sync is a matter of forgetting.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::unistd::{Whence, lseek};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The unit in which old content is kept.
const BLOCK: u64 = 4096;
/// The unit that reaches a disk whole or not at all.
const SECTOR: usize = 512;

/// How to get back to what was synced.
#[derive(Debug)]
pub(super) struct Undo {
    /// The length that was synced.
    length: u64,
    /// Blocks that were changed, by their number, with what they held within that length.
    blocks: BTreeMap<u64, Vec<u8>>,
}

/// What is lost of what was not synced. Seeds decide what is left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// All of it.
    All,
    /// All but some sectors, and but the first few of the names.
    Torn(u64),
    /// What is in one file; the rest, and all names, have reached the disk.
    OneFile(u64),
}

/// What became of what was not synced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Files that have lost something.
    pub files: usize,
    /// Blocks of 4 KiB that were set back, wholly or by sectors.
    pub blocks: usize,
    /// Sectors of 512 bytes that were not synced and reached the disk all the same.
    pub kept_sectors: usize,
    /// Names that were given, changed or removed, and are as they were.
    pub names: usize,
}

/// How long a file is. Its times are not asked for: once they were seen, the next write has to give it new ones, finer than the
/// clock's ticks, and the sync after that has to commit them (since Linux 6.13): a sync cost 60 µs more.
pub(super) fn length(file: &File) -> io::Result<u64> {
    Ok(lseek(file, 0, Whence::SeekEnd)?.cast_unsigned())
}

impl Undo {
    /// For a file that is about to be changed for the first time since it was synced.
    pub(super) fn begin(file: &File) -> io::Result<Undo> {
        Ok(Undo { length: length(file)?, blocks: BTreeMap::new() })
    }

    /// `length` bytes at `offset` are about to be written over.
    pub(super) fn before_write(&mut self, file: &File, offset: u64, length: u64) -> io::Result<()> {
        if length == 0 {
            return Ok(());
        }
        for block in offset / BLOCK..=(offset + length - 1) / BLOCK {
            if !self.blocks.contains_key(&block) {
                self.blocks.insert(block, self.read(file, block)?);
            }
        }
        Ok(())
    }

    /// `length` bytes at `offset` are about to become a hole; what lies behind the old end was nothing before.
    pub(super) fn before_hole(&mut self, file: &File, offset: u64, length: u64) -> io::Result<()> {
        let end = offset.saturating_add(length).min(self.length);
        self.before_write(file, offset, end.saturating_sub(offset))
    }

    /// Whether the file is as it was synced for all that is known.
    pub(super) fn is_idle(&self, file: &File) -> bool {
        self.blocks.is_empty() && length(file).is_ok_and(|length| length == self.length)
    }

    /// What was kept before this was begun, and is not synced after all, goes before it.
    pub(super) fn append_to(self, older: Undo) -> Undo {
        let mut blocks = self.blocks;
        blocks.extend(older.blocks);
        Undo { length: older.length, blocks }
    }

    fn read(&self, file: &File, block: u64) -> io::Result<Vec<u8>> {
        let start = block * BLOCK;
        let mut old = vec![0; self.length.saturating_sub(start).min(BLOCK) as usize];
        let mut filled = 0;
        while filled < old.len() {
            match file.read_at(&mut old[filled..], start + filled as u64)? {
                // It is shorter by now, and what it held there was kept when it was cut.
                0 => break,
                count => filled += count,
            }
        }
        Ok(old)
    }

    /// Loses everything that was not synced.
    pub(super) fn lose(self, file: &File) -> io::Result<Lost> {
        file.set_len(self.length)?;
        for (block, old) in &self.blocks {
            file.write_all_at(old, block * BLOCK)?;
        }
        Ok(Lost { files: 1, blocks: self.blocks.len(), ..Lost::default() })
    }

    /// Loses some of the sectors that were not synced.
    pub(super) fn tear(self, file: &File, random: &mut ChaCha8Rng) -> io::Result<Lost> {
        let length = length(file)?;
        let mut lost = Lost { files: 1, ..Lost::default() };
        // As long as it was synced, or as long as it is, or up to the last sector that is kept behind its old end.
        let mut end = if length < self.length && random.random_bool(0.5) { length } else { self.length };
        let mut torn = Vec::new();
        for (block, old) in &self.blocks {
            let start = block * BLOCK;
            let mut mixed = vec![0; BLOCK as usize];
            mixed[..old.len()].copy_from_slice(old);
            let mut new = vec![0; BLOCK as usize];
            let there = file.read_at(&mut new, start)?;
            lost.blocks += 1;
            for at in (0..there).step_by(SECTOR) {
                let sector = at..(at + SECTOR).min(there);
                if mixed[sector.clone()] != new[sector.clone()] && random.random_bool(0.5) {
                    mixed[sector.clone()].copy_from_slice(&new[sector.clone()]);
                    lost.kept_sectors += 1;
                    if length > self.length {
                        end = end.max(start + sector.end as u64);
                    }
                }
            }
            torn.push((start, mixed));
        }
        file.set_len(end)?;
        for (start, mixed) in torn {
            let room = end.saturating_sub(start).min(BLOCK) as usize;
            file.write_all_at(&mixed[..room], start)?;
        }
        Ok(lost)
    }
}

impl Lost {
    /// All of both.
    pub(super) fn and(self, other: Lost) -> Lost {
        Lost {
            files: self.files + other.files,
            blocks: self.blocks + other.blocks,
            kept_sectors: self.kept_sectors + other.kept_sectors,
            names: self.names + other.names,
        }
    }
}
