//! Disks under plain programs: what passes through, what each fault does, and that what is lost is just what was not synced.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rafture_nemesis::disk::{
    Disks, Errors, Full, Loss, Lost, Mount, TRIAL_SECTORS, Trial, Trouble, enter, lack,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A mounted folder in a mount namespace of this thread's own; nothing where there is none to be had.
fn with_mount(test: impl FnOnce(&Path, &Path, &Mount)) {
    if let Some(lack) = lack() {
        assert!(std::env::var_os("RAFTURE_REQUIRE_ALL").is_none(), "{lack}");
        eprintln!("skipped: {lack}");
        return;
    }
    enter().expect("a mount namespace");
    let folder = tempfile::tempdir().expect("a folder");
    let [shown, behind, limbo] = ["shown", "behind", "limbo"].map(|name| folder.path().join(name));
    for folder in [&shown, &behind, &limbo] {
        fs::create_dir(folder).expect("a folder");
    }
    let mount = Mount::open(&shown, &behind, &limbo).expect("a mount");
    test(&shown, &behind, &mount);
}

fn sync_folder(path: &Path) {
    File::open(path).and_then(|folder| folder.sync_all()).expect("a sync");
}

/// Every file and folder below, with contents.
fn tree(path: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut left = vec![path.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry").path();
            let name = entry.strip_prefix(path).expect("below").display().to_string();
            if entry.is_dir() {
                left.push(entry);
                found.insert(name, None);
            } else if !name.starts_with(".rafture-") {
                found.insert(name, Some(fs::read(entry).expect("a file")));
            }
        }
    }
    found
}

#[test]
fn whatever_programs_do_to_files_passes_through() {
    with_mount(|shown, behind, _| {
        let path = shown.join("file");
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).expect("a file");
        file.write_all(b"hello world").expect("a write");
        file.seek(SeekFrom::Start(6)).expect("a place");
        file.write_all(b"there").expect("an overwrite");
        file.sync_all().expect("a sync");
        File::options().append(true).open(&path).expect("a file").write_all(b"!\n").expect("an append");
        assert_eq!(fs::read(&path).expect("a file"), b"hello there!\n");
        file.set_len(5).expect("a cut");
        file.set_len(8).expect("a gap");
        assert_eq!(fs::read(behind.join("file")).expect("it is behind"), b"hello\0\0\0");
        assert_eq!(file.metadata().expect("it is there").len(), 8);

        let folder = shown.join("folder");
        fs::create_dir(&folder).expect("a folder");
        fs::rename(&path, folder.join("moved")).expect("a new name");
        fs::hard_link(folder.join("moved"), shown.join("twin")).expect("a second name");
        std::os::unix::fs::symlink("folder/moved", shown.join("pointer")).expect("a pointer");
        assert_eq!(fs::read(shown.join("pointer")).expect("it leads there"), b"hello\0\0\0");
        assert_eq!(fs::read_link(shown.join("pointer")).expect("a pointer"), Path::new("folder/moved"));
        let refused = fs::remove_dir(&folder).expect_err("it is not empty");
        assert_eq!(refused.raw_os_error(), Some(libc::ENOTEMPTY));
        fs::write(shown.join("other"), b"other").expect("a file");
        fs::rename(shown.join("other"), shown.join("twin")).expect("it takes its place");
        assert_eq!(fs::read(shown.join("twin")).expect("a file"), b"other");
        fs::remove_file(folder.join("moved")).expect("it goes");
        assert_eq!(file.metadata().expect("it is open").len(), 8, "what is open outlives its name");
        fs::remove_dir(&folder).expect("it is empty");
        assert_eq!(fs::read(shown.join("folder/moved")).expect_err("gone").kind(), io::ErrorKind::NotFound);
        fs::remove_file(shown.join("pointer")).expect("it goes");
        sync_folder(shown);
        let names: Vec<String> = tree(shown).into_keys().collect();
        assert_eq!(names, ["twin"], "the controller's own file does not show");

        // More names than one answer of the kernel's holds.
        (0..500).for_each(|n| fs::write(shown.join(format!("n{n:0100}")), b"").expect("a file"));
        assert_eq!(fs::read_dir(shown).expect("a folder").count(), 501);
    });
}

/// A shared mapping of a file's first page.
struct Mapping(*mut u8);

