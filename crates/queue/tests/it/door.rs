//! A store whose messages all have names already, as those of a server have: it takes them into its log.

use std::sync::atomic::{AtomicU32, Ordering};

use postroad_message::{Content, Envelope, NextHop, Outcome, Recipient, Timestamp};
use postroad_queue::store::BoxFuture;
use postroad_queue::{
    Changed, Claim, Claimed, ContentDraft, Filter, Lease, Listed, MessageId, NewMessage, QueueStore,
    QueueSummary, Settlement, SqliteStore,
};

/// How many messages have got a name.
static NUMBER: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Door(Option<SqliteStore>);

impl Door {
    pub(crate) fn before(store: SqliteStore) -> Self {
        Self(Some(store))
    }

    fn store(&self) -> &SqliteStore {
        self.0.as_ref().expect("it is open until the end")
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.0.take().expect("it is open until the end").close();
    }
}

/// `name(arguments) -> answer`, each passed on as it is.
macro_rules! pass_on {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($argument: $kind),*) -> BoxFuture<'_, $answer> {
            self.store().$name($($argument),*)
        })*
    };
}

impl QueueStore for Door {
    fn enqueue_all(&self, mut messages: Vec<NewMessage>) -> BoxFuture<'_, Vec<MessageId>> {
        // Later than whatever the contract's own names say.
        let from = Timestamp::from_unix_millis(1_800_000_000_000);
        for message in &mut messages {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            message.id.get_or_insert(MessageId::ahead(from, number));
        }
        self.store().enqueue_all(messages)
    }

    fn large_content(&self) -> Option<usize> {
        self.store().large_content()
    }

    fn draft(&self, head: Vec<u8>) -> Option<Box<dyn ContentDraft>> {
        self.store().draft(head)
    }

    fn version(&self) -> u64 {
        self.store().version()
    }

    fn suspend_queue(&self, next_hop: &NextHop, suspended: bool) -> BoxFuture<'_, ()> {
        self.store().suspend_queue(next_hop, suspended)
    }

    pass_on! {
        start(owner: &str, now: Timestamp) -> u64;
        stop() -> u64;
        known_source_keys(keys: Vec<String>) -> Vec<String>;
        forget_source_keys(keys: Vec<String>) -> ();
        due(now: Timestamp) -> Vec<(NextHop, Timestamp)>;
        claim(claim: Claim) -> Claimed;
        content(message: MessageId) -> Content;
        envelope(message: MessageId) -> Envelope;
        settle(lease: Lease, settlement: Settlement) -> Vec<MessageId>;
        results(message: MessageId) -> Vec<(Recipient, Outcome)>;
        forget_results(message: MessageId) -> ();
        release(lease: Lease, due: Timestamp) -> ();
        begin_trial(lease: &Lease) -> ();
        extend(lease: &Lease, until: Timestamp) -> ();
        list(filter: Filter, now: Timestamp) -> Vec<Listed>;
        queues(now: Timestamp) -> Vec<QueueSummary>;
        suspend(filter: Filter, now: Timestamp) -> Changed;
        resume(filter: Filter, now: Timestamp) -> Changed;
        retry_now(filter: Filter, now: Timestamp) -> Changed;
        take_retries() -> Vec<NextHop>;
        remove(filter: Filter, now: Timestamp) -> Changed;
        set_aside(message: MessageId, reason: &str) -> ();
        changed(seen: u64) -> u64;
    }
}
