//! What a session leaves to its caller because it may block, done where it may.

use std::io;
use std::time::{Duration, Instant};

use postroad_smtp_protocol::client::{ContentResult, ContentTask};
use tokio::sync::Semaphore;

use crate::connection::within;

/// One stored content at a time is taken into memory to find out how it is put into seven bits, and as many may want that as deliveries
/// run. They wait here, and not on a thread that others need,
static TAKING_ALL: Semaphore = Semaphore::const_new(1);

/// so long at most: meanwhile a host hears nothing of us, and some hang up after a few minutes.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Does a [task](postroad_smtp_protocol::client::Output::Task) on a thread that may wait for a disk, and gives it up at `bound`: for whoever drives a
/// session of his own over tokio. What panics there panics here, so that whoever counts such messages hears of it.
pub async fn run(task: ContentTask, bound: Option<Instant>) -> ContentResult {
    let mut turn = None;
    if task.takes_all() {
        match within(bound, tokio::time::timeout(LONGEST_WAIT, TAKING_ALL.acquire())).await {
            Some(Ok(acquired)) => turn = acquired.ok(),
            Some(Err(_)) | None => return ContentResult::failed(io::Error::other("its turn did not come")),
        }
    }
    // With the turn, for it goes on where nobody waits any more.
    let work = tokio::task::spawn_blocking(move || (task.run(), turn).0);
    match within(bound, work).await {
        Some(Ok(result)) => result,
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Some(Err(error)) => ContentResult::failed(error.into()),
        None => ContentResult::failed(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use postroad_address_space::{Address, Domain, MailDomain};
    use postroad_message::content::Rest;
    use postroad_message::{Content, ContentSource, Envelope, Recipient, ReversePath, Shape, Timestamp};
    use postroad_smtp_protocol::client::{Event, Input, Output, Session, Settings, Transaction};

    use super::*;
    use crate::connection::now;

    struct Unread;

    impl ContentSource for Unread {
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            panic!("nobody has come to that")
        }
    }

    /// What a session asks for whose server takes seven bits, and whose content has eight.
    fn seven_bits_of_a_stored_content() -> ContentTask {
        let hub = MailDomain::Name(Domain::parse("hub.test").unwrap());
        let mut session = Session::new(Settings::new(hub, "mx.test"), None, now());
        let mut replies = ["220 mx.test\r\n", "250 mx.test\r\n"].into_iter();
        let rest = Rest { source: Arc::new(Unread), start: 0, length: 300_000, shape: Shape::of(b"\xe4") };
        let content = Content::with_rest(b"Subject: x\r\n\r\n".to_vec(), rest);
        let jane = Recipient::new(Address::parse("jane@b.test").unwrap());
        let envelope = Envelope::new(ReversePath::Null, vec![jane]);
        let date = Timestamp::from_unix_millis(0);
        loop {
            match session.poll() {
                Output::Task(task) => return task,
                Output::Transmit { bytes, .. } => {
                    let count = bytes.len();
                    session.handle(now(), Input::Transmitted(count));
                }
                Output::Wait(_) => {
                    let reply = replies.next().unwrap();
                    session.handle(now(), Input::Received(reply.as_bytes()));
                }
                Output::Event(Event::Ready) => {
                    let message = Transaction::new(&envelope, &envelope.recipients, &content, None, date);
                    session.send(now(), message);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_turn_is_waited_for_until_the_bound_and_for_no_more_than_a_minute() {
        let _taken = TAKING_ALL.acquire().await;
        for (bound, waited) in [(Some(20), 20), (Some(600), 60), (None, 60)] {
            let begun = now();
            let bound = bound.map(|seconds| begun + Duration::from_secs(seconds));
            let task = seven_bits_of_a_stored_content();
            assert!(task.takes_all(), "{task:?}");
            let result = run(task, bound).await;
            assert_eq!(format!("{result:?}"), "Failed(its turn did not come)");
            assert_eq!(now() - begun, Duration::from_secs(waited));
        }
    }
}
