//! Clocks of real, unmodified processes: jumped, skewed and strobed, and set right again. This binary plays the process, too: started with
//! a folder in its environment it reads its clocks in several threads, and writes down what it read beside what the kernel says.

mod nobody;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rafture_nemesis::clock::RunClock;
use rafture_nemesis::clocks::{Change, Course, EXACT_NS, ProcessClocks};
use rafture_nemesis::cluster::Cluster;
use rafture_nemesis::fault::parse;
use rafture_nemesis::hosts::{Hosts, NetworkChoice};
use rafture_nemesis::injector::Injector;
use rafture_nemesis::ledger::{Ledger, LedgerLine, State};
use rafture_nemesis::process::NodeSpec;
use rafture_nemesis::schedule::Schedule;
use tokio::sync::watch;

use nobody::Nobody;

const FOLDER: &str = "RAFTURE_TEST_CLOCKS";
const THREADS: usize = 3;
const MS: i64 = 1_000_000;
const S: i64 = 1000 * MS;

/// One look at the clocks, between two system calls for each.
#[derive(Debug, Clone, Copy)]
struct Sample {
    monotonic: [i64; 3],
    wall: [i64; 3],
    /// By `gettimeofday`, `time` and the coarse clocks.
    others: [i64; 4],
}

/// By system call, which bypasses the vDSO.
fn by_call(clock: i32) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure outlives the call.
    unsafe { libc::syscall(libc::SYS_clock_gettime, clock, &raw mut time) };
    time.tv_sec * S + time.tv_nsec
}

/// As every program does.
fn by_library(clock: i32) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure outlives the call.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec * S + time.tv_nsec
}

impl Sample {
    fn take() -> Sample {
        let mut time = libc::timeval { tv_sec: 0, tv_usec: 0 };
        let before = [libc::CLOCK_MONOTONIC, libc::CLOCK_REALTIME].map(by_call);
        let [monotonic, wall] = [libc::CLOCK_MONOTONIC, libc::CLOCK_REALTIME].map(by_library);
        // SAFETY: the structure outlives the call; nobody wants a time zone.
        unsafe { libc::gettimeofday(&raw mut time, std::ptr::null_mut()) };
        // SAFETY: nothing is to be kept.
        let seconds = unsafe { libc::time(std::ptr::null_mut()) };
        let [coarse_wall, coarse] =
            [libc::CLOCK_REALTIME_COARSE, libc::CLOCK_MONOTONIC_COARSE].map(by_library);
        let after = [libc::CLOCK_MONOTONIC, libc::CLOCK_REALTIME].map(by_call);
        let others = [time.tv_sec * S + time.tv_usec * 1000, seconds * S, coarse_wall, coarse];
        Sample { monotonic: [before[0], monotonic, after[0]], wall: [before[1], wall, after[1]], others }
    }

    fn parse(line: &str) -> Option<Sample> {
        let numbers: Vec<i64> = line.split(' ').map(|word| word.parse().ok()).collect::<Option<_>>()?;
        let [a, b, c, d, e, f, g, h, i, j] = numbers[..].try_into().ok()?;
        Some(Sample { monotonic: [a, b, c], wall: [d, e, f], others: [g, h, i, j] })
    }

    /// Wall and monotonic: by how much they are ahead, in the middle of what is possible.
    fn ahead(&self) -> [i64; 2] {
        [self.wall, self.monotonic].map(|[before, read, after]| read - (before + after) / 2)
    }

    /// It was read within so short a time that it says something.
    fn is_sharp(&self) -> bool {
        self.monotonic[2] - self.monotonic[0] < MS / 2
    }
}