impl Mapping {
    fn new(file: &File) -> Mapping {
        let (access, descriptor) =
            (libc::PROT_READ | libc::PROT_WRITE, std::os::fd::AsRawFd::as_raw_fd(file));
        // SAFETY: a fresh mapping of a file that is long enough.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, access, libc::MAP_SHARED, descriptor, 0) };
        assert_ne!(page, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        Mapping(page.cast())
    }

    fn store(&self, at: usize, byte: u8) {
        assert!(at < 4096);
        // SAFETY: it lies within the page.
        unsafe { self.0.add(at).write_volatile(byte) }
    }

    fn sync(&self) {
        // SAFETY: it is mapped.
        assert_eq!(unsafe { libc::msync(self.0.cast(), 4096, libc::MS_SYNC) }, 0);
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped, and nobody uses it any more.
        unsafe { libc::munmap(self.0.cast(), 4096) };
    }
}

#[test]
fn what_is_written_through_memory_is_lost_unless_it_was_synced() {
    with_mount(|shown, _, mount| {
        let path = shown.join("mapped");
        fs::write(&path, [b'.'; 4096]).expect("a file");
        let file = File::options().read(true).write(true).open(&path).expect("a file");
        file.sync_all().expect("a sync");
        let mapping = Mapping::new(&file);
        mapping.store(0, b'S');
        mapping.sync();
        mapping.store(1, b'U');
        assert_eq!(&fs::read(&path).expect("a file")[..3], b"SU.");
        drop(mapping);
        drop(file);
        mount.lose(Loss::All).expect("a loss");
        assert_eq!(&fs::read(&path).expect("a file")[..3], b"S..");
    });
}

#[test]
fn each_way_to_make_a_write_safe_makes_it_safe() {
    use std::os::unix::fs::OpenOptionsExt;
    with_mount(|shown, _, mount| {
        for (name, flags) in [("dsync", libc::O_DSYNC), ("sync", libc::O_SYNC), ("none", 0)] {
            let path = shown.join(name);
            fs::write(&path, [b'.'; 100]).expect("a file");
            File::open(&path).and_then(|file| file.sync_all()).expect("a sync");
            let file = File::options().write(true).custom_flags(flags).open(&path).expect("a file");
            file.write_all_at(b"new", 0).expect("a write");
        }
        mount.lose(Loss::All).expect("a loss");
        for (name, expected) in [("dsync", b"new"), ("sync", b"new"), ("none", b"...")] {
            assert_eq!(&fs::read(shown.join(name)).expect("a file")[..3], expected, "{name}");
        }
    });
}

/// A seed's worth of random deeds, on the mount and on a model that knows what is safe: after a loss both are the same.
#[test]
fn what_is_lost_is_exactly_what_was_not_synced() {
    with_mount(|shown, behind, mount| {
        let seeds = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        for seed in seeds.map_or(1..40, |seed: u64| seed..seed + 1) {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            // Names are safe when their folder was synced; contents when the file was. The names of a model: which file.
            let mut files: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            let mut names: BTreeMap<String, usize> = BTreeMap::new();
            let mut safe_names = names.clone();
            for _ in 0..random.random_range(1..120) {
                let name = format!("f{}", random.random_range(0..5));
                let path = shown.join(&name);
                match random.random_range(0..8) {
                    0 | 1 => {
                        let file = File::options().write(true).create(true).truncate(false).open(&path);
                        let file = file.expect("a file");
                        let model = *names.entry(name).or_insert_with(|| {
                            files.push((Vec::new(), Vec::new()));
                            files.len() - 1
                        });
                        let (at, length) = (random.random_range(0..20_000), random.random_range(1..9_000));
                        let bytes: Vec<u8> = (0..length).map(|_| random.random()).collect();
                        file.write_all_at(&bytes, at).expect("a write");
                        let content = &mut files[model].0;
                        content.resize(content.len().max(at as usize + length), 0);
                        content[at as usize..at as usize + length].copy_from_slice(&bytes);
                    }
                    2 if names.contains_key(&name) => {
                        let length = random.random_range(0..30_000);
                        File::options()
                            .write(true)
                            .open(&path)
                            .and_then(|file| file.set_len(length))
                            .expect("a cut");
                        files[names[&name]].0.resize(length as usize, 0);
                    }
                    3 if names.contains_key(&name) => {
                        fs::remove_file(&path).expect("it goes");
                        names.remove(&name);
                    }
                    4 if names.contains_key(&name) => {
                        let other = format!("f{}", random.random_range(0..5));
                        fs::rename(&path, shown.join(&other)).expect("a new name");
                        let model = names.remove(&name).expect("it is there");
                        names.insert(other, model);
                    }
                    5 => {
                        sync_folder(shown);
                        safe_names.clone_from(&names);
                    }
                    // Syncing a file also makes names safe, its own and those before; so only where all are safe anyhow.
                    6 if names == safe_names && names.contains_key(&name) => {
                        File::open(&path).and_then(|file| file.sync_data()).expect("a sync");
                        let (content, safe) = &mut files[names[&name]];
                        safe.clone_from(content);
                    }
                    _ => {}
                }
            }
            mount.lose(Loss::All).expect("a loss");
            let expected: BTreeMap<String, Option<Vec<u8>>> =
                safe_names.iter().map(|(name, file)| (name.clone(), Some(files[*file].1.clone()))).collect();
            assert_eq!(tree(shown), expected, "SEED={seed}: through the kernel's cache");
            assert_eq!(tree(behind), expected, "SEED={seed}: behind it");
            tree(shown).keys().for_each(|name| fs::remove_file(shown.join(name)).expect("it goes"));
            sync_folder(shown);
        }
    });
}

#[test]
fn names_come_back_and_syncing_a_file_keeps_its_own() {
    with_mount(|shown, _, mount| {
        fs::create_dir_all(shown.join("a/b")).expect("folders");
        fs::write(shown.join("a/b/old"), b"old").expect("a file");
        fs::write(shown.join("a/b/replaced"), b"replaced").expect("a file");
        for name in ["a/b/old", "a/b/replaced"] {
            File::open(shown.join(name)).and_then(|file| file.sync_all()).expect("a sync");
        }
        let before = tree(shown);
        assert_eq!(before.len(), 4);
        fs::rename(shown.join("a/b/old"), shown.join("a/b/replaced")).expect("a new name");
        fs::remove_file(shown.join("a/b/replaced")).expect("it goes");
        fs::remove_dir(shown.join("a/b")).expect("it is empty");
        fs::create_dir(shown.join("a/b")).expect("a folder of the same name");
        fs::write(shown.join("a/b/new"), b"new").expect("a file");
        fs::rename(shown.join("a"), shown.join("c")).expect("a new name");
        let lost = mount.lose(Loss::All).expect("a loss");
        assert_eq!((lost.names, tree(shown)), (6, before.clone()));
        // As file systems with a journal do it, whether or not the folder was synced.
        fs::write(shown.join("a/b/new"), b"new").expect("a file");
        File::open(shown.join("a/b/new")).and_then(|file| file.sync_data()).expect("a sync");
        assert_eq!(mount.lose(Loss::All).expect("a loss"), Lost::default());
        assert_eq!(fs::read(shown.join("a/b/new")).expect("it was synced"), b"new");
        fs::write(shown.join("a/b/newer"), b"newer").expect("the folder is as good as ever");
    });
}

/// Each sector is the old or the new one; over 100 losses both happen, and the dice repeat.
#[test]
fn torn_writes_are_torn_at_sectors() {
    with_mount(|shown, _, mount| {
        let path = shown.join("torn");
        let mut kept = [0, 0];
        let mut outcomes = BTreeMap::new();
        for seed in (0..50).chain(0..50) {
            fs::write(&path, [b'o'; 3000]).expect("a file");
            File::open(&path).and_then(|file| file.sync_all()).expect("a sync");
            let file = File::options().write(true).open(&path).expect("a file");
            file.write_all_at(&[b'n'; 5000], 1024).expect("a write");
            drop(file);
            mount.lose(Loss::Torn(seed)).expect("a loss");
            let content = fs::read(&path).expect("a file");
            assert!((3000..=6024).contains(&content.len()), "{}", content.len());
            assert!(content[..1024].iter().all(|byte| *byte == b'o'));
            for sector in content[1024..].chunks(512) {
                let is_new = sector.iter().all(|byte| *byte == b'n');
                let is_old = sector.iter().all(|byte| matches!(byte, b'o' | 0));
                assert!(is_new || is_old, "a sector is neither: {sector:?}");
                kept[usize::from(is_new)] += 1;
            }
            let before = outcomes.entry(seed).or_insert_with(|| content.clone());
            assert_eq!(*before, content, "seed {seed}");
        }
        assert!(kept.iter().all(|count| *count > 200), "{kept:?}");
    });
}

#[test]
fn syncs_and_writes_fail_as_often_as_asked_for() {
    with_mount(|shown, _, mount| {
        let path = shown.join("file");
        let mut file = File::create(&path).expect("a file");
        let errno = |result: io::Result<()>| result.err().and_then(|error| error.raw_os_error());
        file.write_all(b"1").expect("a write");
        mount.set(Trouble { sync_errors: Errors::ONCE, ..Trouble::default() }, 1);
        // The controller's own calls leave it to the program.
        mount.attempt(Trial::Sync).expect("a sync");
        assert_eq!([errno(file.sync_all()), errno(file.sync_all())], [Some(libc::EIO), None]);
        mount.set(Trouble { sync_errors: Errors::Always, ..Trouble::default() }, 1);
        file.write_all(b"2").expect("a write");
        assert_eq!([errno(file.sync_data()), errno(file.sync_data())], [Some(libc::EIO); 2]);
        mount.set(Trouble { write_errors: Errors::Always, ..Trouble::default() }, 1);
        assert_eq!(errno(file.write_all(b"3")), Some(libc::EIO));
        assert_eq!(mount.met().failed, 4);
        mount.set(Trouble::default(), 1);
        file.write_all(b"4").expect("a write");
        assert_eq!(fs::read(&path).expect("a file"), b"124");
        // What a failed sync has not made safe is lost; nobody can tell, but that is what it is for.
        mount.set(Trouble { sync_errors: Errors::Always, ..Trouble::default() }, 1);
        assert_eq!(errno(file.sync_all()), Some(libc::EIO));
        mount.lose(Loss::All).expect("a loss");
        assert_eq!(fs::read(&path).expect("a file"), b"1");
    });
}

#[test]
fn a_full_disk_has_no_room_and_a_slow_one_takes_its_time() {
    with_mount(|shown, _, mount| {
        let errno = |result: io::Result<()>| result.err().and_then(|error| error.raw_os_error());
        let file = File::create(shown.join("file")).expect("a file");
        file.write_all_at(&[1; 8192], 0).expect("a write");
        mount.set(Trouble { full: Full::More, ..Trouble::default() }, 1);
        assert_eq!(errno(file.write_all_at(&[2; 10], 8190)), Some(libc::ENOSPC));
        assert_eq!(errno(file.write_all_at(&[2; 10], 100)), None, "that room it has");
        assert_eq!(errno(fs::write(shown.join("new"), b"")), Some(libc::ENOSPC));
        assert_eq!(errno(mount.attempt(Trial::Make).map(drop)), Some(libc::ENOSPC));
        mount.set(Trouble { full: Full::Any, ..Trouble::default() }, 1);
        assert_eq!(errno(file.write_all_at(&[2; 10], 100)), Some(libc::ENOSPC));
        fs::remove_file(shown.join("file")).expect("whatever makes room is possible");
        mount.set(Trouble::default(), 1);
        fs::write(shown.join("new"), b"room").expect("room");

        let slow_sync = Duration::from_millis(30);
        mount.set(Trouble { slow_sync, ..Trouble::default() }, 1);
        let start = Instant::now();
        file.sync_all().expect("a sync");
        assert!(start.elapsed() >= slow_sync);
        assert!(mount.attempt(Trial::Sync).expect("a sync").0 >= slow_sync);

        let uneven_sync = Duration::from_millis(4);
        mount.set(Trouble { uneven_sync, ..Trouble::default() }, 1);
        let mut took: Vec<Duration> =
            (0..40).map(|_| mount.attempt(Trial::Sync).expect("a sync").0).collect();
        took.sort_unstable();
        // By this seed half of forty take longer than a third of the mean, and one longer than twice that; whoever is busy makes them longer yet.
        assert!(took[20] >= uneven_sync / 3 && took[39] >= 2 * uneven_sync, "{took:?}");
        assert!(took.iter().sum::<Duration>() >= 40 * uneven_sync / 2, "{took:?}");
    });
}

/// What a file holds by what the disk says, not by what the kernel remembers.
fn read_anew(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    // SAFETY: a plain call on an open descriptor.
    let dropped = unsafe {
        libc::posix_fadvise(std::os::fd::AsRawFd::as_raw_fd(&file), 0, 0, libc::POSIX_FADV_DONTNEED)
    };
    assert_eq!(dropped, 0);
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut &file, &mut bytes)?;
    Ok(bytes)
}

