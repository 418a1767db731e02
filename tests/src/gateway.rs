//! One `throng-edge` process: started on free ports with a data directory of its own, signalled by
//! its process id, restarted on the same data, and killed when dropped, also by a panic.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;

const READY_TIMEOUT: Duration = Duration::from_secs(30);
const EXIT_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
const LOG_TAIL_BYTES: u64 = 6_000;

/// Where the gateway is now. Clients hold a copy and follow it over restarts.
#[derive(Clone, Debug, Default)]
pub struct Address(Arc<Mutex<String>>);

impl Address {
    /// The present WebSocket URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.lock().expect("no holder panics").clone()
    }

    fn set(&self, url: &str) {
        url.clone_into(&mut self.0.lock().expect("no holder panics"));
    }
}

/// The line on stdout that says that everything is up.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The line, without its end.
    pub line: String,
}

impl Ready {
    /// The value of `key=value` in the line.
    #[must_use]
    pub fn field(&self, key: &str) -> &str {
        let mut fields = self.line.split(' ').filter_map(|field| field.split_once('='));
        let found = fields.find(|(name, _)| *name == key);
        found.unwrap_or_else(|| panic!("no {key}= in the ready line {:?}", self.line)).1
    }

    /// `host:port` of the clients' listener.
    #[must_use]
    pub fn client_address(&self) -> &str {
        host_and_port(self.field("ws"))
    }

    /// `host:port` of the admin listener.
    #[must_use]
    pub fn admin_address(&self) -> &str {
        host_and_port(self.field("admin"))
    }
}

fn host_and_port(url: &str) -> &str {
    url.split("//").nth(1).and_then(|rest| rest.split('/').next()).expect("a URL")
}

/// How a process that was expected to end did so.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; none after a signal.
    pub code: Option<i32>,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    dir: TempDir,
    arguments: Vec<String>,
    child: Child,
    ready: Ready,
    address: Address,
}

impl Gateway {
    /// Starts the standalone gateway with default settings on free ports.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts it with further arguments.
    #[must_use]
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::start_in(TempDir::new().expect("a temporary directory"), arguments)
    }

    /// Starts it in a directory that the caller prepared; the data goes to `data` in it.
    #[must_use]
    pub fn start_in(dir: TempDir, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let child = spawn(dir.path(), &arguments);
        Self::when_ready(dir, child, arguments)
    }

    fn when_ready(dir: TempDir, mut child: Child, arguments: Vec<String>) -> Self {
        let ready = wait_until_ready(&mut child, dir.path());
        let address = Address::default();
        address.set(ready.field("ws"));
        Self { dir, arguments, child, ready, address }
    }

    /// Starts it so that [`Gateway::limit_files`] makes writes fail: a process that does not ignore
    /// SIGXFSZ is ended by it.
    #[must_use]
    pub fn start_for_failing_writes() -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(binary());
        let child = spawn_by(command, dir.path(), &[]);
        Self::when_ready(dir, child, Vec::new())
    }

    /// Starts it as a process that may open so many files.
    #[must_use]
    pub fn start_with_files(files: u64, arguments: &[&str]) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let mut command = Command::new("/bin/sh");
        let script = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
        command.args(["-c", &script]).arg(binary());
        let child = spawn_by(command, dir.path(), &arguments);
        Self::when_ready(dir, child, arguments)
    }

    /// From now on no file of the process can be written beyond this many bytes.
    pub fn limit_files(&self, bytes: u64) {
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        prlimit(Some(self.process()), Resource::Fsize, limit).expect("the process is ours");
    }

    /// The ready line of the present process.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Where clients connect; follows restarts.
    #[must_use]
    pub fn address(&self) -> Address {
        self.address.clone()
    }

    /// The present WebSocket URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.address.url()
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The directory that holds data and logs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// All that was written to stderr so far, over all restarts.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// All that the present process wrote to stdout so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        fs::read_to_string(self.dir.path().join("stdout")).unwrap_or_default()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.process(), signal).expect("the process is ours");
    }

    fn process(&self) -> Pid {
        let raw = i32::try_from(self.child.id()).expect("a process id");
        Pid::from_raw(raw).expect("not 0")
    }

    /// SIGKILL, and waits until the process is gone.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process is ours");
        self.child.wait().expect("the process is ours");
    }

    /// Starts a new process on the same data, after the old one ended. Its port may be another.
    pub fn restart(&mut self) {
        self.child = spawn(self.dir.path(), &self.arguments);
        self.ready = wait_until_ready(&mut self.child, self.dir.path());
        self.address.set(self.ready.field("ws"));
    }

    /// SIGKILL and a new start.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for_exit(&mut self.child)
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the process is ours").is_none()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            #[allow(clippy::print_stdout, reason = "shown by the test runner, as the test failed")]
            {
                println!("the gateway's log ends:\n{}", tail(&self.dir.path().join("log")));
            }
        }
    }
}

