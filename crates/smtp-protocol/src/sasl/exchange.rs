//! The client's side of a SASL exchange, for every mechanism we speak.

use zeroize::Zeroizing;

use super::framing::base64_encode;
use super::mechanism::Mechanism;
use super::plain;
use super::secret::Credential;

/// Answers what a server asks during AUTH, and no more often than the mechanism allows.
pub struct ClientExchange {
    mechanism: Mechanism,
    credential: Credential,
    answered: u8,
}

/// So much of a password, bytes, is enough to tell that it is repeated.
const TELLTALE: usize = 8;

/// The server asked on where the mechanism has nothing more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server asks for more than {0} has to say")]
pub struct ExchangeError(pub Mechanism);

impl ClientExchange {
    /// An exchange of which nothing was said.
    pub fn new(mechanism: Mechanism, credential: Credential) -> Self {
        Self { mechanism, credential, answered: 0 }
    }

    /// Which mechanism this is.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// What the client may say at once, with AUTH itself. `None` where the server speaks first.
    pub fn initial_response(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        match self.mechanism {
            Mechanism::Plain => self.respond(b"").ok(),
            Mechanism::Login => None,
        }
    }

    /// How long [`initial_response`](Self::initial_response) will be.
    pub fn initial_length(&self) -> Option<usize> {
        match self.mechanism {
            Mechanism::Plain => {
                Some(self.credential.username.len() + self.credential.password.expose().len() + 2)
            }
            Mechanism::Login => None,
        }
    }

    /// The answer to one challenge, both decoded.
    ///
    /// LOGIN's challenges are answered by their order: their words differ from server to server.
    pub fn respond(&mut self, _challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, ExchangeError> {
        let answer = match (self.mechanism, self.answered) {
            (Mechanism::Plain, 0) => plain::encode(&self.credential),
            (Mechanism::Login, 0) => Zeroizing::new(self.credential.username.as_bytes().to_vec()),
            (Mechanism::Login, 1) => Zeroizing::new(self.credential.password.expose().to_vec()),
            (mechanism, _) => return Err(ExchangeError(mechanism)),
        };
        self.answered += 1;
        Ok(answer)
    }

    /// Whether `text` holds the password as we say it, or the beginning of that, in whatever letter case.
    ///
    /// There are servers that repeat the line they refuse.
    pub fn is_repeated_in(&self, text: &str) -> bool {
        let text = Zeroizing::new(text.as_bytes().to_ascii_lowercase());
        let password = self.credential.password.expose();
        let lines = [base64_encode(password), base64_encode(&plain::encode(&self.credential))];
        lines.iter().map(|line| line.as_bytes()).chain([password]).any(|said| {
            let said = said.get(..TELLTALE).unwrap_or(said);
            let beginning = Zeroizing::new(said.to_ascii_lowercase());
            !beginning.is_empty() && memchr::memmem::find(&text, &beginning).is_some()
        })
    }

    /// Whether we have said everything: a 235 before that is not a success.
    pub fn is_complete(&self) -> bool {
        match self.mechanism {
            Mechanism::Plain => self.answered == 1,
            Mechanism::Login => self.answered == 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::secret::Secret;
    use super::*;

    fn exchange(mechanism: Mechanism) -> ClientExchange {
        ClientExchange::new(mechanism, Credential::new("tim", Secret::new("pw")))
    }

    #[test]
    fn plain_says_all_at_once_and_then_nothing() {
        let mut plain = exchange(Mechanism::Plain);
        assert_eq!(plain.initial_response().as_deref().map(Vec::as_slice), Some(&b"\0tim\0pw"[..]));
        assert!(plain.is_complete());
        assert_eq!(plain.respond(b"more?"), Err(ExchangeError(Mechanism::Plain)));
    }

    #[test]
    fn a_repeated_password_is_found_however_it_is_written() {
        let plain = ClientExchange::new(Mechanism::Plain, Credential::new("tim", Secret::new("tanstaaf")));
        for text in [
            "5.5.1 unrecognised: AUTH PLAIN AHRpbQB0YW5zdGFhZg==",
            "unrecognised: auth plain ahrpbqb0yw5z...",
            "bad line dGFuc3RhYWY=",
            "not tanstaaf!",
        ] {
            assert!(plain.is_repeated_in(text), "{text}");
        }
        assert!(!plain.is_repeated_in("5.7.8 tim may not log in"));
    }

    #[test]
    fn login_answers_two_challenges_whatever_their_words() {
        let mut login = exchange(Mechanism::Login);
        assert_eq!(login.initial_response(), None);
        assert_eq!(login.respond(b"VXNlcm5hbWU6").as_deref().map(Vec::as_slice), Ok(&b"tim"[..]));
        assert!(!login.is_complete());
        assert_eq!(login.respond(b"?").as_deref().map(Vec::as_slice), Ok(&b"pw"[..]));
        assert!(login.is_complete());
        assert!(login.respond(b"and?").is_err());
    }
}
