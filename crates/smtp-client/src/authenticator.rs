//! Logs in by what needs an answer from elsewhere: a ticket server, a card, a person.

use std::fmt;
use std::sync::Arc;

use postroad_smtp_protocol::sasl::Secret;

use crate::resolve::BoxFuture;

/// Answers for mechanisms that this crate does not speak, such as `GSSAPI`, or in another way than it does.
///
/// Its mechanisms are tried before ours, under the same rules: inside TLS only, unless
/// [`clear_text_allowed`](crate::Authentication::clear_text_allowed), and each once. Where it has no answer, the mail waits.
pub trait Authenticator: Send + Sync {
    /// What it answers for, in any letter case, the best first. Must return at once.
    fn mechanisms(&self) -> Vec<String>;

    /// Begins a login by one of them, upper case, at the host of that name, or at that address.
    fn begin(&self, mechanism: &str, host: &str) -> Box<dyn Login>;
}

/// One for several destinations.
impl<T: Authenticator + ?Sized> Authenticator for Arc<T> {
    fn mechanisms(&self) -> Vec<String> {
        (**self).mechanisms()
    }

    fn begin(&self, mechanism: &str, host: &str) -> Box<dyn Login> {
        (**self).begin(mechanism, host)
    }
}

/// For the [`Destination`](crate::Destination) that holds one.
impl fmt::Debug for dyn Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authenticator").field(&self.mechanisms()).finish()
    }
}

/// One login under way. Dropped at any moment.
pub trait Login: Send {
    /// Answers what the server says, decoded. `None`: nothing was said yet, and an initial response may be given.
    ///
    /// It has as long as the server has for a reply.
    fn answer<'a>(&'a mut self, challenge: Option<&'a [u8]>) -> BoxFuture<'a, LoginAnswer>;
}

/// What is said to a challenge.
#[derive(Clone)]
#[non_exhaustive]
pub enum LoginAnswer {
    /// This, and the server is to ask on before it says yes.
    Say(Secret),
    /// This, and whoever is at the other end has proved what he must: a yes that follows is one.
    SayLast(Secret),
    /// At the beginning: nothing, the server speaks first.
    Nothing,
    /// There is no answer; for a person: why.
    GiveUp(String),
}

/// No secret.
impl fmt::Debug for LoginAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_answer().fmt(f)
    }
}

/// What a session is told of it.
impl LoginAnswer {
    pub(crate) fn as_answer(&self) -> postroad_smtp_protocol::client::Answer<'_> {
        use postroad_smtp_protocol::client::Answer;
        match self {
            Self::Say(secret) => Answer::Say { bytes: secret.expose(), complete: false },
            Self::SayLast(secret) => Answer::Say { bytes: secret.expose(), complete: true },
            Self::Nothing => Answer::Nothing,
            Self::GiveUp(why) => Answer::GiveUp(why),
        }
    }
}
