//! Pages of the database that turn to noise: the mail on them is set aside, the rest goes on, and nothing ever panics.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use postroad_message::Content;
use postroad_queue::{Filter, MessageId, QueueError, QueueStore, Settlement, SqliteStore, State};
use rusqlite::Connection;

use crate::mail::{at, body, claim, list, message, open};

const MESSAGES: usize = 600;

#[tokio::test]
async fn a_damaged_page_of_messages_or_deliveries_or_contents_stops_no_other_mail() {
    for table in ["message", "delivery", "content"] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("queue.db");
        let ids = fill(&path).await;
        let leaf = leaf_of(&path, table);
        overwrite(&path, leaf);

        let store = open(&path);
        store.start("Hub01", at(0)).await.expect("it starts");
        let mut delivered = 0;
        let mut leases = Vec::new();
        loop {
            let more = claim(&store, "example.com").await;
            if more.is_empty() {
                break;
            }
            leases.extend(more);
        }
        for lease in leases {
            let number = ids.iter().position(|id| *id == lease.message).expect("one of them");
            match store.content(lease.message).await {
                Ok(content) => {
                    assert_eq!(content, Content::from(of(number)), "{table}");
                    store.settle(lease, Settlement::all_leave()).await.expect("settled");
                    delivered += 1;
                }
                Err(error) => {
                    assert_eq!(error, QueueError::Corrupt { message: Some(lease.message) }, "{table}");
                    let _ = store.release(lease, at(0)).await;
                }
            }
        }
        let listed = list(&store).await;
        assert!(delivered + listed.len() >= MESSAGES, "{table}: the others are there to be seen");
        let aside = listed.iter().filter(|listed| matches!(listed.state, State::SetAside { .. })).count();
        if table == "delivery" {
            // SQLite shares out rows among neighbouring pages: what stands next to the damage cannot be changed, and
            // what left from there is suspended in its place.
            assert!(delivered > MESSAGES / 3, "{delivered} of {MESSAGES} delivered");
        } else {
            assert!(delivered > MESSAGES * 4 / 5, "{table}: {delivered} of {MESSAGES} delivered");
            assert_eq!((aside, delivered + aside), (listed.len(), MESSAGES), "{table}: as set aside");
        }
        assert!(aside > 0, "{table}: the page had something on it");
        let counted: u64 =
            store.queues(at(0)).await.expect("queues").iter().map(|queue| queue.set_aside).sum();
        assert_eq!(counted, aside as u64, "{table}");
        assert!(claim(&store, "example.com").await.is_empty(), "{table}: it is not tried again and again");

        let new = store.enqueue(message("example.com", b"goes on")).await.expect("it takes more");
        let lease = claim(&store, "example.com").await.pop().expect("and lends it");
        assert_eq!(lease.message, new, "{table}");
        store.settle(lease, Settlement::all_leave()).await.expect("and lets it leave");
    }
}

/// Under lease when their page went: a start frees the others.
#[tokio::test]
async fn leases_on_a_damaged_page_hold_up_no_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    fill(&path).await;
    let store = open(&path);
    store.start("Hub01", at(0)).await.expect("it starts");
    assert_eq!(claim(&store, "example.com").await.len(), 100);
    store.close();
    overwrite(&path, leaf_of(&path, "delivery"));
    let store = open(&path);
    let freed = store.start("Hub01", at(0)).await.expect("it starts");
    assert!((1..100).contains(&freed), "{freed}");
    assert!(store.due(at(1)).await.is_ok_and(|due| due.len() == 1));
    assert_eq!(claim(&store, "example.com").await.len(), 100);
}

/// What its files were known by may come twice; all else goes on.
#[tokio::test]
async fn a_damaged_page_of_source_keys_holds_up_no_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    let keyed = |number: usize| {
        let mut message = message("example.com", &of(number));
        message.source_key = Some(format!("pickup:{number:0200}"));
        message
    };
    for number in 0..200 {
        store.enqueue(keyed(number)).await.expect("room");
    }
    store.close();
    overwrite(&path, leaf_of(&path, "source_key"));
    let store = open(&path);
    store.start("Hub01", at(0)).await.expect("it starts");
    assert_eq!(list(&store).await.len(), 200);
    store.enqueue(message("example.com", b"goes on")).await.expect("room");
}

/// Whichever page it is: a typed answer, right contents or none, and no panic.
#[tokio::test]
async fn whichever_page_is_damaged_the_answer_is_typed_and_no_content_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let ids = fill(&path).await;
    let whole = fs::read(&path).expect("it is there");
    let pages = whole.len() / page_size(&path);
    let mut damaged_opens = 0;
    for page in (1..=pages).filter(|page| *page < 20 || page % 7 == 0) {
        let state = tempfile::tempdir().expect("a folder");
        let path = state.path().join("queue.db");
        fs::write(&path, &whole).expect("room");
        overwrite(&path, page);
        let store = match SqliteStore::open(&path) {
            Ok(store) => store,
            Err(error) => {
                assert!(
                    matches!(error, QueueError::Corrupt { .. } | QueueError::NotAQueue),
                    "{error} at {page}"
                );
                assert!(error.is_transient());
                damaged_opens += 1;
                continue;
            }
        };
        for (number, id) in ids.iter().enumerate() {
            match store.content(*id).await {
                Ok(content) => assert_eq!(content, Content::from(of(number)), "page {page}"),
                Err(error) => assert!(
                    matches!(error, QueueError::Corrupt { .. } | QueueError::UnknownMessage { .. }),
                    "{error} at {page}"
                ),
            }
        }
        for error in [
            store.start("Hub01", at(0)).await.err(),
            store.list(Filter::all(), at(0)).await.err(),
            store.due(at(0)).await.err(),
            store.enqueue(message("example.com", b"more")).await.err(),
        ] {
            assert!(matches!(error, None | Some(QueueError::Corrupt { .. })), "{error:?} at {page}");
        }
    }
    assert!(damaged_opens <= 12, "{damaged_opens} of {pages} pages keep the store from opening");
}

async fn fill(path: &Path) -> Vec<MessageId> {
    let store = open(path);
    let messages = (0..MESSAGES).map(|number| message("example.com", &of(number))).collect();
    let ids = store.enqueue_all(messages).await.expect("room");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), MESSAGES);
    store.close();
    // All of it in the database, nothing in the log.
    Connection::open(path)
        .and_then(|other| other.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"))
        .expect("done");
    ids
}

fn of(number: usize) -> Vec<u8> {
    body(number, 300 + number)
}

/// The number of the second page of a table.
fn leaf_of(path: &Path, table: &str) -> usize {
    let other = Connection::open(path).expect("it opens");
    let pages: Vec<usize> = other
        .prepare("SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'leaf' ORDER BY path")
        .and_then(|mut statement| {
            statement.query_map([table], |row| row.get::<_, i64>(0))?.collect::<Result<Vec<_>, _>>()
        })
        .expect("pages")
        .into_iter()
        .map(|page| usize::try_from(page).expect("a page number"))
        .collect();
    assert!(pages.len() > 2, "{table} has {} leaves", pages.len());
    pages[1]
}

fn page_size(path: &Path) -> usize {
    let size: i64 = Connection::open(path)
        .and_then(|other| other.pragma_query_value(None, "page_size", |row| row.get(0)))
        .expect("a number");
    usize::try_from(size).expect("a size")
}

fn overwrite(path: &Path, page: usize) {
    let size = page_size(path);
    let mut bytes = fs::read(path).expect("it is there");
    bytes[(page - 1) * size..page * size].fill(0xa5);
    fs::write(path, bytes).expect("room");
}
