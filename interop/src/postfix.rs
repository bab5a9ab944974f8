//! A real Postfix as smart host, in a folder of its own, that wants STARTTLS and a password.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

use crate::certificate::Certificate;
use crate::{Scratch, mailbox, port};

/// The name in Postfix's greeting and certificate.
pub const HOST: &str = "smarthost.test";
/// Who may relay.
pub const USERNAME: &str = "relay@smarthost.test";
/// The password of [`USERNAME`].
pub const PASSWORD: &str = "correct horse";

/// Debian's `nobody`, who owns the mailboxes; Postfix refuses to deliver as root.
const MAILBOX_OWNER: u32 = 65534;

/// A Postfix of its own. Whatever it accepts, for any recipient, ends in one Maildir.
#[derive(Debug)]
pub struct Postfix {
    /// Keeps the folder until Postfix has stopped.
    scratch: Scratch,
    address: SocketAddr,
    certificate: Certificate,
}

impl Postfix {
    /// Starts Postfix below `scratch` on a free port and waits until it accepts connections.
    pub fn start(scratch: &Scratch) -> Self {
        let postfix = Self::prepare(scratch);
        postfix.resume();
        postfix
    }

    /// Writes all that Postfix needs below `scratch`, and leaves it down until [`resume`](Self::resume).
    pub fn prepare(scratch: &Scratch) -> Self {
        let home = scratch.folder("postfix");
        for folder in ["queue", "data", "mail", "etc/sasl"] {
            scratch.folder(&format!("postfix/{folder}"));
        }
        let address = port::free();
        let certificate = Certificate::for_host(scratch, HOST);
        scratch.write("postfix/etc/main.cf", main_cf(&home, &certificate));
        scratch.write("postfix/etc/master.cf", master_cf(address));
        // Debian's Postfix looks for Cyrus SASL's configuration in `sasl/` beside main.cf.
        scratch.write("postfix/etc/sasl/smtpd.conf", smtpd_conf(&home));
        write_password(&home.join("sasldb2"));
        let postfix = user_id("postfix");
        for (file, owner) in [("mail", MAILBOX_OWNER), ("data", postfix), ("sasldb2", postfix)] {
            chown(home.join(file), Some(owner), None).expect("give a file to its user (only root may)");
        }
        Self { scratch: scratch.clone(), address, certificate }
    }

    /// Starts it and waits until it accepts connections.
    pub fn resume(&self) {
        let output = self.control("start");
        assert!(output.status.success(), "postfix start: {output:?}\n{}", self.log());
        port::wait_for(self.address);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The PEM file that a client must trust.
    pub fn authority(&self) -> &Path {
        &self.certificate.authority
    }

    /// Waits for `count` delivered messages: as Postfix stores them, with LF line ends and its own lines on top.
    pub fn messages(&self, count: usize) -> Vec<Vec<u8>> {
        mailbox::wait_for(&self.home().join("mail/inbox/new"), count)
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home().join("mail.log")).unwrap_or_default()
    }

    fn home(&self) -> PathBuf {
        self.scratch.path().join("postfix")
    }

    fn control(&self, verb: &str) -> Output {
        let mut command = Command::new("postfix");
        command.arg("-c").arg(self.home().join("etc")).arg(verb).stdin(Stdio::null());
        command.output().expect("run postfix (Debian package postfix)")
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.control("stop");
        if thread::panicking() {
            eprintln!("Postfix logged:\n{}", self.log());
        }
    }
}

/// Takes anything from those who logged in over TLS, changes nothing in it, and delivers it all into one Maildir.
fn main_cf(home: &Path, certificate: &Certificate) -> String {
    let home = home.display();
    let (cert, key) = (certificate.certificate.display(), certificate.key.display());
    format!(
        "compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
maillog_file = {home}/mail.log
maillog_file_prefixes = {home}
myhostname = {HOST}
mydestination =
mynetworks =
inet_protocols = ipv4
inet_interfaces = 127.0.0.1
alias_maps =
alias_database =
local_recipient_maps =
local_header_rewrite_clients =
disable_mime_output_conversion = yes
message_size_limit = 104857600
virtual_mailbox_limit = 0
virtual_mailbox_domains = static:all
virtual_mailbox_maps = static:inbox/
virtual_mailbox_base = {home}/mail
virtual_uid_maps = static:{MAILBOX_OWNER}
virtual_gid_maps = static:{MAILBOX_OWNER}
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_cert_file = {cert}
smtpd_tls_key_file = {key}
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = {HOST}
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
"
    )
}

/// The services that take and deliver a message; none of them in a chroot.
fn master_cf(address: SocketAddr) -> String {
    format!(
        "{address} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"
    )
}

fn smtpd_conf(home: &Path) -> String {
    let home = home.display();
    format!(
        "pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {home}/sasldb2
mech_list: PLAIN LOGIN
"
    )
}

fn write_password(file: &Path) {
    let (user, realm) = USERNAME.split_once('@').expect("a user name with its realm");
    let mut child = Command::new("saslpasswd2")
        .args(["-p", "-c", "-u", realm, "-f"])
        .arg(file)
        .arg(user)
        .stdin(Stdio::piped())
        .spawn()
        .expect("run saslpasswd2 (Debian package sasl2-bin)");
    child
        .stdin
        .take()
        .expect("its standard input")
        .write_all(PASSWORD.as_bytes())
        .expect("pass the password");
    assert!(child.wait().expect("wait for saslpasswd2").success(), "saslpasswd2 made no {}", file.display());
}

fn user_id(name: &str) -> u32 {
    let output = Command::new("id").args(["-u", name]).output().expect("run id");
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .unwrap_or_else(|_| panic!("there is no user {name}"))
}
