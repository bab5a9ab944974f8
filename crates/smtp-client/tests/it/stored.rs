//! Contents that lie in a file and are sent from there, whole or damaged.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postroad_message::content::Rest;
use postroad_message::{Content, ContentSource, Fault, Scope, Shape};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::delivery::two_hosts;
use crate::pretend::{Behaviour, Pretend, builder, by_mx, client, deliver, deliver_content, mx_hosts, words};

struct InFile(File);

impl ContentSource for InFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(into, offset)
    }
}

/// So many of these lines behind a header, in a file that ends `missing` bytes too early.
pub(crate) fn stored(line: &str, lines: usize, missing: usize) -> Content {
    let mut file = BufWriter::new(tempfile::tempfile().expect("a file"));
    let mut shape = Shape::default();
    for _ in 0..lines {
        file.write_all(line.as_bytes()).expect("room");
        shape = shape.then(Shape::of(line.as_bytes()));
    }
    let (file, length) = (file.into_inner().expect("room"), line.len() * lines);
    file.set_len((length - missing) as u64).expect("room");
    let rest = Rest { source: Arc::new(InFile(file)), start: 0, length, shape };
    Content::with_rest(b"Subject: x\r\n\r\n".to_vec(), rest)
}

#[tokio::test]
async fn what_is_in_a_file_arrives_as_what_is_in_memory() {
    for line in ["a line\r\n", ".a line\r\n", "a line\n"] {
        for capabilities in [vec![], vec!["CHUNKING"]] {
            let (first, _) = two_hosts(Behaviour { capabilities, ..Behaviour::default() }).await;
            let client = builder(mx_hosts(1)).build().expect("a client");
            let to = by_mx(first.address.port());
            let content = stored(line, 50_000, 0);
            let in_memory = content.load().expect("it is there").into_owned();
            assert_eq!(words(&deliver_content(&client, &to, &["a@b.test"], content).await), ["delivered"]);
            assert_eq!(words(&deliver_content(&client, &to, &["a@b.test"], in_memory).await), ["delivered"]);
            first.seen(|seen| {
                assert!(seen.messages[0].1.len() > 350_000);
                assert!(seen.messages[0].1 == seen.messages[1].1, "{line:?}");
            });
        }
    }
}

struct Harmful;

impl ContentSource for Harmful {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        panic!("this message breaks off whoever works on it")
    }
}

/// A relay counts such messages, and sets them aside.
#[tokio::test]
async fn what_panics_while_it_is_read_breaks_its_delivery_off() {
    let server = Pretend::start(Behaviour::default()).await;
    let delivery = tokio::spawn(async move {
        let shape = Shape::of(b"a line\r\n");
        let rest = Rest { source: Arc::new(Harmful), start: 0, length: 8, shape };
        let content = Content::with_rest(b"Subject: x\r\n\r\n".to_vec(), rest);
        deliver_content(&client(), &server.destination(), &["a@b.test"], content).await
    });
    assert!(delivery.await.is_err_and(|error| error.is_panic()));
}

#[tokio::test]
async fn what_cannot_be_read_is_our_own_fault_and_no_other_host_hears_of_it() {
    for capabilities in [vec![], vec!["CHUNKING"]] {
        let (first, second) = two_hosts(Behaviour { capabilities, ..Behaviour::default() }).await;
        let client = builder(mx_hosts(2)).build().expect("a client");
        let to = by_mx(first.address.port());
        // Over a fresh connection, and over one that stands.
        for connections in [1, 2] {
            let outcomes =
                deliver_content(&client, &to, &["a@b.test", "c@b.test"], stored("a line\r\n", 50_000, 1))
                    .await;
            assert_eq!(
                words(&outcomes),
                ["deferred 4.3.0 at sending the content", "deferred 4.3.0 at sending the content"]
            );
            assert!(
                outcomes.iter().all(|outcome| outcome.failure().is_some_and(|why| why.fault == Fault::Local))
            );
            first.ended(connections).await;
            assert_eq!(
                first.seen(|seen| (seen.connections, seen.messages.len())),
                (connections, connections - 1)
            );
            assert_eq!(second.seen(|seen| seen.connections), 0);
            if connections == 1 {
                assert_eq!(words(&deliver(&client, &to, &["a@b.test"]).await), ["delivered"]);
            }
        }
    }
}

