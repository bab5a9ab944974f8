//! The server's side of SCRAM.

use super::super::binding::{BindingType, ChannelBindings};
use super::super::framing::base64_encode;
use super::super::hash::Hash;
use super::super::prepare::prepare_name;
use super::super::server::Refused;
use super::message::{ClientFinal, ClientFirst, Flag, ServerFirst};
use super::nonce::Nonce;
use super::verifier::ScramVerifier;

/// Where the exchange stands.
pub(crate) struct Server {
    hash: Hash,
    nonce: Nonce,
    bindings: ChannelBindings,
    /// By the name that the client chose, it binds the channel.
    plus: bool,
    /// A client that could bind the channel, and thinks that we could not, was lied to.
    plus_offered: bool,
    state: State,
}

enum State {
    /// The client's first message comes next.
    First,
    /// The verifier comes next.
    Verifier { username: String, header: String, bare: String, nonce: String, binding: Option<BindingType> },
    /// The proof comes next.
    Proof { username: String, verifier: ScramVerifier, said: String, nonce: String, binding: Vec<u8> },
    /// An empty line comes next.
    Acknowledgement { username: String },
    /// Nothing comes any more.
    Over,
}

/// What follows from a message.
pub(crate) enum Step {
    /// The verifier of this name is needed, or one of nobody.
    Fetch(String),
    /// Say this.
    Say(String),
    /// It is this user.
    Accept(String),
}

impl Server {
    pub(crate) fn new(
        hash: Hash,
        nonce: Nonce,
        bindings: ChannelBindings,
        plus: bool,
        plus_offered: bool,
    ) -> Self {
        Self { hash, nonce, bindings, plus, plus_offered, state: State::First }
    }

    pub(crate) fn respond(&mut self, message: &[u8]) -> Result<Step, Refused> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::First => self.first(message),
            State::Proof { username, verifier, said, nonce, binding } => {
                let last = ClientFinal::decode(message).map_err(|_| Refused::Malformed)?;
                if last.nonce != nonce {
                    return Err(Refused::Malformed);
                }
                let auth_message = format!("{said},{}", last.without_proof);
                if !verifier.proves(&auth_message, &last.proof) {
                    return Err(Refused::Wrong);
                }
                // Only now: a stranger learns nothing about our end of the channel.
                if last.binding != binding {
                    return Err(Refused::OtherChannel);
                }
                let signature = self.hash.hmac(&verifier.server_key, auth_message.as_bytes());
                self.state = State::Acknowledgement { username };
                Ok(Step::Say(format!("v={}", base64_encode(&signature).as_str())))
            }
            State::Acknowledgement { username } if message.is_empty() => Ok(Step::Accept(username)),
            _ => Err(Refused::Malformed),
        }
    }

    fn first(&mut self, message: &[u8]) -> Result<Step, Refused> {
        let first = ClientFirst::decode(message).map_err(|_| Refused::Malformed)?;
        let binding = match (first.flag, self.plus) {
            (Flag::Bound(name), true) => {
                let kind = BindingType::parse(name).filter(|kind| self.bindings.get(*kind).is_some());
                Some(kind.ok_or(Refused::UnsupportedBinding)?)
            }
            // RFC 5802 section 6: somebody took our -PLUS out of what the client saw.
            (Flag::NotOffered, false) if self.plus_offered => return Err(Refused::Downgraded),
            (Flag::None | Flag::NotOffered, false) => None,
            (Flag::Bound(_), false) | (_, true) => return Err(Refused::Malformed),
        };
        let username = prepare_name(&first.username).into_owned();
        let acts_as = &first.authorization_identity;
        if !acts_as.is_empty() && prepare_name(acts_as) != username {
            return Err(Refused::ActsForAnother);
        }
        self.state = State::Verifier {
            username: username.clone(),
            header: first.header.to_owned(),
            bare: first.bare.to_owned(),
            nonce: format!("{}{}", first.nonce, self.nonce.as_str()),
            binding,
        };
        Ok(Step::Fetch(username))
    }

    /// Takes the verifier that was asked for.
    pub(crate) fn verifier(&mut self, verifier: ScramVerifier) -> Result<Step, Refused> {
        let State::Verifier { username, header, bare, nonce, binding } =
            std::mem::replace(&mut self.state, State::Over)
        else {
            return Err(Refused::Malformed);
        };
        if verifier.hash != self.hash {
            return Err(Refused::Wrong);
        }
        let first =
            ServerFirst { nonce: &nonce, salt: verifier.salt.clone(), iterations: verifier.iterations }
                .encode();
        let mut expected = header.into_bytes();
        if let Some(data) = binding.and_then(|kind| self.bindings.get(kind)) {
            expected.extend_from_slice(data.expose());
        }
        let said = format!("{bare},{first}");
        self.state = State::Proof { username, verifier, said, nonce, binding: expected };
        Ok(Step::Say(first))
    }
}
