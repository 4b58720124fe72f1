//! A night divided by an engine that others have made: Slurm on this one machine, with the script that the documentation gives.

mod command;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use command::{end, rafture};

/// How long the engine takes to find its only node.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a night of four short runs takes on a busy machine.
const JOBS_PATIENCE: Duration = Duration::from_secs(120);

/// The engine; it ends with the test.
struct Slurm {
    configuration: PathBuf,
    daemons: Vec<Child>,
}

impl Drop for Slurm {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

impl Slurm {
    fn start(folder: &Path) -> Slurm {
        let output = Command::new("hostname").output().expect("a name").stdout;
        let host = String::from_utf8(output).expect("a text").trim().to_owned();
        let (state, spool) = (folder.join("state"), folder.join("spool"));
        [&state, &spool].into_iter().try_for_each(fs::create_dir).expect("folders");
        let at = |name: &str| folder.join(name).display().to_string();
        let lines = [
            "ClusterName=rafture".to_owned(),
            format!("SlurmctldHost={host}(127.0.0.1)"),
            format!("SlurmctldPort={}\nSlurmdPort={}", free_port(), free_port()),
            "AuthType=auth/none\nCredType=cred/none\nSlurmUser=root\nSlurmdUser=root".to_owned(),
            format!("StateSaveLocation={}\nSlurmdSpoolDir={}", state.display(), spool.display()),
            format!("SlurmctldPidFile={}\nSlurmdPidFile={}", at("slurmctld.pid"), at("slurmd.pid")),
            format!("SlurmctldLogFile={}\nSlurmdLogFile={}", at("slurmctld.log"), at("slurmd.log")),
            "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSwitchType=switch/none".to_owned(),
            "MpiDefault=none\nJobAcctGatherType=jobacct_gather/none\nReturnToService=2".to_owned(),
            format!("NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN"),
            "PartitionName=all Nodes=ALL Default=YES State=UP".to_owned(),
        ];
        let configuration = folder.join("slurm.conf");
        fs::write(&configuration, lines.join("\n") + "\n").expect("a file");
        let mut slurm = Slurm { configuration, daemons: Vec::new() };
        for daemon in ["slurmctld", "slurmd"] {
            let mut command = slurm.command(daemon);
            command.arg("-D").stdout(Stdio::null()).stderr(Stdio::null());
            slurm.daemons.push(command.spawn().expect("a daemon"));
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let state = slurm.command("sinfo").args(["--noheader", "--format=%t"]).output().expect("it runs");
            if String::from_utf8_lossy(&state.stdout).trim() == "idle" {
                return slurm;
            }
            let log = fs::read_to_string(at("slurmd.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "there is no node after {PATIENCE:?}: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// `sbatch --wait` looks ever more seldom, and half a minute late in the end.
    fn wait_for_jobs(&self) {
        let deadline = Instant::now() + JOBS_PATIENCE;
        loop {
            let jobs = self.command("squeue").arg("--noheader").output().expect("it runs");
            assert!(jobs.status.success(), "{jobs:?}");
            let jobs = String::from_utf8_lossy(&jobs.stdout);
            if jobs.trim().is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "still there after {JOBS_PATIENCE:?}: {jobs}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", &self.configuration);
        command
    }
}

/// The script that the documentation gives, with the binary under test in place of the installed one.
fn documented_script() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/campaigns.md");
    let page = fs::read_to_string(page).expect("a page");
    let script = page.split("```bash\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a script");
    assert!(script.contains("exec rafture campaign"), "{script}");
    script.replace("exec rafture", &format!("exec {}", env!("CARGO_BIN_EXE_rafture")))
}

#[test]
fn an_array_job_of_slurm_divides_a_night() {
    let has = |program: &str| Command::new(program).arg("-V").output().is_ok();
    if !has("slurmctld") || !has("slurmd") || !nix::unistd::geteuid().is_root() {
        let required = std::env::var_os("RAFTURE_REQUIRE_ALL").is_some();
        assert!(!required, "Slurm or root is missing, and nothing may be skipped here");
        eprintln!("skipped: there is no Slurm here, or this is not root (hint: apt install slurm-wlm)");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let slurm = Slurm::start(folder.path());
    let night = "name = \"night\"\n[matrix]\nseeds = 4\n[run]\nfaults = \"none\"\ntime-limit = \"1s\"\nquiet = \"100ms\"\nnodes = 3\n\
                 [canary]\ndefect = \"mem-log\"\nfaults = \"kill@all\"\ntime-limit = \"4s\"\ninterval = \"500ms\"\n";
    fs::write(folder.path().join("night.toml"), night).expect("a file");
    fs::write(folder.path().join("night.sh"), documented_script()).expect("a script");
    let mut submit = slurm.command("sbatch");
    let script = ["--array=1-2", "--output=said-%a.txt", "night.sh", "night.toml"];
    let submitted = submit.current_dir(folder.path()).args(script).output().expect("it runs");
    assert!(submitted.status.success(), "{submitted:?}");
    slurm.wait_for_jobs();

    let mut merge = rafture("campaign merge runs-1 runs-2 --store runs");
    let merged = end(merge.current_dir(folder.path()));
    let said =
        |shard: u32| fs::read_to_string(folder.path().join(format!("said-{shard}.txt"))).unwrap_or_default();
    assert_eq!(merged.code, 0, "{}{}\n{}\n{}", merged.out, merged.err, said(1), said(2));
    assert!(merged.out.contains("4 of 4 runs: 4 valid"), "{}", merged.out);
}
