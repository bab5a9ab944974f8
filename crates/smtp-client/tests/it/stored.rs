//! Contents that lie in a file and are sent from there, whole or damaged.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use postroad_message::content::Rest;
use postroad_message::{Content, ContentSource, Fault, Shape};

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

/// Counts who reads at the same moment. A reader waits for another for a while.
#[derive(Default)]
struct Crowd {
    inside: AtomicUsize,
    most: AtomicUsize,
}

impl ContentSource for Crowd {
    fn read_at(&self, into: &mut [u8], _: u64) -> io::Result<usize> {
        let mut inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        for _ in 0..200 {
            if inside > 1 {
                break;
            }
            thread::yield_now();
            inside = self.inside.load(Ordering::SeqCst);
        }
        self.most.fetch_max(inside, Ordering::SeqCst);
        self.inside.fetch_sub(1, Ordering::SeqCst);
        into.fill(0xe4);
        Ok(into.len())
    }
}

/// Each is in memory twice while it is put into seven bits: once more for all of them, not for each.
#[tokio::test]
async fn large_contents_are_put_into_seven_bits_one_after_the_other() {
    let (server, _) = two_hosts(Behaviour { capabilities: vec![], ..Behaviour::default() }).await;
    let (client, to) = (builder(mx_hosts(1)).build().expect("a client"), by_mx(server.address.port()));
    let crowd = Arc::new(Crowd::default());
    let delivery = || {
        let (source, shape) = (Arc::clone(&crowd) as _, Shape::of(b"\xe4"));
        let rest = Rest { source, start: 0, length: 100_000, shape };
        let content = Content::with_rest(b"Subject: x\r\n\r\n".to_vec(), rest);
        deliver_content(&client, &to, &["a@b.test"], content)
    };
    let (one, two, three) = tokio::join!(delivery(), delivery(), delivery());
    assert_eq!(words(&[one, two, three].concat()), ["delivered"; 3]);
    assert_eq!(crowd.most.load(Ordering::SeqCst), 1);
}
