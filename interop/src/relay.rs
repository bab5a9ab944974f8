//! Our relay as a process: started, waited for, asked to end, or killed.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use crate::{SmallDisk, patience, program};

/// A running relay; killed when dropped.
#[derive(Debug)]
pub struct Relay {
    child: Child,
    output: Receiver<String>,
    log: PathBuf,
}

impl Relay {
    /// Starts `relay run --config configuration` and waits for its line `ready`.
    ///
    /// Its log goes to `relay.log` beside the configuration, after what an earlier run left there.
    pub fn run(program: &Path, configuration: &Path) -> Self {
        let mut relay = Self::spawn(program, configuration);
        relay.wait_for_line("ready");
        relay
    }

    /// The same where the relay sees a disk that others do not.
    pub fn run_on(disk: &SmallDisk, program: &Path, configuration: &Path) -> Self {
        let mut command = disk.command(program);
        command.args(["run", "--config"]).arg(configuration);
        let mut relay = Self::spawn_command(command, configuration.with_file_name("relay.log"));
        relay.wait_for_line("ready");
        relay
    }

    /// Starts it without waiting.
    pub fn spawn(program: &Path, configuration: &Path) -> Self {
        let mut command = Command::new(program);
        command.args(["run", "--config"]).arg(configuration);
        Self::spawn_command(command, configuration.with_file_name("relay.log"))
    }

    /// Starts it under `strace` with these options, which end with `-o` and a file; waits for its line `ready`.
    ///
    /// What is killed and asked to end is the relay itself; `strace` ends with it.
    pub fn run_traced(program: &Path, configuration: &Path, options: &[&str], trace: &Path) -> Self {
        let mut command = Command::new("strace");
        command.args(["-D", "-f"]).args(options).arg("-o").arg(trace);
        command.arg(program).args(["run", "--config"]).arg(configuration);
        let mut relay = Self::spawn_command(command, configuration.with_file_name("relay.log"));
        relay.wait_for_line("ready");
        relay
    }

    /// Starts it where `script` has mounted something, which nobody else sees and which goes with it; waits for its line `ready`.
    ///
    /// It is root without the right to pass over what a file's mode forbids.
    pub fn run_mounted(program: &Path, configuration: &Path, script: &str) -> Self {
        let script = format!("set -e\n{script}\nexec \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, "sh"]);
        let denied = "-dac_override,-dac_read_search";
        command.args(["setpriv", "--inh-caps", denied, "--bounding-set", denied]);
        command.arg(program).args(["run", "--config"]).arg(configuration);
        let mut relay = Self::spawn_command(command, configuration.with_file_name("relay.log"));
        relay.wait_for_line("ready");
        relay
    }

    /// Runs `script` where the relay sees what is mounted for it.
    pub fn mount(&self, script: &str) {
        let mut command = program::command("nsenter");
        command.args(["--mount", "--target", &self.child.id().to_string(), "sh", "-e", "-c", script]);
        program::successful(program::run(&mut command));
    }

    /// How this process reaches what the relay has at `path`.
    pub fn sees(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.child.id()));
        root.join(path.strip_prefix("/").expect("an absolute path"))
    }

    /// The most memory that it had until now, in KiB.
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Starts plain `relay` in `folder`, with its safe default. Who starts it waits for port 2525 himself.
    pub fn plain(program: &Path, folder: &Path) -> Self {
        let mut command = Command::new(program);
        command.current_dir(folder).env_remove("RELAY_CONFIG");
        Self::spawn_command(command, folder.with_extension("log"))
    }

    fn spawn_command(mut command: Command, log: PathBuf) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(append_to(&log))
            .spawn()
            .expect("start the relay");
        let stdout = child.stdout.take().expect("the relay's standard output");
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody waits for lines any more: the relay itself must not stop at a full pipe.
                let _ = sender.send(line);
            }
        });
        Self { child, output, log }
    }

    /// Waits until the relay prints `line`, and panics with its log when it ends or is silent for too long.
    pub fn wait_for_line(&mut self, line: &str) {
        loop {
            match self.output.recv_timeout(patience::LONGEST) {
                Ok(printed) if printed.trim() == line => return,
                Ok(_) => {}
                Err(error) => panic!("the relay did not print {line:?} ({error}); its log:\n{}", self.log()),
            }
        }
    }

    /// Kills it as a power failure would: SIGKILL, no last word.
    pub fn kill(mut self) {
        self.child.kill().expect("kill the relay");
        self.child.wait().expect("wait for the relay");
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("send SIGTERM to the relay");
        patience::until("the relay's end after SIGTERM", || {
            self.child.try_wait().expect("wait for the relay")
        })
    }

    /// Waits for its end, which nobody asked for; gives its log as well.
    pub fn wait_for_end(mut self) -> (ExitStatus, String) {
        let ended = patience::until("the relay's end", || self.child.try_wait().expect("wait for the relay"));
        (ended, self.log())
    }

    /// Sends SIGHUP: read the configuration again.
    pub fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).expect("send SIGHUP to the relay");
    }

    /// Leaves it `more` file descriptors than it has open now.
    #[cfg(target_os = "linux")]
    pub fn limit_descriptors(&self, more: u64) {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("its descriptors").count();
        let most = open as u64 + more;
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Nofile, limit).expect("limit the relay");
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the relay logged:\n{}", self.log());
        }
    }
}

fn append_to(log: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(log).expect("open the relay's log")
}
