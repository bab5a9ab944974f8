//! How fast mail comes in: messages and TLS handshakes a second beside Postfix's smtpd, OpenSMTPD and `smtp-sink`.
//!
//! Every server is a process of its own and throws its mail away; `smtp-source` sends to each in turn in every round, so that
//! a machine which is busy with something else is busy for all of them: read the ratios. The load shares the processors with
//! the server, so that the processor time of the server tells more than the clock. Programs that are missing are left out.

mod handshakes;
mod ours;
mod process;
mod servers;

use std::process::Command;
use std::time::Instant;

use postroad_interop::Scratch;
use postroad_interop::certificate::Certificate;

use crate::servers::Server;

const SESSIONS: usize = 20;
const LENGTH: usize = 10 * 1024;

fn main() {
    if ours::is_asked_for() {
        return ours::serve();
    }
    // `cargo test` wants to see that it runs, `cargo bench` wants to know.
    let measured = std::env::args().any(|argument| argument == "--bench");
    let rounds = match std::env::var("POSTROAD_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()) {
        Some(rounds) => rounds,
        None if measured => 7,
        None => 1,
    };
    let scratch = Scratch::new();
    let certificate = Certificate::for_hosts(&scratch, &["localhost"]);
    let servers = servers::all(&scratch, &certificate);
    messages(&servers, rounds, if measured { 4000 } else { 40 });
    handshaken(&servers, &certificate, rounds, if measured { 1000 } else { 40 });
}

/// One turn: how many of its kind a second, and the server's processor time for each in microseconds.
#[derive(Clone, Copy)]
struct Turn {
    rate: f64,
    cpu: f64,
}

/// Takes the time of `work`, which asks `server` for `count` things.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn turn(server: &Server, count: usize, work: impl FnOnce()) -> Turn {
    let (before, start) = (process::cpu(server.process), Instant::now());
    work();
    let (elapsed, after) = (start.elapsed(), process::cpu(server.process));
    Turn {
        rate: count as f64 / elapsed.as_secs_f64(),
        cpu: (after - before).as_secs_f64() * 1e6 / count as f64,
    }
}

fn messages(servers: &[Server], rounds: usize, count: usize) {
    if Command::new("smtp-source").output().is_err() {
        println!("messages: no smtp-source (Debian's package postfix)");
        return;
    }
    let send = |server: &Server| {
        // A quarter of it for who takes a tenth.
        let count = if server.is_slow { count / 4 } else { count };
        turn(server, count, || {
            let mut source = Command::new("smtp-source");
            source.args(["-d", "-s", &SESSIONS.to_string(), "-m", &count.to_string()]);
            source.args(["-l", &LENGTH.to_string(), "-f", "joe@contoso.com", "-t", "jane@example.com"]);
            let output = source.arg(server.address.to_string()).output().expect("run smtp-source");
            assert!(output.status.success(), "{}: {output:?}", server.name);
        })
    };
    let title = format!("{} KiB messages in {SESSIONS} sessions, kept open", LENGTH / 1024);
    compare(&title, servers.iter(), rounds, send);
}

fn handshaken(servers: &[Server], certificate: &Certificate, rounds: usize, count: usize) {
    let loader = handshakes::Loader::trusting(&certificate.authority);
    let shake = |server: &Server| turn(server, count, || loader.run(server.address, SESSIONS, count));
    let title = format!("STARTTLS handshakes in {SESSIONS} sessions, TLS 1.3, ECDSA P-256, none resumed");
    compare(&title, servers.iter().filter(|server| server.speaks_tls), rounds, shake);
}

/// Lets each take its turn in every round, and prints medians; the ratio is the median of ours to it in the same round.
fn compare<'a>(
    title: &str,
    servers: impl Iterator<Item = &'a Server> + Clone,
    rounds: usize,
    take: impl Fn(&Server) -> Turn,
) {
    // The first turn starts processes and fills caches.
    servers.clone().for_each(|server| {
        take(server);
    });
    let rounds: Vec<Vec<Turn>> = (0..rounds).map(|_| servers.clone().map(&take).collect()).collect();
    println!(
        "\n{title}\n{:<24}{:>10}{:>12}{:>12}{:>12}",
        "", "a second", "least..most", "CPU us each", "ours : it"
    );
    for (at, server) in servers.enumerate() {
        let mut rates: Vec<f64> = rounds.iter().map(|round| round[at].rate).collect();
        let cpu = median(rounds.iter().map(|round| round[at].cpu));
        let ratio = median(rounds.iter().map(|round| round[0].rate / round[at].rate));
        rates.sort_by(f64::total_cmp);
        let spread = format!("{:.0}..{:.0}", rates[0], rates[rates.len() - 1]);
        println!("{:<24}{:>10.0}{spread:>12}{cpu:>12.0}{ratio:>12.2}", server.name, rates[rates.len() / 2]);
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