/// The process that reads its clocks; a test of nothing when it is run as one.
#[test]
fn reads_clocks_when_it_is_told_to() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    std::thread::scope(|scope| {
        for number in 0..THREADS {
            let mut file = File::create(folder.join(format!("thread-{number}"))).expect("a file");
            scope.spawn(move || {
                let mut last = 0;
                loop {
                    // The last thread does little but read its clock, so it is often within the vDSO.
                    for _ in 0..if number == THREADS - 1 { 300 } else { 1 } {
                        let now = by_library(libc::CLOCK_MONOTONIC);
                        assert!(now >= last, "monotonic time went back by {} ns", last - now);
                        last = now;
                    }
                    let Sample { monotonic: [a, b, c], wall: [d, e, f], others: [g, h, i, j] } =
                        Sample::take();
                    writeln!(file, "{a} {b} {c} {d} {e} {f} {g} {h} {i} {j}").expect("a line");
                    std::thread::sleep(Duration::from_micros(200));
                }
            });
        }
    });
}

struct Readers {
    cluster: Cluster,
    folder: tempfile::TempDir,
}

impl Readers {
    fn start(count: usize) -> Readers {
        let folder = tempfile::tempdir().expect("a folder");
        let spec = |number: usize| {
            let folder = folder.path().join(format!("n{}", number + 1));
            NodeSpec {
                joining: Vec::new(),
                name: format!("n{}", number + 1),
                program: std::env::current_exe().expect("this program"),
                arguments: ["--exact", "reads_clocks_when_it_is_told_to", "--nocapture"]
                    .map(Into::into)
                    .into(),
                environment: vec![(FOLDER.into(), folder.clone().into())],
                folder,
            }
        };
        let mut cluster = cluster((0..count).map(spec).collect());
        (0..count).for_each(|node| cluster.start(node).expect("a start"));
        let readers = Readers { cluster, folder };
        (0..count).for_each(|node| drop(readers.since(node, 0)));
        readers
    }

