//! What sending costs, on one connection and on twenty, beside the bare exchange and the clients that people use.
//!
//! Against Postfix's `smtp-sink` where it is installed, which acknowledges as an ordinary receiver does. Prints one table;
//! without `--bench` each contestant sends a few messages to a sink of our own.

mod contestants;
mod sink;

use std::hint::black_box;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use postroad_smtp_protocol::data;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::contestants::{CONTESTANTS, Contestant};

/// What one contestant has to do: so many messages of this content over so many connections, or until the time is up.
#[derive(Clone)]
pub(crate) struct Work {
    address: std::net::SocketAddr,
    content: Arc<Vec<u8>>,
    each: u64,
    until: Instant,
    sent: Arc<AtomicU64>,
}

impl Work {
    /// Counts one more. Whether there is time for another.
    pub(crate) fn sent(&self) -> bool {
        self.sent.fetch_add(1, Ordering::Relaxed);
        Instant::now() < self.until
    }
}

/// Messages a second, and CPU time of this process for each.
struct Score {
    rate: f64,
    cpu: Duration,
}

fn main() {
    let measures = std::env::args().any(|argument| argument == "--bench");
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (messages, rounds, cap) = if measures {
        (number("POSTROAD_MESSAGES", 10_000), number("POSTROAD_ROUNDS", 3), Duration::from_secs(3))
    } else {
        (20, 1, Duration::from_secs(1))
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let (address, _sink) = receiver(&runtime, measures);
    let content = Arc::new(content(10 << 10));
    for connections in [1, 20] {
        let work = || Work {
            address,
            content: content.clone(),
            each: (messages / connections).max(1),
            until: Instant::now() + cap,
            sent: Arc::default(),
        };
        let mut scores: Vec<Vec<Score>> = CONTESTANTS.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for (contestant, scores) in CONTESTANTS.iter().zip(&mut scores) {
                scores.push(runtime.block_on(run(*contestant, work(), connections)));
            }
        }
        print(connections, &scores);
    }
    stuffing(if measures { 64 << 20 } else { 1 << 16 });
}

async fn run(contestant: Contestant, work: Work, connections: u64) -> Score {
    let (began, cpu) = (Instant::now(), cpu_time());
    contestant.run(work.clone(), connections).await;
    let sent = work.sent.load(Ordering::Relaxed);
    let elapsed = began.elapsed();
    assert!(sent > 0, "{} sent nothing", contestant.name());
    #[expect(clippy::cast_precision_loss, reason = "thousands of messages")]
    let sent = sent as f64;
    Score { rate: sent / elapsed.as_secs_f64(), cpu: (cpu_time() - cpu).div_f64(sent) }
}

fn print(connections: u64, scores: &[Vec<Score>]) {
    println!(
        "\n| {connections} connections, 10 KiB | messages/s | of the bare exchange | CPU µs each | times the bare exchange's |\n|---|---|---|---|---|"
    );
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let bare = &scores[0];
    for (contestant, scores) in CONTESTANTS.iter().zip(scores) {
        let of_bare = |part: fn(&Score) -> f64| {
            median(scores.iter().zip(bare).map(|(score, bare)| part(score) / part(bare)).collect())
        };
        let all = |part: fn(&Score) -> f64| median(scores.iter().map(part).collect());
        let micros = |score: &Score| score.cpu.as_secs_f64() * 1e6;
        println!(
            "| {} | {:.0} | {:.3} | {:.0} | {:.2} |",
            contestant.name(),
            all(|score| score.rate),
            of_bare(|score| score.rate),
            all(micros),
            of_bare(|score| score.cpu.as_secs_f64()),
        );
    }
}

/// `smtp-sink` where there is one, or else one of our own in this process.
fn receiver(runtime: &Runtime, measures: bool) -> (std::net::SocketAddr, Option<Sink>) {
    if measures {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a port on loopback");
        let mut command = Command::new("smtp-sink");
        // Root gives its rights up; others have none to give.
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        let child =
            command.arg(address.to_string()).arg("1000").stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        if let Ok(child) = child {
            let began = Instant::now();
            while std::net::TcpStream::connect(address).is_err() {
                assert!(began.elapsed() < Duration::from_secs(10), "smtp-sink does not listen");
                std::thread::yield_now();
            }
            return (address, Some(Sink(child)));
        }
        println!(
            "smtp-sink is not installed: the receiver is in this process, and its CPU time counted with the others"
        );
    }
    (runtime.block_on(sink::start()), None)
}

struct Sink(Child);

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn content(size: usize) -> Vec<u8> {
    let mut content = b"From: a@bench.example\r\nTo: b@bench.example\r\nSubject: bench\r\n\r\n".to_vec();
    while content.len() < size {
        let line = (size - content.len()).min(74);
        content.extend(std::iter::repeat_n(b'x', line));
        content.extend_from_slice(b"\r\n");
    }
    content
}

/// Dots in no line: how fast content goes by that has nothing to stuff, beside copying it.
fn stuffing(total: usize) {
    let content = content(10 << 10);
    let mut wire = Vec::with_capacity(2 * content.len());
    let times = total / content.len() + 1;
    let mut copied = Duration::ZERO;
    println!("\n| 10 KiB without a leading dot | GB/s | of copying |\n|---|---|---|");
    for (name, stuffs) in [("copied", false), ("dot-stuffed", true)] {
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let began = Instant::now();
            for _ in 0..times {
                wire.clear();
                if stuffs {
                    data::encode(black_box(&content), &mut wire);
                } else {
                    wire.extend_from_slice(black_box(&content));
                }
                black_box(&wire);
            }
            best = best.min(began.elapsed());
        }
        if !stuffs {
            copied = best;
        }
        #[expect(clippy::cast_precision_loss, reason = "some hundred megabytes")]
        let bytes = (times * content.len()) as f64;
        println!(
            "| {name} | {:.1} | {:.2} |",
            bytes / best.as_secs_f64() / 1e9,
            copied.as_secs_f64() / best.as_secs_f64()
        );
    }
}

/// Of all threads of this process.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}
