//! The SASL exchanges that AUTH carries, both sides.
//!
//! A client makes a [`ClientExchange`] from a [`Credential`] and answers challenges with it; a server reads
//! what came with [`plain::decode`] or a [`login::ServerExchange`] and has the [`Secret`] verified elsewhere.
//! Nothing here knows base64 but [`base64_decode`] and [`base64_encode`], which both sides frame with.

pub mod exchange;
pub mod framing;
pub mod login;
pub mod mechanism;
pub mod plain;
pub mod secret;

pub use exchange::{ClientExchange, ExchangeError};
pub use framing::{base64_decode, base64_encode};
pub use mechanism::Mechanism;
pub use plain::ClearCredential;
pub use secret::{Credential, Secret};
