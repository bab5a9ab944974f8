//! Mail, moments and stores for the tests.

use std::path::Path;
use std::time::Duration;

use postroad_address_space::Address;
use postroad_message::{Content, Envelope, NextHop, Recipient, ReversePath, Timestamp};
use postroad_queue::{
    Claim, Filter, Lease, Listed, MessageId, NewDelivery, NewMessage, QueueStore, SqliteOptions, SqliteStore,
};

/// So many minutes after the tests' midnight.
pub(crate) fn at(minutes: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_700_000_000_000 + minutes * 60_000)
}

pub(crate) fn hop(name: &str) -> NextHop {
    NextHop::new("Internet", name)
}

/// A message with one recipient at one next hop, whose content is `body`.
pub(crate) fn message(destination: &str, body: &[u8]) -> NewMessage {
    let sender = ReversePath::try_from("<joe@contoso.com>".to_owned()).expect("a mailbox");
    let address = Address::parse(&format!("jane@{destination}")).expect("an address");
    let delivery = NewDelivery::new(hop(destination), vec![Recipient::new(address)], at(0));
    NewMessage::new(
        Envelope::new(sender, vec![]),
        Content::from(body.to_vec()),
        at(0),
        "test",
        vec![delivery],
    )
}

/// The same with the id that a door gave it: a store that was started takes it into its log.
pub(crate) fn named(number: u32, destination: &str, body: &[u8]) -> NewMessage {
    let mut message = message(destination, body);
    message.id = Some(MessageId::ahead(at(0), number));
    message
}

/// Content that differs from number to number, `length` bytes of it.
pub(crate) fn body(number: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (number.wrapping_mul(31).wrapping_add(index.wrapping_mul(7)) % 251) as u8)
        .collect()
}

pub(crate) fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path).expect("the store opens")
}

/// The same once all others have left it: a child that another test starts just now has their files open until it is another
/// program.
pub(crate) async fn open_when_left(path: &Path) -> SqliteStore {
    let opening = async {
        loop {
            match SqliteStore::open(path) {
                Ok(store) => break store,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), opening).await.expect("nobody leaves it")
}

/// Opened by a server that starts, so that fresh mail lies in its log.
pub(crate) async fn started(path: &Path) -> SqliteStore {
    started_with_log(path, SqliteOptions::default().fresh_log).await
}

/// The same with a log of so many bytes.
pub(crate) async fn started_with_log(path: &Path, bytes: usize) -> SqliteStore {
    let mut options = SqliteOptions::default();
    options.fresh_log = bytes;
    let store = SqliteStore::open_with(path, options).expect("it opens");
    store.start("Hub01", at(0)).await.expect("it starts");
    store
}

pub(crate) async fn list(store: &SqliteStore) -> Vec<Listed> {
    store.list(Filter::all(), at(0)).await.expect("a listing")
}

pub(crate) async fn claim(store: &SqliteStore, destination: &str) -> Vec<Lease> {
    store.claim(Claim::due(hop(destination), 100, at(1), at(60))).await.expect("a claim").leases
}
