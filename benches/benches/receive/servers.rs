//! Who is measured: started on free ports, ended when dropped.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use postroad_interop::certificate::Certificate;
use postroad_interop::{OpenSmtpd, Postfix, Scratch, port, program};

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
    OpenSmtpd(OpenSmtpd),
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

/// OpenSMTPD, unpacked. Delivery is paused, so that it only takes in and queues. It is left out of the handshakes: Debian's 6.8
/// breaks off each of them.
fn opensmtpd(scratch: &Scratch) -> Option<Server> {
    let home = program::unpacked_folder("opensmtpd");
    if !home.is_dir() {
        println!("no OpenSMTPD in {} (Debian's package opensmtpd, unpacked)", home.display());
        return None;
    }
    let opensmtpd = OpenSmtpd::queueing(scratch);
    Some(Server {
        name: "OpenSMTPD, not delivering",
        address: opensmtpd.address(),
        process: opensmtpd.process(),
        speaks_tls: false,
        is_slow: true,
        _running: Running::OpenSmtpd(opensmtpd),
    })
}