fn differences(one: &[u8], other: &[u8]) -> Vec<usize> {
    assert_eq!(one.len(), other.len());
    (0..one.len()).filter(|at| one[*at] != other[*at]).collect()
}

#[test]
fn a_flipped_bit_reads_flipped_until_it_is_undone_or_written_over() {
    with_mount(|shown, behind, mount| {
        let flip = Trouble { flips: 1, ..Trouble::default() };
        mount.set(flip, 1);
        assert!(mount.flips()[0].is_err(), "there is nothing to flip");
        mount.set(Trouble::default(), 1);
        fs::create_dir(shown.join("wal")).expect("a folder");
        for name in ["wal/one", "wal/two", "other"] {
            fs::write(shown.join(name), [b'x'; 10_000]).expect("a file");
        }
        let whole = tree(behind);
        mount.choose("wal/*");
        let mut places = BTreeMap::new();
        for seed in (0..10).chain(0..10) {
            mount.set(flip, seed);
            let bit = mount.flips()[0].clone().expect("a bit");
            assert!(bit.file.starts_with("wal"));
            assert_eq!(*places.entry(seed).or_insert_with(|| bit.clone()), bit, "the seed decides");
            // The kernel had all of it in its cache.
            let read = fs::read(shown.join(&bit.file)).expect("a file");
            assert_eq!(differences(&read, &[b'x'; 10_000]), [bit.offset as usize]);
            assert_eq!(read[bit.offset as usize] ^ b'x', bit.mask);
            assert_eq!(tree(behind), whole, "what is behind stays whole");
            mount.set(Trouble::default(), seed);
            assert_eq!(tree(shown), whole);
        }
        assert!(places.values().collect::<Vec<_>>().windows(2).any(|pair| pair[0] != pair[1]));
        // Two at once, one of which a program writes over: that one is good, and stays so.
        mount.set(Trouble { flips: 2, ..flip }, 3);
        let bits: Vec<_> = mount.flips().into_iter().map(|bit| bit.expect("a bit")).collect();
        let file = File::options().write(true).open(shown.join(&bits[0].file)).expect("a file");
        file.write_all_at(b"new", bits[0].offset - 1).expect("a write");
        let read = read_anew(&shown.join(&bits[0].file)).expect("a file");
        assert_eq!(&read[bits[0].offset as usize - 1..][..3], b"new");
        let is_bad = |bit: &rafture_nemesis::disk::Bit| {
            let read = read_anew(&shown.join(&bit.file)).expect("a file");
            read[bit.offset as usize] != mount.held(&bit.file, bit.offset).expect("a byte")
        };
        assert_eq!([is_bad(&bits[0]), is_bad(&bits[1])], [false, true]);
        mount.set(flip, 4);
        assert!(is_bad(&bits[1]), "the first one is over");
        assert!(mount.met().lied > 20);
        mount.set(Trouble::default(), 4);
        assert_eq!(tree(shown), tree(behind));
    });
}

