//! The contract of [`QueueStore`] as a program: run it on a store of your own.
//!
//! ```
//! use postroad_queue::{QueueStore, SqliteStore, contract};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("queue.db");
//! contract::check(async || Ok(Box::new(SqliteStore::open(&path)?) as Box<dyn QueueStore>)).await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/memory_store` is a store of another kind, whole.

mod drafting;
mod lending;
mod managing;
mod queueing;
mod settling;
mod watching;

use postroad_address_space::{Address, ParseError};
use postroad_message::{
    Content, EnhancedStatus, Envelope, Failure, Fault, NextHop, Phase, Recipient, ReversePath, Scope,
    Timestamp,
};

use crate::error::QueueError;
use crate::item::{Claim, Lease, NewDelivery, NewMessage};
use crate::listing::{Filter, Listed};
use crate::store::QueueStore;

/// A promise that a store did not keep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Breach {
    /// What was promised did not come about.
    #[error("{clause}: {promise}")]
    Broken {
        /// The clause that was being run.
        clause: &'static str,
        /// What was promised.
        promise: &'static str,
    },
    /// A call failed that must not.
    #[error("{clause}: {error}")]
    Failed {
        /// The clause that was being run.
        clause: &'static str,
        /// What the store said.
        #[source]
        error: QueueError,
    },
}

/// Runs every clause. `open` gives a handle on the same store each time, which must be empty at first; the
/// clauses clear up after themselves.
///
/// It cannot cut the power: that a durable call survives that is for the store's own tests.
///
/// # Errors
///
/// The first promise that was not kept, or the first call that failed. What the clauses queued may be there still.
pub async fn check<F>(open: F) -> Result<(), Breach>
where
    F: AsyncFn() -> Result<Box<dyn QueueStore>, QueueError>,
{
    let open = async |clause: &'static str| open().await.map_err(|error| Breach::Failed { clause, error });
    queueing::check(&open).await?;
    drafting::check(&open).await?;
    lending::check(&open).await?;
    settling::check(&open).await?;
    watching::check(&open).await?;
    managing::check(&open).await
}

/// One clause at work: what it is called, and the store that it tries.
struct Clause<'a> {
    name: &'static str,
    store: &'a dyn QueueStore,
}

impl<'a> Clause<'a> {
    fn new(name: &'static str, store: &'a dyn QueueStore) -> Self {
        Self { name, store }
    }

    fn that(&self, kept: bool, promise: &'static str) -> Result<(), Breach> {
        if kept { Ok(()) } else { Err(Breach::Broken { clause: self.name, promise }) }
    }

    /// Gives what the call gave, or the breach that it failed.
    fn ok<T>(&self, result: Result<T, QueueError>) -> Result<T, Breach> {
        result.map_err(|error| Breach::Failed { clause: self.name, error })
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Lease>, Breach> {
        Ok(self.ok(self.store.claim(claim).await)?.leases)
    }

    /// The one lease that a claim must give.
    async fn claim_one(&self, claim: Claim) -> Result<Lease, Breach> {
        let mut leases = self.claim(claim).await?;
        self.that(leases.len() == 1, "a claim that fits one delivery lends exactly it")?;
        leases.pop().ok_or(Breach::Broken { clause: self.name, promise: "a claim lends" })
    }

    /// Waits until what another handle queued for this next hop is due here: within seconds, the promise is.
    async fn sees(&self, name: &str) -> Result<(), Breach> {
        let mut seen = self.store.version();
        while !self.ok(self.store.due(at(0)).await)?.contains(&(hop(name), at(0))) {
            seen = self.ok(self.store.changed(seen).await)?;
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Listed>, Breach> {
        self.ok(self.store.list(Filter::all(), at(0)).await)
    }

    /// Ends the clause: the next one finds an empty store.
    async fn clear(&self) -> Result<(), Breach> {
        self.ok(self.store.remove(Filter::all(), FAR).await)?;
        self.that(self.list().await?.is_empty(), "whatever nobody works on can be removed")
    }
}

/// Later than any lease of the clauses.
const FAR: Timestamp = Timestamp::from_unix_millis(4_000_000_000_000);

/// So many minutes after the clauses' midnight.
fn at(minutes: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_700_000_000_000 + minutes * 60_000)
}

fn hop(name: &str) -> NextHop {
    NextHop::new("contract", name)
}

/// A message from `joe@contoso.com` received at minute 0: for each next hop, its recipients, due at once.
fn message(deliveries: &[(&str, &[&str])]) -> Result<NewMessage, Breach> {
    let recipients = |names: &[&str]| names.iter().map(|name| recipient(name)).collect::<Result<Vec<_>, _>>();
    let deliveries = deliveries
        .iter()
        .map(|(name, names)| Ok(NewDelivery::new(hop(name), recipients(names)?, at(0))))
        .collect::<Result<Vec<_>, ParseError>>();
    let sender = ReversePath::try_from("<joe@contoso.com>".to_owned());
    match (deliveries, sender) {
        (Ok(deliveries), Ok(sender)) => Ok(NewMessage::new(
            Envelope::new(sender, Vec::new()),
            Content::from(b"Subject: contract\r\n\r\n\0\xff.\r\n..\n".to_vec()),
            at(0),
            "contract",
            deliveries,
        )),
        _ => Err(Breach::Broken { clause: "the contract itself", promise: "its addresses can be read" }),
    }
}

fn recipient(address: &str) -> Result<Recipient, ParseError> {
    Address::parse(address).map(Recipient::new)
}

fn refused(text: &str) -> Failure {
    Failure::new(EnhancedStatus::transient(2, 2), Fault::Remote, Scope::Recipient, Phase::RcptTo, text)
}

fn names(lease: &Lease) -> Vec<String> {
    lease.envelope.recipients.iter().map(|recipient| recipient.address.to_string()).collect()
}
