//! swaks, the postmaster's own test application, told to send given bytes and nothing else.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use crate::application::stuffed;
use crate::{Scratch, program};

/// The command `swaks --server ADDRESS --from FROM --to TO`, for a test that wants further options.
pub fn command(server: SocketAddr, from: &str, to: &str) -> Command {
    let mut command = program::command("swaks");
    command.args(["--server", &server.to_string(), "--from", from, "--to", to, "--helo", "application.test"]);
    command
}

/// Sends `content` as it is, and panics with the dialogue unless the server took it.
pub fn send(scratch: &Scratch, mut command: Command, content: &[u8]) {
    // swaks ends the data with CRLF itself, so that the last line is the lone dot.
    let mut block = stuffed(content);
    block.push(b'.');
    let file = tempfile::NamedTempFile::new_in(scratch.path()).expect("a file for swaks");
    fs::write(file.path(), &block).expect("write the file for swaks");
    command.arg("--no-data-fixup").arg("--data").arg(format!("@{}", file.path().display()));
    program::successful(program::run(&mut command));
}
