//! Postfix's own sink, which misbehaves on demand: `smtp-sink` and its switches.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Command;

use crate::background::Background;
use crate::{Scratch, port};

/// Debian's `nobody`, as whom it runs.
const USER: u32 = 65534;

/// A running smtp-sink. What it takes it writes down.
#[derive(Debug)]
pub struct SmtpSink {
    _background: Background,
    address: SocketAddr,
    taken: PathBuf,
}

impl SmtpSink {
    /// Starts one with these switches on a free port.
    pub fn start(scratch: &Scratch, switches: &[&str]) -> Self {
        let address = port::free();
        let folder = scratch.folder(&format!("smtp-sink-{}", address.port()));
        chown(&folder, Some(USER), None).expect("give a folder to its user (only root may)");
        let taken = folder.join("taken");
        let mut command = Command::new("smtp-sink");
        command.args(["-u", "nobody", "-D"]).arg(&taken).args(switches).arg(address.to_string()).arg("100");
        Self { _background: Background::start(scratch, &mut command, "postfix", address), address, taken }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The transactions that it took, each below `X-` fields with its envelope, with LF line ends.
    pub fn taken(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.taken).unwrap_or_default()).into_owned()
    }
}