#[test]
fn a_lost_write_is_seen_to_be_lost_when_the_cache_is_dropped() {
    with_mount(|shown, behind, mount| {
        let path = shown.join("log");
        fs::write(&path, [b'o'; 8192]).expect("a file");
        let file = File::options().read(true).write(true).open(&path).expect("a file");
        file.sync_all().expect("a sync");
        mount.set(Trouble { lost_writes: Errors::ONCE, ..Trouble::default() }, 1);
        file.write_all_at(&[b'n'; 5000], 4000).expect("it is answered");
        file.write_all_at(&[b'2'; 10], 0).expect("it lands");
        file.sync_all().expect("it is synced");
        assert_eq!(mount.met().lost, 1);
        let mut expected = vec![b'o'; 8192];
        expected[..10].fill(b'2');
        expected.resize(9000, 0);
        assert_eq!(read_anew(&path).expect("a file"), expected);
        // It may be believed by who has not dropped it; a program that starts again must not.
        file.write_all_at(&[b'3'; 10], 8500).expect("what is written over it is there");
        expected[8500..8510].fill(b'3');
        mount.forget_lies().expect("an answer");
        assert_eq!(fs::read(&path).expect("a file"), expected);
        mount.set(Trouble::default(), 1);
        let mut truth = vec![b'o'; 4000];
        truth[..10].fill(b'2');
        truth.resize(9000, b'n');
        truth[8500..8510].fill(b'3');
        assert_eq!(
            (fs::read(&path).expect("a file"), fs::read(behind.join("log")).expect("a file")),
            (truth.clone(), truth)
        );

        // From now on, and of some files only.
        mount.choose("*.wal");
        mount.set(Trouble { lost_writes: Errors::Always, ..Trouble::default() }, 1);
        for name in ["a.wal", "b"] {
            fs::write(shown.join(name), b"first").expect("a file");
            File::options()
                .append(true)
                .open(shown.join(name))
                .expect("a file")
                .write_all(b"second")
                .expect("a write");
        }
        assert_eq!(read_anew(&shown.join("a.wal")).expect("a file"), [0; 11]);
        assert_eq!(read_anew(&shown.join("b")).expect("a file"), b"firstsecond");
        mount.lose(Loss::All).expect("a loss");
        mount.set(Trouble::default(), 1);
        assert!(
            fs::metadata(shown.join("a.wal")).is_err(),
            "a lost write can be lost by a loss of power as well"
        );
    });
}

