//! Exim as a host that passes mail on: unpacked beside Postfix, run once for each message, which goes out in chunks.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::postfix::Logon;
use crate::{Scratch, program};

/// The user that Debian's Exim was built for; `.ci/run` makes it where there is none.
const USER: &str = "Debian-exim";

/// An Exim without a daemon: each message is taken from standard input and delivered before [`send`](Self::send) returns.
#[derive(Debug)]
pub struct Exim {
    scratch: Scratch,
    configuration: PathBuf,
}

impl Exim {
    /// Writes its configuration: everything to `next_hop`, over STARTTLS and with a password.
    pub fn passing_on_with(scratch: &Scratch, next_hop: SocketAddr, logon: Logon<'_>) -> Self {
        let spool = scratch.folder("exim/spool");
        chown(&spool, Some(user_id()), None).expect("give a folder to Exim's user (only root may)");
        let configuration = scratch.write("exim/exim.conf", configuration(&spool, next_hop, logon));
        Self { scratch: scratch.clone(), configuration }
    }

    /// Delivers `content` to `to`, and returns the line that Exim logged of it.
    pub fn send(&self, from: &str, to: &str, content: &[u8]) -> String {
        let program = program::unpacked("exim4-daemon-light").join("usr/sbin/exim4");
        let mut command = program::command(&program.to_string_lossy());
        command.arg("-C").arg(&self.configuration).args(["-i", "-odf", "-f", from, to]);
        let said = program::successful(program::run_with(&mut command, content));
        let log = self.log();
        let delivered = log.lines().find(|line| line.contains(&format!(" => {to} ")));
        delivered.unwrap_or_else(|| panic!("Exim did not deliver to {to}:\n{said}{log}")).to_owned()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        let spool = self.scratch.path().join("exim/spool");
        ["mainlog", "paniclog"].map(|log| fs::read_to_string(spool.join(log)).unwrap_or_default()).concat()
    }
}

fn configuration(spool: &Path, next_hop: SocketAddr, logon: Logon<'_>) -> String {
    let Logon { authority, host, username, password, mechanism } = logon;
    assert_eq!(mechanism, "plain", "Debian's light Exim has no other");
    let (spool, authority) = (spool.display(), authority.display());
    let (ip, port) = (next_hop.ip(), next_hop.port());
    format!(
        "primary_hostname = exim.test
spool_directory = {spool}
log_file_path = {spool}/%slog
keep_environment =
local_from_check = false
deliver_drop_privilege = true
begin routers
smart_host:
  driver = manualroute
  route_list = * {ip} byname
  transport = smart_host
  self = send
begin transports
smart_host:
  driver = smtp
  port = {port}
  hosts_require_tls = *
  hosts_require_auth = *
  allow_localhost
  tls_verify_certificates = {authority}
  tls_verify_hosts = *
  tls_verify_cert_hostnames =
  tls_sni = {host}
begin retry
* * F,1h,1m
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{username}^{password}
"
    )
}

fn user_id() -> u32 {
    let output = Command::new("id").args(["-u", USER]).output().expect("run id (Debian's package coreutils)");
    let id = String::from_utf8_lossy(&output.stdout).trim().parse();
    id.unwrap_or_else(|_| panic!("there is no user {USER}: .ci/run makes it, by `useradd --system {USER}`"))
}
