//! AUTH: the strongest mechanism that both sides have, answered by us or by the owner of the session.

use std::fmt;
use std::time::Instant;

use postroad_message::{EnhancedStatus, Fault, Phase, RemoteReply, Scope};
use zeroize::Zeroizing;

use crate::client::session::{Session, State, single_line};
use crate::client::settings::Authentication;
use crate::reply::{Reply, ReplyKind};
use crate::sasl::framing::{base64_decode, base64_encode};
use crate::sasl::{Binding, ClientExchange, Mechanism, Secret};

/// `command-line` with its CRLF (RFC 5321 section 4.5.3.1.4); a longer initial response goes by itself.
const COMMAND_LINE: usize = 512;
/// Challenges that the owner is asked to answer: Kerberos and NTLM need two or three.
const MOST_ROUNDS: u8 = 16;

/// What the owner of a session says to a challenge.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Answer<'a> {
    /// Say this. `complete`: a success that the server says next is one.
    Say {
        /// Not encoded yet.
        bytes: &'a [u8],
        /// Whether the mechanism has nothing more to say or to hear.
        complete: bool,
    },
    /// At the beginning: no initial response, the server speaks first.
    Nothing,
    /// There is no answer; for a person: why.
    GiveUp(&'a str),
}

/// No secret.
impl fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Say { bytes, complete } => write!(f, "Say({} bytes, complete: {complete})", bytes.len()),
            Self::Nothing => f.write_str("Nothing"),
            Self::GiveUp(why) => write!(f, "GiveUp({why})"),
        }
    }
}

/// One AUTH under way.
pub(super) struct Login {
    exchange: Exchange,
    /// Why we said `*`.
    cancelled: Option<String>,
}

enum Exchange {
    Ours(ClientExchange),
    Owners(Owners),
}

/// An exchange that the owner of the session answers.
struct Owners {
    mechanism: String,
    stage: Stage,
    complete: bool,
    rounds: u8,
}

enum Stage {
    /// The owner is to be asked, or was.
    Asking { challenge: Option<Secret>, announced: bool },
    /// This did not fit the command, and is said when the server asks for it.
    HeldBack(Secret),
    /// The server speaks next.
    Said,
}

impl Login {
    /// Whether the server repeats our password, or what comes close to it.
    pub(super) fn is_repeated_in(&self, reply: &Reply) -> bool {
        match &self.exchange {
            Exchange::Ours(exchange) => exchange.is_repeated_in(&reply.lines().concat()),
            Exchange::Owners(_) => false,
        }
    }

    fn mechanism(&self) -> &str {
        match &self.exchange {
            Exchange::Ours(exchange) => exchange.mechanism().name(),
            Exchange::Owners(owners) => &owners.mechanism,
        }
    }

    fn is_complete(&self) -> bool {
        match &self.exchange {
            Exchange::Ours(exchange) => exchange.is_complete(),
            Exchange::Owners(owners) => owners.complete,
        }
    }

    /// Whether the owner owes an answer.
    pub(super) fn is_asking(&self) -> bool {
        matches!(&self.exchange, Exchange::Owners(Owners { stage: Stage::Asking { .. }, .. }))
    }

    /// What the owner is asked, once.
    pub(super) fn question(&mut self) -> Option<(&str, Option<&[u8]>)> {
        match &mut self.exchange {
            Exchange::Owners(Owners { stage: Stage::Asking { challenge, announced }, mechanism, .. }) => {
                let is_new = !std::mem::replace(announced, true);
                is_new.then(|| (mechanism.as_str(), challenge.as_ref().map(Secret::expose)))
            }
            _ => None,
        }
    }
}

/// Which mechanism comes next.
enum Choice {
    Ours(Mechanism),
    Owners(String),
}

impl Session {
    /// Logs in where that is asked for. There is no mail without a login that was asked for.
    pub(super) fn log_in(&mut self, now: Instant) {
        let Some(authentication) = &self.settings.authentication else {
            self.become_ready();
            return;
        };
        let in_clear = self.tls.is_none();
        let may = !in_clear || (authentication.clear_text_allowed && !self.settings.downgraded);
        let choice = self.choose(authentication);
        match choice {
            Some(_) if in_clear && self.settings.downgraded => self.cannot_log_in(
                EnhancedStatus::transient(7, 11),
                Fault::Remote,
                "TLS failed, and the password is not sent in clear text after that",
            ),
            _ if !may => self.cannot_log_in(
                EnhancedStatus::transient(7, 11),
                Fault::Configuration,
                "there is no TLS, and the password may not be sent in clear text",
            ),
            Some(Choice::Ours(mechanism)) => {
                let nonce =
                    self.settings.nonce.as_ref().map(|nonce| nonce.numbered(self.refused_mechanisms.len()));
                let credential = authentication.credential.clone();
                let exchange = ClientExchange::new(mechanism, credential, nonce, self.binding(mechanism));
                self.say_auth(now, exchange);
            }
            Some(Choice::Owners(mechanism)) => {
                let stage = Stage::Asking { challenge: None, announced: false };
                let owners = Owners { mechanism, stage, complete: false, rounds: 0 };
                let login = Login { exchange: Exchange::Owners(owners), cancelled: None };
                self.state = State::Authenticating(Box::new(login));
                self.set_deadline(Some(now + self.settings.timeouts.command));
            }
            None => self.cannot_log_in(
                EnhancedStatus::transient(7, 4),
                Fault::Configuration,
                "the server offers no AUTH mechanism that we may use",
            ),
        }
    }