/// Runs the binary with exactly these arguments until it ends, which must be soon.
#[must_use]
pub fn run_to_end(arguments: &[&str]) -> Ended {
    run_by(Command::new(binary()), arguments)
}

/// As [`run_to_end`], by a command that ends with the binary.
fn run_by(mut command: Command, arguments: &[&str]) -> Ended {
    let dir = TempDir::new().expect("a temporary directory");
    let (stdout, stderr) = (dir.path().join("stdout"), dir.path().join("stderr"));
    let mut child = command
        .args(arguments)
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(File::create(&stdout).expect("a file"))
        .stderr(File::create(&stderr).expect("a file"))
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", binary().display()));
    let status = wait_for_exit(&mut child);
    let read = |path| fs::read_to_string(path).expect("a file");
    Ended { code: status.code(), stdout: read(stdout), stderr: read(stderr) }
}

/// The binary under test: `THRONG_EDGE_BIN`, or the release build beside this test's own build.
#[must_use]
pub fn binary() -> PathBuf {
    if let Ok(path) = std::env::var("THRONG_EDGE_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().expect("the test's own path");
    let target = own.ancestors().nth(3).expect("TARGET/PROFILE/deps/test");
    let path = target.join("release/throng-edge");
    assert!(
        path.exists(),
        "{} is not there: cargo build --release -p throng-edge, or name it in THRONG_EDGE_BIN",
        path.display()
    );
    path
}

/// As [`run_to_end`], by a process that can write no file beyond this many bytes.
#[must_use]
pub fn run_to_end_with_small_files(bytes: u64, arguments: &[&str]) -> Ended {
    let mut command = Command::new("/bin/sh");
    // The shell's unit is 512 bytes.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", bytes / 512);
    command.args(["-c", &script]).arg(binary());
    run_by(command, arguments)
}

fn spawn(dir: &Path, arguments: &[String]) -> Child {
    spawn_by(Command::new(binary()), dir, arguments)
}

/// The driver that all gateways of a run of the tests get, if `THRONG_DRIVER` names one.
fn asked_driver() -> Option<String> {
    std::env::var("THRONG_DRIVER").ok()
}

/// The driver of a gateway that was told nothing else.
#[must_use]
pub fn driver() -> String {
    asked_driver().unwrap_or_else(|| "io_uring".to_owned())
}

/// As [`spawn`], by a command that ends with the binary.
fn spawn_by(mut command: Command, dir: &Path, arguments: &[String]) -> Child {
    let log = OpenOptions::new().create(true).append(true).open(dir.join("log"));
    let any = || Some("127.0.0.1:0".to_owned());
    for (flag, value) in [("--listen", any()), ("--admin", any()), ("--driver", asked_driver())] {
        if let Some(value) = value.filter(|_| !arguments.iter().any(|argument| argument == flag)) {
            command.args([flag, &value]);
        }
    }
    command.arg("--data").arg(dir.join("data")).args(arguments).current_dir(dir);
    command.stdin(Stdio::null());
    command.stdout(File::create(dir.join("stdout")).expect("a file"));
    command.stderr(log.expect("a file"));
    command.spawn().unwrap_or_else(|error| panic!("{}: {error}", binary().display()))
}

fn wait_until_ready(child: &mut Child, dir: &Path) -> Ready {
    let started = Instant::now();
    loop {
        let text = fs::read_to_string(dir.join("stdout")).expect("a file");
        if let Some((line, _)) = text.split_once('\n') {
            return Ready { line: line.to_owned() };
        }
        let ended = child.try_wait().expect("the process is ours");
        if ended.is_some() || started.elapsed() > READY_TIMEOUT {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the gateway did not get ready ({ended:?}):\n{}", tail(&dir.join("log")));
        }
        std::thread::sleep(POLL);
    }
}

fn wait_for_exit(child: &mut Child) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the process is ours") {
            return status;
        }
        if started.elapsed() > EXIT_TIMEOUT {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the gateway did not end within {EXIT_TIMEOUT:?}");
        }
        std::thread::sleep(POLL);
    }
}

fn tail(path: &Path) -> String {
    let Ok(mut file) = File::open(path) else { return String::new() };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let _ = file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)));
    let mut bytes = Vec::new();
    let _ = file.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