#[test]
fn a_misdirected_write_comes_to_another_sector() {
    with_mount(|shown, behind, mount| {
        let path = shown.join("log");
        let old: Vec<u8> = (0..16).flat_map(|sector| [b'a' + sector; 512]).collect();
        for seed in 0..20 {
            fs::write(&path, &old).expect("a file");
            let file = File::options().read(true).write(true).open(&path).expect("a file");
            mount.set(Trouble { misdirected_writes: Errors::ONCE, ..Trouble::default() }, seed);
            file.write_all_at(&[b'!'; 700], 1000).expect("it is answered");
            file.sync_all().expect("it is synced");
            let read = read_anew(&path).expect("a file");
            let changed = differences(&read, &old);
            assert_eq!(changed.len(), 700);
            assert_eq!((changed[0] % 512, changed[699] - changed[0]), (1000 % 512, 699));
            assert_ne!(changed[0], 1000);
            mount.set(Trouble::default(), seed);
            let mut truth = old.clone();
            truth[1000..1700].fill(b'!');
            assert_eq!(fs::read(&path).expect("a file"), truth);
            assert_eq!(fs::read(behind.join("log")).expect("a file"), truth);
        }
        assert_eq!(mount.met().misdirected, 20);
        // Where there is no other place it comes to its own.
        mount.set(Trouble { misdirected_writes: Errors::ONCE, ..Trouble::default() }, 1);
        fs::write(shown.join("small"), b"small").expect("a file");
        assert_eq!(read_anew(&shown.join("small")).expect("a file"), b"small");
    });
}

