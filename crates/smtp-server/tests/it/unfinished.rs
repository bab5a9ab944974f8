//! What large messages may take where they were handed on to, until they are whole: all of them together, and those of one source.

use std::sync::atomic::Ordering;

use tokio::net::TcpStream;

use crate::house::Caller;
use crate::pieces::House;

const CHUNK: usize = 400_000;
const ANOTHER: [u8; 4] = [127, 0, 0, 2];

/// A chunk of a message that has not come to its end.
fn chunk() -> String {
    format!("BDAT {CHUNK}\r\nSubject: a\r\n\r\n{}", "x".repeat(CHUNK - 14))
}

async fn with_room(room: u64) -> House {
    let house = House::usual().await;
    house.pieces.room.store(room, Ordering::SeqCst);
    house
}

async fn whole(caller: &mut Caller<TcpStream>) {
    caller.ask("BDAT 0 LAST", "250 2.6.0 Queued").await;
}

#[tokio::test]
async fn several_of_one_source_leave_to_the_others_as_much_as_they_take() {
    let house = with_room(3 * CHUNK as u64).await;
    let mut first = house.begun(&chunk()).await;
    first.expect("250 2.0.0 ").await;
    house.begun(&chunk()).await.expect("452 4.3.1 ").await;
    // Of the refused nothing counts, and others have what was left to them.
    let mut other = house.begun_from(ANOTHER, &chunk()).await;
    other.expect("250 2.0.0 ").await;
    whole(&mut other).await;
    whole(&mut first).await;
    // What is whole is no longer under way.
    let mut next = house.begun(&chunk()).await;
    next.expect("250 2.0.0 ").await;
    next.ask("RSET", "250 ").await;
    house.begun(&chunk()).await.expect("250 2.0.0 ").await;
    assert_eq!(house.pieces.all().len(), 2);
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_room_back() {
    let house = with_room(3 * CHUNK as u64).await;
    let mut first = house.begun(&chunk()).await;
    first.expect("250 2.0.0 ").await;
    drop(first);
    house.pieces.dropped.notified().await;
    house.begun(&chunk()).await.expect("250 2.0.0 ").await;
}

#[tokio::test]
async fn one_message_may_take_what_there_is_and_no_more() {
    let house = with_room(2 * CHUNK as u64).await;
    let mut one = house.begun(&chunk()).await;
    one.expect("250 2.0.0 ").await;
    one.say(&chunk()).await;
    one.expect("250 2.0.0 ").await;
    one.say(&chunk()).await;
    one.expect("452 4.3.1 ").await;
    assert_eq!(house.pieces.under_way.load(Ordering::SeqCst), 0);
}

/// Where room becomes short for all of them, one that is refused makes room for the next: they do not go down together.
#[tokio::test]
async fn where_room_runs_out_those_under_way_are_not_refused_together() {
    let house = with_room(u64::MAX).await;
    let mut all = Vec::new();
    for last in 1..=4 {
        let mut caller = house.begun_from([127, 0, 0, last], &chunk()).await;
        caller.expect("250 2.0.0 ").await;
        all.push(caller);
    }
    house.pieces.room.store(4 * CHUNK as u64, Ordering::SeqCst);
    let mut accepted = 0;
    for caller in &mut all {
        caller.say(&chunk()).await;
        let reply = caller.reply().await.expect("a reply");
        if reply.starts_with("250 ") {
            whole(caller).await;
            accepted += 1;
        } else {
            assert!(reply.starts_with("452 4.3.1 "), "{reply}");
        }
    }
    assert_eq!(accepted, 3);
}
