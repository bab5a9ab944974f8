//! What a connection that says nothing costs our server in memory; what the kernel keeps for a socket is not in it.

use postroad_interop::certificate::Certificate;

use crate::handshakes::Loader;
use crate::process;
use crate::servers::Server;

pub(crate) fn measure(ours: &Server, certificate: &Certificate, count: usize) {
    let loader = Loader::trusting(&certificate.authority);
    println!("\n{count} idle connections, KiB each, at most");
    let mut kept = Vec::new();
    for (kind, tls, target) in [("plain", false, 16), ("TLS", true, 48)] {
        let before = process::memory(ours.process);
        let idle = loader.open(ours.address, count, tls);
        let grown = process::memory(ours.process).saturating_sub(before);
        println!("{kind:<24}{:>10.1}{target:>12}", grown as f64 / 1024.0 / count as f64);
        // What they would give back, the next would use.
        kept.push(idle);
    }
}
