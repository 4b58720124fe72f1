//! Disks under plain programs: what passes through, what each fault does, and that what is lost is just what was not synced.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rafture_nemesis::disk::{Errors, Full, Lost, Mount, TRIAL_SECTORS, Trial, Trouble, enter, lack};
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
        mount.lose(None).expect("a loss");
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
        mount.lose(None).expect("a loss");
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
            mount.lose(None).expect("a loss");
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
        let lost = mount.lose(None).expect("a loss");
        assert_eq!((lost.names, tree(shown)), (6, before.clone()));
        // As file systems with a journal do it, whether or not the folder was synced.
        fs::write(shown.join("a/b/new"), b"new").expect("a file");
        File::open(shown.join("a/b/new")).and_then(|file| file.sync_data()).expect("a sync");
        assert_eq!(mount.lose(None).expect("a loss"), Lost::default());
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
            mount.lose(Some(seed)).expect("a loss");
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
        mount.set(Trouble { sync_errors: Errors::Once, ..Trouble::default() }, 1);
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
        mount.lose(None).expect("a loss");
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
        assert!(start.elapsed() >= slow_sync && mount.met().slowed == 1);
        assert!(mount.attempt(Trial::Sync).expect("a sync").0 >= slow_sync);
    });
}

#[test]
fn the_controller_sees_what_is_lost_by_a_file_of_its_own() {
    with_mount(|_, _, mount| {
        let count = |byte| mount.attempt(Trial::Count(byte)).expect("it is there").1;
        mount.attempt(Trial::Write(b'b')).expect("a write");
        assert_eq!((count(b'a'), count(b'b')), (0, TRIAL_SECTORS));
        mount.lose(None).expect("a loss");
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