/// Text that has to be put into seven bits. Whoever reads it first says so, and waits until the gate is away.
struct Gated {
    begun: UnboundedSender<()>,
    gate: Mutex<Receiver<()>>,
}

impl ContentSource for Gated {
    fn read_at(&self, into: &mut [u8], _: u64) -> io::Result<usize> {
        let _ = self.begun.send(());
        let _ = self.gate.lock().expect("nobody panics").recv();
        into.fill(0xe4);
        Ok(into.len())
    }
}

fn gated() -> (Content, UnboundedReceiver<()>, Sender<()>) {
    let ((begun, begins), (opens, gate)) = (unbounded_channel(), channel());
    let rest = Rest {
        source: Arc::new(Gated { begun, gate: Mutex::new(gate) }),
        start: 0,
        length: 300_000,
        shape: Shape::of(b"\xe4"),
    };
    (Content::with_rest(b"Subject: x\r\n\r\n".to_vec(), rest), begins, opens)
}

/// There is one turn in a process: a test that keeps it for a while is alone.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// All of it is in memory then: of one at a time. Who waits for that holds up nobody, and no thread.
#[test]
fn who_waits_to_be_put_into_seven_bits_holds_up_nobody() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(2).build().expect("a runtime");
    runtime.block_on(async {
        let _alone = ALONE.lock().await;
        let (server, _) = two_hosts(Behaviour { capabilities: vec![], ..Behaviour::default() }).await;
        let (client, to) = (builder(mx_hosts(1)).build().expect("a client"), by_mx(server.address.port()));
        let send = |content: Content| deliver_content(&client, &to, &["a@b.test"], content);
        let (slow, mut slow_begins, slow_opens) = gated();
        let (next, mut next_begins, next_opens) = gated();
        drop(next_opens);
        let others = async {
            slow_begins.recv().await;
            let read_only = send(stored("a line\r\n", 50_000, 0));
            let in_memory = send(b"Subject: x\r\n\r\n\xe4\r\n".repeat(5_000).into());
            assert_eq!(words(&[read_only.await, in_memory.await].concat()), ["delivered"; 2]);
            assert!(next_begins.try_recv().is_err(), "two at once");
            drop(slow_opens);
        };
        let (slow, next, ()) = tokio::join!(send(slow), send(next), others);
        assert_eq!(words(&[slow, next].concat()), ["delivered"; 2]);
    });
}

/// Its host would hang up, and be blamed for it.
#[tokio::test]
async fn whose_turn_to_be_put_into_seven_bits_does_not_come_is_deferred() {
    let _alone = ALONE.lock().await;
    let (server, second) = two_hosts(Behaviour { capabilities: vec![], ..Behaviour::default() }).await;
    let (client, to) = (builder(mx_hosts(2)).build().expect("a client"), by_mx(server.address.port()));
    let send = |content: Content| deliver_content(&client, &to, &["a@b.test"], content);
    let (slow, mut begins, opens) = gated();
    let waits = async {
        begins.recv().await;
        // Over a connection that stands: there is nothing to await before the turn.
        assert_eq!(words(&deliver(&client, &to, &["a@b.test"]).await), ["delivered"]);
        tokio::time::pause();
        let later = async {
            tokio::task::yield_now().await;
            tokio::time::advance(Duration::from_mins(2)).await;
        };
        let (outcomes, ()) = tokio::join!(send(gated().0), later);
        assert_eq!(words(&outcomes), ["deferred 4.3.0 at MAIL FROM"]);
        let failure = outcomes[0].failure().expect("why");
        assert_eq!((failure.fault, failure.scope), (Fault::Local, Scope::Message), "{failure:?}");
        tokio::time::resume();
        drop(opens);
    };
    let (slow, ()) = tokio::join!(send(slow), waits);
    assert_eq!(words(&slow), ["delivered"]);
    assert_eq!(second.seen(|seen| seen.connections), 0);
}
