//! The SASL exchanges that AUTH carries, both sides.
//!
//! A client makes a [`ClientExchange`] from a [`Credential`] and answers challenges with it; a server makes a
//! [`ServerExchange`], and verifies elsewhere what comes of it. What goes in and out is decoded: the base64 around it is the
//! sessions' affair. Nothing here has a source of randomness: a [`Nonce`] is brought.
//!
//! | mechanism | client | server | what goes over the wire | document |
//! |---|---|---|---|---|
//! | SCRAM-SHA-256, -PLUS | yes | yes | a proof; with -PLUS one that holds for this TLS connection only | RFC 5802, 7677, 9266 |
//! | SCRAM-SHA-1, -PLUS | yes | yes, though nothing here makes verifiers for it | the same | RFC 5802 |
//! | EXTERNAL | yes | yes | the name; the TLS client certificate proves it | RFC 4422 |
//! | OAUTHBEARER, XOAUTH2 | yes | yes | a token | RFC 7628 |
//! | CRAM-MD5 | yes | no | a proof; a server would have to keep what is as good as the password | RFC 2195 |
//! | PLAIN, LOGIN | yes | yes | the password | RFC 4616 |

mod bearer;
mod binding;
mod cram_md5;
mod exchange;
pub(crate) mod framing;
mod hash;
mod login;
mod mechanism;
mod plain;
mod prepare;
mod saslname;
mod scram;
mod secret;
mod server;
mod signature_hash;

pub use bearer::BearerToken;
pub use binding::{Binding, BindingType, ChannelBindings};
pub use exchange::{ClientExchange, ExchangeError};
pub use hash::Hash;
pub use mechanism::{Mechanism, UnknownMechanism};
pub use plain::ClearCredential;
pub use prepare::{prepare_name, prepare_password};
pub use scram::nonce::Nonce;
pub use scram::verifier::{NotAVerifier, ScramVerifier};
pub use secret::{Credential, Proof, Secret};
pub use server::{Refused, ServerExchange, ServerStep};
