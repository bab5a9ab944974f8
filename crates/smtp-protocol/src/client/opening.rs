//! From the greeting to the first message: EHLO, STARTTLS and AUTH, each before the next.

use std::time::Instant;

use postroad_address_space::MailDomain;
use postroad_message::{EnhancedStatus, Failure, Fault, Scope, TlsFacts};

use crate::capability::Capabilities;
use crate::client::session::{Session, State};
use crate::client::settings::StartTls;
use crate::reply::{Reply, ReplyKind};
use crate::sasl::{ClientExchange, Mechanism, base64_decode, base64_encode};

/// `command-line` with its CRLF (RFC 5321 section 4.5.3.1.4); a longer initial response goes by itself.
const COMMAND_LINE: usize = 512;

impl Session {
    pub(super) fn greeted(&mut self, now: Instant, reply: &Reply) {
        match reply.kind() {
            ReplyKind::Success if self.settings.force_helo => self.say_helo(now),
            ReplyKind::Success => self.say_ehlo(now),
            // A host that turns us away may be one of several, or have a bad day: never the message's fault.
            _ => self.refuse_session(reply, Fault::Remote, "the server does not take our connection"),
        }
    }

    fn say_ehlo(&mut self, now: Instant) {
        let line = format!("EHLO {}\r\n", self.hello_name());
        self.say(now, line.as_bytes(), State::Ehlo);
    }

    fn say_helo(&mut self, now: Instant) {
        let line = format!("HELO {}\r\n", self.hello_name());
        self.say(now, line.as_bytes(), State::Helo);
    }

    fn hello_name(&self) -> String {
        match &self.settings.hello_name {
            MailDomain::Name(domain) => domain.ascii().to_string(),
            MailDomain::Literal(literal) => literal.to_string(),
        }
    }

    pub(super) fn ehlo_answered(&mut self, now: Instant, reply: &Reply) {
        match reply.kind() {
            ReplyKind::Success => {
                self.capabilities = Capabilities::from_ehlo(reply);
                self.after_hello(now);
            }
            // HELO knows no STARTTLS: where TLS is required and missing, the refusal of EHLO is the end.
            ReplyKind::Permanent if self.tls.is_some() || self.settings.starttls != StartTls::Required => {
                self.capabilities = Capabilities::default();
                self.say_helo(now);
            }
            _ => self.refuse_session(reply, Fault::Remote, "the server refuses EHLO"),
        }
    }

    pub(super) fn helo_answered(&mut self, now: Instant, reply: &Reply) {
        match reply.kind() {
            ReplyKind::Success => self.after_hello(now),
            _ => self.refuse_session(reply, Fault::Remote, "the server refuses HELO"),
        }
    }

    fn after_hello(&mut self, now: Instant) {
        if self.tls.is_none() && self.settings.starttls != StartTls::Never {
            if self.capabilities.starttls && !self.settings.downgraded {
                self.say(now, b"STARTTLS\r\n", State::StartTls);
                return;
            }
            if self.settings.starttls == StartTls::Required {
                let text = "TLS is required, and the server does not offer STARTTLS";
                let failure =
                    self.failure(EnhancedStatus::transient(7, 4), Fault::Remote, Scope::NextHop, text);
                self.give_up(failure);
                return;
            }
        }
        self.log_in(now);
    }

    pub(super) fn starttls_answered(&mut self, now: Instant, reply: &Reply, nothing_behind: bool) {
        match reply.kind() {
            ReplyKind::Success if nothing_behind => {
                self.state = State::Handshake { announced: false };
                self.set_deadline(Some(now + self.settings.timeouts.tls_handshake));
            }
            ReplyKind::Success => {
                let text =
                    "bytes came in clear text behind the reply to STARTTLS: someone may be adding replies";
                self.lose(EnhancedStatus::transient(7, 0), Fault::Remote, text);
            }
            ReplyKind::Transient | ReplyKind::Permanent
                if self.settings.starttls == StartTls::Opportunistic =>
            {
                self.settings.downgraded = true;
                self.log_in(now);
            }
            _ => {
                self.refuse_session(reply, Fault::Remote, "TLS is required, and the server refuses STARTTLS")
            }
        }
    }

    /// What was said in clear text does not count any more (RFC 3207 section 4.2).
    pub(super) fn tls_established(&mut self, now: Instant, facts: TlsFacts) {
        if matches!(self.state, State::Handshake { .. }) {
            self.transcript.note_with(|| format!("TLS established: {} {}", facts.version, facts.cipher));
            self.tls = Some(facts);
            self.capabilities = Capabilities::default();
            self.say_ehlo(now);
        }
    }

