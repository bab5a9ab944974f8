//! nullmailer and Postfix with the same letters: how many a second they queue, and how many they take from there.

use std::process::{Child, Command, Stdio};

use postroad_interop::{Scratch, port, program};

use crate::median;

/// Nanoseconds that a rival took for all letters: to leave them in its queue, a process each, and to take them from there.
type Seen = (f64, f64);

/// Each with its rate, and how many times as many `ours` are a second, from Pickup until the queue has them.
pub(crate) fn contest(letter: &[u8], files: usize, rounds: usize, ours: f64) {
    // Programs of Unix read lines that end in LF.
    let letter: Vec<u8> = letter.iter().copied().filter(|&byte| byte != b'\r').collect();
    println!("\n{:<52} {:>10} {:>10}", format!("the same letters, {files} of them"), "files/s", "ours/it");
    for (name, [queue, send], run) in [
        (
            "nullmailer",
            ["nullmailer-queue, durable", "nullmailer-send to smtp-sink"],
            nullmailer as fn(&[u8], usize) -> Option<Seen>,
        ),
        ("postfix", ["sendmail and postdrop, durable", "pickup, cleanup, qmgr, discard"], postfix),
    ] {
        let seen: Option<Vec<Seen>> = (0..rounds).map(|_| run(&letter, files)).collect();
        let Some(seen) = seen else {
            println!("no {name} (Debian's package; .ci/run has it), or no right to start it");
            continue;
        };
        let rate = |nanoseconds: f64| files as f64 * 1e9 / nanoseconds;
        let rows = [
            (queue, median(seen.iter().map(|seen| rate(seen.0)))),
            (send, median(seen.iter().map(|seen| rate(seen.1)))),
            ("both, one after the other", median(seen.iter().map(|seen| rate(seen.0 + seen.1)))),
        ];
        for (what, rate) in rows {
            println!("{:<52} {rate:>10.0} {:>10.0}", format!("{name}: {what}"), ours / rate);
        }
    }
}

/// Unpacked, because it cannot be installed beside Postfix, and in a view of the file system of its own.
fn nullmailer(letter: &[u8], files: usize) -> Option<Seen> {
    let unpacked = program::unpacked_folder("nullmailer");
    if !unpacked.is_dir() {
        return None;
    }
    let scratch = scratch(letter);
    let sink = Sink::start()?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", include_str!("nullmailer.sh"), "nullmailer"]).arg(unpacked);
    command.arg(scratch.path()).arg(files.to_string()).arg(sink.port.to_string());
    seen(&mut command)
}

fn postfix(letter: &[u8], files: usize) -> Option<Seen> {
    let scratch = scratch(letter);
    let mut command = Command::new("sh");
    command.args(["-c", include_str!("postfix.sh"), "postfix"]).arg(scratch.path()).arg(files.to_string());
    seen(&mut command)
}

fn scratch(letter: &[u8]) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("letter", letter);
    scratch
}

/// What a script printed: `queue NANOSECONDS` and `send NANOSECONDS`.
fn seen(command: &mut Command) -> Option<Seen> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let of = |word: &str| said.lines().find_map(|line| line.strip_prefix(word)?.trim().parse().ok());
    let seen = output.status.success().then(|| Some((of("queue")?, of("send")?))).flatten();
    if seen.is_none() {
        println!("{}", program::said(&output));
    }
    seen
}

/// Takes everything and keeps nothing; a part of Postfix.
struct Sink {
    child: Child,
    port: u16,
}

impl Sink {
    fn start() -> Option<Self> {
        let address = port::free();
        let mut command = Command::new("smtp-sink");
        command.args(["-u", "nobody", &address.to_string(), "100"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        port::wait_for(address);
        Some(Self { child, port: address.port() })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
