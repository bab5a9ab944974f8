//! Nothing accepted is lost: where mail waits, when it is tried again, and whose turn it is.
//!
//! Take a message in: when [`enqueue`](QueueStore::enqueue) gives its id, the disk has it, and whoever sent it
//! may be told 250.
//!
//! ```
//! use postroad_address_space::Address;
//! use postroad_message::{Content, Envelope, NextHop, Recipient, ReversePath, Timestamp};
//! use postroad_queue::{Claim, Kept, NewDelivery, NewMessage, QueueStore, Settlement, SqliteStore};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(run())
//! # }
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let minute = |minutes: i64| Timestamp::from_unix_millis(1_700_000_000_000 + minutes * 60_000);
//! let store = SqliteStore::open(folder.path().join("queue.db"))?;
//! store.start("Hub01", minute(0)).await?; // what an earlier Hub01 held when it died is free at once
//!
//! let next_hop = NextHop::new("Internet", "example.com");
//! let recipients = ["jane@example.com", "bob@example.com"].map(Address::parse);
//! let id = store
//!     .enqueue(NewMessage::new(
//!         Envelope::new(ReversePath::try_from("<joe@contoso.com>".to_owned())?, vec![]),
//!         Content::from(b"Subject: lunch\r\n\r\nAt one?\r\n".to_vec()),
//!         minute(0),
//!         "smtp",
//!         vec![NewDelivery::new(
//!             next_hop.clone(),
//!             recipients.into_iter().map(|address| address.map(Recipient::new)).collect::<Result<_, _>>()?,
//!             minute(0),
//!         )],
//!     ))
//!     .await?;
//!
//! // Deliver what is due. Jane took it and leaves; Bob's turn comes again in a quarter of an hour.
//! for lease in store.claim(Claim::due(next_hop, 20, minute(0), minute(10))).await?.leases {
//!     let content = store.content(lease.message).await?;
//!     assert_eq!((lease.message, lease.envelope.recipients.len(), content.len()), (id, 2, 27));
//!     store.settle(lease, Settlement::keep(vec![Kept::waiting(1, minute(15))])).await?;
//! }
//! assert_eq!(store.due(minute(1)).await?, [(NextHop::new("Internet", "example.com"), minute(15))]);
//! # Ok(())
//! # }
//! ```
//!
//! # The rooms
//!
//! - [`QueueStore`] is the contract: promises about durability, cost and failure. [`contract::check`] holds any
//!   store to it, one of your own too: `examples/memory_store` is one.
//! - [`SqliteStore`] keeps it in one file that a postmaster can read with `sqlite3`. Any number of processes of
//!   one machine may have it open: `relay queue` works while the relay runs.
//! - [`RetrySchedule`] and [`MessageTimers`] say when to try again, when to tell the sender that it takes long, and
//!   when to give up: Exchange's phases or IIS's intervals, as arithmetic on given moments.
//! - [`Scheduler`] says which next hop gets a connection now: fair among next hops, within limits for each and for
//!   all, and one that is down holds back its own queue only. It keeps no clock and starts no thread.
//!
//! # The life of a delivery
//!
//! ```text
//!  enqueue ──> waiting ──claim──> lent ──settle──> gone, with the reports it owes queued in the same transaction
//!                 ^                │  │
//!                 │                │  └─ settle: kept recipients wait again, here or in another queue
//!                 └── release, or the lease runs out, or its server starts anew
//!
//!  suspend / resume hold and free it; one that cannot be read, or does harm, is set aside with its reason
//! ```
//!
//! A message is stored once, with a delivery for each next hop; its content goes with the last recipient.
//! Between the moment a remote host takes a message and the settlement's commit stands at most one duplicate for
//! each delivery in flight: that is the price of never losing one.
//! Of a [watched](NewMessage::watched) message each recipient's final outcome stays behind when it leaves, until
//! [`forget_results`](QueueStore::forget_results), or the next start: for whoever sent it and waits to see.
//!
//! # What is on the disk
//!
//! | file | what it is |
//! |---|---|
//! | `queue.db` | messages, deliveries, and contents below [`SqliteOptions::large_content`], 128 KiB |
//! | `queue.db-wal`, `-shm` | what was committed and synced lately, carried over when it reaches [`SqliteOptions::log_size`], or nobody comes |
//! | `queue.db-fresh/` | mail accepted a moment ago, in an append log until it is delivered, or moves into `queue.db` three seconds later; [`SqliteOptions::fresh_log`], 128 MiB at most |
//! | `queue.db-content/` | large contents, a file each: synced before the row that names it, removed after that row |
//!
//! Most mail is delivered within seconds, and never comes into the tables: it costs one short write to the log, and a
//! sync that whoever comes at the time shares. Opening the store moves what is left in the log of a server that is gone, beside
//! whatever else is done; each call waits for it where it has to.
//!
//! One server has the log. Another one that works on the same store goes without, and takes in nothing that its source may
//! come with twice ([`NewMessage::source_key`]) as long as the first one is there: it is told [`QueueError::Busy`].
//!
//! A large content may come in pieces, and lies in its file from the first of them on: see [`QueueStore::draft`]. A crash may leave
//! a content file without a row; the next start removes it. Space that mail no longer needs is given
//! back to the file system in idle moments. A store of an older version is migrated, one of a newer version refused.
//!
//! # Where it runs
//!
//! The contract, the schedule and the scheduler are plain Rust. [`SqliteStore`] is the feature `sqlite`, which is on unless you say
//! `default-features = false`: it compiles SQLite, and runs on Unix; Linux is where it is tested. `.cargo/config.toml` of this repository builds SQLite with `LIBSQLITE3_FLAGS`, which make it somewhat
//! faster and do not reach your build: set them in your own, or do without.
//!
//! # Errors
//!
//! [`QueueError::is_transient`] is true for every fault of this machine: a full disk, a failed sync, a store from a
//! newer version. Answer "not now" to those, never "no". A call that failed changed nothing that can be seen; only where it failed
//! with [`QueueError::Io`] may something of it be there after a restart.

pub mod contract;
pub mod draft;
pub mod error;
pub mod item;
pub mod listing;
pub mod message_id;
pub mod schedule;
pub mod scheduler;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod store;

pub use draft::ContentDraft;
pub use error::QueueError;
pub use item::{Claim, Claimed, Eligible, Kept, Lease, NewDelivery, NewMessage, Settlement};
pub use listing::{Changed, Filter, Listed, QueueSummary, QueuedRecipient, State, StateKind, UnknownState};
pub use message_id::{DeliveryId, InvalidId, MessageId};
pub use schedule::{ExchangePhases, MessageTimers, RetrySchedule};
pub use scheduler::{Concurrency, Contact, Scheduler, Slot, Standing};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteOptions, SqliteStore};
pub use store::{BoxFuture, QueueStore, SOURCE_KEYS_KEPT};
