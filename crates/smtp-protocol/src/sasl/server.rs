//! The server's side of a SASL exchange, for every mechanism that we serve.

use super::bearer::{self, BearerToken};
use super::binding::ChannelBindings;
use super::login::{self, ServerStep as LoginStep};
use super::mechanism::Mechanism;
use super::plain::{self, ClearCredential};
use super::scram::nonce::Nonce;
use super::scram::server::{Server as Scram, Step as ScramStep};
use super::scram::verifier::ScramVerifier;
use super::secret::Secret;

/// Asks a client who it is, and says what is to be verified. It verifies nothing by itself but SCRAM's proofs.
///
/// ```text
///   respond(None or what came) ──> Challenge: say it, bring the answer to respond
///                              ──> Verify, Token, Certificate: verify it, and that is all; a token that will not do
///                              │   is brought to refuse_token
///                              ──> Fetch: bring the verifier of that name, or one of nobody, to verifier
///                              ──> Accept: it is this user
/// ```
///
/// ```
/// use postroad_smtp_protocol::sasl::{ChannelBindings, Mechanism, Nonce, ServerExchange, ServerStep};
/// let nonce = Nonce::from_random([7; 18]); // fresh for each exchange
/// let mut plain = ServerExchange::new(Mechanism::Plain, nonce, ChannelBindings::none(), false);
/// let Ok(ServerStep::Verify(credential)) = plain.respond(Some(b"\0tim\0tanstaaf")) else { panic!() };
/// assert_eq!(credential.username, "tim");
/// ```
pub struct ServerExchange(State);

enum State {
    Plain,
    Login(login::ServerExchange),
    Scram(Box<Scram>),
    Bearer(Mechanism),
    External,
    /// The client is to acknowledge that its token will not do.
    TokenRefused,
    /// We do not serve it, or nothing comes any more.
    Over,
}

/// What the server does next.
#[non_exhaustive]
pub enum ServerStep {
    /// 334 with this.
    Challenge(Secret),
    /// Verify this name and password.
    Verify(ClearCredential),
    /// Bring what is kept of this name's password, or what is as good for nobody's, to [`ServerExchange::verifier`].
    Fetch(String),
    /// Verify this token; where it will not do, [`ServerExchange::refuse_token`].
    Token(BearerToken),
    /// Verify that the client certificate may act as this name; empty: as whom it stands for.
    Certificate(String),
    /// It is this user, proved.
    Accept(String),
}

/// The step, and no secret.
impl std::fmt::Debug for ServerStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Challenge(_) => f.write_str("Challenge(..)"),
            Self::Verify(credential) => write!(f, "Verify({credential:?})"),
            Self::Fetch(name) => write!(f, "Fetch({name:?})"),
            Self::Token(token) => write!(f, "Token({token:?})"),
            Self::Certificate(name) => write!(f, "Certificate({name:?})"),
            Self::Accept(name) => write!(f, "Accept({name:?})"),
        }
    }
}

/// Why an exchange ends without a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// 501: not a message of the mechanism, or one out of turn.
    #[error("The response is malformed")]
    Malformed,
    /// 535: the proof is not that of the password, or the token will not do.
    #[error("The user name or password is wrong")]
    Wrong,
    /// 535: a name proved itself, and wants to be another.
    #[error("Nobody acts for another here")]
    ActsForAnother,
    /// 535: the client is bound to another connection than ours: somebody stands between.
    #[error("The channel binding is not that of this connection")]
    OtherChannel,
    /// 535: the client binds its channel by something that we do not have.
    #[error("The channel binding type is not supported")]
    UnsupportedBinding,
    /// 535: the client was not shown the -PLUS that we offer: somebody stands between.
    #[error("The client did not see that channel binding is offered")]
    Downgraded,
}

