//! A relay in a temporary folder: SQLite queue, virtual time, deliveries that answer as they are told.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postroad_address_space::{Address, Domain, Mailbox};
use postroad_connector::{Connector, ForeignConnector, RoutingTable, SendConnector, Topology};
use postroad_message::{
    Content, EnhancedStatus, Envelope, Failure, Fault, Outcome, Phase, Receipt, Recipient, ReversePath,
    Scope, Timestamp,
};
use postroad_queue::{Filter, Listed, QueueStore, SqliteStore, State};
use postroad_transport::{
    Deliver, Delivers, Job, NobodyWatches, Observe, Pipeline, Settings, Submission, World,
};
use tempfile::TempDir;

use tokio::sync::Notify;

use crate::held_store::{Calls, HeldStore};

/// Virtual time: tokio's, which stands still but for sleeps nobody has to wait for.
pub(crate) struct TestWorld {
    start: tokio::time::Instant,
    counter: AtomicU64,
    free: Arc<AtomicU64>,
    memory: Arc<AtomicU64>,
    breaks: Arc<AtomicBool>,
}

pub(crate) const BEGIN: Timestamp = Timestamp::from_unix_millis(1_711_903_005_000);

impl TestWorld {
    pub(crate) fn new(free: Arc<AtomicU64>) -> Self {
        let memory = Arc::new(AtomicU64::new(u64::MAX));
        let breaks = Arc::default();
        Self { start: tokio::time::Instant::now(), counter: AtomicU64::new(1), free, memory, breaks }
    }
}

impl World for TestWorld {
    fn now(&self) -> Timestamp {
        BEGIN.after(self.start.elapsed())
    }

    fn random(&self) -> u128 {
        assert!(!self.breaks.load(Ordering::Relaxed), "it breaks off whoever asks");
        u128::from(self.counter.fetch_add(1, Ordering::Relaxed))
    }

    fn free_space(&self, _: &Path) -> Option<u64> {
        Some(self.free.load(Ordering::Relaxed))
    }

    fn free_memory(&self) -> Option<u64> {
        Some(self.memory.load(Ordering::Relaxed))
    }
}

/// What was handed to a way out.
#[derive(Clone, Debug)]
pub(crate) struct Attempted {
    pub(crate) at: Duration,
    /// The server it was to be relayed to.
    pub(crate) server: Option<String>,
    pub(crate) destination: String,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) content: String,
}

/// A way out that answers with the next of its answers for every recipient, and with the last one for ever after.
pub(crate) struct Pretend {
    start: tokio::time::Instant,
    answers: Mutex<VecDeque<Outcome>>,
    attempts: Mutex<Vec<Attempted>>,
    news: Notify,
    /// How long each attempt takes.
    pub(crate) takes: Mutex<Duration>,
    /// A recipient that makes it panic.
    pub(crate) harmful: Mutex<Option<String>>,
}

impl Pretend {
    pub(crate) fn new(answers: impl IntoIterator<Item = Outcome>) -> Arc<Self> {
        Arc::new(Self {
            start: tokio::time::Instant::now(),
            answers: Mutex::new(answers.into_iter().collect()),
            attempts: Mutex::default(),
            news: Notify::new(),
            takes: Mutex::default(),
            harmful: Mutex::default(),
        })
    }

    pub(crate) fn attempts(&self) -> Vec<Attempted> {
        self.attempts.lock().unwrap().clone()
    }

    /// Waits until so many attempts were made.
    pub(crate) async fn until(&self, attempts: usize) -> Vec<Attempted> {
        loop {
            let news = self.news.notified();
            let made = self.attempts();
            if made.len() >= attempts {
                return made;
            }
            news.await;
        }
    }
}

