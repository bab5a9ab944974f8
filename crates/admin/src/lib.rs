//! The management surface: what waits in the queue, and what an administrator does with it.
//!
//! The commands are values, and their output goes where the caller says, so that a program of one's own can offer them:
//!
//! ```
//! # use std::sync::Arc;
//! # use postroad_address_space::{Address, Domain, Mailbox};
//! # use postroad_connector::{RoutingTable, Topology};
//! # use postroad_message::{Content, Envelope, Recipient, ReversePath};
//! # use postroad_queue::SqliteStore;
//! # use postroad_transport::{Pipeline, Settings, Submission, SystemWorld, World};
//! use postroad_admin::{Command, Order, Progress, carry_out};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let domain = Domain::parse("contoso.com")?;
//! # let postmaster = Mailbox::parse("postmaster@contoso.com")?;
//! # let settings = Settings::new("Hub01", Domain::parse("hub01.contoso.com")?, domain, postmaster);
//! # let table = RoutingTable::build(vec![], Topology::new("Hub01"), vec![])?;
//! # let store = Arc::new(SqliteStore::open(folder.path().join("queue.db"))?);
//! # let pipeline = Pipeline::builder(settings, table, store).build();
//! # let jane = Recipient::new(Address::parse("jane@fabrikam.com")?);
//! # let envelope = Envelope::new(ReversePath::try_from("<app@contoso.com>".to_owned())?, vec![jane]);
//! # let content = Content::from(b"Subject: Tea\r\n\r\nAt four.\r\n".to_vec());
//! # pipeline.submit(Submission::new(envelope, content, "app")).await?;
//! // `pipeline` is that of postroad-transport, beside a relay or in it. What no connector takes waits among the unreachable.
//! let mut order = Order::new(Command::Suspend { whole_queue: false });
//! order.selection.next_hop = Some("Unreachable Domain".to_owned());
//! order.json = true;
//! let mut output = Vec::new();
//! carry_out(&pipeline, &order, SystemWorld.now(), &mut output, &mut Progress::silent()).await?;
//! assert_eq!(String::from_utf8(output)?, "{\"action\":\"suspend\",\"active\":0,\"deliveries\":1}\n");
//! # Ok(())
//! # }
//! ```
//!
//! # The rooms
//!
//! - [`Selection`] says which mail is meant; [`carry_out`] does one [`Command`] with it.
//! - [`rows`] are what a listing shows, as values with serde; [`table`] writes them for a person.
//! - [`export()`] writes Replay files.
//! - [`connectors`] lists the roads and the directories.
//! - [`sent`] follows one message to its recipients' outcomes; [`route`] explains where one would go.
//!
//! # What holds
//!
//! - Every command opens the store beside a running relay, which sees the change within a second, or works without one.
//! - Nothing that came with a message or from another host reaches a terminal unescaped.
//! - What somebody works on is left alone and counted, never taken from him.

pub mod connectors;
pub mod error;
pub mod export;
pub mod progress;
pub mod queue;
pub mod route;
pub mod rows;
pub mod selection;
pub mod sent;
pub mod table;

pub use connectors::{ConnectorRow, DirectoryRow};
pub use error::AdminError;
pub use export::{Exported, export};
pub use progress::Progress;
pub use queue::{Command, Ending, Order, carry_out};
pub use rows::{MessageRow, QueueRow, RecipientRow, Status};
pub use selection::Selection;