impl ServerExchange {
    /// An exchange of which nothing has come. `plus_offered`: this mechanism's -PLUS sister was offered too.
    ///
    /// CRAM-MD5 is not served: what a server would have to keep for it is as good as the password.
    pub fn new(mechanism: Mechanism, nonce: Nonce, bindings: ChannelBindings, plus_offered: bool) -> Self {
        Self(match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::Login(login::ServerExchange::new()),
            Mechanism::OAuthBearer | Mechanism::XOAuth2 => State::Bearer(mechanism),
            Mechanism::External => State::External,
            Mechanism::CramMd5 => State::Over,
            _ => match mechanism.scram() {
                Some(hash) => {
                    let plus = mechanism.binds_channel();
                    State::Scram(Box::new(Scram::new(hash, nonce, bindings, plus, plus_offered)))
                }
                None => State::Over,
            },
        })
    }

    /// Takes what came, decoded. `None`: AUTH came without an initial response.
    ///
    /// # Errors
    /// The exchange is over, and nobody is logged on.
    pub fn respond(&mut self, response: Option<&[u8]>) -> Result<ServerStep, Refused> {
        let Some(response) = response else { return self.ask() };
        match std::mem::replace(&mut self.0, State::Over) {
            State::Plain => plain::decode(response).map(ServerStep::Verify).map_err(|_| Refused::Malformed),
            State::Login(mut exchange) => match exchange.respond(response).map_err(|_| Refused::Malformed)? {
                LoginStep::Challenge(challenge) => {
                    self.0 = State::Login(exchange);
                    Ok(say(challenge))
                }
                LoginStep::Verify(credential) => Ok(ServerStep::Verify(credential)),
            },
            State::Scram(mut exchange) => {
                let step = exchange.respond(response)?;
                self.0 = State::Scram(exchange);
                Ok(scram_step(step))
            }
            State::Bearer(mechanism) => {
                let decode = match mechanism {
                    Mechanism::XOAuth2 => bearer::decode_xoauth2,
                    _ => bearer::decode_oauthbearer,
                };
                decode(response).map(ServerStep::Token).map_err(|_| Refused::Malformed)
            }
            State::External => {
                let name = std::str::from_utf8(response).map_err(|_| Refused::Malformed)?;
                if name.contains('\0') {
                    Err(Refused::Malformed)
                } else {
                    Ok(ServerStep::Certificate(name.to_owned()))
                }
            }
            // Whatever it says: `^A` in OAUTHBEARER, nothing in XOAUTH2.
            State::TokenRefused => Err(Refused::Wrong),
            State::Over => Err(Refused::Malformed),
        }
    }

    /// What is said where the client could have spoken first and did not.
    fn ask(&mut self) -> Result<ServerStep, Refused> {
        match &self.0 {
            State::Login(exchange) => Ok(say(exchange.first_challenge())),
            State::TokenRefused | State::Over => Err(Refused::Malformed),
            _ => Ok(say(b"")),
        }
    }

    /// Takes the verifier that [`ServerStep::Fetch`] asked for.
    ///
    /// # Errors
    /// The proof does not fit it, or none was asked for.
    pub fn verifier(&mut self, verifier: ScramVerifier) -> Result<ServerStep, Refused> {
        match &mut self.0 {
            State::Scram(exchange) => exchange.verifier(verifier).map(scram_step),
            _ => Err(Refused::Malformed),
        }
    }

    /// Says that the token will not do; what the client answers is the end.
    pub fn refuse_token(&mut self) -> ServerStep {
        self.0 = State::TokenRefused;
        say(bearer::REFUSAL)
    }
}

fn say(challenge: &[u8]) -> ServerStep {
    ServerStep::Challenge(Secret::new(challenge))
}

fn scram_step(step: ScramStep) -> ServerStep {
    match step {
        ScramStep::Fetch(username) => ServerStep::Fetch(username),
        ScramStep::Say(text) => say(text.as_bytes()),
        ScramStep::Accept(username) => ServerStep::Accept(username),
    }
}

impl std::fmt::Debug for ServerExchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerExchange")
    }
}