impl Deliver for Pretend {
    fn deliver<'a>(&'a self, job: Job<'a>) -> Pin<Box<dyn Future<Output = Vec<Outcome>> + Send + 'a>> {
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        self.attempts.lock().unwrap().push(Attempted {
            at: self.start.elapsed(),
            server: job.server.map(ToString::to_string),
            destination: job.destination.to_owned(),
            from: job.envelope.reverse_path.to_string(),
            to: job.envelope.recipients.iter().map(|r| r.address.to_string()).collect(),
            content: String::from_utf8_lossy(&job.content.load().unwrap()).into_owned(),
        });
        self.news.notify_waiters();
        let outcomes = vec![answer.unwrap_or_else(delivered); job.envelope.recipients.len()];
        let takes = *self.takes.lock().unwrap();
        let harmful = self.harmful.lock().unwrap().clone();
        let harm = job.envelope.recipients.iter().any(|to| Some(to.address.to_string()) == harmful);
        Box::pin(async move {
            assert!(!harm, "this message breaks off whoever works on it");
            tokio::time::sleep(takes).await;
            outcomes
        })
    }
}

pub(crate) fn delivered() -> Outcome {
    Outcome::Delivered(Receipt::default())
}

pub(crate) fn host_is_down() -> Outcome {
    let status = EnhancedStatus::transient(4, 1);
    Outcome::Deferred(Failure::new(
        status,
        Fault::Remote,
        Scope::NextHop,
        Phase::Connect,
        "connection refused",
    ))
}

pub(crate) fn no_such_user() -> Outcome {
    let status = EnhancedStatus::permanent(1, 1);
    Outcome::Failed(Failure::new(status, Fault::Remote, Scope::Recipient, Phase::RcptTo, "no such user"))
}

/// Hub01 of contoso.com.
pub(crate) fn settings() -> Settings {
    Settings::new(
        "Hub01",
        Domain::parse("hub01.contoso.com").unwrap(),
        Domain::parse("contoso.com").unwrap(),
        Mailbox::parse("postmaster@contoso.com").unwrap(),
    )
}

/// A relay with a smart-host connector for contoso.com and a fax gateway.
pub(crate) struct Relay {
    pub(crate) pipeline: Pipeline,
    pub(crate) store: Arc<dyn QueueStore>,
    pub(crate) smtp: Arc<Pretend>,
    pub(crate) drop: Arc<Pretend>,
    pub(crate) folder: TempDir,
    /// How many settlements more find the queue's disk full.
    pub(crate) disk_full: Arc<AtomicUsize>,
    /// How many settlements after these find that somebody else has the delivery.
    pub(crate) lease_lost: Arc<AtomicUsize>,
    /// Whether the queue never answers a start.
    pub(crate) hangs: Arc<AtomicBool>,
    /// Bytes free on the queue's disk, where somebody looks.
    pub(crate) free: Arc<AtomicU64>,
    /// Bytes of memory that are left.
    pub(crate) memory: Arc<AtomicU64>,
    /// Whether who asks for something random is broken off.
    pub(crate) breaks: Arc<AtomicBool>,
    /// What was done to leases, in order.
    pub(crate) calls: Calls,
}

impl Relay {
    pub(crate) fn new(smtp: impl IntoIterator<Item = Outcome>) -> Self {
        Self::watched_by(smtp, Arc::new(NobodyWatches))
    }

    pub(crate) fn watched_by(smtp: impl IntoIterator<Item = Outcome>, observer: Arc<dyn Observe>) -> Self {
        let folder = TempDir::new().unwrap();
        let store = SqliteStore::open(folder.path().join("queue.db")).unwrap();
        Self::with(folder, store, BTreeMap::new(), Pretend::new(smtp), observer)
    }

    /// On a folder where mail may be already; `keys`: see [`HeldStore`].
    pub(crate) fn with(
        folder: TempDir,
        store: SqliteStore,
        keys: BTreeMap<String, String>,
        smtp: Arc<Pretend>,
        observer: Arc<dyn Observe>,
    ) -> Self {
        let calls = Calls::default();
        let (disk_full, lease_lost) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let hangs = Arc::<AtomicBool>::default();
        let store: Arc<dyn QueueStore> = Arc::new(HeldStore(
            store,
            disk_full.clone(),
            lease_lost.clone(),
            keys,
            calls.clone(),
            hangs.clone(),
        ));
        let drop = Pretend::new([]);
        let delivers = Delivers::new(smtp.clone(), drop.clone(), Pretend::new([]));
        let free = Arc::new(AtomicU64::new(u64::MAX));
        let world = TestWorld::new(free.clone());
        let (memory, breaks) = (world.memory.clone(), world.breaks.clone());
        let table = table(&[("Partner", &["contoso.com", "sender.test"]), ("Fax", &["FAX:*;1"])]);
        let pipeline = Pipeline::builder(settings(), table, store.clone());
        let pipeline = pipeline.delivers(delivers).observer(observer).world(world).build();
        Self {
            pipeline,
            store,
            smtp,
            drop,
            folder,
            disk_full,
            lease_lost,
            free,
            memory,
            breaks,
            calls,
            hangs,
        }
    }

