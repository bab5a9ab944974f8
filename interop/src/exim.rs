//! Exim, unpacked beside Postfix: run once for each message that it passes on in chunks, or as a host that takes chunks.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::background::Background;
use crate::certificate::Certificate;
use crate::postfix::Logon;
use crate::{Scratch, port, program};

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
        let mut command = program::command(&program().to_string_lossy());
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

/// The name of [`EximHost`] in its certificate.
pub const HOST: &str = "exim.test";

/// An Exim that listens: STARTTLS and every extension that it knows. Whatever it takes, it puts into one Maildir.
#[derive(Debug)]
pub struct EximHost {
    background: Background,
    address: SocketAddr,
    certificate: Certificate,
    home: PathBuf,
}

impl EximHost {
    /// Starts one on a free port.
    pub fn start(scratch: &Scratch) -> Self {
        let (address, certificate) = (port::free(), Certificate::for_hosts(scratch, &[HOST]));
        let home = scratch.folder("exim-host");
        for folder in ["exim-host/spool", "exim-host/mail"] {
            chown(scratch.folder(folder), Some(user_id()), None)
                .expect("give a folder to Exim's user (only root may)");
        }
        // It reads its key as its own user.
        chown(&certificate.key, Some(user_id()), None).expect("give a file to Exim's user");
        let configuration = scratch.write("exim-host/exim.conf", receiving(&home, &certificate));
        let mut command = Command::new(program());
        command.arg("-C").arg(configuration).args([
            "-bdf",
            "-oX",
            &format!("[{}]:{}", address.ip(), address.port()),
        ]);
        let background = Background::start(scratch, &mut command, "exim4-daemon-light", address);
        Self { background, address, certificate, home }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The PEM file that a client must trust.
    pub fn authority(&self) -> &Path {
        &self.certificate.authority
    }

    /// Where the messages are that it took.
    pub fn mailbox(&self) -> PathBuf {
        self.home.join("mail/new")
    }

    /// What it said and logged so far.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.home.join("spool/mainlog")).unwrap_or_default();
        self.background.said() + &log
    }
}

fn program() -> PathBuf {
    program::unpacked("exim4-daemon-light").join("usr/sbin/exim4")
}

fn receiving(home: &Path, certificate: &Certificate) -> String {
    let (home, exim) = (home.display(), program());
    let (exim, cert, key) = (exim.display(), certificate.certificate.display(), certificate.key.display());
    format!(
        "primary_hostname = {HOST}
exim_path = {exim}
spool_directory = {home}/spool
log_file_path = {home}/spool/%slog
pid_file_path = {home}/spool/pid
keep_environment =
deliver_drop_privilege = true
rfc1413_query_timeout = 0s
tls_advertise_hosts = *
tls_certificate = {cert}
tls_privatekey = {key}
chunking_advertise_hosts = *
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
acl_smtp_rcpt = taken
acl_smtp_data = accept_content
begin acl
taken:
  deny message = nobody of this name
       local_parts = nobody
  accept
accept_content:
  accept
begin routers
all:
  driver = accept
  transport = mailbox
begin transports
mailbox:
  driver = appendfile
  maildir_format
  directory = {home}/mail
  user = {USER}
  message_prefix =
  message_suffix =
"
    )
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
