//! OpenSMTPD, unpacked beside Postfix: run in a view of the file system of its own, because its paths and users are compiled in.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::background::Background;
use crate::certificate::Certificate;
use crate::{Scratch, port, program};

/// The name in its greeting and certificate.
pub const HOST: &str = "opensmtpd.test";

/// The users that it was built for, who exist where it runs and nowhere else.
const USERS: &str = "opensmtpd:x:64001:64001::/var/lib/opensmtpd/empty:/bin/false
opensmtpq:x:64002:64002::/:/bin/false
";
const GROUPS: &str = "opensmtpd:x:64001:\nopensmtpq:x:64002:\n";

/// Puts those users, its helpers and folders of `$2` where it looks for them, and becomes it, with the switches `$3`; what it
/// sees of the system is changed for it alone.
const BECOME: &str = r#"set -e
mount --bind "$2/passwd" /etc/passwd
mount --bind "$2/group" /etc/group
mount --bind "$2/spool" /var/spool
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd
chmod 711 /var/lib/opensmtpd/empty /var/spool/smtpd
mount -t tmpfs tmpfs /usr/libexec
cp -a "$1/usr/libexec/opensmtpd" /usr/libexec/
exec "$1/usr/sbin/smtpd" -d $3 -f "$2/smtpd.conf""#;

/// An OpenSMTPD of its own. Whatever it takes goes to one next hop in clear text.
///
/// It offers TLS and breaks off each handshake, for keys of RSA and on P-256: Debian 12's OpenSMTPD 6.8 loses its key in OpenSSL 3.
/// As it offers a login inside TLS only, it has none.
#[derive(Debug)]
pub struct OpenSmtpd {
    background: Background,
    address: SocketAddr,
    certificate: Certificate,
}

impl OpenSmtpd {
    /// Starts it on a free port and waits until it accepts connections.
    pub fn start(scratch: &Scratch, next_hop: SocketAddr) -> Self {
        Self::run(scratch, next_hop, "")
    }

    /// Starts one that takes in and queues, and delivers nothing: to be measured.
    pub fn queueing(scratch: &Scratch) -> Self {
        Self::run(scratch, ([127, 0, 0, 1], 9).into(), "-P mta -P mda")
    }

    fn run(scratch: &Scratch, next_hop: SocketAddr, switches: &str) -> Self {
        let (address, certificate) = (port::free(), Certificate::for_hosts(scratch, &[HOST]));
        let home = scratch.folder("opensmtpd");
        scratch.folder("opensmtpd/spool");
        for (name, ours) in [("passwd", USERS), ("group", GROUPS)] {
            let system = fs::read_to_string(format!("/etc/{name}")).expect("read the system's users");
            scratch.write(&format!("opensmtpd/{name}"), system + ours);
        }
        scratch.write("opensmtpd/smtpd.conf", configuration(address, &certificate, next_hop));
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", BECOME, "opensmtpd"]);
        command.arg(program::unpacked("opensmtpd")).arg(home).arg(switches);
        let background = Background::start(scratch, &mut command, "util-linux", address);
        Self { background, address, certificate }
    }

    /// The process that started all others.
    pub fn process(&self) -> u32 {
        self.background.process()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The PEM file that a client must trust.
    pub fn authority(&self) -> &Path {
        &self.certificate.authority
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.background.said()
    }
}

fn configuration(address: SocketAddr, certificate: &Certificate, next_hop: SocketAddr) -> String {
    let (cert, key) = (certificate.certificate.display(), certificate.key.display());
    let (ip, port) = (address.ip(), address.port());
    format!(
        r#"smtp limit max-mails 100000
pki {HOST} cert "{cert}"
pki {HOST} key "{key}"
listen on {ip} port {port} hostname {HOST} tls pki {HOST}
action "on" relay host "smtp+notls://{next_hop}"
match from any for any action "on"
"#
    )
}