    /// The strongest that is offered, allowed, and can be answered: once. Who refused to hear a proof is not told the password.
    fn choose(&self, authentication: &Authentication) -> Option<Choice> {
        let offered = |name: &str| {
            self.capabilities.auth.iter().any(|offered| offered == name)
                && !self.refused_mechanisms.iter().any(|refused| refused == name)
        };
        let mut own = authentication.own_mechanisms.iter().map(|name| name.to_ascii_uppercase());
        if let Some(own) = own.find(|name| offered(name)) {
            return Some(Choice::Owners(own));
        }
        let proof_refused = Mechanism::ALL
            .iter()
            .any(|m| !m.shows_secret() && self.refused_mechanisms.iter().any(|r| r == m.name()));
        let fits = |mechanism: &Mechanism| {
            offered(mechanism.name())
                && authentication.allows(*mechanism)
                && mechanism.takes(&authentication.credential.proof)
                && (mechanism.scram().is_none() || self.settings.nonce.is_some())
                && (!mechanism.binds_channel() || !self.bindings.is_empty())
                && !(proof_refused && mechanism.shows_secret())
        };
        Mechanism::ALL.into_iter().find(fits).map(Choice::Ours)
    }

    /// `gs2-cbind-flag`: `y` only where we would have bound the channel, had the server offered it (RFC 5802 section 6).
    fn binding(&self, mechanism: Mechanism) -> Binding {
        let best = self.bindings.best();
        if mechanism.binds_channel() {
            return best.map_or(Binding::None, |(kind, data)| Binding::Bound(kind, data));
        }
        let allowed = |plus| self.settings.authentication.as_ref().is_some_and(|a| a.allows(plus));
        match mechanism.with_channel_binding() {
            Some(plus) if best.is_some() && allowed(plus) && !self.capabilities.offers(plus) => {
                Binding::NotOffered
            }
            _ => Binding::None,
        }
    }

    fn say_auth(&mut self, now: Instant, mut exchange: ClientExchange) {
        let name = exchange.mechanism().name();
        let fits = exchange.initial_length().is_some_and(|length| fits_command(name, length));
        let initial = if fits { exchange.initial_response() } else { None };
        let login = Login { exchange: Exchange::Ours(exchange), cancelled: None };
        self.say_command(now, name, initial.as_ref().map(Secret::expose), login);
    }

    fn say_command(&mut self, now: Instant, mechanism: &str, initial: Option<&[u8]>, login: Login) {
        let mut line = Zeroizing::new(Vec::with_capacity(COMMAND_LINE));
        line.extend_from_slice(b"AUTH ");
        line.extend_from_slice(mechanism.as_bytes());
        if let Some(initial) = initial {
            line.extend_from_slice(if initial.is_empty() { b" =" } else { b" " });
            line.extend_from_slice(base64_encode(initial).as_bytes());
        }
        line.extend_from_slice(b"\r\n");
        self.say(now, &line, State::Authenticating(Box::new(login)));
    }

    pub(super) fn auth_answered(&mut self, now: Instant, reply: &Reply) {
        let State::Authenticating(login) = &mut self.state else { return };
        let mechanism = login.mechanism().to_owned();
        let (complete, cancelled) = (login.is_complete(), login.cancelled.take());
        let repeated = login.is_repeated_in(reply);
        match (reply.code(), reply.kind()) {
            (334, _) if cancelled.is_none() => {
                let challenge = reply.lines().first().map(String::as_str).unwrap_or_default();
                self.challenged(now, challenge);
            }
            (_, ReplyKind::Success) if complete && cancelled.is_none() => {
                self.wipe_output();
                self.become_ready();
            }
            (504 | 534 | 538, _) if cancelled.is_none() => {
                self.refused_mechanisms.push(mechanism);
                self.log_in(now);
            }
            (_, ReplyKind::Transient) => {
                self.refuse_login(reply, repeated, Fault::Remote, "the server can't log us in now")
            }
            (_, ReplyKind::Permanent) if cancelled.is_none() => {
                self.refuse_login(reply, repeated, Fault::Configuration, "the server refuses our login");
            }
            _ => {
                let why = cancelled.map_or_else(String::new, |why| format!(": {why}"));
                let text = format!("the server does not keep to AUTH {mechanism}{why}");
                let failure =
                    self.failure(EnhancedStatus::transient(7, 0), Fault::Remote, Scope::NextHop, &text);
                self.give_up(failure);
            }
        }
    }