#[test]
fn reads_fail_once_or_from_now_on() {
    with_mount(|shown, _, mount| {
        let path = shown.join("file");
        fs::write(&path, [b'x'; 300_000]).expect("a file");
        let read =
            || fs::read(&path).map(|bytes| bytes.len()).map_err(|error| error.raw_os_error().unwrap_or(0));
        assert_eq!(read(), Ok(300_000));
        for _ in 0..3 {
            mount.set(Trouble { read_errors: Errors::ONCE, ..Trouble::default() }, 1);
            assert_eq!([read(), read()], [Err(libc::EIO), Ok(300_000)]);
            mount.set(Trouble::default(), 1);
        }
        assert_eq!(mount.met().failed, 3);
        mount.set(Trouble { read_errors: Errors::Always, ..Trouble::default() }, 1);
        assert_eq!([read(), read()], [Err(libc::EIO); 2]);
        mount.set(Trouble::default(), 1);
        assert_eq!(read(), Ok(300_000));
    });
}

#[test]
fn now_and_then_a_sync_hangs() {
    with_mount(|shown, _, mount| {
        let stall = Duration::from_millis(60);
        let mut file = File::create(shown.join("file")).expect("a file");
        mount.set(Trouble { stall, stall_in: 10, ..Trouble::default() }, 1);
        for count in 0..60 {
            let (start, before) = (Instant::now(), mount.met().stalled);
            file.write_all(b"x").and_then(|()| file.sync_data()).expect("a sync");
            let hangs = mount.met().stalled > before;
            assert!(hangs || count > 0, "the first one does");
            assert!(!hangs || start.elapsed() >= stall);
        }
        let hung = mount.met().stalled;
        assert!((2..20).contains(&hung), "{hung} of 60");
    });
}

