//! What a sender's memory grows by while it sends one large message, in a process of its own for each.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::contestants::Contestant;
use crate::receiver::{Manner, Receiver};
use crate::{Work, content};

/// The first argument of this program where it sends one message and tells its memory.
pub(crate) const MEMORY: &str = "memory";

/// The message is in memory before, once; what is told is what comes on top of it.
pub(crate) fn print(size: usize) {
    let receiver = Receiver::own(Manner::AtOnce);
    println!("\n| one message of {} MiB | memory it costs, MiB |\n|---|---|", size >> 20);
    for contestant in [Contestant::Postroad, Contestant::Lettre, Contestant::MailSend] {
        let mut command = Command::new(std::env::current_exe().expect("our own program"));
        command.args([MEMORY, contestant.name(), &receiver.address.to_string(), &size.to_string()]);
        let output = command.output().expect("run our own program");
        assert!(output.status.success(), "{}: {output:?}", contestant.name());
        let kibibytes: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
        println!("| {} | {:.1} |", contestant.name(), kibibytes / 1024.0);
    }
}

/// This program as one contestant: prints by how many KiB it grew at most.
pub(crate) fn run(arguments: &[String]) {
    let [name, address, size] = arguments else { panic!("NAME ADDRESS SIZE") };
    let contestants = [Contestant::Postroad, Contestant::Lettre, Contestant::MailSend];
    let contestant = contestants.into_iter().find(|one| one.name() == name).expect("a contestant");
    let address: SocketAddr = address.parse().expect("an address");
    let work = |size: usize| Work {
        address,
        authority: None,
        content: content(size).into(),
        each: 1,
        until: Instant::now() + Duration::from_secs(60),
        sent: Arc::default(),
    };
    let large = work(size.parse().expect("a size"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // lettre's pool wants a runtime when it is made and when it goes.
    let _inside = runtime.enter();
    let prepared = contestant.prepare(&large, 1);
    // What is made once for a process is no message's.
    runtime.block_on(prepared.run(work(10 << 10), 1));
    // Lets the kernel count the peak from here on (proc(5)).
    std::fs::write("/proc/self/clear_refs", "5").expect("reset the peak");
    let before = status("VmRSS:");
    runtime.block_on(prepared.run(large, 1));
    println!("{}", status("VmHWM:").saturating_sub(before));
}

/// A line of `/proc/self/status`, in KiB.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("our own status");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of it");
    line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
}
