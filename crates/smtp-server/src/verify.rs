//! Whether a password is the right one: the embedder's side of AUTH.

use postroad_smtp_protocol::sasl::Secret;

use crate::client::Client;
use crate::submit::BoxFuture;

/// The answer to a name and a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// It is the right one.
    Accepted,
    /// It is not, or there is no such name: the two look alike from outside.
    Rejected,
    /// Nobody can say now: 454, and not counted against the client.
    Unavailable,
}

/// Verifies logons.
pub trait Verify: Send + Sync {
    /// Takes as long for a name that does not exist as for one that does.
    fn verify<'a>(
        &'a self,
        client: &'a Client,
        username: &'a str,
        password: Secret,
    ) -> BoxFuture<'a, Verification>;
}

/// Lets nobody log on.
#[derive(Clone, Copy, Debug, Default)]
pub struct NobodyLogsOn;

impl Verify for NobodyLogsOn {
    fn verify<'a>(&'a self, _: &'a Client, _: &'a str, _: Secret) -> BoxFuture<'a, Verification> {
        Box::pin(std::future::ready(Verification::Rejected))
    }
}
