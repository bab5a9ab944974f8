//! From the greeting to the login: EHLO, and STARTTLS before anything that matters.

use std::time::Instant;

use postroad_address_space::MailDomain;
use postroad_message::{EnhancedStatus, Failure, Fault, Scope, TlsFacts};

use crate::capability::Capabilities;
use crate::client::session::{Session, State};
use crate::client::settings::StartTls;
use crate::reply::{Reply, ReplyKind};

impl Session {
    pub(super) fn greeted(&mut self, now: Instant, reply: &Reply) {
        match reply.kind() {
            ReplyKind::Success if self.settings.force_helo && !self.settings.lmtp => self.say_helo(now),
            ReplyKind::Success => self.say_ehlo(now),
            // A host that turns us away may be one of several, or have a bad day: never the message's fault.
            _ => self.refuse_session(reply, Fault::Remote, "the server does not take our connection"),
        }
    }

    fn say_ehlo(&mut self, now: Instant) {
        let verb = if self.settings.lmtp { "LHLO" } else { "EHLO" };
        let line = format!("{verb} {}\r\n", self.hello_name());
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
            _ if self.settings.lmtp => self.refuse_session(reply, Fault::Remote, "the server refuses LHLO"),
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

    /// The server refused something that all mail through it needs: deferred, whatever the class of its reply.
    pub(super) fn refuse_session(&mut self, reply: &Reply, fault: Fault, text: &str) {
        let said = reply.enhanced().unwrap_or(EnhancedStatus::transient(0, 0));
        let status = EnhancedStatus::transient(said.subject(), said.detail());
        let mut failure: Failure = self.failure(status, fault, Scope::NextHop, text);
        failure.reply = Some(reply.to_remote());
        self.give_up(failure);
    }
}
