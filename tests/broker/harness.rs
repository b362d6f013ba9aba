//! A broker process of one test: its directory, its port, its output.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longer than any step takes on a working broker, however loaded the machine; it turns a hang into a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Ports below the range that the kernel gives to clients, so that a broker which starts again finds its own free.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How often a test that gains from repetition repeats: `rounds`, or ten times as often in the long mode.
pub fn repetitions(rounds: usize) -> usize {
    if std::env::var_os("RINGLOG_LONG").is_some() {
        rounds * 10
    } else {
        rounds
    }
}

pub struct Broker {
    pub address: SocketAddr,
    directory: TempDir,
    settings: Vec<String>,
    config: Option<PathBuf>,
    descriptors_max: Option<u64>,
    process: Option<Process>,
}

struct Process {
    child: Child,
    stdout: Output,
    stderr: Output,
}

impl Broker {
    /// A broker in a new directory, ready to serve.
    pub fn start() -> Broker {
        Broker::start_with(&[])
    }

    /// The same with further `key=value` settings.
    pub fn start_with(settings: &[&str]) -> Broker {
        let mut broker = Broker::not_started(settings);
        broker.start_again();
        broker
    }

    /// A directory and a port, and nobody there yet.
    pub fn not_started(settings: &[&str]) -> Broker {
        Broker {
            address: free_address(),
            directory: tempfile::tempdir().unwrap(),
            settings: settings.iter().map(|s| s.to_string()).collect(),
            config: None,
            descriptors_max: None,
            process: None,
        }
    }

    /// Starts with these `key=value` settings too from now on.
    pub fn set(&mut self, settings: &[&str]) {
        self.settings
            .extend(settings.iter().map(|setting| setting.to_string()));
    }

    /// Starts with so many open files allowed from now on.
    pub fn limit_descriptors(&mut self, descriptors_max: u64) {
        self.descriptors_max = Some(descriptors_max);
    }

    /// Starts with this configuration file from now on.
    pub fn take_config(&mut self, path: &Path) {
        self.config = Some(path.to_path_buf());
    }

    /// Starts the process in the directory that is there, on the same port, and waits until it is ready.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "already running");
        let mut process = Process::spawn(&mut self.command());
        let wanted = self.address.to_string();
        let deadline = Instant::now() + PATIENCE;
        while !process.stdout.text().lines().any(|line| line.contains(&wanted)) {
            if let Some(status) = process.child.try_wait().unwrap() {
                panic!("the broker ended at start-up with {status}{}", process.told());
            }
            assert!(Instant::now() < deadline, "no ready line{}", process.told());
            thread::sleep(Duration::from_millis(2));
        }
        self.process = Some(process);
    }

    /// `ringlog serve` as it is started here, for tests that judge a start themselves.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command
            .arg("serve")
            .args(["-o", &format!("listeners=PLAINTEXT://{}", self.address)])
            .args(["-o", &format!("log.dirs={}", self.data().display())]);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        if let Some(descriptors_max) = self.descriptors_max {
            // SAFETY: between fork and exec only a system call is made.
            unsafe { command.pre_exec(move || limit(libc::RLIMIT_NOFILE, descriptors_max)) };
        }
        for setting in &self.settings {
            command.args(["-o", setting]);
        }
        command
    }

    /// The log directory: partitions' folders and the root's files.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub fn bootstrap(&self) -> String {
        self.address.to_string()
    }

    /// Resident memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let pid = self.process.as_ref().expect("running").child.id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How many files it has open, sockets and rings included.
    pub fn open_files(&self) -> usize {
        let pid = self.process.as_ref().expect("running").child.id();
        std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
    }

    pub fn stderr(&self) -> String {
        self.process.as_ref().expect("running").stderr.text()
    }

    pub fn stdout(&self) -> String {
        self.process.as_ref().expect("running").stdout.text()
    }

    /// SIGKILL, as the machine's out-of-memory killer would.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("running");
        process.child.kill().unwrap();
        process.child.wait().unwrap();
    }

    /// SIGTERM; returns how the process ended.
    pub fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("running");
        process.signal(libc::SIGTERM);
        process.wait()
    }

    /// SIGTERM; returns how the process ended and all it wrote.
    pub fn stop_and_tell(&mut self) -> Ended {
        let process = self.process.take().expect("running");
        process.signal(libc::SIGTERM);
        Running(process).wait()
    }

    pub fn kill_and_start_again(&mut self) {
        self.kill();
        self.start_again();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let ended_by_itself = process.child.try_wait().ok().flatten();
            let _ = process.child.kill();
            let _ = process.child.wait();
            if thread::panicking() {
                if let Some(status) = ended_by_itself {
                    eprintln!("the broker had ended with {status}");
                }
                eprintln!("{}", process.told());
            }
        }
    }
}

impl Process {
    fn spawn(command: &mut Command) -> Process {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary is there");
        let stdout = Output::collect(child.stdout.take().unwrap());
        let stderr = Output::collect(child.stderr.take().unwrap());
        Process {
            child,
            stdout,
            stderr,
        }
    }

    fn signal(&self, signal: i32) {
        // SAFETY: kill(2) takes two integers; the child is not reaped before `wait`.
        let result = unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
        assert_eq!(result, 0, "signal {signal}");
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                panic!("the process did not end{}", self.told());
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn told(&self) -> String {
        format!(
            "\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout.text(),
            self.stderr.text()
        )
    }
}

/// What a process wrote so far, read by a thread so that the pipe never fills.
struct Output {
    text: Arc<Mutex<String>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Output {
    fn collect(pipe: impl Read + Send + 'static) -> Output {
        let text: Arc<Mutex<String>> = Arc::default();
        let sink = text.clone();
        let reader = thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let mut text = sink.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            }
        });
        Output {
            text,
            reader: Some(reader),
        }
    }

    /// Waits until all of it is read, of a process that has ended.
    fn await_end(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }
}

/// How a command ended and what it wrote.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A process that runs beside the test, such as a client.
pub struct Running(Process);

impl Running {
    pub fn spawn(command: &mut Command) -> Running {
        Running(Process::spawn(command))
    }

    pub fn is_running(&mut self) -> bool {
        self.0.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end, at most a few times [`PATIENCE`].
    pub fn wait(mut self) -> Ended {
        let deadline = Instant::now() + 4 * PATIENCE;
        while self.is_running() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        let status = self.0.wait();
        self.0.stdout.await_end();
        self.0.stderr.await_end();
        Ended {
            status,
            stdout: self.0.stdout.text(),
            stderr: self.0.stderr.text(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.child.kill();
        let _ = self.0.child.wait();
    }
}

/// Runs `ringlog` with these arguments to its end.
pub fn ringlog(arguments: &[&str]) -> Ended {
    Running::spawn(Command::new(binary()).args(arguments)).wait()
}

pub fn binary() -> PathBuf {
    std::env::var_os("RINGLOG_BIN")
        .map_or_else(|| Path::new(env!("CARGO_BIN_EXE_ringlog")).into(), PathBuf::from)
}

/// Sets a limit of the calling process, for good.
pub fn limit(resource: libc::__rlimit_resource_t, value: u64) -> std::io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: value,
        rlim_max: value,
    };
    // SAFETY: a valid limit.
    match unsafe { libc::setrlimit(resource, &limit) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// An address of this machine that nobody uses.
pub fn free_address() -> SocketAddr {
    // Tests of one process take ports in turn; two test processes begin at different ones.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() as u16;
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + first.wrapping_mul(31).wrapping_add(step) % (PORTS.end - PORTS.start);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