#[test]
fn one_file_alone_loses_what_was_not_synced() {
    with_mount(|shown, behind, mount| {
        let mut losers = BTreeMap::new();
        for seed in 0..20 {
            for name in ["a", "b", "c"] {
                let mut file = File::create(shown.join(name)).expect("a file");
                file.write_all(b"old").and_then(|()| file.sync_all()).expect("a sync");
                file.write_all(b"new").expect("a write");
            }
            fs::write(shown.join("made"), b"").expect("a file");
            mount.attempt(Trial::Write(b'b')).expect("a write");
            let lost = mount.lose(Loss::OneFile(seed)).expect("a loss");
            assert_eq!((lost.files, lost.names), (1, 0), "the controller's own does not count");
            let found = tree(shown);
            let files = ["a", "b", "c"].map(|name| found[name].clone().expect("a file"));
            let losing: Vec<usize> = (0..3).filter(|file| files[*file] == b"old").collect();
            assert_eq!((losing.len(), files.iter().filter(|file| *file == b"oldnew").count()), (1, 2));
            *losers.entry(losing[0]).or_insert(0) += 1;
            assert!(found.contains_key("made"));
            assert_eq!(found, tree(behind));
            // The rest has reached the disk.
            mount.lose(Loss::All).expect("a loss");
            assert_eq!(tree(shown), found);
        }
        assert_eq!(losers.len(), 3, "{losers:?}");
    });
}

