//! A program that stays in the foreground until it is told to end: started with a port of its own, ended with its handle.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::{Scratch, patience, port};

/// A running program.
#[derive(Debug)]
pub struct Background {
    /// Keeps the folder until the program has ended.
    _scratch: Scratch,
    child: Child,
    said: PathBuf,
}

impl Background {
    /// Starts it, lets it write into a file of `scratch`, and waits until somebody accepts connections at `address`.
    pub fn start(scratch: &Scratch, command: &mut Command, package: &str, address: SocketAddr) -> Self {
        let name = Path::new(command.get_program()).file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let said = scratch.folder("said").join(format!("{name}-{}", address.port()));
        let out = File::create(&said).expect("create a file in the scratch folder");
        let error = out.try_clone().expect("the same file again");
        let child = command.stdin(Stdio::null()).stdout(out).stderr(error).spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("there is no {name}: .ci/run installs Debian's package {package} ({error})")
        });
        let mut background = Self { _scratch: scratch.clone(), child, said };
        patience::until(&format!("{name} on {address}"), || {
            let ended = background.child.try_wait().expect("ask for a child");
            assert!(ended.is_none(), "{name} ended: {}", background.said());
            port::is_taken(address).then_some(())
        });
        background
    }

    /// The process that it is, and that started all others of it.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// What it said so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Not killed: it has children of its own to end.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("{} holds:\n{}", self.said.display(), self.said());
        }
    }
}
