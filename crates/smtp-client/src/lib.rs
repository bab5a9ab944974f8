//! Delivers mail to smart hosts and to MX hosts by SMTP, and says for each recipient what became of it.
//!
//! One message through a smart host:
//!
//! ```no_run
//! use postroad_smtp_client::{Destination, SmtpClient};
//! use postroad_message::{Content, Envelope, Outcome, Recipient, ReversePath};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = SmtpClient::new()?;
//! let destination = Destination::smart_host("smtp-relay.example.com".parse()?, 25, "hub01.contoso.com".parse()?);
//! let envelope = Envelope::new(
//!     ReversePath::Mailbox("joe@contoso.com".parse()?),
//!     vec![Recipient::new("jane@fabrikam.com".parse()?), Recipient::new("tim@fabrikam.com".parse()?)],
//! );
//! let content = Content::from(b"Subject: hello\r\n\r\nHello.\r\n".to_vec());
//! for outcome in client.deliver_all(&destination, &envelope, &content).await {
//!     match outcome {
//!         Outcome::Delivered(receipt) => println!("taken by {}", receipt.host),
//!         other => println!("{}", other.failure().map_or("taken".into(), ToString::to_string)),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! `examples/send_through_smart_host.rs` is a whole program of a dozen lines; `crates/transport/examples/lettre_transport.rs` puts this
//! client and a routing table below an application that sends by lettre.
//!
//! With a password, which goes over TLS only, to a server that has to prove its name; and a client with its own name
//! servers, trust anchors and time-outs:
//!
//! ```
//! use std::time::Duration;
//! use postroad_smtp_client::{
//!     Authentication, Credential, Destination, Hosts, Secret, SmtpClient, Timeouts, TlsPolicy, TrustAnchors,
//! };
//!
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut timeouts = Timeouts::default();
//! timeouts.connect = Duration::from_secs(10);
//! let client = SmtpClient::builder()
//!     .name_servers(["192.0.2.53:53".parse()?])
//!     .trust_anchors(TrustAnchors::System)
//!     .timeouts(timeouts)
//!     .own_listeners(["192.0.2.1:25".parse()?])
//!     .build()?;
//! let either = Hosts::SmartHosts(vec!["smtp-relay.example.com".parse()?, "[192.0.2.7]".parse()?]);
//! let mut destination = Destination::new(either, "hub01.contoso.com".parse()?);
//! destination.port = 587;
//! destination.tls = TlsPolicy::verified();
//! destination.authentication = Some(Authentication::new(Credential::new("relay@contoso.com", Secret::new("..."))));
//! # let _ = client;
//! # Ok(())
//! # }
//! # example().expect("an example that works");
//! ```
//!
//! # Features
//!
//! | | default | without it |
//! |---|---|---|
//! | `hickory` | yes | no [`HickoryResolver`]: [`SmtpClientBuilder::resolver`] has to be given |
//! | `native-certs` | yes | nobody reads the system's trust anchors: [`SmtpClientBuilder::trust_anchors`] or [`SmtpClientBuilder::tls_configuration`] has to be given |
//! | `ring` | yes | rustls compiles no cryptography: [`SmtpClientBuilder::crypto_provider`] or [`SmtpClientBuilder::tls_configuration`] has to be given |
//!
//! Where it is neither there nor given, [`build`](SmtpClientBuilder::build) says so. [`rustls`] is re-exported for its types.
//!
//! # Which hosts, and in which order
//!
//! - [`Hosts::Mx`]: by preference, equal ones shuffled; the domain's own address where it has no MX. A null MX fails with
//!   5.1.10, a domain that does not exist with 5.4.4. Where this relay itself stands in the list ([`SmtpClientBuilder::own_listeners`],
//!   [`SmtpClientBuilder::own_names`]), it and all worse hosts are left alone, and the mail fails with 5.4.6 if nothing is left. Hosts on
//!   loopback addresses are left out unless [`SmtpClientBuilder::allow_loopback_mx`] says otherwise.
//! - [`Hosts::SmartHosts`]: each message begins with another of the list, the others stand in for one that fails. A name is
//!   looked up as MX, and as a host where it has none. Nothing that is wrong with a smart host fails mail: it waits.
//! - [`Destination::when_dns_fails`]: where mail goes instead if the name service named no host at all, because the domain
//!   does not exist, has neither MX nor address, or the question failed. What a host says or does is no such reason, nor is
//!   a null MX. The other place has a login and a TLS policy of its own: a smart host's password never meets an MX host.
//! - The next host is tried for those whom no host has answered: no connection, a greeting or EHLO refused, TLS that can't be
//!   had, a connection lost before the final dot, 421. An answer (550 to RCPT, 452 to DATA) is an answer, and stays with its
//!   recipient. A refused login is tried at one host only.
//! - The addresses of a host are raced as RFC 8305 says: IPv6 and IPv4 in turn, each a quarter second ahead of the next. What could
//!   not be reached is tried behind all others for five minutes.
//! - [`Destination::proxies`]: through a SOCKS5 front end, and never past it.
//! - The name service not answering defers. That a name does not exist is believed only when it says so.
//!
//! # What an outcome means
//!
//! | outcome | |
//! |---|---|
//! | [`Delivered`] | the server has it and answers for it |
//! | [`Relayed`] | the same, but it knows no DSN and the sender asked for a report of success: that is ours to write |
//! | [`Deferred`] | try again. 4xx; no answer before the final dot; whatever is wrong with us or with our configuration |
//! | [`Failed`] | 5xx, or the message can't be sent in the form that this server takes |
//! | [`Ambiguous`] | the connection was lost behind the final dot and before the reply: it may have been taken |
//!
//! [`Delivered`]: postroad_message::Outcome::Delivered
//! [`Relayed`]: postroad_message::Outcome::Relayed
//! [`Deferred`]: postroad_message::Outcome::Deferred
//! [`Failed`]: postroad_message::Outcome::Failed
//! [`Ambiguous`]: postroad_message::Outcome::Ambiguous
//!
//! The content leaves from where its [`Content`](postroad_message::Content) holds it, once for all hosts and recipients. Where lines
//! have to be mended or dots to be stuffed, it is copied 256 KiB at a time; what is put into seven bits is written piece by piece as well. What
//! is not in memory is read 128 KiB at a time, on a thread of the runtime that may block: for a message of 100 MB the client holds less than
//! 1 MiB. Only to find out how it is put into seven bits all of it is in memory, of one message of the process at a time; whose turn does not
//! come within a minute is deferred. Where it cannot be read the connection is closed before its end, and everybody is deferred.
//!
//! Who is one too many for a server (452 4.5.3) goes in another transaction on the same connection. 8-bit content for a server
//! without 8BITMIME is written as quoted-printable or base64, part by part ([`seven_bit`](postroad_message::seven_bit)); where that
//! would break a signature it fails with 5.6.3, unless [`Destination::eight_bit_content`] says that it is converted all the same, or
//! sent as it is.
//!
#![doc = include_str!("../OUTCOMES.md")]
//!
//! # A deadline, a priority
//!
//! [`Envelope::deliver_by`](postroad_message::Envelope) is said as `BY=` to a host that offers DELIVERBY (RFC 2852), with the seconds
//! that are left by [`SmtpClientBuilder::calendar`]. Where it is not offered:
//!
//! | when late | the host | |
//! |---|---|---|
//! | return it | does not offer it, or wants more time than is left | [`Failed`] with 5.4.7, before MAIL; once the time is over, before any connection |
//! | notify | does not offer it | sent; [`Relayed`] unless the recipient's NOTIFY is NEVER, since nobody will tell the sender from there on |
//! | either, with trace | takes the message | [`Relayed`], unless NOTIFY is NEVER |
//!
//! `Envelope::priority` is said to a host that offers MT-PRIORITY (RFC 6710), and to others not at all.
//!
//! Nothing wakes up at a deadline, here or in `postroad-queue`, which keeps `deliver_by` and hands it back. So a message to be returned
//! goes back at the first attempt behind its deadline, late by one retry interval at most, and of a deadline to notify the sender hears
//! by the usual notice of delay only. That is why `postroad-smtp-server` offers no DELIVERBY: whoever promises one, in envelopes of
//! their own, sees to the rest.
//!
//! # Connections
//!
//! A connection that ends well is kept for the next message to the same host, port, policy, login and source address in the same
//! runtime, for [`Destination::inactivity_timeout`] and [`Destination::max_messages_per_connection`] messages, and for five minutes at
//! most. It is taken without NOOP, and RSET goes with the next MAIL where a message was refused. What the server says or does unasked, 421
//! above all, ends it; if it turns out to be dead when a message is under way, that message goes over a fresh one, unless the final
//! dot was out. A delivery that is dropped takes its connection with it. The pool limits nothing: how many messages are under way
//! at once is for the caller to say. [`SmtpClient::close_idle`] says QUIT to all that wait.
//!
//! # TLS
//!
//! | policy | handshake | certificate | without TLS |
//! |---|---|---|---|
//! | [`TlsPolicy::Never`] | | | always |
//! | [`TlsPolicy::Opportunistic`] | where offered | not looked at | yes: not offered, refused or failed; a failure is remembered for an hour and named in the receipt |
//! | [`TlsPolicy::Required`] | always | by its [`Verification`] | deferred |
//!
//! [`Destination::client_certificate`] is shown to a server that asks for one; `EXTERNAL` logs in by it
//! ([`Credential::certificate`]). A connection that was opened under one certificate serves nobody who shows another or none.
//!
//! # Login
//!
//! By the first of these that [`Authentication`] allows, the server offers and the [`Credential`]'s [`Proof`] fits:
//! SCRAM-SHA-256-PLUS and SCRAM-SHA-1-PLUS (bound to the TLS connection: by `tls-exporter` in TLS 1.3, by `tls-server-end-point` in
//! TLS 1.2), SCRAM-SHA-256, SCRAM-SHA-1, EXTERNAL, OAUTHBEARER, XOAUTH2, CRAM-MD5, PLAIN, LOGIN. One that the server does not know after all
//! is followed by the next, but never a proof of the password by the password. A refused login is our configuration's fault: tried once,
//! deferred, and seen to by a person. An [`Authenticator`] answers for other mechanisms, Kerberos say, which are tried first; with
//! [`Credential::elsewhere`] they alone are.
//!
//! Passwords go over TLS, or in clear text where [`Authentication::clear_text_allowed`] says so; never after TLS was offered and
//! could not be had. rustls takes its cryptography as a value; the process's default provider is neither read nor set.
//!
#![doc = include_str!("../INTEROP.md")]
#![warn(missing_debug_implementations, clippy::missing_errors_doc, clippy::return_self_not_must_use)]

mod alarm;
mod authenticator;
mod certificate_fault;
mod client;
mod client_certificate;
mod connect;
mod connection;
pub mod content_task;
mod delivery;
mod destination;
mod error;
mod memory;
mod pool;
mod proxy;
mod resolve;
mod tls;

pub use authenticator::{Authenticator, Login, LoginAnswer};
pub use client::{SmtpClient, SmtpClientBuilder};
pub use client_certificate::ClientCertificate;
pub use destination::{CertificateName, Destination, Hosts, SmartHost, TlsPolicy, Verification};
pub use error::{BuildError, Cause};
pub use postroad_smtp_protocol::client::{Authentication, EightBitContent, Timeouts};
pub use postroad_smtp_protocol::sasl::{Credential, Mechanism, Proof, Secret};
pub use postroad_smtp_protocol::transcript::{Conversation, Entry, ProtocolLog};
pub use proxy::Proxy;
#[cfg(feature = "hickory")]
pub use resolve::HickoryResolver;
pub use resolve::{Answer, BoxFuture, MxRecord, Resolve, Security};
/// rustls 0.23, which [`SmtpClientBuilder`] and [`TrustAnchors`] take: another major version of it is a major version of this crate.
pub use rustls;
pub use tls::TrustAnchors;
