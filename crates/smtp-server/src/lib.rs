//! Receive connectors: takes mail from those who may send it, and from nobody else.
//!
//! A [`ReceiveConnector`] is plain data; a [`Server`] listens for it, and hands every message to an embedder's [`Submit`]:
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use postroad_address_space::{Domain, Mailbox};
//! use postroad_message::{Content, Envelope};
//! use postroad_smtp_server::{
//!     BoxFuture, Client, NobodyLogsOn, PermissionGroup, ReceiveConnector, Refusal, Server, ServerSettings, Submit, TlsMaterial,
//! };
//!
//! /// Takes mail as long as there is room.
//! #[derive(Default)]
//! struct Mailboxes(Mutex<Vec<(Envelope, Content)>>);
//!
//! impl Submit for Mailboxes {
//!     fn accept_message<'a>(
//!         &'a self, _: &'a Client, envelope: Envelope, content: Content,
//!     ) -> BoxFuture<'a, Result<String, Refusal>> {
//!         Box::pin(async move {
//!             let Ok(mut mail) = self.0.lock() else { return Err(Refusal::transient(3, 0, "Try again")) };
//!             if mail.len() == 1000 {
//!                 return Err(Refusal::transient(3, 1, "There is no room"));
//!             }
//!             mail.push((envelope, content)); // a real one writes it to the disk, and syncs
//!             Ok("in memory".to_owned()) // the client is told 250 2.6.0 Queued as in memory
//!         })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut connector = ReceiveConnector::new("Default");
//! connector.bindings = vec!["127.0.0.1:0".parse()?]; // 0: any port that is free
//! connector.permission_groups = vec![PermissionGroup::AnonymousUsers];
//! let settings =
//!     ServerSettings::new("mail.contoso.com", vec![Domain::parse("contoso.com")?], Mailbox::parse("admin@contoso.com")?);
//! let (mail, connectors) = (Arc::new(Mailboxes::default()), vec![(connector, TlsMaterial::none())]);
//! let server = Server::bind(connectors, settings, mail.clone(), Arc::new(NobodyLogsOn)).await?;
//! println!("listening on {:?}", server.local_addrs());
//!
//! let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! # let address = server.local_addrs()[0];
//! let serving = tokio::spawn(server.serve(async { drop(stopped.await) }));
//! # tokio::task::spawn_blocking(move || {
//! #     use std::io::{BufRead, BufReader, Write};
//! #     let mut joe = std::net::TcpStream::connect(address)?;
//! #     let mut replies = BufReader::new(joe.try_clone()?).lines();
//! #     for said in ["HELO joe", "MAIL FROM:<joe@fabrikam.com>", "RCPT TO:<jane@contoso.com>", "DATA", "Subject: Tea\r\n\r\n."] {
//! #         replies.next().transpose()?;
//! #         write!(joe, "{said}\r\n")?;
//! #     }
//! #     replies.next().transpose()
//! # }).await??;
//! # assert_eq!(mail.0.lock().map_or(0, |mail| mail.len()), 1);
//! drop(stop); // sessions that stand may finish
//! serving.await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Who may send to whom
//!
//! * A client in `relay_ip_ranges`, one on a link that is `external-authoritative`, or one that logged on where `exchange-users` is permitted: to anywhere.
//! * Anybody else, where `anonymous-users` is permitted: to accepted domains, and to `<postmaster>`.
//! * Everything else is 550 5.7.1 at RCPT. See [`relay_right::judge`] for the table.
//!
//! # Whose word is taken
//!
//! * A client is the other end of its connection, unless that is in `proxy_protocol_ip_ranges` (a PROXY header must come first, within ten
//!   seconds, before TLS) or in `xclient_ip_ranges` (XCLIENT is offered). Both are empty unless set.
//! * The connector is chosen by the true peer; rights, limits for each source, rates and logs go by the client that is named.
//! * A front whose XCLIENT is refused is hung up on: what follows could be its client's word, under its own address.
//! * From anybody else XCLIENT is 502, and a PROXY header ends the connection.
//!
//! # What holds everywhere
//!
//! * Of several connectors on one binding, the one with the most specific remote range takes the connection.
//! * `::ffff:10.0.0.1` is 10.0.0.1 wherever addresses are compared.
//! * A 250 to content is said only after [`Submit::accept_message`] has said that it is durable; local faults are 4yz.
//! * Content is held in memory until it is whole, unless [`Submit::begin_message`] takes a large one in pieces.
//! * One source leaves room for the others: of connections it has its number and its percentage of what remains, of the memory for
//!   content, and of the disk for what is not whole, no more than it leaves, of the hashing of passwords its turn, after all others where it
//!   failed lately. But for the number an IPv6 network of 64 bits is one source.
//! * Logons are taken inside TLS only where `basic-auth-require-tls` is set; the credentials
//!   file holds argon2id hashes and SCRAM verifiers, and never a password.
//! * Time is tokio's: a test may pause it.
//!
//! `examples/receive.rs` is a whole server in sixty lines.
//!
//! # Features
//!
//! `ring` (default): the cryptography of TLS where no other is [given](Cryptography). `rustls` is re-exported.
#![warn(missing_debug_implementations, clippy::missing_errors_doc, clippy::return_self_not_must_use)]

mod admission;
mod bind_error;
mod by_the_minute;
pub mod client;
mod client_settings;
mod connection;
mod content_check;
mod content_room;
pub mod contradiction;
mod counts;
pub mod credentials;
pub mod file_verifier;
mod front;
mod incoming;
pub mod ip_range;
mod judgement;
mod listening;
mod logon;
mod logon_queue;
mod message_rate;
pub mod parameters;
pub mod receive_connector;
pub mod relay_right;
pub mod server;
pub mod server_settings;
mod service;
pub mod source;
pub mod submit;
pub mod tls;
pub mod verify;

pub use bind_error::{BindError, ConnectorFault};
pub use client::Client;
pub use client_settings::{ClientSettings, Encryption};
pub use contradiction::{Contradiction, validate_together};
pub use credentials::{Credentials, CredentialsError, Place, hash_password, scram_verifier};
pub use file_verifier::FileVerifier;
pub use ip_range::{InvalidIpRange, IpRange};
pub use listening::Listening;
pub use parameters::{
    AuthMechanism, ExtendedProtectionPolicy, MessageRateSource, PermissionGroup, ProtocolLoggingLevel,
    ReceiveProtocol, RelayIpRangesMode, SizeEnabled, TlsClientCertificates, TlsMinimumVersion, TransportRole,
    UnknownKeyword,
};
pub use postroad_smtp_protocol::sasl::{BearerToken, ScramVerifier, Secret};
pub use postroad_smtp_protocol::transcript::{Conversation, Entry, ProtocolLog};
pub use receive_connector::{CertificateFiles, ReceiveConnector};
/// rustls 0.23, which [`TlsMaterial::from_config`] and [`Cryptography`] take: another major version of it is a major version of this crate.
pub use rustls;
pub use server::Server;
pub use server_settings::ServerSettings;
pub use source::Source;
pub use submit::{BoxFuture, IncomingMessage, Refusal, Submit};
pub use tls::{
    Cryptography, InvalidCertificateName, PeerCertificate, TlsCertificateName, TlsMaterial, TlsMaterialError,
};
pub use verify::{Logon, LogonStep, NobodyLogsOn, PasswordVerdict, Verify};
