//! Real node processes without a suite around them: what clients and operators can ask of them, and what strangers cannot.

mod command;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use command::rafture;
use rafture_nemesis::hosts::ports;

/// How long anything may take that has to come about.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node process that dies with its test.
struct Node {
    process: Child,
    client: SocketAddr,
    peer: SocketAddr,
    log: PathBuf,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Addresses that nobody uses.
fn addresses(count: usize) -> Vec<SocketAddr> {
    let held = ports::hold(count).expect("ports");
    held.iter().map(|listener| listener.local_addr().expect("an address")).collect()
}

struct Cluster {
    folder: tempfile::TempDir,
    /// Peer and client address of each node there is or will be.
    places: Vec<(SocketAddr, SocketAddr)>,
    members: usize,
    options: String,
    nodes: Vec<Option<Node>>,
}

impl Cluster {
    /// `members` nodes that run, and places for `spare` more.
    fn start(members: usize, spare: usize, options: &str) -> Cluster {
        let all = addresses(2 * (members + spare));
        let places = all.chunks(2).map(|pair| (pair[0], pair[1])).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let nodes = (0..members + spare).map(|_| None).collect();
        let mut cluster = Cluster { folder, places, members, options: options.to_owned(), nodes };
        (0..members).for_each(|node| cluster.up(node, ""));
        cluster
    }

    fn up(&mut self, node: usize, more: &str) {
        let (peer, client) = self.places[node];
        let known = self.members.max(node + 1);
        let members: Vec<String> = (0..known)
            .map(|place| format!("n{}={}/{}", place + 1, self.places[place].0, self.places[place].1))
            .collect();
        let data = self.folder.path().join(format!("n{}", node + 1));
        let log = self.folder.path().join(format!("n{}.log", node + 1));
        let words = format!(
            "node --id n{} --client {client} --peer {peer} --members {} --data {} --seed {node} {} {more}",
            node + 1,
            members.join(","),
            data.display(),
            self.options
        );
        let output = std::fs::File::options().append(true).create(true).open(&log).expect("a file");
        let process = rafture(&words).stdout(Stdio::null()).stderr(output).spawn().expect("a process");
        self.nodes[node] = Some(Node { process, client, peer, log });
    }

    fn down(&mut self, node: usize) {
        self.nodes[node] = None;
    }

    fn running(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes.iter().enumerate().filter_map(|(place, node)| Some((place, node.as_ref()?)))
    }

    /// The node that leads; waits for one.
    fn leader(&self) -> usize {
        wait_for("a leader", || {
            let leads = |(place, node): (usize, &Node)| {
                let info = Connection::open(node.client)?.info()?;
                info.contains("role:Leader").then_some(place)
            };
            self.running().find_map(leads)
        })
    }

    /// Asks the leader, whoever that is just now, until it takes the request.
    fn ask(&self, words: &str) -> String {
        wait_for(words, || {
            let node = self.nodes[self.leader()].as_ref()?;
            let reply = Connection::open(node.client)?.ask(words)?;
            let is_passing =
                ["-MOVED", "-NOLEADER", "-BUSY", "-UNKNOWN"].iter().any(|code| reply.starts_with(code));
            (!is_passing).then_some(reply)
        })
    }

    fn fact(&self, node: usize, name: &str) -> Option<String> {
        let info = Connection::open(self.nodes[node].as_ref()?.client)?.info()?;
        info.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
    }

    fn number(&self, node: usize, name: &str) -> u64 {
        self.fact(node, name).and_then(|value| value.parse().ok()).unwrap_or(0)
    }
}

/// Waits for a fact, `PATIENCE` at most.
fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

struct Connection(TcpStream);

impl Connection {
    fn open(address: SocketAddr) -> Option<Connection> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        Some(Connection(stream))
    }