    /// The same table and ways out under other settings.
    pub(crate) fn put_in_force(&self, settings: Settings) {
        let table = table(&[("Partner", &["contoso.com", "sender.test"]), ("Fax", &["FAX:*;1"])]);
        self.pipeline.put_in_force(settings, table, self.delivers());
    }

    /// The ways out.
    pub(crate) fn delivers(&self) -> Delivers {
        Delivers::new(self.smtp.clone(), self.drop.clone(), Pretend::new([]))
    }

    /// Delivers in the background until dropped with the test's runtime.
    pub(crate) async fn start(&self) {
        self.pipeline.recover().await.unwrap();
        let pipeline = self.pipeline.clone();
        tokio::spawn(async move { pipeline.run(std::future::pending()).await });
    }

    pub(crate) async fn waiting(&self) -> Vec<Listed> {
        self.pipeline.list(Filter::all()).await.unwrap()
    }

    /// Lets so much time go by, a minute at a time: the paused clock would leap over all of it at once in a moment in which
    /// every task waits for a thread that it does not know of.
    pub(crate) async fn let_pass(&self, span: Duration) {
        let end = tokio::time::Instant::now() + span;
        while tokio::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_secs(60)).await;
            self.waiting().await;
        }
    }

    /// Waits until nothing is left in the queue.
    pub(crate) async fn until_empty(&self) {
        self.until(Duration::from_secs(60), |waiting| waiting.is_empty()).await;
    }

    /// Waits until nothing is left for any of these.
    pub(crate) async fn until_gone(&self, to: &[String]) {
        let is_for = |listed: &Listed| {
            listed.recipients.iter().any(|queued| to.contains(&queued.recipient.address.to_string()))
        };
        self.until(Duration::from_millis(1), |waiting| !waiting.iter().any(is_for)).await;
    }

    async fn until(&self, pause: Duration, is_so: impl Fn(&[Listed]) -> bool) {
        loop {
            let waiting = self.waiting().await;
            if is_so(&waiting) {
                return;
            }
            let aside = waiting.iter().all(|listed| matches!(listed.state, State::SetAside { .. }));
            assert!(!aside, "what is left is set aside: {waiting:?}");
            tokio::time::sleep(pause).await;
        }
    }
}

/// Connectors by name and spaces; one whose name is Fax is foreign, the others send to a smart host.
pub(crate) fn table(connectors: &[(&str, &[&str])]) -> RoutingTable {
    let connectors = connectors.iter().map(|(name, spaces)| {
        let spaces = spaces.iter().map(|space| space.parse().unwrap()).collect();
        if *name == "Fax" {
            return Connector::Foreign(ForeignConnector::new(*name, spaces));
        }
        let mut send = SendConnector::new(*name, spaces);
        send.smart_hosts = vec!["[192.0.2.1]".parse().unwrap()];
        Connector::Send(send)
    });
    RoutingTable::build(connectors.collect(), Topology::new("Hub01"), vec![]).unwrap()
}

pub(crate) fn message(from: &str, to: &[&str]) -> Submission {
    let recipients = to.iter().map(|to| Recipient::new(Address::parse(to).unwrap())).collect();
    let envelope = Envelope::new(ReversePath::try_from(from.to_owned()).unwrap(), recipients);
    Submission::new(envelope, Content::from(b"Subject: Tea\r\n\r\nAt four.\r\n".to_vec()), "smtp")
}
