//! The mail pipeline as a library: submit, route, enqueue, deliver, settle, report.
//!
//! ```text
//!   submit ──> route each recipient ──> queue, durable ──> due ──> Deliver ──> settle ──> gone, or due again
//!     ▲                                                                          │
//!     └────────────── a report for what failed, in the same transaction ─────────┘
//! ```
//!
//! A [`Pipeline`] joins a routing table, a queue and the ways out. Here everything goes to a fax gateway's Drop directory:
//!
//! ```
//! use std::{collections::BTreeMap, sync::Arc};
//! use postroad_address_space::{Address, Domain, Mailbox};
//! use postroad_connector::{Connector, ForeignConnector, RoutingTable, Topology};
//! use postroad_message::{Content, Envelope, Recipient, ReversePath};
//! use postroad_message_directory::DropDirectory;
//! use postroad_queue::SqliteStore;
//! use postroad_smtp_client::SmtpClient;
//! use postroad_transport::{
//!     AgentDeliver, Delivers, DropDeliver, NoCredentials, NobodyWatches, Pipeline, Settings, SmtpDeliver, Submission, SystemWorld,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let domain = Domain::parse("contoso.com")?;
//! let postmaster = Mailbox::parse("postmaster@contoso.com")?;
//! let settings = Settings::new("Hub01", Domain::parse("hub01.contoso.com")?, domain.clone(), postmaster);
//!
//! let gateway = Connector::Foreign(ForeignConnector::new("Fax Gateway", vec!["FAX:*;1".parse()?]));
//! let table = RoutingTable::build(vec![gateway], Topology::new("Hub01"), vec![])?;
//! let world = Arc::new(SystemWorld);
//! let drops = BTreeMap::from([("Fax Gateway".to_owned(), DropDirectory::new(folder.path()))]);
//! let delivers = Delivers {
//!     smtp: Arc::new(SmtpDeliver::new(SmtpClient::new()?, settings.names(), NoCredentials)),
//!     drop: Arc::new(DropDeliver::new(drops, domain)),
//!     agent: Arc::new(AgentDeliver::new()),
//! };
//! let store = Arc::new(SqliteStore::open(folder.path().join("queue.db"))?);
//! let pipeline = Pipeline::new(settings, table, store, delivers, Arc::new(NobodyWatches), world);
//! pipeline.recover().await?;
//!
//! let fax = Recipient::new(Address::parse("FAX:+1 (425) 555-0100")?);
//! let envelope = Envelope::new(ReversePath::try_from("<app@contoso.com>".to_owned())?, vec![fax]);
//! let content = Content::from(b"Subject: Offer\r\n\r\nTea at four.\r\n".to_vec());
//! let submitted = pipeline.submit(Submission::new(envelope, content, "app")).await?;
//! assert_eq!(submitted.deliveries[0].0.to_string(), "Fax Gateway -> FAX");
//!
//! // Delivers until told to stop; here until the file is there.
//! pipeline.run(async {
//!     while !std::fs::read_dir(folder.path()).unwrap().any(|entry| {
//!         entry.unwrap().path().extension().is_some_and(|extension| extension == "eml")
//!     }) {
//!         tokio::time::sleep(std::time::Duration::from_millis(10)).await;
//!     }
//! }).await;
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! * [`Pipeline::submit`] is ready with `Ok` only when the message is on the disk, and with it the report for recipients that
//!   no connector takes.
//! * Every attempt gives every recipient one outcome; what stays, what leaves and what is reported is one transaction.
//! * A crash at any moment loses nothing; it can repeat a delivery whose outcome was not written down yet.
//! * While the queue's disk or the memory is nearly full ([`Settings::minimum_free_space`], [`Settings::minimum_free_memory`])
//!   the doors take nothing more, and open again by themselves; what waits is delivered.
//! * A connector is selected once. Mail is routed anew only where its connector is gone or it was unreachable
//!   ([`Pipeline::replace_routing_table`]), never because a host is down.
//! * A file of Pickup or Replay ([`WatchedDirectory`]) is deleted after the queue has it, and is known again after a crash.
//!
//! # Who can follow a message
//!
//! Every log line about a message has its queue id as `id`, or is in the span `attempt` (`id`, `next_hop`, `host`) of the
//! delivery that it is part of; lines of an SMTP session are in the span `session`. An [`Observe`]r is told of every step;
//! [`Logs`] keeps Exchange's message tracking log and protocol logs.
//!
//! `Pipeline` is the [`Submit`](postroad_smtp_server::Submit) of a receive connector: hand a clone to
//! [`Server::bind`](postroad_smtp_server::Server::bind), and its 250 follows the queue's commit.

pub mod agent;
mod attempt;
pub mod deliver;
pub mod dial;
mod dispatcher;
pub mod doors;
mod file_message;
mod files;
mod hint;
mod intake;
mod left_over;
pub mod logs;
mod manage;
mod memory;
pub mod observe;
pub mod pipeline;
mod plan;
mod poison;
mod pressure;
mod receive;
mod report;
mod reroute;
pub mod settings;
mod settlement;
mod trouble;
pub mod watch;
pub mod world;

pub use agent::{AgentConnection, AgentMessage, DeliveryAgent, Lmtp, Pipe};
pub use deliver::smtp::{Credentials, NoCredentials};
pub use deliver::{AgentDeliver, Deliver, Delivers, DropDeliver, Job, SmtpDeliver};
pub use doors::Doors;
pub use logs::Logs;
pub use observe::{NobodyWatches, Observe, Seen, Way};
pub use pipeline::{Pipeline, Submission, SubmitError, Submitted};
pub use postroad_dsn::Wording;
pub use postroad_tracking as tracking;
pub use settings::Settings;
pub use watch::WatchedDirectory;
pub use world::{SystemWorld, World};
