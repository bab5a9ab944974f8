//! Who is measured: started on free ports, ended when dropped.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use postroad_interop::certificate::Certificate;
use postroad_interop::{Postfix, Scratch, port, program};

use crate::ours;

/// A server that throws its mail away.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// The process that it and all its children are.
    pub(crate) process: u32,
    pub(crate) speaks_tls: bool,
    pub(crate) is_slow: bool,
    _running: Running,
}

/// What ends it.
#[expect(dead_code, reason = "held until they are dropped")]
enum Running {
    Child(Ended),
    Postfix(Postfix),
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // A supervisor ends its children at SIGTERM, which std cannot send; the shell can.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// Ours, which comes first, and the others that this machine has.
pub(crate) fn all(scratch: &Scratch, certificate: &Certificate) -> Vec<Server> {
    let address = port::free();
    let ours = child("postroad", address, &mut ours::command(address, certificate));
    let mut servers = vec![Server { speaks_tls: true, ..ours.expect("this program runs") }];
    let address = port::free();
    let mut sink = Command::new("smtp-sink");
    sink.args(["-u", "nobody", &address.to_string(), "1000"]);
    servers.extend(child("smtp-sink, the ceiling", address, &mut sink));
    if Command::new("postfix").arg("-c").arg(scratch.path()).arg("status").output().is_ok() {
        let postfix = Postfix::discarding(scratch, certificate);
        servers.push(Server {
            name: "Postfix, discard:",
            address: postfix.address(),
            process: postfix.process(),
            speaks_tls: true,
            is_slow: true,
            _running: Running::Postfix(postfix),
        });
    } else {
        println!("no postfix (Debian's package postfix), or no right to start it");
    }
    servers.extend(opensmtpd(scratch));
    servers
}

fn child(name: &'static str, address: SocketAddr, command: &mut Command) -> Option<Server> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(child) = child else {
        println!("no {name}");
        return None;
    };
    let process = child.id();
    let _running = Running::Child(Ended(child));
    port::wait_for(address);
    Some(Server { name, address, process, speaks_tls: false, is_slow: false, _running })
}

/// OpenSMTPD, unpacked, in a view of the file system of its own, because its paths and users are compiled in. Delivery is
/// paused, so that it only takes in and queues. It is left out of the handshakes: Debian's 6.8 answers a client's handshake for a
/// key on P-256 with an internal error.
fn opensmtpd(scratch: &Scratch) -> Option<Server> {
    let home = program::unpacked_folder("opensmtpd");
    if !home.is_dir() {
        println!("no OpenSMTPD in {} (Debian's package opensmtpd, unpacked)", home.display());
        return None;
    }
    let address = port::free();
    let configuration = format!(
        "smtp limit max-mails 100000\nlisten on 127.0.0.1 port {}\n\
         action \"out\" relay host \"smtp://127.0.0.1:9\"\nmatch from any for any action \"out\"\n",
        address.port()
    );
    let configuration = scratch.write("opensmtpd/smtpd.conf", configuration);
    let users = [
        "opensmtpd:x:64001:64001::/var/lib/opensmtpd/empty:/bin/false",
        "opensmtpq:x:64002:64002::/:/bin/false",
    ];
    let groups = ["opensmtpd:x:64001:", "opensmtpq:x:64002:"];
    for (name, lines) in [("passwd", users), ("group", groups)] {
        let system = fs::read_to_string(format!("/etc/{name}")).unwrap_or_default();
        scratch.write(&format!("opensmtpd/{name}"), format!("{system}{}\n", lines.join("\n")));
    }
    scratch.folder("opensmtpd/spool");
    let script = r#"set -e
        mount --bind "$2/passwd" /etc/passwd
        mount --bind "$2/group" /etc/group
        mount --bind "$2/spool" /var/spool
        mount -t tmpfs tmpfs /var/lib
        mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd
        chmod 711 /var/lib/opensmtpd/empty /var/spool/smtpd
        mount -t tmpfs tmpfs /usr/libexec
        cp -a "$1/usr/libexec/opensmtpd" /usr/libexec/
        exec "$1/usr/sbin/smtpd" -d -P mta -P mda -f "$3" >"$2/log" 2>&1"#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "opensmtpd"]).arg(home);
    command.arg(scratch.path().join("opensmtpd")).arg(configuration);
    let server = child("OpenSMTPD, not delivering", address, &mut command)?;
    Some(Server { is_slow: true, ..server })
}