    /// Logs in where that is asked for. There is no mail without a login that was asked for.
    fn log_in(&mut self, now: Instant) {
        let Some(authentication) = &self.settings.authentication else {
            self.become_ready();
            return;
        };
        let in_clear = self.tls.is_none();
        let may_show = !in_clear || (authentication.clear_text_allowed && !self.settings.downgraded);
        let ours = Mechanism::ALL.into_iter().filter(|&mechanism| authentication.allows(mechanism));
        let mut shared =
            ours.filter(|&m| self.capabilities.offers(m) && !self.refused_mechanisms.contains(&m)).peekable();
        let any_shared = shared.peek().is_some();
        match shared.find(|mechanism| may_show || !mechanism.shows_password()) {
            Some(mechanism) => {
                let exchange = ClientExchange::new(mechanism, authentication.credential.clone());
                self.say_auth(now, exchange);
            }
            None if any_shared && self.settings.downgraded => self.cannot_log_in(
                EnhancedStatus::transient(7, 11),
                Fault::Remote,
                "TLS failed, and the password is not sent in clear text after that",
            ),
            None if !may_show => self.cannot_log_in(
                EnhancedStatus::transient(7, 11),
                Fault::Configuration,
                "there is no TLS, and the password may not be sent in clear text",
            ),
            None => self.cannot_log_in(
                EnhancedStatus::transient(7, 4),
                Fault::Configuration,
                "the server offers no AUTH mechanism that we may use",
            ),
        }
    }

    fn say_auth(&mut self, now: Instant, mut exchange: ClientExchange) {
        let command = format!("AUTH {}", exchange.mechanism());
        let room = COMMAND_LINE - command.len() - 3;
        let mut line = command.into_bytes();
        // Base64 makes four bytes of three. What does not fit is said when the server asks for it.
        let fits = exchange.initial_length().is_some_and(|length| length.div_ceil(3) * 4 <= room);
        if fits && let Some(response) = exchange.initial_response() {
            line.push(b' ');
            line.extend_from_slice(if response.is_empty() { b"=" } else { b"" });
            line.extend_from_slice(base64_encode(&response).as_bytes());
        }
        line.extend_from_slice(b"\r\n");
        self.say(now, &line, State::Authenticating { exchange, cancelled: false });
        zeroize::Zeroize::zeroize(&mut line);
    }

    pub(super) fn auth_answered(&mut self, now: Instant, reply: &Reply) {
        let State::Authenticating { exchange, cancelled } = &mut self.state else { return };
        let mechanism = exchange.mechanism();
        let repeated = exchange.is_repeated_in(&reply.lines().concat());
        match (reply.code(), reply.kind()) {
            (334, _) if !*cancelled => {
                let challenge = reply.lines().first().map(String::as_str).unwrap_or_default();
                let answer = base64_decode(challenge.as_bytes())
                    .ok()
                    .and_then(|challenge| exchange.respond(&challenge).ok());
                self.answer_challenge(now, answer.as_deref().map(Vec::as_slice));
            }
            (_, ReplyKind::Success) if exchange.is_complete() && !*cancelled => {
                self.wipe_output();
                self.become_ready();
            }
            (504 | 534 | 538, _) if !*cancelled => {
                self.refused_mechanisms.push(mechanism);
                self.log_in(now);
            }
            (_, ReplyKind::Transient) => {
                self.refuse_login(reply, repeated, Fault::Remote, "the server can't log us in now")
            }
            (_, ReplyKind::Permanent) if !*cancelled => {
                self.refuse_login(reply, repeated, Fault::Configuration, "the server refuses our login");
            }
            _ => {
                let text = format!("the server does not keep to AUTH {mechanism}");
                let failure =
                    self.failure(EnhancedStatus::transient(7, 0), Fault::Remote, Scope::NextHop, &text);
                self.give_up(failure);
            }
        }
    }

    /// A line of base64, or `*` where there is nothing that we could say (RFC 4954 section 4).
    fn answer_challenge(&mut self, now: Instant, answer: Option<&[u8]>) {
        let line = match answer {
            Some(answer) => zeroize::Zeroizing::new(format!("{}\r\n", base64_encode(answer).as_str())),
            None => zeroize::Zeroizing::new("*\r\n".to_owned()),
        };
        self.wipe_output();
        self.queue(line.as_bytes());
        if let State::Authenticating { cancelled, .. } = &mut self.state {
            *cancelled = answer.is_none();
        }
        self.set_deadline(Some(now + self.settings.timeouts.command));
    }

    fn cannot_log_in(&mut self, status: EnhancedStatus, fault: Fault, text: &str) {
        let mut failure = self.failure(status, fault, Scope::NextHop, text);
        failure.phase = postroad_message::Phase::Authentication;
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
        failure.reply = Some(postroad_message::RemoteReply { code: reply.code(), lines: vec![withheld] });
        self.give_up(failure);
    }

    /// The server refused something that all mail through it needs: deferred, whatever the class of its reply.
    fn refuse_session(&mut self, reply: &Reply, fault: Fault, text: &str) {
        let said = reply.enhanced().unwrap_or(EnhancedStatus::transient(0, 0));
        let status = EnhancedStatus::transient(said.subject(), said.detail());
        let mut failure: Failure = self.failure(status, fault, Scope::NextHop, text);
        failure.reply = Some(reply.to_remote());
        self.give_up(failure);
    }
}
