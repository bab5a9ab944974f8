//! AUTH: PLAIN and LOGIN, in clear text only where that is allowed.

use postroad_message::EnhancedStatus;
use zeroize::Zeroize;

use crate::sasl::login::{ServerExchange, ServerStep};
use crate::sasl::{ClearCredential, Mechanism, base64_decode, base64_encode, framing, plain};
use crate::server::limits::Limits;
use crate::server::reply_line::ReplyLine;
use crate::server::session::{Event, LogonState, Question, Session, Slow, State};
use crate::server::verdict::Verdict;

impl Session {
    pub(super) fn auth(&mut self, mechanism: &str, initial: Option<&str>) {
        let Some(offer) = &self.settings.logon else {
            return self.protocol_error(502, EnhancedStatus::permanent(5, 1), "AUTH is not offered");
        };
        if offer.require_tls && !self.in_tls {
            return self.protocol_error(
                538,
                EnhancedStatus::permanent(7, 11),
                "AUTH is served inside TLS only",
            );
        }
        let known =
            mechanism.parse::<Mechanism>().ok().filter(|mechanism| offer.mechanisms.contains(mechanism));
        if !self.greeted {
            return self.out_of_order("Send EHLO first");
        }
        if self.user.is_some() {
            return self.out_of_order("Somebody is logged on already");
        }
        if self.transaction.is_some() {
            return self.out_of_order("A transaction is under way");
        }
        match (known, initial) {
            (None, _) => {
                self.protocol_error(504, EnhancedStatus::permanent(5, 4), "The mechanism is not offered")
            }
            (Some(mechanism), Some(initial)) => match framing::initial_response(initial.as_bytes()) {
                Ok(response) => self.decoded_response(begin(mechanism), &response),
                Err(_) => self.malformed_response(),
            },
            (Some(Mechanism::Plain), None) => self.challenge(LogonState::Plain, b""),
            (Some(Mechanism::Login), None) => {
                let exchange = ServerExchange::new();
                let first = exchange.first_challenge();
                self.challenge(LogonState::Login(exchange), first);
            }
        }
    }

    /// One line of the exchange; it is wiped afterwards.
    pub(super) fn logon_response(&mut self, state: LogonState, mut line: Vec<u8>) {
        if line.len() > Limits::LOGON_LINE {
            self.protocol_error(500, EnhancedStatus::permanent(5, 6), "The line is too long");
        } else if line == b"*" {
            self.reply(501, EnhancedStatus::permanent(7, 0), "The logon was cancelled");
        } else {
            match base64_decode(&line) {
                Ok(response) => self.decoded_response(state, &response),
                Err(_) => self.malformed_response(),
            }
        }
        line.zeroize();
    }

    fn decoded_response(&mut self, state: LogonState, response: &[u8]) {
        match state {
            LogonState::Plain => match plain::decode(response) {
                Ok(credential) => self.verify(Mechanism::Plain, credential),
                Err(_) => self.malformed_response(),
            },
            LogonState::Login(mut exchange) => match exchange.respond(response) {
                Ok(ServerStep::Challenge(challenge)) => {
                    self.challenge(LogonState::Login(exchange), challenge)
                }
                Ok(ServerStep::Verify(credential)) => self.verify(Mechanism::Login, credential),
                Err(_) => self.malformed_response(),
            },
        }
    }

    fn challenge(&mut self, state: LogonState, challenge: &[u8]) {
        self.write(&ReplyLine::new(334, None, &base64_encode(challenge)));
        self.state = State::Logon(state);
    }

    fn malformed_response(&mut self) {
        self.protocol_error(501, EnhancedStatus::permanent(5, 2), "The response is malformed");
    }

    fn verify(&mut self, mechanism: Mechanism, credential: ClearCredential) {
        let (as_whom, username) = (&credential.authorization_identity, credential.username.clone());
        if !as_whom.is_empty() && *as_whom != username {
            return self.logon_failed("Nobody acts for another here");
        }
        self.ask(Event::Logon { mechanism, credential }, Question::Logon { username });
    }

    pub(super) fn logon_judged(&mut self, username: String, verdict: Verdict) {
        match verdict {
            Verdict::Refuse(refusal) if refusal.is_transient() || refusal.closes() => self.refuse(&refusal),
            Verdict::Refuse(_) => self.logon_failed("The user name or password is wrong"),
            _ => {
                self.user = Some(username);
                self.reply(235, EnhancedStatus::success(7, 0), "Logged on");
            }
        }
    }

    fn logon_failed(&mut self, text: &str) {
        self.logon_failures += 1;
        self.reply(535, EnhancedStatus::permanent(7, 8), text);
        self.slow_down(Slow::Logon);
        let most = self.settings.limits.logon_failures;
        if most > 0 && self.logon_failures >= most {
            self.reply(
                421,
                EnhancedStatus::transient(7, 0),
                "Too many failed logons, closing the connection",
            );
            self.close();
        }
    }
}

fn begin(mechanism: Mechanism) -> LogonState {
    match mechanism {
        Mechanism::Plain => LogonState::Plain,
        Mechanism::Login => LogonState::Login(ServerExchange::new()),
    }
}