    /// What every thread of a node has read since then: a few sharp samples at least.
    fn since(&self, node: usize, moment: i64) -> Vec<Sample> {
        let files = (0..THREADS).map(|number| format!("n{}/thread-{number}", node + 1));
        let paths: Vec<PathBuf> = files.map(|file| self.folder.path().join(file)).collect();
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let read = |path: &PathBuf| {
                let text = fs::read_to_string(path).unwrap_or_default();
                let samples = text.lines().filter_map(Sample::parse);
                samples
                    .filter(|sample| sample.monotonic[0] >= moment && sample.is_sharp())
                    .collect::<Vec<_>>()
            };
            let samples: Vec<Vec<Sample>> = paths.iter().map(read).collect();
            if samples.iter().all(|samples| samples.len() >= 10) {
                return samples.concat();
            }
            let words = self.cluster.last_words(node);
            assert!(Instant::now() < deadline, "n{} reads no clocks: {words}", node + 1);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Bends the clocks of n1; gives when that began and when it was done.
    fn bend(&mut self, wall: Course, monotonic: Course) -> (i64, i64) {
        let began = by_call(libc::CLOCK_MONOTONIC);
        let bent = self.cluster.bend_clocks(&BTreeMap::from([(0, Change::new(wall, monotonic))]));
        assert_eq!(bent.expect("bent").len(), 1);
        (began, by_call(libc::CLOCK_MONOTONIC))
    }

    fn restore(&mut self) -> i64 {
        self.cluster.restore_clocks(&[0]).expect("restored");
        by_call(libc::CLOCK_MONOTONIC)
    }

    /// The clocks of n1 since then are ahead by this, to a millisecond.
    fn check(&self, moment: i64, meant: impl Fn(&Sample) -> [i64; 2]) {
        for sample in self.since(0, moment) {
            let (seen, meant) = (sample.ahead(), meant(&sample));
            let is_exact = (0..2).all(|clock| (seen[clock] - meant[clock]).abs() < EXACT_NS);
            assert!(is_exact, "ahead by {seen:?}, should be by {meant:?}: {sample:?}");
        }
    }
}

fn cluster(specs: Vec<NodeSpec>) -> Cluster {
    let hosts = Hosts::open(NetworkChoice::Proxy, specs.len()).expect("proxies need nothing");
    Cluster::new(hosts, specs).expect("a cluster")
}

fn median_and_max(mut times: Vec<i64>) -> (f64, f64) {
    times.sort_unstable();
    (times[times.len() / 2] as f64 / 1e6, times[times.len() - 1] as f64 / 1e6)
}

#[test]
fn a_jump_is_seen_within_ten_milliseconds_exact_to_one() {
    let mut readers = Readers::start(2);
    let (mut applied, mut seen, mut off) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=25 {
        let by = if round % 2 == 0 { 12_345 * MS * round } else { -17 * MS * round };
        let (began, done) = readers.bend(Course::Jump(by), Course::True);
        readers.check(done, |_| [by, 0]);
        let samples = readers.since(0, began);
        let shows = |sample: &&Sample| (sample.ahead()[0] - by).abs() < EXACT_NS;
        seen.push(
            samples.iter().filter(shows).map(|sample| sample.monotonic[1]).min().expect("seen") - began,
        );
        applied.push(done - began);
        off.extend(samples.iter().filter(shows).map(|sample| (sample.ahead()[0] - by).abs()));
        // What others read of the wall clock jumps with it, and the coarse monotonic clock does not.
        for Sample { wall, others: [by_microsecond, by_second, coarse_wall, coarse], monotonic, .. } in
            readers.since(0, done)
        {
            assert!((by_microsecond - wall[1]).abs() < EXACT_NS, "gettimeofday");
            assert!((coarse_wall - wall[1]).abs() < 12 * MS, "coarse");
            assert!((0..=S + 12 * MS).contains(&(wall[1] - by_second)), "time: {}", wall[1] - by_second);
            assert!((coarse - monotonic[1]).abs() < 12 * MS, "coarse and monotonic");
        }
        let restored = readers.restore();
        readers.check(restored, |_| [0, 0]);
    }
    let (applied, seen, off) = (median_and_max(applied), median_and_max(seen), median_and_max(off));
    println!("ms, median and most: applied {applied:.3?}, seen {seen:.3?} after it began, off by {off:.3?}");
    // A shared machine may stall anybody: half of them, then.
    assert!(seen.0 < 10.0 && applied.0 < 10.0);
    let other = readers.since(1, 0);
    assert!(other.iter().all(|sample| sample.ahead().iter().all(|ahead| ahead.abs() < EXACT_NS)), "n2");
}

#[test]
fn a_clock_goes_too_fast_or_too_slowly_and_the_monotonic_one_never_goes_back() {
    let mut readers = Readers::start(1);
    let (began, done) = readers.bend(Course::Skew(-0.25), Course::Skew(0.5));
    readers.since(0, done + 200 * MS);
    // The moment at which it struck lies between the two.
    let slack = done - began;
    for sample in readers.since(0, done) {
        let passed = sample.monotonic[1] - sample.ahead()[1] - done;
        let (wall, monotonic) = (sample.ahead()[0] + passed / 4, sample.ahead()[1] - passed / 2);
        assert!((-EXACT_NS - slack..EXACT_NS).contains(&wall), "{wall}: {sample:?}");
        assert!((-EXACT_NS..EXACT_NS + slack).contains(&monotonic), "{monotonic}: {sample:?}");
    }
    let ahead = readers.since(0, done).iter().map(|sample| sample.ahead()[1]).max().expect("samples");
    let restored = readers.restore();
    let samples = readers.since(0, restored);
    assert!(
        samples.iter().all(|sample| sample.ahead()[0].abs() < EXACT_NS),
        "the wall clock is right at once"
    );
    assert!(samples.iter().any(|sample| sample.ahead()[1] > ahead / 2), "the monotonic clock is not");
    // At half its speed it has caught up after twice the time that it was ahead; it has gone on until it was restored.
    let right = restored + 2 * (ahead + (restored - done));
    readers.since(0, right);
    readers.check(right, |_| [0, 0]);
    readers.cluster.settle_clocks();
    readers.check(by_call(libc::CLOCK_MONOTONIC), |_| [0, 0]);
    readers.cluster.notice_crashes();
    assert_eq!(readers.cluster.crashes(), [""; 0], "no thread saw time go back");
}

#[test]
fn a_strobe_jumps_back_and_forth_and_a_sway_goes_and_comes() {
    let mut readers = Readers::start(1);
    let (began, done) = readers.bend(Course::Strobe(40 * S, 24), Course::Sway(-0.4, 26));
    let (by, sway) = (40 * S, (1 << 26) * 4 / 10);
    let samples: Vec<Sample> =
        readers.since(0, done + 300 * MS).into_iter().chain(readers.since(0, done)).collect();
    let is = |sample: &Sample, ahead: i64| (sample.ahead()[0] - ahead).abs() < EXACT_NS;
    assert!(samples.iter().all(|sample| is(sample, by) || is(sample, 0)), "there or here");
    assert!(samples.iter().any(|sample| is(sample, by)) && samples.iter().any(|sample| is(sample, 0)));
    let swayed = samples.iter().map(|sample| sample.ahead()[1]);
    assert!(swayed.clone().all(|ahead| (-sway - EXACT_NS..EXACT_NS).contains(&ahead)));
    assert!(swayed.min().expect("samples") < -sway / 2, "in {} ms", (done - began) / MS);
    let restored = readers.restore();
    readers.check(restored, |_| [0, 0]);
    readers.cluster.notice_crashes();
    assert_eq!(readers.cluster.crashes(), [""; 0], "no thread saw time go back");
}

#[test]
fn clocks_of_paused_restarted_and_dead_processes() {
    let mut readers = Readers::start(1);
    let (_, done) = readers.bend(Course::Jump(7 * S), Course::True);
    readers.check(done, |_| [7 * S, 0]);
    readers.cluster.pause(&[0]).expect("a pause");
    readers.restore();
    readers.cluster.pause(&[0]).expect("it still stands still");
    readers.cluster.resume(&[0]).expect("a resume");
    readers.check(by_call(libc::CLOCK_MONOTONIC), |_| [0, 0]);
    readers.bend(Course::Jump(7 * S), Course::Jump(S));
    let killed = readers.cluster.kill(&[0]).expect("a kill");
    assert!(ProcessClocks::of(killed[0]).is_err());
    readers.cluster.start(0).expect("a restart");
    let restarted = by_call(libc::CLOCK_MONOTONIC);
    readers.restore();
    readers.check(restarted, |_| [0, 0]);
}

/// Reading a clock in its own thread changes nothing of a process, whatever it is doing, and sees what it would see.
#[test]
fn a_process_is_made_to_read_its_clocks() {
    let mut readers = Readers::start(1);
    for round in 1..=50 {
        let change = Change::new(Course::Jump(round * S), Course::True);
        readers.cluster.bend_clocks(&BTreeMap::from([(0, change)])).expect("bent");
        let seen = readers.cluster.look_at_clocks(0).expect("a look").expect("a process");
        let evidence = change.judge(seen).unwrap_or_else(|error| panic!("{error}"));
        // How exactly it is seen depends on how long the thread was kept from its processor: that is what uncertainty says.
        let [wall, monotonic] = &seen;
        assert!((wall.seen_ns - round * S).abs() <= wall.uncertain_ns, "{seen:?}");
        assert!(monotonic.seen_ns.abs() <= monotonic.uncertain_ns, "{seen:?}");
        assert!(evidence.starts_with("wall clock reads +"), "{evidence}");
        assert!(evidence.contains(", monotonic clock is right (to "), "{evidence}");
    }
    let other = Change::new(Course::Jump(S), Course::True);
    let seen = readers.cluster.look_at_clocks(0).expect("a look").expect("a process");
    assert!(seen[0].off_ns == 0 && other.judge(seen).is_ok(), "it is what is in force that is meant");
    readers.restore();
    let seen = readers.cluster.look_at_clocks(0).expect("a look").expect("a process");
    assert!(seen.iter().all(|sighting| sighting.seen_ns.abs() < EXACT_NS) && other.judge(seen).is_err());
    readers.cluster.notice_crashes();
    assert_eq!(readers.cluster.crashes(), [""; 0]);
    readers.since(0, by_call(libc::CLOCK_MONOTONIC));
}

/// Go does not use the C library, and its threads are often inside a signal handler or on a small stack.
#[test]
fn a_running_etcd_is_told_another_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let found = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let Some(program) = found.map(|folder| folder.join("etcd")).find(|program| program.exists()) else {
        assert!(std::env::var_os("RAFTURE_REQUIRE_ALL").is_none(), "there is no etcd");
        return eprintln!("skipped: there is no etcd");
    };
    let mut cluster = cluster(vec![etcd(program, folder.path())]);
    cluster.start(0).expect("a start");
    let log = folder.path().join("stderr.log");
    let says = |word: &str| fs::read_to_string(&log).is_ok_and(|text| text.contains(word));
    let deadline = Instant::now() + Duration::from_secs(20);
    while !says("set initial cluster version") {
        assert!(Instant::now() < deadline, "{}", cluster.last_words(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    let (mut applied, mut exact) = (Vec::new(), Vec::new());
    for round in 1..=100 {
        let change = Change::new(Course::Jump(round * S), Course::Jump(100 * MS));
        cluster.bend_clocks(&BTreeMap::from([(0, change)])).expect("bent");
        applied.push(cluster.clocks_took(0).as_nanos() as i64);
        let seen = cluster.look_at_clocks(0).expect("a look").expect("a process");
        exact.extend(seen.map(|sighting| sighting.off_ns + sighting.uncertain_ns));
        assert_eq!(seen.map(|sighting| sighting.off_ns), [0, 0], "round {round}: {seen:?}");
        assert!((seen[0].seen_ns - round * S).abs() < EXACT_NS, "{seen:?}");
    }
    cluster.restore_clocks(&[0]).expect("restored");
    let seen = cluster.look_at_clocks(0).expect("a look").expect("a process");
    assert!(seen[0].seen_ns.abs() < EXACT_NS, "{seen:?}");
    cluster.notice_crashes();
    assert_eq!(cluster.crashes(), [""; 0]);
    let (applied, exact) = (median_and_max(applied), median_and_max(exact));
    println!("etcd, ms, median and most: applied {applied:.3?}, exact to {exact:.3?}");
    assert!(applied.0 < 10.0 && exact.0 < 1.0);
}

fn etcd(program: PathBuf, folder: &Path) -> NodeSpec {
    let port = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        format!("http://{}", listener.local_addr().expect("an address"))
    };
    let (clients, peers) = (port(), port());
    let words = format!(
        "--name n1 --data-dir data --logger zap --listen-client-urls {clients} --advertise-client-urls {clients} \
         --listen-peer-urls {peers} --initial-advertise-peer-urls {peers} --initial-cluster n1={peers}"
    );
    NodeSpec {
        name: "n1".into(),
        program,
        arguments: words.split(' ').map(Into::into).collect(),
        joining: Vec::new(),
        environment: Vec::new(),
        folder: folder.to_owned(),
    }
}

/// A whole schedule: each episode is planned, applied, proven and undone, in words.
#[test]
fn clock_faults_are_carried_out_and_undone() {
    let mut readers = Readers::start(3);
    let specs = parse("clock").expect("faults");
    let limit = Duration::from_secs(5);
    let schedule = Schedule::random(9, &specs, Duration::from_millis(400), limit, 3).expect("a schedule");
    let path = readers.folder.path().join("faults.jsonl");
    let ledger = Ledger::create(&path).expect("a ledger");
    let (_stop, stopped) = watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut injector = Injector::new(&mut readers.cluster, ledger, RunClock::start(), |_| {});
        injector.run(&schedule, limit, &Nobody { leader: Some(1) }, stopped).await.expect("all is healed");
    });
    let text = fs::read_to_string(&path).expect("a ledger");
    let lines: Vec<LedgerLine> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    let with = |state: State| lines.iter().filter(|line| line.state == state).count();
    let counts = [State::Planned, State::Applied, State::Proven, State::Undone].map(with);
    assert!(counts == [schedule.episodes.len(); 4] && counts[0] >= 5, "{counts:?}:\n{text}");
    let planned = lines.iter().find(|line| line.state == State::Planned).expect("one");
    assert!(planned.detail.contains("clock") && planned.undo.as_deref() == Some("set the clocks right"));
    readers.cluster.notice_crashes();
    assert_eq!(readers.cluster.crashes(), [""; 0], "no thread saw time go back");
}
