//! The client's side of a SASL exchange, for every mechanism we speak.

use zeroize::Zeroizing;

use super::binding::Binding;
use super::framing::base64_encode;
use super::mechanism::Mechanism;
use super::scram::client::Client;
use super::scram::nonce::Nonce;
use super::secret::{Credential, Proof, Secret};
use super::{bearer, cram_md5, plain};

/// Answers what a server asks during AUTH, and no more often than the mechanism allows.
///
/// ```
/// use postroad_smtp_protocol::sasl::{Binding, ClientExchange, Credential, Mechanism, Secret};
/// let credential = Credential::new("tim", Secret::new("tanstaaf"));
/// let mut login = ClientExchange::new(Mechanism::Login, credential, None, Binding::None);
/// assert!(login.initial_response().is_none());
/// assert_eq!(login.respond(b"Username:")?.expose(), b"tim");
/// assert_eq!(login.respond(b"Password:")?.expose(), b"tanstaaf");
/// assert!(login.is_complete()); // now a 235 is a success
/// # Ok::<(), postroad_smtp_protocol::sasl::ExchangeError>(())
/// ```
pub struct ClientExchange {
    mechanism: Mechanism,
    credential: Credential,
    scram: Option<Client>,
    answered: u8,
}

/// So much of a password, bytes, is enough to tell that it is repeated.
const TELLTALE: usize = 8;

/// Why we do not go on: none of these is a login, whatever the server says next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// There is nothing more to say.
    #[error("the server asks for more than {0} has to say")]
    AsksForMore(Mechanism),
    /// A challenge is not of the mechanism's form.
    #[error("the server's challenge is not one of {0}")]
    Malformed(Mechanism),
    /// It does not begin with ours, or adds nothing to it: an exchange is played again.
    #[error("the server's nonce is not made of ours ({0})")]
    WrongNonce(Mechanism),
    /// Fewer than 4096 make guessing cheap, more than a million keep us busy.
    #[error("the server wants the password hashed {0} times, which is not from 4096 to 1000000")]
    Iterations(u32),
    /// The server does not know the password: it is another than we think.
    #[error(
        "the server's signature is wrong: it does not know the password, so it is not who we take it for ({0})"
    )]
    NotTheServer(Mechanism),
    /// The credential is of another kind, or there is no nonce.
    #[error("the credential is none for {0}")]
    Unfit(Mechanism),
}

impl ClientExchange {
    /// An exchange of which nothing was said. `nonce` and `binding` are SCRAM's; the other mechanisms pass them over.
    pub fn new(mechanism: Mechanism, credential: Credential, nonce: Option<Nonce>, binding: Binding) -> Self {
        let bound = matches!(binding, Binding::Bound(..));
        let scram = match (mechanism.scram(), nonce) {
            (Some(hash), Some(nonce)) if bound == mechanism.binds_channel() => {
                Some(Client::new(mechanism, hash, nonce, binding))
            }
            _ => None,
        };
        Self { mechanism, credential, scram, answered: 0 }
    }

    /// Which mechanism this is.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// What the client may say at once, with AUTH itself. `None` where the server speaks first.
    pub fn initial_response(&mut self) -> Option<Secret> {
        match self.mechanism {
            Mechanism::Login | Mechanism::CramMd5 => None,
            _ => self.respond(b"").ok(),
        }
    }

    /// How long [`initial_response`](Self::initial_response) will be.
    pub fn initial_length(&self) -> Option<usize> {
        match self.mechanism {
            Mechanism::Login | Mechanism::CramMd5 => None,
            _ => self.first().ok().map(|message| message.len()),
        }
    }

    /// The first message of a mechanism in which the client speaks first.
    fn first(&self) -> Result<Zeroizing<Vec<u8>>, ExchangeError> {
        let text = match (self.mechanism, &self.credential.proof) {
            (Mechanism::Plain, Proof::Password(_)) => plain::encode(&self.credential),
            (Mechanism::OAuthBearer, Proof::Token(_)) => bearer::encode_oauthbearer(&self.credential),
            (Mechanism::XOAuth2, Proof::Token(_)) => bearer::encode_xoauth2(&self.credential),
            // `extern-init-resp = [extern-authz-id]` (RFC 4422 appendix A.1)
            (Mechanism::External, Proof::Certificate) => self.name(),
            (_, Proof::Password(_)) => match &self.scram {
                Some(scram) => Zeroizing::new(scram.first(&self.credential).into_bytes()),
                None => return Err(ExchangeError::Unfit(self.mechanism)),
            },
            _ => return Err(ExchangeError::Unfit(self.mechanism)),
        };
        Ok(text)
    }