    /// Sends a line as RESP; gives the reply with its lines joined by spaces.
    fn ask(&mut self, line: &str) -> Option<String> {
        let words: Vec<&str> = line.split(' ').collect();
        let mut request = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| request.push_str(&format!("${}\r\n{word}\r\n", word.len())));
        self.0.write_all(request.as_bytes()).ok()?;
        self.reply()
    }

    fn info(&mut self) -> Option<String> {
        let words = "*1\r\n$9\r\nRAFT.INFO\r\n";
        self.0.write_all(words.as_bytes()).ok()?;
        let length: usize = self.line()?.strip_prefix('$')?.parse().ok()?;
        let mut text = vec![0; length + 2];
        self.0.read_exact(&mut text).ok()?;
        String::from_utf8(text).ok()
    }

    fn reply(&mut self) -> Option<String> {
        let line = self.line()?;
        match line.as_bytes()[0] {
            b'$' if line != "$-1" => {
                let mut text = vec![0; line[1..].parse::<usize>().ok()? + 2];
                self.0.read_exact(&mut text).ok()?;
                Some(String::from_utf8_lossy(&text).trim_end().to_owned())
            }
            b'*' => {
                let count: usize = line[1..].parse().ok()?;
                let parts: Option<Vec<String>> = (0..count).map(|_| self.reply()).collect();
                Some(format!("[{}]", parts?.join(" ")))
            }
            _ => Some(line),
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while byte[0] != b'\n' {
            self.0.read_exact(&mut byte).ok()?;
            line.push(byte[0]);
        }
        Some(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

#[test]
fn members_come_and_go_and_leadership_is_handed_over() {
    let mut cluster = Cluster::start(3, 1, "");
    assert_eq!(cluster.ask("SET a 1"), "+OK");
    cluster.up(3, "--join");
    let (peer, client) = cluster.places[3];
    assert_eq!(cluster.ask(&format!("RAFT.ADD n4 {peer}/{client}")), "+OK");
    let leader = cluster.leader();
    assert_eq!(cluster.fact(leader, "voters").as_deref(), Some("n1,n2,n3,n4"));
    assert_eq!(cluster.ask("RAFT.TRANSFER n4"), "+OK");
    wait_for("n4 leads", || (cluster.leader() == 3).then_some(()));
    assert_eq!(cluster.ask("GET a"), "1");
    assert_eq!(cluster.ask("RAFT.REMOVE n1"), "+OK");
    cluster.down(0);
    assert_eq!(cluster.ask("SET a 2"), "+OK");
    // What the log says of the members outlives a restart, and goes before what the node is told.
    for node in 1..4 {
        cluster.down(node);
    }
    (1..4).for_each(|node| cluster.up(node, ""));
    assert_eq!(cluster.ask("GET a"), "2");
    let leader = cluster.leader();
    assert_eq!(cluster.fact(leader, "voters").as_deref(), Some("n2,n3,n4"));
}

#[test]
fn a_follower_is_held_and_released() {
    let cluster = &mut Cluster::start(3, 0, "");
    let leader = cluster.leader();
    let [one, other] = [1, 2].map(|step| (leader + step) % 3);
    assert_eq!(cluster.ask(&format!("RAFT.HOLD n{}", one + 1)), "+OK");
    let refusal = cluster.ask(&format!("RAFT.HOLD n{}", other + 1));
    assert!(refusal.contains("too few members would still get entries"), "{refusal}");
    assert_eq!(cluster.ask("SET a 1"), "+OK");
    let last =
        |cluster: &mut Cluster, node| cluster.fact(node, "last").and_then(|last| last.parse::<u64>().ok());
    let whole = last(cluster, leader);
    wait_for("the other has it", || (last(cluster, other) == whole).then_some(()));
    assert!(last(cluster, one) < whole, "it was held");
    assert_eq!(cluster.ask(&format!("RAFT.RELEASE n{}", one + 1)), "+OK");
    wait_for("it has it, too", || (last(cluster, one) == whole).then_some(()));
    let refusal = cluster.ask("RAFT.HOLD n9");
    assert!(refusal.contains("no follower of this leader"), "{refusal}");
}

#[test]
fn transactions_and_sessions_over_a_change_of_leaders() {
    let mut cluster = Cluster::start(3, 0, "");
    let leader = cluster.leader();
    let mut connection = Connection::open(cluster.places[leader].1).expect("a connection");
    for (asked, replied) in [
        ("MULTI", "+OK"),
        ("SET a 1", "+QUEUED"),
        ("INCRBY a 5", "+QUEUED"),
        ("SADD s x y", "+QUEUED"),
        ("EXEC", "[+OK :6 :2]"),
        ("RAFT.SESSION DO 99999 1 INCRBY a 1", "-NOSESSION there is no session 99999, or it has expired"),
    ] {
        assert_eq!(connection.ask(asked).as_deref(), Some(replied), "{asked}");
    }
    let session = connection.ask("RAFT.SESSION OPEN").expect("an answer");
    let session = session.strip_prefix(':').expect("a number").to_owned();
    let once = format!("RAFT.SESSION DO {session} 1 INCRBY a 10");
    assert_eq!(connection.ask(&once).as_deref(), Some(":16"));
    cluster.down(leader);
    assert_eq!(cluster.ask(&once), ":16", "the next leader knows that it was done");
    assert_eq!(cluster.ask("GET a"), "16");
}

#[test]
fn a_node_that_was_away_gets_a_snapshot_and_all_of_it_survives() {
    let mut cluster = Cluster::start(3, 0, "--snapshot-bytes 20000");
    let away = (cluster.leader() + 1) % 3;
    cluster.down(away);
    let leader = cluster.leader();
    let mut connection = Connection::open(cluster.places[leader].1).expect("a connection");
    let value = "v".repeat(400);
    for number in 0..300 {
        assert_eq!(connection.ask(&format!("SET k{} {value}", number % 20)).as_deref(), Some("+OK"));
    }
    assert_eq!(connection.ask("RAFT.SNAPSHOT").as_deref(), Some("+OK"));
    assert!(cluster.number(leader, "snapshot") > 200);
    cluster.up(away, "");
    let goal = cluster.number(leader, "commit");
    wait_for("the node has caught up", || (cluster.number(away, "commit") >= goal).then_some(()));
    assert_eq!(cluster.number(away, "keys"), 20);
    // Everybody restarts from snapshots.
    (0..3).for_each(|node| cluster.down(node));
    (0..3).for_each(|node| cluster.up(node, ""));
    assert_eq!(cluster.ask("GET k7"), value);
}

#[test]
fn followers_read_when_asked_to_and_leases_answer() {
    let cluster = Cluster::start(3, 0, "--lease 0.05");
    assert_eq!(cluster.ask("SET a 1"), "+OK");
    let follower = (cluster.leader() + 1) % 3;
    let mut connection = Connection::open(cluster.places[follower].1).expect("a connection");
    let moved = connection.ask("GET a").expect("an answer");
    assert!(moved.starts_with("-MOVED 0 127.0.0.1:"), "{moved}");
    assert_eq!(connection.ask("READONLY").as_deref(), Some("+OK"));
    for number in 2..50 {
        assert_eq!(cluster.ask(&format!("SET a {number}")), "+OK");
        assert_eq!(connection.ask("GET a"), Some(number.to_string()), "not stale, wherever it is read");
    }
}

#[test]
fn what_a_node_tells_of_itself_can_be_scraped() {
    let metrics = addresses(1)[0];
    let cluster = Cluster::start(1, 0, &format!("--metrics {metrics}"));
    cluster.ask("SET a 1");
    let mut stream = TcpStream::connect(metrics).expect("a connection");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a request");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("a page");
    for line in [
        "# TYPE rafture_commit gauge",
        "rafture_role{value=\"Leader\"} 1",
        "rafture_keys 1",
        "rafture_sync_p99_us ",
    ] {
        assert!(page.contains(line), "`{line}` is not in: {page}");
    }
}

/// What strangers send is refused and complained about once, and the node serves on.
#[test]
fn strangers_are_refused_and_complained_about_once() {
    let cluster = Cluster::start(1, 0, "");
    cluster.ask("SET a 1");
    let node = cluster.nodes[0].as_ref().expect("it runs");
    let send = |address: SocketAddr, bytes: &[u8]| {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
        let _ = stream.write_all(bytes);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    };
    let nested = "*1\r\n".repeat(100_000);
    for bomb in ["*999999999\r\n", "*1\r\n$99999999999\r\n", "*-5\r\n", &nested, "*1\r\n$3\r\nGETxx"] {
        let answer = send(node.client, bomb.as_bytes());
        assert!(answer.starts_with("-ERR protocol error"), "{answer:?}");
    }
    let hello = |cluster: u64, from: u32, to: u32| {
        let mut bytes = b"RFT2".to_vec();
        bytes.extend(cluster.to_le_bytes());
        bytes.extend(from.to_le_bytes());
        bytes.extend(to.to_le_bytes());
        bytes
    };
    let mut oversized = hello(0, 2, 1);
    oversized.extend([0xff; 64]);
    let mut damaged = hello(0, 2, 1);
    damaged.extend([9, 0, 0, 0, 1, 2, 3, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n\r\n\r\n"[..],
        &hello(7, 2, 1),
        &hello(0, 2, 3),
        &hello(0, 1, 1),
        &oversized,
        &damaged,
    ] {
        for _ in 0..3 {
            assert_eq!(send(node.peer, bytes), "", "members are not answered here");
        }
    }
    assert_eq!(cluster.ask("GET a"), "1");
    let log = std::fs::read_to_string(&node.log).expect("a log");
    let count = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    let expected = [
        "is of another cluster (7)",
        "looks for n3",
        "looks for n1",
        "does not start as a member",
        "a frame of 4294967295 bytes is too long",
        "is damaged",
        "too many arguments",
    ];
    for words in expected {
        assert_eq!(count(words), 1, "`{words}` in: {log}");
    }
}

#[test]
fn two_nodes_do_not_share_a_folder() {
    let cluster = Cluster::start(1, 0, "");
    cluster.ask("SET a 1");
    let spare = addresses(2);
    let data = cluster.folder.path().join("n1");
    let words = format!(
        "node --id n1 --client {} --peer {} --members n1={}/{} --data {}",
        spare[0],
        spare[1],
        spare[1],
        spare[0],
        data.display()
    );
    let ended = command::end(&mut rafture(&words));
    assert_eq!(ended.code, 4, "{}", ended.err);
    assert!(ended.err.contains("in use by another node"), "{}", ended.err);
    assert_eq!(cluster.ask("GET a"), "1");
}

/// A disk that is full refuses writes and loses nothing; with room again, all goes on.
#[test]
fn a_full_disk_refuses_writes_and_recovers() {
    let Some(disk) = SmallDisk::mount(60 << 20) else {
        assert!(std::env::var_os("RAFTURE_REQUIRE_ALL").is_none(), "no small disk can be mounted here");
        println!("skipped: no small disk can be mounted here");
        return;
    };
    let mut cluster = Cluster::start(1, 0, "--snapshot-bytes 8000000000");
    cluster.down(0);
    let data = cluster.folder.path().join("n1");
    // It may have died before it made one.
    let _ = std::fs::remove_dir_all(&data);
    std::os::unix::fs::symlink(disk.path(), &data).expect("a link");
    cluster.up(0, "");
    cluster.leader();
    let mut connection = Connection::open(cluster.places[0].1).expect("a connection");
    let value = "v".repeat(100_000);
    let mut acknowledged = 0;
    let refusal = loop {
        let Some(reply) = connection.ask(&format!("RPUSH l {value}")) else {
            // The one that met the end of the disk waits for room.
            connection = Connection::open(cluster.places[0].1).expect("a connection");
            continue;
        };
        if reply.starts_with("-FULL") {
            break reply;
        }
        acknowledged += 1;
        assert!(acknowledged < 2000, "the disk is never full");
    };
    assert!(refusal.contains("the disk is full"), "{refusal}");
    assert_eq!(cluster.number(0, "disk_full"), 1);
    disk.grow();
    wait_for("room is found", || (cluster.number(0, "disk_full") == 0).then_some(()));
    let length = cluster.ask("LLEN l");
    let length: u64 = length.trim_start_matches(':').parse().expect("a number");
    // The one that waited may be there, too.
    assert!(
        (acknowledged..=acknowledged + 2).contains(&length),
        "{acknowledged} acknowledged, {length} there"
    );
    cluster.down(0);
    cluster.up(0, "");
    assert_eq!(cluster.ask("LLEN l"), format!(":{length}"));
}

/// A file system in memory with a size, which goes with the test.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(bytes: u64) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().ok()?;
        SmallDisk::set(folder.path(), &format!("size={bytes}"), nix::mount::MsFlags::empty()).ok()?;
        Some(SmallDisk(folder))
    }

    fn set(path: &Path, options: &str, flags: nix::mount::MsFlags) -> nix::Result<()> {
        nix::mount::mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some(options))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn grow(&self) {
        SmallDisk::set(self.path(), "size=300000000", nix::mount::MsFlags::MS_REMOUNT).expect("it is ours");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(self.path(), nix::mount::MntFlags::MNT_DETACH);
    }
}
