//! What the log says of a fault that lasts: once when it begins, when it is another one, and when it ends.

use std::fmt::{Debug, Write as _};
use std::fs;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postroad_connector::{RoutingTable, SendConnector, Topology};
use postroad_message::Outcome;
use postroad_message_directory::DropDirectory;
use postroad_transport::WatchedDirectory;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::by_hand::{Delivery, gateway};
use crate::support::{Relay, delivered, message};

/// Takes down the lines of this thread, each with its `why`.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Those of these texts that were told, in order.
    fn told(&self, texts: &[&str]) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|line| texts.iter().any(|text| line.starts_with(text))).cloned().collect()
    }
}

#[derive(Default)]
struct Line(String, String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => write!(self.0, "{value:?}").unwrap(),
            "why" => write!(self.1, ": {}", format!("{value:?}").trim_matches('"')).unwrap(),
            _ => {}
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0 + &line.1);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn files_that_find_no_room_are_told_of_once_however_many_and_often() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let relay = Relay::new([delivered()]);
    let mut settings = relay.pipeline.settings();
    settings.queue_folder = Some(relay.folder.path().to_owned());
    settings.minimum_free_space = 1_000;
    relay.put_in_force(settings);
    // The doors are open, and each letter is too large.
    relay.free.store(1_100, Ordering::Relaxed);
    let pickup = relay.folder.path().join("Pickup");
    fs::create_dir(&pickup).unwrap();
    let letter = format!("From: erp@sender.test\nTo: jane@contoso.com\n\n{}\n", "x".repeat(200));
    for number in 0..3 {
        fs::write(pickup.join(format!("{number}.eml")), &letter).unwrap();
    }
    let watched = WatchedDirectory::pickup(&pickup, Default::default());
    let polls = async {
        tokio::time::sleep(Duration::from_secs(22)).await;
        assert_eq!(fs::read_dir(&pickup).unwrap().count(), 3);
        relay.free.store(u64::MAX, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(10)).await;
    };
    relay.pipeline.clone().watch(watched, polls).await;
    assert_eq!(fs::read_dir(&pickup).unwrap().count(), 0);
    let full = "the queue's disk or the memory is nearly full: make room";
    let texts = ["files wait in their directory", "files are taken again"];
    assert_eq!(log.told(&texts), [format!("{}: {full}", texts[0]), texts[1].to_owned()]);
}

/// Their reports find no room, and come up again with every sweep.
#[tokio::test(start_paused = true)]
async fn mail_that_cannot_be_routed_anew_is_told_of_once_a_sweep_however_much_it_is() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let relay = Relay::new([delivered()]);
    for number in 0..9 {
        relay
            .pipeline
            .submit(message("app@sender.test", &[&format!("{number}@nowhere.test")]))
            .await
            .unwrap();
    }
    let connector = |name, space: &str, most| {
        let mut connector = SendConnector::new(name, vec![space.parse().unwrap()]);
        connector.smart_hosts = vec!["[192.0.2.1]".parse().unwrap()];
        connector.max_message_size = most;
        connector.into()
    };
    let connectors =
        vec![connector("Small", "nowhere.test", Some(1)), connector("Partner", "sender.test", None)];
    let table = RoutingTable::build(connectors, Topology::new("Hub01"), vec![]).unwrap();
    relay.pipeline.put_in_force(relay.pipeline.settings(), table, relay.delivers());
    relay.disk_full.store(usize::MAX, Ordering::Relaxed);
    let pipeline = relay.pipeline.clone();
    tokio::spawn(async move { pipeline.run(std::future::pending()).await });
    relay.let_pass(Duration::from_secs(150)).await;
    let lines =
        log.told(&["the outcome could not be written down", "mail that waits could not be routed anew"]);
    assert!((2..=4).contains(&lines.len()), "{lines:?}");
    relay.disk_full.store(0, Ordering::Relaxed);
    relay.let_pass(Duration::from_secs(120)).await;
    assert!(
        relay
            .waiting()
            .await
            .iter()
            .all(|listed| !listed.next_hop.is_unreachable() || listed.source == "dsn")
    );
}

#[tokio::test(start_paused = true)]
async fn a_bad_file_is_told_of_once() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let relay = Relay::new([delivered()]);
    let pickup = relay.folder.path().join("Pickup");
    fs::create_dir(&pickup).unwrap();
    fs::write(pickup.join("a.eml"), "To: jane@contoso.com\n\nx\n").unwrap();
    let watched = WatchedDirectory::pickup(&pickup, Default::default());
    relay.pipeline.clone().watch(watched, tokio::time::sleep(Duration::from_secs(22))).await;
    assert_eq!(log.told(&["no message"]), ["no message; it stays as a bad file: no sender"]);
}

#[tokio::test]
async fn a_drop_directory_that_takes_nothing_is_told_of_once_and_again_when_the_fault_is_another() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Drop");
    let gateway = gateway(DropDirectory::new(&path).quota(Some(200)));
    let fax = Delivery::fax(1, b"Subject: Tea\r\n\r\n".to_vec());
    for step in 0..9 {
        match step {
            3 => {
                fs::create_dir(&path).unwrap();
                fs::write(path.join("waits for the gateway"), [b'x'; 190]).unwrap();
            }
            // Another size is no other fault.
            4 => fs::write(path.join("waits for the gateway"), [b'x'; 191]).unwrap(),
            6 => fs::remove_file(path.join("waits for the gateway")).unwrap(),
            _ => {}
        }
        let outcomes = fax.by(&gateway).await;
        assert_eq!(matches!(outcomes[..], [Outcome::Delivered(_)]), step >= 6, "step {step}: {outcomes:?}");
    }
    let shown = path.display();
    let texts = ["mail waits for the Drop directory", "the Drop directory takes mail again"];
    assert_eq!(
        log.told(&texts),
        [
            format!("{}: the Drop directory {shown} does not exist", texts[0]),
            // The file with its envelope on top.
            log.told(&[&format!("{}: the Drop directory {shown} holds 190 bytes", texts[0])]).concat(),
            texts[1].to_owned(),
        ]
    );
}