    /// The answer to one challenge, both decoded.
    ///
    /// LOGIN's challenges are answered by their order: their words differ from server to server. With SCRAM this takes as
    /// long as the iterations that the server names, at most somewhat less than a second of a processor.
    ///
    /// # Errors
    /// Where the server goes on longer than the mechanism, says what is none of its messages, or does not know the password: nothing
    /// more is to be said, and no success that follows is one.
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Secret, ExchangeError> {
        self.answer(challenge).map(Secret::taken_from)
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, ExchangeError> {
        if !self.mechanism.takes(&self.credential.proof) {
            return Err(ExchangeError::Unfit(self.mechanism));
        }
        if let (Some(scram), Proof::Password(password)) = (&mut self.scram, &self.credential.proof) {
            return scram.respond(&self.credential, password, challenge);
        }
        let answer = match (self.mechanism, self.answered) {
            (Mechanism::Login, 0) => self.name(),
            (Mechanism::Login, 1) => Zeroizing::new(self.credential.secret().to_vec()),
            (Mechanism::CramMd5, 0) => cram_md5::respond(&self.credential, challenge),
            // The token will not do; the server says why, and wants an answer before it says so in SMTP's own terms.
            (Mechanism::OAuthBearer, 1) => Zeroizing::new(b"\x01".to_vec()),
            (Mechanism::XOAuth2, 1) => Zeroizing::new(Vec::new()),
            (_, 0) => self.first()?,
            (mechanism, _) => return Err(ExchangeError::AsksForMore(mechanism)),
        };
        self.answered += 1;
        Ok(answer)
    }

    fn name(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.credential.username.as_bytes().to_vec())
    }

    /// Whether `text` holds the password as we say it, or the beginning of that, in whatever letter case.
    ///
    /// There are servers that repeat the line they refuse.
    pub fn is_repeated_in(&self, text: &str) -> bool {
        let text = Zeroizing::new(text.as_bytes().to_ascii_lowercase());
        let secret = self.credential.secret();
        let shown = if self.mechanism.shows_secret() { self.first().ok() } else { None };
        let lines = [base64_encode(secret), base64_encode(&shown.unwrap_or_default())];
        lines.iter().map(|line| line.as_bytes()).chain([secret]).any(|said| {
            let said = said.get(..TELLTALE).unwrap_or(said);
            let beginning = Zeroizing::new(said.to_ascii_lowercase());
            !beginning.is_empty() && memchr::memmem::find(&text, &beginning).is_some()
        })
    }

    /// Whether we have said everything, and the server has proved what it must: a 235 before that is not a success.
    pub fn is_complete(&self) -> bool {
        match (&self.scram, self.mechanism) {
            (Some(scram), _) => scram.is_complete(),
            (None, Mechanism::Login) => self.answered == 2,
            (None, _) => self.answered == 1,
        }
    }
}

/// The mechanism alone.
impl std::fmt::Debug for ClientExchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientExchange").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(mechanism: Mechanism) -> ClientExchange {
        ClientExchange::new(mechanism, Credential::new("tim", Secret::new("pw")), None, Binding::None)
    }

    #[test]
    fn plain_says_all_at_once_and_then_nothing() {
        let mut plain = exchange(Mechanism::Plain);
        assert_eq!(plain.initial_response().as_ref().map(Secret::expose), Some(&b"\0tim\0pw"[..]));
        assert!(plain.is_complete());
        assert_eq!(plain.respond(b"more?").err(), Some(ExchangeError::AsksForMore(Mechanism::Plain)));
    }

    #[test]
    fn a_repeated_password_is_found_however_it_is_written() {
        let credential = Credential::new("tim", Secret::new("tanstaaf"));
        let plain = ClientExchange::new(Mechanism::Plain, credential, None, Binding::None);
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
        assert!(login.initial_response().is_none());
        assert_eq!(login.respond(b"VXNlcm5hbWU6").as_ref().map(Secret::expose), Ok(&b"tim"[..]));
        assert!(!login.is_complete());
        assert_eq!(login.respond(b"?").as_ref().map(Secret::expose), Ok(&b"pw"[..]));
        assert!(login.is_complete());
        assert!(login.respond(b"and?").is_err());
    }

    #[test]
    fn a_refused_token_is_acknowledged_once_and_is_no_login() {
        for (mechanism, acknowledgement) in
            [(Mechanism::OAuthBearer, &b"\x01"[..]), (Mechanism::XOAuth2, b"")]
        {
            let credential = Credential::token("tim", Secret::new("ya29"));
            let mut bearer = ClientExchange::new(mechanism, credential, None, Binding::None);
            assert!(
                bearer
                    .initial_response()
                    .is_some_and(|said| said.expose().ends_with(b"auth=Bearer ya29\x01\x01"))
            );
            assert!(bearer.is_complete());
            let answer = bearer.respond(br#"{"status":"invalid_token"}"#);
            assert_eq!(answer.as_ref().map(Secret::expose), Ok(acknowledgement));
            assert!(!bearer.is_complete(), "{mechanism}");
            assert!(bearer.respond(b"").is_err());
        }
    }

    #[test]
    fn external_names_whom_it_acts_as_or_nobody() {
        for (name, said) in [(None, &b""[..]), (Some("jane".to_owned()), b"jane")] {
            let mut external =
                ClientExchange::new(Mechanism::External, Credential::certificate(name), None, Binding::None);
            assert_eq!(external.initial_response().as_ref().map(Secret::expose), Some(said));
            assert!(external.is_complete());
        }
    }

    #[test]
    fn a_proof_of_another_kind_says_nothing() {
        for mechanism in Mechanism::ALL {
            for credential in [
                Credential::new("tim", Secret::new("pw")),
                Credential::token("tim", Secret::new("pw")),
                Credential::certificate(None),
            ] {
                let fits = mechanism.takes(&credential.proof) && mechanism.scram().is_none();
                let mut exchange = ClientExchange::new(mechanism, credential, None, Binding::None);
                assert_eq!(exchange.respond(b"").is_ok(), fits, "{mechanism}");
            }
        }
    }
}
