//! A real Postfix in a folder of its own: a smart host that wants STARTTLS and a password, or a host that passes mail on.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use crate::certificate::Certificate;
use crate::{Scratch, mailbox, patience, port, program};

/// The name in Postfix's greeting and certificate.
pub const HOST: &str = "smarthost.test";
/// Who may relay.
pub const USERNAME: &str = "relay@smarthost.test";
/// The password of [`USERNAME`].
pub const PASSWORD: &str = "correct horse";

/// Debian's `nobody`, who owns the mailboxes; Postfix refuses to deliver as root.
const MAILBOX_OWNER: u32 = 65534;

/// A Postfix of its own. Whatever it accepts, for any recipient, ends in one Maildir or goes to one next hop.
#[derive(Debug)]
pub struct Postfix {
    /// Keeps the folder until Postfix has stopped.
    scratch: Scratch,
    address: SocketAddr,
    certificate: Certificate,
}

/// How Postfix goes on to a next hop that wants STARTTLS and a password.
#[derive(Clone, Copy, Debug)]
pub struct Logon<'a> {
    /// The PEM file to trust.
    pub authority: &'a Path,
    /// The name that the certificate must have.
    pub host: &'a str,
    /// Who logs on.
    pub username: &'a str,
    /// With which password.
    pub password: &'a str,
    /// By which SASL mechanism, in lower case.
    pub mechanism: &'a str,
}

impl Postfix {
    /// Starts Postfix below `scratch` on a free port and waits until it accepts connections.
    pub fn start(scratch: &Scratch) -> Self {
        let postfix = Self::prepare(scratch);
        postfix.resume();
        postfix
    }

    /// Writes all that a smart host needs below `scratch`, and leaves it down until [`resume`](Self::resume).
    pub fn prepare(scratch: &Scratch) -> Self {
        let certificate = Certificate::for_hosts(scratch, &[HOST]);
        let home = scratch.folder("postfix");
        let postfix = Self::prepare_with(scratch, &smart_host(&home, &certificate), certificate);
        // Debian's Postfix looks for Cyrus SASL's configuration in `sasl/` beside main.cf.
        scratch.write("postfix/etc/sasl/smtpd.conf", smtpd_conf(&home));
        write_password(&home.join("sasldb2"));
        chown(home.join("sasldb2"), Some(user_id("postfix")), None).expect("give a file to its user");
        postfix
    }

    /// Starts a Postfix that takes everything from this machine, in clear, and passes it on to `next_hop` in clear.
    ///
    /// It is as gullible as Postfix was before December 2023: a line may end in a bare LF, the one with the dot too, and
    /// what stands alone is passed on as it is.
    pub fn passing_on_to(scratch: &Scratch, next_hop: SocketAddr) -> Self {
        let gullible = "smtpd_forbid_bare_newline = no\nsmtpd_forbid_unauth_pipelining = no\n\
                        cleanup_replace_stray_cr_lf = no\n";
        Self::pass_on(scratch, next_hop, gullible)
    }

    /// The same to a next hop that wants STARTTLS and a password, and with Postfix's own care.
    pub fn passing_on_with(scratch: &Scratch, next_hop: SocketAddr, logon: Logon<'_>) -> Self {
        let Logon { authority, host, username, password, mechanism } = logon;
        let how = format!(
            "smtp_tls_security_level = secure
smtp_tls_secure_cert_match = {host}
smtp_tls_CAfile = {}
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = static:{{{username}:{password}}}
smtp_sasl_tls_security_options = noanonymous
smtp_sasl_mechanism_filter = {mechanism}
",
            authority.display()
        );
        Self::pass_on(scratch, next_hop, &how)
    }

    /// Starts a Postfix that takes everything from this machine, in clear or after STARTTLS with `certificate`, and throws it
    /// away: to be measured.
    pub fn discarding(scratch: &Scratch, certificate: &Certificate) -> Self {
        let main_cf = format!(
            "mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
default_transport = discard:
smtpd_tls_security_level = may
smtpd_tls_cert_file = {}
smtpd_tls_key_file = {}
",
            certificate.certificate.display(),
            certificate.key.display()
        );
        let postfix = Self::prepare_with(scratch, &main_cf, certificate.clone());
        postfix.resume();
        postfix
    }

