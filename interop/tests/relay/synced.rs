//! A 250 after the final dot comes after the sync that made the message durable; without the sync there is none.

use std::fs;
use std::thread;

use postroad_interop::{Relay, patience};

use crate::configuration::{EVERYTHING_TO_DROP, House, program};

const CONNECTIONS: usize = 4;
const MESSAGES: usize = 10;

#[test]
#[ignore = "needs strace"]
fn no_250_before_the_sync() {
    let house = House::with(EVERYTHING_TO_DROP);
    let trace = house.scratch.path().join("trace");
    let options = ["-y", "-s", "100000", "-e", "trace=pwrite64,write,fdatasync,fsync,sendto"];
    let relay = Relay::run_traced(program(), &house.configuration, &options, &trace);
    let queued: Vec<(String, String)> = thread::scope(|scope| {
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|connection| {
                let mut application = house.application();
                scope.spawn(move || {
                    let numbers = 0..MESSAGES;
                    let queued = numbers.map(|number| {
                        // Every fifth is large enough for a file of its own.
                        let length = if number % 5 == 4 { 300_000 } else { 1_000 };
                        let content = letter(connection, number, length);
                        let reply = application.send("joe@contoso.com", &["jane@example.com"], &content);
                        let reply = reply.expect("a 250");
                        let id = reply.rsplit(' ').next().expect("an id").to_owned();
                        (token(connection, number), id)
                    });
                    queued.collect::<Vec<_>>()
                })
            })
            .collect();
        connections
            .into_iter()
            .flat_map(|connection| connection.join().expect("every message is taken"))
            .collect()
    });
    relay.terminate();
    let trace = patience::until("the end of the trace", || {
        let trace = fs::read_to_string(&trace).ok()?;
        trace.lines().last()?.contains("+++ exited").then_some(trace)
    });
    let steps = steps(&trace);
    for (token, id) in queued {
        // The content's bytes go into a log; or into a file beside it, and the row that names the file follows.
        let written = steps.iter().position(|step| step.is_write() && step.text.contains(&token));
        let written = written.unwrap_or_else(|| panic!("{token} was never written"));
        let file = steps[written].path();
        // A large one comes in pieces, and is synced behind the last.
        let in_file = |step: &Step<'_>| step.is_write() && step.path() == file;
        let large = file.contains("-content/");
        let written = if large { steps.iter().rposition(in_file).unwrap_or(written) } else { written };
        let synced = after(&steps, written, |step| step.is_sync_of(file));
        let durable = if file.ends_with("-wal") || file.contains("-fresh/") {
            synced
        } else {
            let row = after(&steps, synced, |step| step.is_write() && step.path().ends_with("-wal"));
            after(&steps, row, |step| step.is_sync_of("-wal"))
        };
        let told = steps.iter().position(|step| step.text.starts_with("sendto(") && step.text.contains(&id));
        let told = told.unwrap_or_else(|| panic!("no reply names {id}"));
        assert!(durable < told, "{token}: 250 at call {told}, durable at call {durable}");
    }
}

#[test]
#[ignore = "needs strace"]
fn no_250_where_the_sync_fails() {
    let house = House::with(EVERYTHING_TO_DROP);
    let trace = house.scratch.path().join("trace");
    // Counted in each thread: the one that opens the store syncs fewer times than that. Where the log of fresh mail fails, mail
    // goes into the database, until that fails as well.
    let options = ["-qq", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=20+"];
    let relay = Relay::run_traced(program(), &house.configuration, &options, &trace);
    let mut application = house.application();
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for number in 0..80 {
        match application.send("joe@contoso.com", &["jane@example.com"], &letter(0, number, 1_000)) {
            Ok(_) => accepted.push(token(0, number)),
            Err(reply) => {
                assert!(reply.to_string().starts_with("451"), "not now, and never \"never\": {reply}");
                refused += 1;
            }
        }
    }
    assert!(!accepted.is_empty() && refused > 10, "{} accepted, {refused} refused", accepted.len());
    relay.kill();

    house.scratch.folder("Drop");
    let _relay = house.start();
    let arrived = patience::until("every acknowledged message in Drop", || {
        let files = postroad_interop::mailbox::files(&house.drop_directory());
        let texts: Vec<String> = files
            .iter()
            .map(|file| String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned())
            .collect();
        accepted.iter().all(|token| texts.iter().any(|text| text.contains(token))).then_some(texts.len())
    });
    assert!(arrived <= accepted.len() + 1, "{arrived} arrived of {} acknowledged", accepted.len());
}

fn token(connection: usize, number: usize) -> String {
    format!("TOKEN-{connection}-{number}-END")
}

fn letter(connection: usize, number: usize, length: usize) -> Vec<u8> {
    let line = "x".repeat(70);
    let body = format!("{line}\r\n").repeat(length / 72);
    format!("Subject: {}\r\n\r\n{body}", token(connection, number)).into_bytes()
}

/// A call of the system; a sync counts from its end, everything else from its beginning.
struct Step<'a> {
    text: &'a str,
}

impl Step<'_> {
    fn is_write(&self) -> bool {
        self.text.starts_with("pwrite64(") || self.text.starts_with("write(")
    }

    fn is_sync_of(&self, path: &str) -> bool {
        (self.text.starts_with("fdatasync(") || self.text.starts_with("fsync("))
            && self.path().ends_with(path)
    }

    /// The path of the descriptor: `pwrite64(9</tmp/queue.db-wal>, ...`.
    fn path(&self) -> &str {
        self.text.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(path, _)| path)
    }
}

fn steps(trace: &str) -> Vec<Step<'_>> {
    let mut unfinished: Vec<(&str, &str)> = Vec::new();
    let mut steps = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if call.ends_with("<unfinished ...>") && call.contains("sync(") {
            unfinished.push((thread, call));
        } else if call.starts_with("<... ") {
            if let Some(at) = unfinished.iter().position(|(other, _)| *other == thread) {
                steps.push(Step { text: unfinished.swap_remove(at).1 });
            }
        } else {
            steps.push(Step { text: call });
        }
    }
    steps
}

fn after(steps: &[Step<'_>], from: usize, is: impl Fn(&Step<'_>) -> bool) -> usize {
    let found = steps[from + 1..].iter().position(is);
    from + 1
        + found.unwrap_or_else(|| {
            panic!("nothing after {}", &steps[from].text[..80.min(steps[from].text.len())])
        })
}
