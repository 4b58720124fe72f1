//! The vDSO of a process: where it is, where its clocks are read, and where it has room.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

use super::code;

/// Where things are in a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vdso {
    /// `clock_gettime`, and where in the code its replacement begins; the others likewise, as far as there are any.
    pub(super) functions: Vec<(u64, u64)>,
    /// Zeros at its end, for two slots of code and table.
    pub(super) room: u64,
}

/// Names of functions, and where their replacements begin. The first must be there.
const FUNCTIONS: [(&[u8], u64); 3] = [
    (b"__vdso_clock_gettime", 0),
    (b"__vdso_gettimeofday", code::GETTIMEOFDAY),
    (b"__vdso_time", code::TIME),
];
const TYPE_DYNSYM: u32 = 11;

impl Vdso {
    /// Looks for it in a process, by its maps and its memory.
    pub(super) fn find(process: u32, memory: &File) -> io::Result<Vdso> {
        let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
        let lack = |what: &str| io::Error::other(format!("process {process} {what}"));
        let line = maps.lines().find(|line| line.ends_with("[vdso]")).ok_or_else(|| lack("has no vDSO"))?;
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let range = range.and_then(|(start, end)| Some((number(start)?, number(end)?)));
        let (start, end) = range.ok_or_else(|| lack("has a vDSO at no place"))?;
        let mut image = vec![0; (end - start) as usize];
        memory.read_exact_at(&mut image, start)?;
        Vdso::parse(&image, start).ok_or_else(|| lack("has a vDSO without clocks or without room"))
    }

    fn parse(image: &[u8], start: u64) -> Option<Vdso> {
        // A 64-bit program of little ends.
        if !image.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let sections = at(image, 0x28, 8)? as usize;
        let (size, count) = (at(image, 0x3a, 2)? as usize, at(image, 0x3c, 2)? as usize);
        let header = |number: usize| image.get(sections + number * size..)?.get(..0x40);
        let symbols = (0..count).find_map(|number| {
            header(number).filter(|header| at(header, 4, 4) == Some(TYPE_DYNSYM.into()))
        })?;
        let names = header(at(symbols, 0x28, 4)? as usize)?;
        let names = image.get(at(names, 0x18, 8)? as usize..)?;
        let (from, length) = (at(symbols, 0x18, 8)? as usize, at(symbols, 0x20, 8)? as usize);
        let symbols = image.get(from..from + length)?;
        let address = |wanted: &[u8]| {
            let is_it = |symbol: &&[u8]| {
                let name = at(symbol, 0, 4).and_then(|name| names.get(name as usize..));
                let is_named = name.is_some_and(|name| name.split(|&byte| byte == 0).next() == Some(wanted));
                // A jump must fit into it.
                is_named && at(symbol, 0x10, 8).is_some_and(|size| size >= 8)
            };
            at(symbols.chunks_exact(0x18).find(is_it)?, 8, 8)
        };
        let found = FUNCTIONS.iter().filter_map(|&(name, offset)| Some((start + address(name)?, offset)));
        let functions: Vec<(u64, u64)> = found.collect();
        let used = image.iter().rposition(|&byte| byte != 0)? + 1;
        // Something may end with zeros of its own.
        let room = (used as u64 + 32).next_multiple_of(16);
        let has_room = room + 2 * code::SLOT <= image.len() as u64;
        (has_room && functions.first()?.1 == 0).then_some(Vdso { functions, room: start + room })
    }
}

/// A number of `length` bytes.
fn at(bytes: &[u8], offset: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(offset..offset + length)?;
    Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}