    /// The process that started all others.
    pub fn process(&self) -> u32 {
        let file = fs::read_to_string(self.home().join("queue/pid/master.pid")).expect("Postfix runs");
        file.trim().parse().expect("a process number")
    }

    fn pass_on(scratch: &Scratch, next_hop: SocketAddr, how: &str) -> Self {
        let certificate = Certificate::for_hosts(scratch, &[HOST]);
        let main_cf = format!(
            "relayhost = [{}]:{}
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_dns_support_level = disabled
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
{how}",
            next_hop.ip(),
            next_hop.port()
        );
        let postfix = Self::prepare_with(scratch, &main_cf, certificate);
        postfix.resume();
        postfix
    }

    fn prepare_with(scratch: &Scratch, main_cf: &str, certificate: Certificate) -> Self {
        let home = scratch.folder("postfix");
        for folder in ["queue", "data", "mail", "etc/sasl"] {
            scratch.folder(&format!("postfix/{folder}"));
        }
        let address = port::free();
        scratch.write("postfix/etc/main.cf", common(&home) + main_cf);
        scratch.write("postfix/etc/master.cf", master_cf(address));
        for (file, owner) in [("mail", MAILBOX_OWNER), ("data", user_id("postfix"))] {
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

    /// Waits until it has nothing left to deliver of `count` messages or more, and returns how many it took in.
    pub fn wait_until_empty(&self, count: usize) -> usize {
        patience::until("an empty queue of Postfix", || {
            let log = self.log();
            let taken = log.matches(" (queue active)").count();
            let gone = log.lines().filter(|line| line.ends_with(": removed")).count();
            // A message that waits for another try is active more than once.
            let deferred = log.matches("status=deferred").count();
            (taken >= count && gone + deferred >= taken && gone >= count).then_some(gone)
        })
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home().join("mail.log")).unwrap_or_default()
    }

    fn home(&self) -> PathBuf {
        self.scratch.path().join("postfix")
    }

    fn control(&self, verb: &str) -> Output {
        let mut command = program::command("postfix");
        command.arg("-c").arg(self.home().join("etc")).arg(verb);
        program::run(&mut command)
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.control("stop");
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.len().saturating_sub(300);
            eprintln!("Postfix logged {} lines, at last:\n{}", lines.len(), lines[last..].join("\n"));
        }
    }
}

/// What holds for each: a folder of its own, no DNS, no aliases, nothing changed in a message.
fn common(home: &Path) -> String {
    let home = home.display();
    format!(
        "compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
maillog_file = {home}/mail.log
maillog_file_prefixes = {home}
myhostname = {HOST}
mydestination =
inet_protocols = ipv4
inet_interfaces = 127.0.0.1
alias_maps =
alias_database =
local_recipient_maps =
local_header_rewrite_clients =
disable_mime_output_conversion = yes
message_size_limit = 104857600
"
    )
}

/// Takes anything from those who logged in over TLS, changes nothing in it, and delivers it all into one Maildir.
fn smart_host(home: &Path, certificate: &Certificate) -> String {
    let home = home.display();
    let (cert, key) = (certificate.certificate.display(), certificate.key.display());
    format!(
        "mynetworks =
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
smtp unix - - n - - smtp
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
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
mech_list: PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256
"
    )
}

fn write_password(file: &Path) {
    let (user, realm) = USERNAME.split_once('@').expect("a user name with its realm");
    let mut command = program::command("saslpasswd2");
    command.args(["-p", "-c", "-u", realm, "-f"]).arg(file).arg(user);
    program::successful(program::run_with(&mut command, PASSWORD.as_bytes()));
}

fn user_id(name: &str) -> u32 {
    let output = Command::new("id").args(["-u", name]).output().expect("run id");
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .unwrap_or_else(|_| panic!("there is no user {name}"))
}
