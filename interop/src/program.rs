//! Programs of the machine: run to their end within a time, and complained about so that a reader knows what to do.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::{env, thread};

use rustix::process::geteuid;

use crate::patience;

/// Where a program comes from when it is missing.
const PACKAGES: &[(&str, &str)] = &[
    ("curl", "curl"),
    ("msmtp", "msmtp"),
    ("node", "nodejs"),
    ("openssl", "openssl"),
    ("postfix", "postfix"),
    ("python3", "python3"),
    ("saslpasswd2", "sasl2-bin"),
    ("smtp-source", "postfix"),
    ("swaks", "swaks"),
];

/// The command `name`, ended where it takes longer than [`patience::LONGEST`].
///
/// By `timeout` of coreutils, which says 124 then, and 127 where there is no such program.
pub fn command(name: &str) -> Command {
    let mut command = Command::new("timeout");
    command.arg("--kill-after=5").arg(patience::LONGEST.as_secs().to_string()).arg(name);
    command
}

/// Whether this process, and what it starts, runs as root.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Runs what [`command`] made, with nothing to read.
pub fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    there(command, output.expect("run timeout (Debian's essential package coreutils)"))
}

/// Runs it and lets it read `input`.
pub fn run_with(command: &mut Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("run timeout (Debian's essential package coreutils)");
    let mut stdin = child.stdin.take().expect("its standard input");
    let input = input.to_vec();
    // Who stops reading early says why in its output.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("wait for a program");
    writer.join().expect("the writer ends");
    there(command, output)
}

/// What it said, and panics with all of it unless it ended well.
pub fn successful(output: Output) -> String {
    let said = said(&output);
    assert!(output.status.success(), "the program ended with {}:\n{said}", output.status);
    said
}

/// Its two outputs, one below the other.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Where the files of a Debian package are that cannot be installed beside Postfix, and is only unpacked.
pub fn unpacked_folder(package: &str) -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    cache.expect("HOME or XDG_CACHE_HOME").join("postroad-ci/debian").join(package)
}

/// The same, which must be there.
pub fn unpacked(package: &str) -> PathBuf {
    let folder = unpacked_folder(package);
    assert!(
        folder.is_dir(),
        "there is no {}: .ci/run unpacks Debian's package {package} there",
        folder.display()
    );
    folder
}

fn there(command: &Command, output: Output) -> Output {
    // timeout --kill-after=5 SECONDS PROGRAM
    let name = command.get_args().nth(2).unwrap_or_default().to_string_lossy().into_owned();
    let package = PACKAGES.iter().find(|(program, _)| *program == name).map_or("?", |(_, package)| package);
    match output.status.code() {
        Some(127) => {
            panic!("there is no {name}: .ci/run installs Debian's package {package}\n{}", said(&output))
        }
        Some(124 | 137) => panic!("{name} took longer than {:?}:\n{}", patience::LONGEST, said(&output)),
        _ => output,
    }
}
