//! What sending costs, on one connection and on twenty, beside the bare exchange and the clients that people use.
//!
//! Three receivers: one that acknowledges as ordinary ones do (Postfix's `smtp-sink` where it is installed), one that acknowledges at once,
//! and one in TLS 1.3. Then the memory for one large message, and dot-stuffing. Some three minutes with `--bench`; `POSTROAD_SECONDS` for each
//! contestant (2), `POSTROAD_ROUNDS` (3) and `POSTROAD_MESSAGES` at most (10,000) change that. Without `--bench` each contestant sends a few messages.

mod contestants;
mod memory;
mod receiver;

use std::hint::black_box;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use postroad_message::Content;
use postroad_smtp_protocol::data;
use tokio::time::Instant;

use crate::contestants::{CONTESTANTS, Contestant};
use crate::receiver::{Manner, Receiver};

/// What one contestant has to do: so many messages of this content over so many connections, or until the time is up.
#[derive(Clone)]
pub(crate) struct Work {
    address: SocketAddr,
    /// The receiver's certificate authority, where it is to be TLS.
    authority: Option<PathBuf>,
    content: Content,
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

/// Messages a second, and CPU time of the sender's process for each.
struct Score {
    rate: f64,
    cpu: Duration,
}

/// How long it may take.
#[derive(Clone, Copy)]
struct Measure {
    messages: u64,
    rounds: u64,
    each: Duration,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == receiver::RECEIVER => return receiver::run(rest),
        Some((first, rest)) if first == memory::MEMORY => return memory::run(rest),
        _ => {}
    }
    let measures = arguments.iter().any(|argument| argument == "--bench");
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let measure = if measures {
        Measure {
            messages: number("POSTROAD_MESSAGES", 10_000),
            rounds: number("POSTROAD_ROUNDS", 3),
            each: Duration::from_secs(number("POSTROAD_SECONDS", 2)),
        }
    } else {
        Measure { messages: 20, rounds: 1, each: Duration::from_secs(1) }
    };
    let content = Content::from(content(10 << 10));
    for (manner, title) in [
        (Manner::Ordinary, "clear text, an ordinary receiver"),
        (Manner::AtOnce, "clear text, a receiver that acknowledges at once"),
        (Manner::Tls, "TLS 1.3, an ordinary receiver"),
    ] {
        let receiver = if measures { Receiver::start(manner) } else { Receiver::own(manner) };
        for connections in [1, 20] {
            compete(&receiver, &content, measure, connections, title);
        }
    }
    memory::print(if measures { 100 << 20 } else { 1 << 20 });
    stuffing(if measures { 64 << 20 } else { 1 << 16 });
}

/// All contestants in turn, round by round.
fn compete(receiver: &Receiver, content: &Content, measure: Measure, connections: u64, title: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let work = |each: u64| Work {
        address: receiver.address,
        authority: receiver.authority.clone(),
        content: content.clone(),
        each: each.max(1),
        until: Instant::now(),
        sent: Arc::default(),
    };
    let mut scores: Vec<(Contestant, Vec<Score>)> = CONTESTANTS
        .into_iter()
        .filter(|contestant| contestant.takes_part(receiver.authority.as_deref()))
        .map(|contestant| (contestant, Vec::new()))
        .collect();
    for _ in 0..measure.rounds {
        for (contestant, scores) in &mut scores {
            let mut each = measure.messages / connections;
            if *contestant == Contestant::SmtpSource {
                // It has to be told beforehand how many fit into the time.
                let taste = runtime.block_on(run(*contestant, work(each.min(10)), connections, measure.each));
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "thousands of messages"
                )]
                let fit = (taste.rate * measure.each.as_secs_f64()) as u64;
                each = each.min(fit / connections);
            }
            scores.push(runtime.block_on(run(*contestant, work(each), connections, measure.each)));
        }
    }
    print(title, connections, &scores);
}

async fn run(contestant: Contestant, mut work: Work, connections: u64, lasts: Duration) -> Score {
    let prepared = contestant.prepare(&work, connections);
    let (began, cpu) = (Instant::now(), cpu_time());
    work.until = began + lasts;
    prepared.run(work.clone(), connections).await;
    let sent = work.sent.load(Ordering::Relaxed);
    let elapsed = began.elapsed();
    assert!(sent > 0, "{} sent nothing", contestant.name());
    #[expect(clippy::cast_precision_loss, reason = "thousands of messages")]
    let sent = sent as f64;
    Score { rate: sent / elapsed.as_secs_f64(), cpu: (cpu_time() - cpu).div_f64(sent) }
}

fn print(title: &str, connections: u64, scores: &[(Contestant, Vec<Score>)]) {
    println!(
        "\n| {title}, {connections} connections, 10 KiB | messages/s | of the bare exchange | CPU µs each | times the bare exchange's |\n|---|---|---|---|---|"
    );
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let (_, bare) = &scores[0];
    for (contestant, scores) in scores {
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

/// Of all threads of this process, and of the programs it has waited for, which the kernel tells in hundredths of a second.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let own = Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0));
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold anything: the state, and as the fourteenth and fifteenth cutime and cstime.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    let ticks: u64 = fields.skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    own + Duration::from_millis(10 * ticks)
}
