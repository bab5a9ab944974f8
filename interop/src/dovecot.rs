//! A real Dovecot in a folder of its own: mailboxes behind LMTP, and a submission service with every login it knows.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::certificate::Certificate;
use crate::{Scratch, mailbox, patience, port, program};

/// The name in its greetings and certificate.
pub const HOST: &str = "dovecot.test";
/// Who may submit; the name in the certificate that [`Dovecot::person`] leads to as well.
pub const USERNAME: &str = "relay@dovecot.test";
/// The password of [`USERNAME`].
pub const PASSWORD: &str = "correct horse";
/// The OAuth 2.0 access token of [`USERNAME`]: a JSON Web Token that `KEY` signed by HS256, with `sub` and `email`, and good
/// until the year 2100.
pub const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
                         eyJzdWIiOiJyZWxheUBkb3ZlY290LnRlc3QiLCJlbWFpbCI6InJlbGF5QGRvdmVjb3QudGVzdCIsImV4cCI6NDEwMjQ0NDgwMH0.\
                         YPherTmzvhtqLVpqDoGCuFEZEdbqmysBYiUnCHQlxHU";
/// Who have mailboxes. That of `full` has no room for any message.
pub const MAILBOXES: [&str; 3] = ["jane@contoso.com", "tim@contoso.com", "full@contoso.com"];

/// `a key that only the tests have`, in base64.
const KEY: &str = "YSBrZXkgdGhhdCBvbmx5IHRoZSB0ZXN0cyBoYXZl";
/// Debian's `nobody`, who owns the mailboxes.
const MAILBOX_OWNER: u32 = 65534;

/// A Dovecot of its own.
#[derive(Debug)]
pub struct Dovecot {
    /// Keeps the folder until Dovecot has stopped.
    scratch: Scratch,
    certificate: Certificate,
    person: Certificate,
    lmtp: SocketAddr,
    submission: SocketAddr,
    submissions: SocketAddr,
}

impl Dovecot {
    /// Starts it below `scratch` and waits until it accepts connections. What is submitted goes to `relay`, in clear text.
    pub fn start(scratch: &Scratch, relay: SocketAddr) -> Self {
        let home = scratch.folder("dovecot");
        chown(scratch.folder("dovecot/mail"), Some(MAILBOX_OWNER), None)
            .expect("give a folder to its user (only root may)");
        let dovecot = Self {
            scratch: scratch.clone(),
            certificate: Certificate::for_hosts(scratch, &[HOST]),
            person: Certificate::for_person(scratch, USERNAME),
            lmtp: port::free(),
            submission: port::free(),
            submissions: port::free(),
        };
        scratch.write("dovecot/users", users(&home));
        scratch.write("dovecot/keys/default/HS256/default", KEY);
        scratch.write("dovecot/oauth2.conf", oauth2(&home));
        scratch.write("dovecot/dovecot.conf", dovecot.configuration(&home, relay));
        dovecot.start_again();
        dovecot
    }

    /// Ends it, with all of its connections; its mailboxes stay.
    pub fn stop(&self) {
        program::run(self.command().arg("stop"));
        patience::until("Dovecot's end", || (!port::is_taken(self.lmtp)).then_some(()));
    }

    /// Starts it where it was, and waits until it accepts connections.
    pub fn start_again(&self) {
        self.run();
        for address in [self.lmtp, self.submission, self.submissions] {
            port::wait_for(address);
        }
    }

    /// LMTP in clear text or by STARTTLS, for [`MAILBOXES`]; no login.
    pub fn lmtp(&self) -> SocketAddr {
        self.lmtp
    }

    /// Submission, which takes a login after STARTTLS only.
    pub fn submission(&self) -> SocketAddr {
        self.submission
    }

    /// Submission with TLS from the first byte on.
    pub fn submissions(&self) -> SocketAddr {
        self.submissions
    }

    /// The PEM file that a client must trust.
    pub fn authority(&self) -> &Path {
        &self.certificate.authority
    }

    /// The certificate that [`USERNAME`] may log in by.
    pub fn person(&self) -> &Certificate {
        &self.person
    }

    /// Waits for `count` messages in a mailbox: with LF line ends and Dovecot's own lines on top.
    pub fn messages(&self, mailbox: &str, count: usize) -> Vec<Vec<u8>> {
        mailbox::wait_for(&self.mailbox(mailbox), count)
    }

