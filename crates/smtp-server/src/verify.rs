//! Whether somebody is who he says: the embedder's side of AUTH.

use postroad_smtp_protocol::sasl::{BearerToken, ScramVerifier, Secret};

use crate::client::Client;
use crate::submit::BoxFuture;

/// The answer to a name and a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum PasswordVerdict {
    /// It is the right one.
    Accepted,
    /// It is not, or there is no such name: the two look alike from outside.
    Rejected,
    /// Nobody can say now: 454, and not counted against the client.
    Unavailable,
}

/// Verifies logons.
///
/// Names and passwords are all that most need: [`verify`](Self::verify) serves PLAIN and LOGIN, and the rest has its defaults.
/// [`mechanisms`](Self::mechanisms) says what is offered; each mechanism there is served by
///
/// | mechanism | method |
/// |---|---|
/// | `PLAIN`, `LOGIN` | [`verify`](Self::verify) |
/// | `SCRAM-SHA-256`; its `-PLUS` is offered beside it where TLS can be bound by | [`scram`](Self::scram) |
/// | `OAUTHBEARER`, `XOAUTH2` | [`verify_token`](Self::verify_token) |
/// | any other, or one of these in your own way | [`begin`](Self::begin) |
pub trait Verify: Send + Sync {
    /// Takes as long for a name that does not exist as for one that does. The name is in its SASLprep form; the password as
    /// it came.
    fn verify<'a>(
        &'a self,
        client: &'a Client,
        username: &'a str,
        password: Secret,
    ) -> BoxFuture<'a, PasswordVerdict>;

    /// What this client is offered, upper case, the strongest first. Asked when a session begins and again inside TLS, so it
    /// answers from memory. A client takes the strongest that it knows: offer nothing that a user could fail by.
    fn mechanisms(&self, client: &Client) -> Vec<String> {
        let _ = client;
        vec!["PLAIN".to_owned(), "LOGIN".to_owned()]
    }

    /// Whether there is such a name, for the log of a failed logon and nobody else: a name that is not known may be a password,
    /// typed into the wrong field, and is not logged. Answers from memory. Never, unless you say otherwise.
    fn is_known(&self, client: &Client, username: &str) -> bool {
        let _ = (client, username);
        false
    }

    /// What is kept of this name's password; for a name that does not exist, a [decoy](ScramVerifier::decoy), in no other
    /// time. `None`: nobody can say now.
    fn scram<'a>(&'a self, client: &'a Client, username: &'a str) -> BoxFuture<'a, Option<ScramVerifier>> {
        let _ = (client, username);
        Box::pin(std::future::ready(None))
    }

    /// Whose token this is. The name that came with it is a hint, not a proof; a token of somebody else's is rejected by
    /// whoever compares the two.
    fn verify_token<'a>(&'a self, client: &'a Client, token: BearerToken) -> BoxFuture<'a, LogonStep> {
        let _ = (client, token);
        Box::pin(std::future::ready(LogonStep::Unavailable))
    }

    /// Begins a logon that takes its own way: Kerberos, NTLM, a one-time password. Asked first for every mechanism; `None`
    /// leaves it to the methods above.
    fn begin(&self, client: &Client, mechanism: &str) -> Option<Box<dyn Logon>> {
        let _ = (client, mechanism);
        None
    }
}

/// One logon under way, by a mechanism of the embedder's. Dropped when the client cancels, or goes.
pub trait Logon: Send {
    /// Takes what the client says, decoded. `None`: AUTH came without an initial response.
    ///
    /// Not asked again after anything but [`LogonStep::Challenge`].
    fn respond<'a>(&'a mut self, response: Option<&'a [u8]>) -> BoxFuture<'a, LogonStep>;
}

/// What follows from what a client said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogonStep {
    /// Ask on with this. Mechanisms whose last word is the server's say it so, too: the client answers with an empty line.
    Challenge(Vec<u8>),
    /// It is this user.
    Accepted(String),
    /// It is nobody.
    Rejected,
    /// Nobody can say now: 454, and not counted against the client.
    Unavailable,
}

/// Lets nobody log on.
#[derive(Clone, Copy, Debug, Default)]
pub struct NobodyLogsOn;

impl Verify for NobodyLogsOn {
    fn verify<'a>(&'a self, _: &'a Client, _: &'a str, _: Secret) -> BoxFuture<'a, PasswordVerdict> {
        Box::pin(std::future::ready(PasswordVerdict::Rejected))
    }
}