/// A folder is set back and given back, and wiped for good; each time a program finds just that.
#[test]
fn a_folder_is_set_back_or_wiped_and_given_back() {
    if let Some(lack) = lack() {
        assert!(std::env::var_os("RAFTURE_REQUIRE_ALL").is_none(), "{lack}");
        eprintln!("skipped: {lack}");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let node = folder.path().join("n1");
    fs::create_dir(&node).expect("a folder");
    let mut disks = Disks::open(std::slice::from_ref(&node)).expect("disks");
    let shown = node.join("data");
    fs::create_dir_all(shown.join("a/b")).expect("folders");
    fs::write(shown.join("a/b/log"), b"early").expect("a file");
    let made_ahead = File::create(shown.join("zeros")).expect("a file");
    made_ahead.set_len(50 << 20).expect("room");
    made_ahead.write_all_at(b"something", 30 << 20).expect("a write");
    disks.roll_back(0).expect_err("no copy was kept");
    let earlier = tree(&shown);
    disks.keep(0).expect("a copy");

    let file = File::options().append(true).open(shown.join("a/b/log")).expect("a file");
    (&file).write_all(b" and late").and_then(|()| file.sync_all()).expect("a sync");
    fs::remove_file(shown.join("zeros")).expect("it goes");
    fs::write(shown.join("later"), b"later").expect("a file");
    let later = tree(&shown);
    disks.subject(0).prove_replaced().expect_err("it has its own content");
    disks.roll_back(0).expect("it is set back");
    let words = disks.subject(0).prove_replaced().expect("it is set back");
    assert!(
        words.starts_with("its folder is as it was 0.") && words.ends_with("2 names in the folder"),
        "{words}"
    );
    assert_eq!(tree(&shown), earlier);
    fs::write(shown.join("a/b/log"), b"another life").expect("a file");
    disks.give_back(0).expect("it has its own");
    assert_eq!(tree(&shown), later);
    disks.give_back(0).expect("there is nothing to give back");

    fs::write(shown.join("unsynced"), b"unsynced").expect("a file");
    disks.wipe(0).expect("it is empty");
    assert!(tree(&shown).is_empty());
    let words = disks.subject(0).prove_replaced().expect("it is empty");
    assert_eq!(words, "its folder is empty; 0 names in the folder");
    fs::write(shown.join("a"), b"no folder any more").expect("a file");
    disks.subject(0).prove_replaced().expect_err("it is not empty");
    disks.forget_own(0).expect("it lives on with that");
    disks.give_back(0).expect("there is nothing to give back");
    assert_eq!(tree(&shown).len(), 1);
    disks.lose(&[0], Loss::All).expect("a loss");
    assert!(tree(&shown).is_empty());
    drop(file);
    drop(disks);
    assert_eq!(fs::read_dir(&node).expect("a folder").count(), 1, "only the data is left");
    assert_eq!(fs::read_dir(&shown).expect("a folder").count(), 0);
}

/// As the injector does it, on the disks of nodes that do nothing, and of one that writes.
#[test]
fn every_trouble_of_a_disk_is_proven() {
    if let Some(lack) = lack() {
        assert!(std::env::var_os("RAFTURE_REQUIRE_ALL").is_none(), "{lack}");
        eprintln!("skipped: {lack}");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let nodes = ["n1", "n2"].map(|name| folder.path().join(name));
    nodes.iter().for_each(|node| fs::create_dir(node).expect("a folder"));
    let mut disks = Disks::open(&nodes).expect("disks");
    nodes.iter().for_each(|node| fs::write(node.join("data/log"), [b'x'; 5000]).expect("a file"));
    let none = Trouble::default();
    let troubles = [
        Trouble { slow_sync: Duration::from_millis(20), ..none },
        Trouble { stall: Duration::from_millis(300), stall_in: 50, ..none },
        Trouble { sync_errors: Errors::ONCE, ..none },
        Trouble { write_errors: Errors::ONCE, ..none },
        Trouble { read_errors: Errors::ONCE, ..none },
        Trouble { read_errors: Errors::Always, ..none },
        Trouble { full: Full::Any, ..none },
        Trouble { flips: 1, ..none },
        Trouble { lost_writes: Errors::ONCE, ..none },
        Trouble { lost_writes: Errors::Always, ..none },
        Trouble { misdirected_writes: Errors::ONCE, ..none },
        Trouble { misdirected_writes: Errors::Always, ..none },
    ];
    for trouble in troubles {
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let file = File::options().write(true).open(nodes[1].join("data/log")).expect("a file");
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = file.write_all_at(&[b'y'; 600], 1200).and_then(|()| file.sync_data());
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            let mut proofs = Vec::new();
            for (node, name) in ["idle", "busy"].into_iter().enumerate() {
                disks.set(node, trouble, 1);
                proofs.push((name, disks.subject(node).prove_trouble(trouble)));
                disks.set(node, none, 1);
            }
            // Before anything is asserted: whoever writes would go on for ever.
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            for (name, proof) in proofs {
                println!(
                    "{trouble} ({name}): {}",
                    proof.unwrap_or_else(|words| panic!("{trouble} ({name}): {words}"))
                );
            }
        });
        // The sheet is off.
        for node in &nodes {
            let shown = read_anew(&node.join("data/log")).expect("a file");
            let held = fs::read(node.join("disk/data/log")).expect("a file");
            assert!(shown == held, "{trouble}: what is shown is not what is held");
        }
    }
}

#[test]
fn the_controller_sees_what_is_lost_by_a_file_of_its_own() {
    with_mount(|_, _, mount| {
        let count = |byte| mount.attempt(Trial::Count(byte)).expect("it is there").1;
        mount.attempt(Trial::Write(b'b')).expect("a write");
        assert_eq!((count(b'a'), count(b'b')), (0, TRIAL_SECTORS));
        mount.lose(Loss::All).expect("a loss");
        assert_eq!((count(b'a'), count(b'b')), (TRIAL_SECTORS, 0));
    });
}

/// Not a demand yet: what the mount costs is printed.
#[test]
fn syncs_through_the_mount_are_counted_beside_the_bare_folder() {
    with_mount(|shown, behind, _| {
        let measure = |folder: &Path| {
            let mut file = File::create(folder.join("syncs")).expect("a file");
            let start = Instant::now();
            let mut count = 0;
            while start.elapsed() < Duration::from_millis(250) {
                file.write_all(&[7; 4096]).and_then(|()| file.sync_data()).expect("a sync");
                count += 1;
            }
            f64::from(count) / start.elapsed().as_secs_f64()
        };
        // In turns, so that whatever else the machine does hits both.
        let (mut bare, mut through): (Vec<f64>, Vec<f64>) =
            (0..4).map(|_| (measure(behind), measure(shown))).unzip();
        bare.sort_by(f64::total_cmp);
        through.sort_by(f64::total_cmp);
        println!("syncs a second, best of 4: bare {:.0}, through the mount {:.0}", bare[3], through[3]);
        assert!(through[3] > 0.0);
    });
}