    fn challenged(&mut self, now: Instant, challenge: &str) {
        let State::Authenticating(login) = &mut self.state else { return };
        let answer = match (base64_decode(challenge.as_bytes()), &mut login.exchange) {
            (Err(error), _) => Err(error.to_string()),
            (Ok(challenge), Exchange::Ours(exchange)) => {
                exchange.respond(&challenge).map_err(|error| error.to_string())
            }
            (Ok(challenge), Exchange::Owners(owners)) => {
                owners.rounds += 1;
                match std::mem::replace(&mut owners.stage, Stage::Said) {
                    Stage::HeldBack(initial) => Ok(initial),
                    _ if owners.rounds > MOST_ROUNDS => Err("it asks without end".to_owned()),
                    _ => {
                        owners.stage = Stage::Asking {
                            challenge: Some(Secret::taken_from(challenge)),
                            announced: false,
                        };
                        return self.set_deadline(Some(now + self.settings.timeouts.command));
                    }
                }
            }
        };
        self.answer_challenge(now, answer);
    }

    /// The owner's answer. Where none is due it is passed over.
    pub(super) fn challenge_answered(&mut self, now: Instant, answer: Answer<'_>) {
        let State::Authenticating(login) = &mut self.state else { return };
        let Exchange::Owners(owners) = &mut login.exchange else { return };
        if !matches!(owners.stage, Stage::Asking { .. }) {
            return;
        }
        let mechanism = owners.mechanism.clone();
        let Stage::Asking { challenge, .. } = std::mem::replace(&mut owners.stage, Stage::Said) else {
            return;
        };
        let is_first = challenge.is_none();
        if let Answer::Say { complete, .. } = answer {
            owners.complete = complete;
        }
        match answer {
            Answer::Say { bytes, .. } if is_first && !fits_command(&mechanism, bytes.len()) => {
                owners.stage = Stage::HeldBack(Secret::new(bytes));
                self.begin_owners(now, &mechanism, None);
            }
            Answer::Say { bytes, .. } if is_first => self.begin_owners(now, &mechanism, Some(bytes)),
            Answer::Nothing if is_first => self.begin_owners(now, &mechanism, None),
            Answer::GiveUp(why) if is_first => {
                let text = format!("there is nothing to log in with by {mechanism}: {}", single_line(why));
                self.cannot_log_in(EnhancedStatus::transient(7, 0), Fault::Local, &text);
            }
            Answer::Say { bytes, .. } => self.answer_challenge(now, Ok(Secret::new(bytes))),
            Answer::Nothing => self.answer_challenge(now, Ok(Secret::new(Vec::new()))),
            Answer::GiveUp(why) => self.answer_challenge(now, Err(single_line(why))),
        }
    }

    fn begin_owners(&mut self, now: Instant, mechanism: &str, initial: Option<&[u8]>) {
        if let State::Authenticating(login) = std::mem::replace(&mut self.state, State::Closed) {
            self.say_command(now, mechanism, initial, *login);
        }
    }

    /// A line of base64, or `*` where there is nothing that we could say (RFC 4954 section 4).
    fn answer_challenge(&mut self, now: Instant, answer: Result<Secret, String>) {
        let line = match &answer {
            Ok(answer) => Zeroizing::new(format!("{}\r\n", base64_encode(answer.expose()).as_str())),
            Err(_) => Zeroizing::new("*\r\n".to_owned()),
        };
        self.wipe_output();
        self.queue(line.as_bytes());
        if let State::Authenticating(login) = &mut self.state {
            login.cancelled = answer.err();
        }
        self.set_deadline(Some(now + self.settings.timeouts.command));
    }

    fn cannot_log_in(&mut self, status: EnhancedStatus, fault: Fault, text: &str) {
        let mut failure = self.failure(status, fault, Scope::NextHop, text);
        failure.phase = Phase::Authentication;
        self.give_up(failure);
    }

    /// Reports, logs and the queue keep what a server says: not when it repeats our password.
    fn refuse_login(&mut self, reply: &Reply, repeated: bool, fault: Fault, text: &str) {
        if !repeated {
            return self.refuse_session(reply, fault, text);
        }
        let said = reply.enhanced().unwrap_or(EnhancedStatus::transient(7, 0));
        let status = EnhancedStatus::transient(said.subject(), said.detail());
        let mut failure = self.failure(status, fault, Scope::NextHop, text);
        let withheld = "(withheld: the server repeats our password)".to_owned();
        failure.reply = Some(RemoteReply::new(reply.code(), vec![withheld]));
        self.give_up(failure);
    }
}

/// Base64 makes four bytes of three. What does not fit is said when the server asks for it.
fn fits_command(mechanism: &str, length: usize) -> bool {
    "AUTH ".len() + mechanism.len() + " ".len() + length.div_ceil(3) * 4 + "\r\n".len() <= COMMAND_LINE
}
