//! The mail pipeline as a library: submit, route, enqueue, deliver, settle, report.
//!
//! ```text
//!   submit ──> route each recipient ──> queue, durable ──> due ──> Deliver ──> settle ──> gone, or due again
//!     ▲                                                                          │
//!     └────────────── a report for what failed, in the same transaction ─────────┘
//! ```
//!
//! A [`Pipeline`] joins a routing table, a queue and the ways out. Here everything goes to a smart host:
//!
//! ```
//! use std::sync::Arc;
//! use postroad_address_space::{Address, Domain, Mailbox};
//! use postroad_connector::{RoutingTable, SendConnector, Topology};
//! use postroad_message::{Content, Envelope, Recipient, ReversePath};
//! use postroad_queue::SqliteStore;
//! use postroad_smtp_client::SmtpClient;
//! use postroad_transport::{NoCredentials, Pipeline, Settings, SmtpDeliver, Submission};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?; // a queue is to outlive this
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let port = listener.local_addr()?.port();
//! # std::thread::spawn(move || -> std::io::Result<()> {
//! #     use std::io::{BufRead, BufReader, Write};
//! #     let (mut client, _) = listener.accept()?;
//! #     client.write_all(b"220 sink\r\n")?;
//! #     let mut is_content = false;
//! #     for line in BufReader::new(client.try_clone()?).lines() {
//! #         let line = line?;
//! #         if !is_content || line == "." {
//! #             is_content = line == "DATA";
//! #             client.write_all(if is_content { b"354 go on\r\n" } else { b"250 ok\r\n" })?;
//! #         }
//! #     }
//! #     Ok(())
//! # });
//! let mut provider = SendConnector::new("Provider", vec!["*".parse()?]);
//! provider.smart_hosts = vec!["[127.0.0.1]".parse()?];
//! # provider.port = port;
//! let table = RoutingTable::build(vec![provider.into()], Topology::new("app"), vec![])?;
//!
//! let (fqdn, domain) = (Domain::parse("app.contoso.com")?, Domain::parse("contoso.com")?);
//! let settings = Settings::new("app", fqdn, domain, Mailbox::parse("postmaster@contoso.com")?);
//! let smtp = SmtpDeliver::new(SmtpClient::new()?, settings.names(), NoCredentials);
//! let store = Arc::new(SqliteStore::open(folder.path().join("queue.db"))?);
//! let pipeline = Pipeline::builder(settings, table, store).smtp(smtp).build();
//!
//! // Delivers what an earlier run left and what comes, until it is told to stop.
//! let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! let delivering = pipeline.clone();
//! let delivering = tokio::spawn(async move { delivering.recover_and_run(async { drop(stopped.await) }).await });
//!
//! let jane = Recipient::new(Address::parse("jane@fabrikam.com")?);
//! let envelope = Envelope::new(ReversePath::Mailbox(Mailbox::parse("app@contoso.com")?), vec![jane]);
//! let content = Content::from(b"Subject: Offer\r\n\r\nTea at four.\r\n".to_vec());
//! let id = pipeline.submit(Submission::new(envelope, content, "app").watched()).await?.id;
//! // It is on the disk: whoever brought it may be told so. What becomes of it comes later.
//! while pipeline.results(id).await?.is_empty() {
//!     tokio::time::sleep(std::time::Duration::from_millis(10)).await;
//! }
//! let (recipient, outcome) = &pipeline.results(id).await?[0];
//! assert!(outcome.is_success(), "{}: {outcome:?}", recipient.address);
//! drop(stop);
//! delivering.await?;
//! # Ok(())
//! # }
//! ```
//!
//! `examples/outbox.rs` is that with a login, for a web application; `examples/lettre_transport.rs` routes without a queue, and
//! `examples/text_message_agent.rs` is a way out of one's own. This crate and its queue want Unix: Linux is where they are tested.
//!
//! # What holds
//!
//! * [`Pipeline::submit`] is ready with `Ok` only when the message is on the disk, and with it the report for recipients that
//!   no connector takes.
//! * Every attempt gives every recipient one outcome; what stays, what leaves and what is reported is one transaction.
//! * A crash at any moment loses nothing; it can repeat a delivery whose outcome was not written down yet.
//! * While the queue's disk or the memory is nearly full ([`Settings::minimum_free_space`], [`Settings::minimum_free_memory`])
//!   the doors begin nothing more, and open again by themselves; what waits is delivered.
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

#![warn(missing_debug_implementations, clippy::missing_errors_doc, clippy::return_self_not_must_use)]

pub mod agent;
mod attempt;
mod builder;
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
pub use builder::PipelineBuilder;
pub use deliver::smtp::{Credentials, NoCredentials};
pub use deliver::{AgentDeliver, Deliver, Delivers, DropDeliver, Job, SmtpDeliver};
pub use dial::Names;
pub use doors::{Doors, DoorsBroken};
pub use logs::Logs;
pub use observe::{NobodyWatches, Observe, Seen, Way};
pub use pipeline::{Pipeline, Submission, SubmitError, Submitted};
pub use postroad_dsn::Wording;
pub use postroad_tracking as tracking;
pub use settings::Settings;
pub use watch::WatchedDirectory;
pub use world::{SystemWorld, World};
