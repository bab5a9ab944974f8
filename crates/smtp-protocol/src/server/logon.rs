//! AUTH: frames an exchange that its owner leads, round by round, and counts what fails.

use postroad_message::EnhancedStatus;
use zeroize::Zeroize as _;

use crate::sasl::Secret;
use crate::sasl::framing::{self, base64_decode, base64_encode};
use crate::server::event::{Event, Slow};
use crate::server::limits::Limits;
use crate::server::reply_line::ReplyLine;
use crate::server::session::Session;
use crate::server::state::{Question, State, Token};
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
        let known = offer.mechanisms.iter().find(|name| name.eq_ignore_ascii_case(mechanism)).cloned();
        if !self.greeted {
            return self.out_of_order("Send EHLO first");
        }
        if self.user.is_some() {
            return self.out_of_order("Somebody is logged on already");
        }
        if self.transaction.is_some() {
            return self.out_of_order("A transaction is under way");
        }
        let Some(mechanism) = known else {
            return self.protocol_error(504, EnhancedStatus::permanent(5, 4), "The mechanism is not offered");
        };
        self.token = Token::NotAsked;
        match initial.map(|initial| framing::initial_response(initial.as_bytes())).transpose() {
            Ok(response) => {
                let by_token =
                    ["OAUTHBEARER", "XOAUTH2"].iter().any(|name| mechanism.eq_ignore_ascii_case(name));
                self.token = match &response {
                    _ if !by_token => Token::NotAsked,
                    None => Token::Asked,
                    Some(_) => Token::Given,
                };
                self.ask(
                    Event::Logon { mechanism, response: response.map(Secret::taken_from) },
                    Question::Logon,
                );
            }
            Err(_) => self.malformed_response(),
        }
    }

    /// One line of the exchange; it is wiped afterwards.
    pub(super) fn logon_response(&mut self, mut line: Vec<u8>) {
        if line.len() > Limits::LOGON_LINE {
            self.logon_error(500, EnhancedStatus::permanent(5, 6), "The line is too long");
        } else if line == b"*" && self.token == Token::Refused {
            self.logon_error(501, EnhancedStatus::permanent(7, 0), "The logon was cancelled");
        } else if line == b"*" {
            self.reply(501, EnhancedStatus::permanent(7, 0), "The logon was cancelled");
        } else {
            match base64_decode(&line) {
                Ok(response) => {
                    if self.token == Token::Asked {
                        self.token = Token::Given;
                    }
                    self.ask(
                        Event::LogonResponse { response: Secret::taken_from(response) },
                        Question::Logon,
                    );
                }
                Err(_) => self.malformed_response(),
            }
        }
        line.zeroize();
    }

    fn malformed_response(&mut self) {
        self.logon_error(501, EnhancedStatus::permanent(5, 2), "The response is malformed");
    }

    /// An error of the protocol's; after a token that will not do, a failed logon, or tokens could be guessed without end.
    pub(super) fn logon_error(&mut self, code: u16, status: EnhancedStatus, text: &str) {
        match self.token {
            Token::Refused => self.logon_failed(&ReplyLine::new(code, Some(status), text)),
            _ => self.protocol_error(code, status, text),
        }
    }

    pub(super) fn logon_judged(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Challenge(challenge) => {
                if self.token == Token::Given {
                    self.token = Token::Refused;
                }
                self.write(&ReplyLine::new(334, None, &base64_encode(&challenge)));
                self.state = State::Logon;
            }
            Verdict::LoggedOn(username) => {
                self.transcript.note(&username, "authenticated");
                self.user = Some(username);
                self.reply(235, EnhancedStatus::success(7, 0), "Logged on");
            }
            Verdict::Refuse(refusal) if refusal.is_transient() || refusal.closes() => self.refuse(&refusal),
            Verdict::Refuse(refusal) if refusal.line().code() == 501 => self.malformed_response(),
            Verdict::Refuse(refusal) => self.logon_failed(refusal.line()),
            // A yes that does not say who it is.
            _ => self.reply(454, EnhancedStatus::transient(7, 0), "The logon cannot be judged now"),
        }
    }

    fn logon_failed(&mut self, line: &ReplyLine) {
        self.logon_failures += 1;
        self.write(line);
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
