//! The SASL exchanges that AUTH carries, both sides.
//!
//! A client makes a [`ClientExchange`] from a [`Credential`] and answers challenges with it; a server makes a
//! [`ServerExchange`], and verifies elsewhere what comes of it. Nothing here knows base64 but [`base64_decode`] and
//! [`base64_encode`], which both sides frame with, and nothing here has a source of randomness: a [`Nonce`] is brought.
//!
//! | mechanism | client | server | what goes over the wire | document |
//! |---|---|---|---|---|
//! | SCRAM-SHA-256, -PLUS | yes | yes | a proof; with -PLUS one that holds for this TLS connection only | RFC 5802, 7677, 9266 |
//! | SCRAM-SHA-1, -PLUS | yes | yes, though nothing here makes verifiers for it | the same | RFC 5802 |
//! | EXTERNAL | yes | yes | the name; the TLS client certificate proves it | RFC 4422 |
//! | OAUTHBEARER, XOAUTH2 | yes | yes | a token | RFC 7628 |
//! | CRAM-MD5 | yes | no | a proof; a server would have to keep what is as good as the password | RFC 2195 |
//! | PLAIN, LOGIN | yes | yes | the password | RFC 4616 |

pub mod bearer;
pub mod binding;
pub(crate) mod cram_md5;
pub mod exchange;
pub mod framing;
pub mod hash;
pub mod login;
pub mod mechanism;
pub mod plain;
pub mod prepare;
pub(crate) mod saslname;
pub mod scram;
pub mod secret;
pub mod server;
pub(crate) mod signature_hash;

pub use bearer::BearerToken;
pub use binding::{Binding, BindingType, ChannelBindings};
pub use exchange::{ClientExchange, ExchangeError};
pub use framing::{base64_decode, base64_encode};
pub use hash::Hash;
pub use mechanism::Mechanism;
pub use plain::ClearCredential;
pub use prepare::{prepare_name, prepare_password};
pub use scram::nonce::Nonce;
pub use scram::verifier::{NotAVerifier, ScramVerifier};
pub use secret::{Credential, Proof, Secret};
pub use server::{Refused, ServerExchange, ServerStep};