    /// Where the new messages of a mailbox are.
    pub fn mailbox(&self, mailbox: &str) -> PathBuf {
        self.home().join("mail").join(mailbox).join("new")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home().join("dovecot.log")).unwrap_or_default()
    }

    fn home(&self) -> PathBuf {
        self.scratch.path().join("dovecot")
    }

    /// It goes into the background with what it was given to write to, so that is a file and no pipe.
    fn run(&self) {
        let said = self.home().join("said");
        let file = || File::create(&said).expect("create a file in the scratch folder");
        let mut command = self.command();
        let status = command.stdin(Stdio::null()).stdout(file()).stderr(file()).status();
        let status = status.expect("run timeout (Debian's essential package coreutils)");
        let said = fs::read_to_string(&said).unwrap_or_default();
        assert!(
            status.success(),
            "dovecot (.ci/run installs Debian's package dovecot-submissiond) ended with {status}:\n{said}{}",
            self.log()
        );
    }

    fn command(&self) -> Command {
        let mut command = program::command("dovecot");
        command.arg("-c").arg(self.home().join("dovecot.conf"));
        command
    }

    fn configuration(&self, home: &Path, relay: SocketAddr) -> String {
        let Self { certificate, person, lmtp, submission, submissions, .. } = self;
        let (home, authority) = (home.display(), person.authority.display());
        let (cert, key) = (certificate.certificate.display(), certificate.key.display());
        let listener = |name: &str, address: &SocketAddr, more: &str| {
            let (ip, port) = (address.ip(), address.port());
            format!("inet_listener {name} {{\naddress = {ip}\nport = {port}\n{more}}}\n")
        };
        let lmtp = listener("lmtp", lmtp, "");
        let submission = listener("submission", submission, "");
        let submissions = listener("submissions", submissions, "ssl = yes\n");
        let (relay_host, relay_port) = (relay.ip(), relay.port());
        format!(
            "protocols = lmtp submission
base_dir = {home}/run
log_path = {home}/dovecot.log
hostname = {HOST}
mail_location = maildir:~
mail_plugins = quota
first_valid_uid = {MAILBOX_OWNER}
ssl = required
ssl_cert = <{cert}
ssl_key = <{key}
ssl_ca = <{authority}
ssl_require_crl = no
ssl_verify_client_cert = yes
auth_ssl_username_from_cert = yes
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256 xoauth2 oauthbearer external
auth_failure_delay = 0
service anvil {{
unix_listener anvil-auth-penalty {{
mode = 0
}}
}}
submission_relay_host = {relay_host}
submission_relay_port = {relay_port}
service lmtp {{
{lmtp}}}
service submission-login {{
{submission}{submissions}}}
passdb {{
driver = oauth2
mechanisms = xoauth2 oauthbearer
args = {home}/oauth2.conf
}}
passdb {{
driver = static
mechanisms = external
args = nopassword
}}
passdb {{
driver = passwd-file
mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
args = {home}/users
}}
userdb {{
driver = passwd-file
args = {home}/users
}}
protocol lmtp {{
auth_username_format = %Lu
}}
plugin {{
quota = maildir:User quota
}}
"
        )
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        program::run(self.command().arg("stop"));
        if thread::panicking() {
            eprintln!("Dovecot logged:\n{}", self.log());
        }
    }
}

/// `user:password:uid:gid:gecos:home:shell:extra`
fn users(home: &Path) -> String {
    let line = |name: &str, password: &str| {
        let quota = if name.starts_with("full@") { "userdb_quota_rule=*:bytes=10" } else { "" };
        let mail = home.join("mail").join(name);
        format!("{name}:{password}:{MAILBOX_OWNER}:{MAILBOX_OWNER}::{}::{quota}\n", mail.display())
    };
    let mailboxes: String = MAILBOXES.iter().map(|name| line(name, "!")).collect();
    mailboxes + &line(USERNAME, &format!("{{PLAIN}}{PASSWORD}"))
}

fn oauth2(home: &Path) -> String {
    let home = home.display();
    format!(
        "introspection_mode = local
local_validation_key_dict = fs:posix:prefix={home}/keys/
username_attribute = email
"
    )
}
