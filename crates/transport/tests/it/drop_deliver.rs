//! Foreign connectors' way out: files in Drop, many at a time, and mail that waits while its directory cannot take it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use postroad_message::Outcome;
use postroad_message_directory::{DropDirectory, drop};
use postroad_queue::{Filter, SqliteStore};
use postroad_transport::{Deliver, Pipeline};

use crate::by_hand::{Delivery, contoso, gateway};
use crate::held_store::HeldStore;
use crate::support::{Pretend, TestWorld, delivered, message, settings, table};

fn dropped(folder: &Path) -> Vec<Vec<u8>> {
    folder.read_dir().unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
}

#[tokio::test]
async fn many_deliveries_at_a_time_are_a_file_each_with_their_own_recipient() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(DropDirectory::new(folder.path()));
    let faxes =
        (0..100).map(|number| Delivery::fax(number, format!("Subject: {number}\r\n\r\n").into_bytes()));
    let faxes: Vec<_> = faxes.collect();
    let deliveries = faxes.iter().zip(1..).map(|(fax, delivery)| gateway.deliver(fax.job(delivery)));
    for outcomes in all(deliveries.collect()).await {
        assert!(matches!(outcomes[..], [Outcome::Delivered(_)]), "{outcomes:?}");
    }
    let mut numbers: Vec<u32> = dropped(folder.path())
        .iter()
        .map(|file| {
            let (block, content) = drop::decode(file, &contoso()).unwrap();
            let to = block.envelope.recipients[0].address.to_string();
            let number = to.strip_prefix("FAX:").unwrap();
            assert_eq!(content.in_memory().unwrap(), format!("Subject: {number}\r\n\r\n").as_bytes());
            number.parse().unwrap()
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}

/// Waits for all of them side by side.
async fn all<T>(mut futures: Vec<std::pin::Pin<Box<dyn Future<Output = T> + Send + '_>>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in futures.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(answer) = future.as_mut().poll(context) {
                *done = Some(answer);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_second_attempt_finds_the_file_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let fax = Delivery::fax(1, b"Subject: Tea\r\n\r\n".to_vec());
    let mut receipts = Vec::new();
    for attempt in ["before the crash", "after it"] {
        let outcomes = gateway(DropDirectory::new(folder.path())).deliver(fax.job(0x2a)).await;
        let [Outcome::Delivered(receipt)] = &outcomes[..] else { panic!("{attempt}: {outcomes:?}") };
        receipts.push(receipt.host.clone());
    }
    let name = "0000000000000007000000000000002a.eml";
    assert_eq!(receipts, vec![folder.path().join(name).display().to_string(); 2]);
    assert_eq!(dropped(folder.path()).len(), 1);
}

/// What keeps a file from being written, and what mends it.
type Trouble = (&'static str, fn(&Path), fn(&Path));

const TROUBLES: [Trouble; 3] = [
    ("missing", |drop| fs::remove_dir(drop).unwrap(), |drop| fs::create_dir(drop).unwrap()),
    (
        "over its quota",
        |drop| fs::write(drop.join("waits.eml"), [0; 990]).unwrap(),
        |drop| {
            fs::remove_file(drop.join("waits.eml")).unwrap();
        },
    ),
    (
        "no directory",
        |drop| {
            fs::remove_dir(drop).unwrap();
            fs::write(drop, "").unwrap();
        },
        |drop| {
            fs::remove_file(drop).unwrap();
            fs::create_dir(drop).unwrap();
        },
    ),
];

#[tokio::test(start_paused = true)]
async fn a_message_waits_while_its_directory_cannot_take_it() {
    for (name, trouble, mend) in TROUBLES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Drop");
        fs::create_dir(&path).unwrap();
        trouble(&path);
        let store = SqliteStore::open(folder.path().join("queue.db")).unwrap();
        let store = Arc::new(HeldStore(
            store,
            Arc::default(),
            Arc::default(),
            BTreeMap::new(),
            Arc::default(),
            Arc::default(),
        ));
        let drop = gateway(DropDirectory::new(&path).quota(Some(1_000)));
        let pipeline = Pipeline::builder(settings(), table(&[("Fax", &["FAX:*;1"])]), store).drop(drop);
        let pipeline =
            pipeline.smtp(Pretend::new([delivered()])).world(TestWorld::new(Arc::default())).build();
        pipeline.recover().await.unwrap();
        let running = pipeline.clone();
        let running = tokio::spawn(async move { running.run(std::future::pending()).await });
        let id = pipeline.submit(message("app@contoso.com", &["FAX:1"])).await.unwrap().id;
        let waits = async || pipeline.list(Filter::message(id)).await.unwrap();
        // Virtual time goes on only where nobody works: attempts were made by now.
        while waits().await.first().is_some_and(|listed| listed.attempts == 0) {
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        assert_eq!(waits().await.len(), 1, "{name}: it waits");
        assert_eq!(path.is_dir(), name == "over its quota", "{name}: nothing is made");
        mend(&path);
        while !waits().await.is_empty() {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        assert_eq!(dropped(&path).len(), 1, "{name}: and is delivered");
        running.abort();
    }
}
