//! The client's side of SCRAM.

use zeroize::Zeroizing;

use super::super::binding::Binding;
use super::super::exchange::ExchangeError;
use super::super::hash::{Digested, Hash, same, xor};
use super::super::mechanism::Mechanism;
use super::super::prepare::prepare_name;
use super::super::saslname;
use super::super::secret::{Credential, Secret};
use super::message::{ServerFinal, ServerFirst, without_proof};
use super::nonce::Nonce;
use super::verifier::{Keys, LEAST_ITERATIONS, MOST_ITERATIONS};

/// Where the exchange stands.
pub(crate) struct Client {
    mechanism: Mechanism,
    hash: Hash,
    nonce: Nonce,
    binding: Binding,
    state: State,
}

enum State {
    /// Nothing was said.
    Begin,
    /// Our first message was.
    First,
    /// Our proof was; the server must answer with this.
    Proof { signature: Digested },
    /// The server has proved that it knows the password.
    Verified,
    /// Nothing more is said.
    Over,
}

impl Client {
    pub(crate) fn new(mechanism: Mechanism, hash: Hash, nonce: Nonce, binding: Binding) -> Self {
        Self { mechanism, hash, nonce, binding, state: State::Begin }
    }

    /// `gs2-header`
    fn header(&self) -> String {
        match &self.binding {
            Binding::None => "n,,".to_owned(),
            Binding::NotOffered => "y,,".to_owned(),
            Binding::Bound(kind, _) => format!("p={},,", kind.name()),
        }
    }

    fn bare(&self, credential: &Credential) -> String {
        format!("n={},r={}", saslname::encode(&prepare_name(&credential.username)), self.nonce.as_str())
    }

    /// What is said first.
    pub(crate) fn first(&self, credential: &Credential) -> String {
        self.header() + &self.bare(credential)
    }

    pub(crate) fn respond(
        &mut self,
        credential: &Credential,
        password: &Secret,
        challenge: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, ExchangeError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Begin => {
                self.state = State::First;
                Ok(Zeroizing::new(self.first(credential).into_bytes()))
            }
            State::First => self.prove(credential, password, challenge),
            State::Proof { signature } => match ServerFinal::decode(challenge) {
                Ok(ServerFinal::Signature(theirs)) if same(&signature, &theirs) => {
                    self.state = State::Verified;
                    Ok(Zeroizing::new(Vec::new()))
                }
                Ok(ServerFinal::Signature(_)) => Err(ExchangeError::NotTheServer(self.mechanism)),
                // Why we are refused is said again by the reply that follows.
                Ok(ServerFinal::Error(_)) => Ok(Zeroizing::new(Vec::new())),
                Err(_) => Err(ExchangeError::Malformed(self.mechanism)),
            },
            State::Verified | State::Over => Err(ExchangeError::AsksForMore(self.mechanism)),
        }
    }

    fn prove(
        &mut self,
        credential: &Credential,
        password: &Secret,
        challenge: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, ExchangeError> {
        let first = ServerFirst::decode(challenge).map_err(|_| ExchangeError::Malformed(self.mechanism))?;
        let ours = self.nonce.as_str();
        if !first.nonce.starts_with(ours) || first.nonce.len() == ours.len() {
            return Err(ExchangeError::WrongNonce(self.mechanism));
        }
        if !(LEAST_ITERATIONS..=MOST_ITERATIONS).contains(&first.iterations) {
            return Err(ExchangeError::Iterations(first.iterations));
        }
        let mut binding = self.header().into_bytes();
        if let Binding::Bound(_, data) = &self.binding {
            binding.extend_from_slice(data.expose());
        }
        let without_proof = without_proof(&binding, first.nonce);
        // What the server sent is signed as it stands.
        let server_first = String::from_utf8_lossy(challenge);
        let auth_message = format!("{},{server_first},{without_proof}", self.bare(credential));
        let keys = Keys::derive(self.hash, password, &first.salt, first.iterations);
        let signature = self.hash.hmac(&keys.stored_key, auth_message.as_bytes());
        let proof = super::super::framing::base64_encode(&xor(&keys.client_key, &signature));
        self.state = State::Proof { signature: self.hash.hmac(&keys.server_key, auth_message.as_bytes()) };
        Ok(Zeroizing::new(format!("{without_proof},p={}", proof.as_str()).into_bytes()))
    }

    /// Whether the server has proved itself: a 235 before that is not a success.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.state, State::Verified)
    }
}
