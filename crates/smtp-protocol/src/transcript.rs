//! What is said in a session, line by line and without its secrets: for a protocol log.
//!
//! A [`Transcript`] is handed to a session, on either side of the wire, and tells a [`ProtocolLog`] of every command and every
//! reply. What is struck out is decided here, once for both sides:
//!
//! ```text
//!   AUTH PLAIN AGpvZQBzZWNyZXQ=        AUTH PLAIN <authentication information>
//!   AGpvZQBzZWNyZXQ=  (in AUTH)        <authentication information>
//!   334 dXNlcm5hbWU6                   334 <authentication information>
//!   535 "secret" is wrong              535 <authentication information>
//!   anything that is no command        <18 bytes that are no command>
//!   content                            content of 4711 bytes
//! ```
//!
//! A line that is no command is never shown: it may be a password that came out of turn, or content.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use postroad_smtp_protocol::transcript::{Conversation, Entry, ProtocolLog, Transcript};
//! # use postroad_smtp_protocol::server::{Input, Output, Session, Settings};
//!
//! #[derive(Default)]
//! struct Lines(Mutex<Vec<String>>);
//!
//! impl ProtocolLog for Lines {
//!     fn record(&self, conversation: &Conversation, sequence: u64, entry: Entry<'_>) {
//!         self.0.lock().expect("a lock").push(format!("{sequence} {} {}", entry.mark(), entry.data()));
//!     }
//! }
//!
//! let lines = Arc::new(Lines::default());
//! let conversation = Conversation::new("Default", 1, "192.0.2.1:25".parse()?, "192.0.2.2:4711".parse()?);
//! let mut session = Session::new(Settings::new("hub01", "postmaster@contoso.com".parse()?));
//! session.transcribe(Transcript::begin(lines.clone(), conversation));
//! assert!(matches!(session.poll(), Output::Transmit { .. }));
//! session.handle(Input::Received(b"EHLO app\r\n"));
//! session.poll();
//! drop(session);
//! assert_eq!(*lines.0.lock().expect("a lock"), ["0 + ", "1 > 220 hub01 ESMTP postroad", "2 < EHLO app", "3 - "]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Who talks to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conversation {
    /// The connector it runs under.
    pub connector: String,
    /// The session's own number.
    pub session: u64,
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
}

impl Conversation {
    /// A conversation between these two ends.
    pub fn new(connector: impl Into<String>, session: u64, local: SocketAddr, remote: SocketAddr) -> Self {
        Self { connector: connector.into(), session, local, remote }
    }
}

/// One line of a conversation, its secrets struck out. May hold anything else that a stranger said, but no CR or LF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry<'a> {
    /// It begins.
    Connected,
    /// We said this.
    Sent(&'a str),
    /// The other side said this.
    Received(&'a str),
    /// Something to know, and what it is about.
    Information {
        /// `content of 4711 bytes`
        data: &'a str,
        /// `authenticated`; often empty.
        context: &'a str,
    },
    /// It has ended.
    Disconnected,
}

impl<'a> Entry<'a> {
    /// The character that Exchange marks it with: `+`, `>`, `<`, `*`, `-`.
    pub fn mark(&self) -> char {
        match self {
            Self::Connected => '+',
            Self::Sent(_) => '>',
            Self::Received(_) => '<',
            Self::Information { .. } => '*',
            Self::Disconnected => '-',
        }
    }

    /// What was said, or is to know.
    pub fn data(&self) -> &'a str {
        match self {
            Self::Sent(data) | Self::Received(data) | Self::Information { data, .. } => data,
            Self::Connected | Self::Disconnected => "",
        }
    }

    /// What it is about.
    pub fn context(&self) -> &'a str {
        if let Self::Information { context, .. } = self { context } else { "" }
    }
}

/// Keeps protocol logs. Must return at once: sessions wait.
pub trait ProtocolLog: Send + Sync {
    /// Entry number `sequence`, from 0 on, of a conversation.
    fn record(&self, conversation: &Conversation, sequence: u64, entry: Entry<'_>);
}

/// For the settings that hold one.
impl fmt::Debug for dyn ProtocolLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProtocolLog")
    }
}

/// The transcript of one session; it ends when it is dropped. The default one is silent.
#[derive(Debug, Default)]
pub struct Transcript(Option<Box<Running>>);

#[derive(Debug)]
struct Running {
    log: Arc<dyn ProtocolLog>,
    conversation: Conversation,
    sequence: u64,
}

/// What stands for a secret.
const STRUCK: &str = "<authentication information>";
/// Longer lines are cut: a log line is no place for a flood.
const LONGEST: usize = 2000;

impl Transcript {
    /// Begins one, with [`Entry::Connected`].
    pub fn begin(log: Arc<dyn ProtocolLog>, conversation: Conversation) -> Self {
        let mut transcript = Self(Some(Box::new(Running { log, conversation, sequence: 0 })));
        transcript.tell(Entry::Connected);
        transcript
    }

    /// Writes down something that was not said.
    pub fn note(&mut self, data: &str, context: &str) {
        self.tell(Entry::Information { data, context });
    }

    /// As [`note`](Self::note), and the words are only made where they are wanted.
    pub(crate) fn note_with(&mut self, data: impl FnOnce() -> String) {
        if self.0.is_some() {
            self.note(&data(), "");
        }
    }

    /// A line from a client, without its CRLF; `secret` inside an AUTH exchange.
    pub(crate) fn command_received(&mut self, line: &[u8], secret: bool) {
        if self.0.is_some() {
            self.tell(Entry::Received(&command(line, secret)));
        }
    }

    /// Lines to a server, each with its CRLF; `secret` inside an AUTH exchange.
    pub(crate) fn commands_sent(&mut self, wire: &[u8], secret: bool) {
        if self.0.is_some() {
            lines(wire).for_each(|line| self.tell(Entry::Sent(&command(line, secret))));
        }
    }

    /// A whole reply to a client.
    pub(crate) fn reply_sent(&mut self, wire: &[u8]) {
        if self.0.is_some() {
            lines(wire).for_each(|line| self.tell(Entry::Sent(&reply(&String::from_utf8_lossy(line)))));
        }
    }

    /// A whole reply from a server; `secret` where it repeats what it must not.
    pub(crate) fn reply_received(&mut self, code: u16, texts: &[String], secret: bool) {
        if secret {
            self.tell(Entry::Received(&format!("{code} {STRUCK}")));
        } else if self.0.is_some() {
            for (index, text) in texts.iter().enumerate() {
                let separator = if index + 1 == texts.len() { ' ' } else { '-' };
                self.tell(Entry::Received(&reply(&format!("{code}{separator}{text}"))));
            }
        }
    }

    fn tell(&mut self, entry: Entry<'_>) {
        if let Some(running) = &mut self.0 {
            running.log.record(&running.conversation, running.sequence, entry);
            running.sequence += 1;
        }
    }
}

impl Drop for Transcript {
    fn drop(&mut self) {
        self.tell(Entry::Disconnected);
    }
}

fn lines(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    wire.split_inclusive(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r\n").unwrap_or(line))
}

/// A command as it may be shown. Whatever is not a command that we know, in its own form, is counted and not shown.
fn command(line: &[u8], secret: bool) -> String {
    let text = String::from_utf8_lossy(line);
    let (verb, rest) = text.split_once(' ').unwrap_or((&text, ""));
    // Another mechanism may be tried where one was refused; a response is base64, which has no space.
    if secret && !verb.eq_ignore_ascii_case("AUTH") {
        return STRUCK.to_owned();
    }
    let begins = |with: &str| {
        rest.trim_start().get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    match verb.to_ascii_uppercase().as_str() {
        "MAIL" if begins("FROM:") => cut(&text),
        "RCPT" if begins("TO:") => cut(&text),
        "EHLO" | "HELO" | "LHLO" if !rest.contains(' ') => cut(&text),
        "BDAT" if rest.starts_with(|c: char| c.is_ascii_digit()) && rest.len() <= 25 => cut(&text),
        "DATA" | "RSET" | "QUIT" | "STARTTLS" | "NOOP" | "HELP" | "." if rest.is_empty() => cut(&text),
        "NOOP" | "HELP" | "VRFY" | "EXPN" | "XCLIENT" => format!("{verb} <{} bytes>", rest.len()),
        "AUTH" => match rest.split_once(' ') {
            Some((mechanism, _)) if is_mechanism(mechanism) => format!("{verb} {mechanism} {STRUCK}"),
            None if is_mechanism(rest) => cut(&text),
            _ => format!("{verb} {STRUCK}"),
        },
        _ => format!("<{} bytes that are no command>", line.len()),
    }
}

/// `sasl-mech = 1*20mech-char` (RFC 4422 section 3.1), in the shape of those that exist. A password that somebody wrote in
/// its place is no such word.
fn is_mechanism(word: &str) -> bool {
    const KNOWN: [&str; 8] =
        ["PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER", "CRAM-MD5", "NTLM", "GSSAPI", "EXTERNAL"];
    let upper = word.to_ascii_uppercase();
    KNOWN.contains(&upper.as_str()) || upper.starts_with("SCRAM-SHA-")
}

/// A challenge may hold what an answer can be made from.
fn reply(line: &str) -> String {
    if line.starts_with("334") { format!("334 {STRUCK}") } else { cut(line) }
}

/// At most so many characters, and nothing that ends a line.
fn cut(text: &str) -> String {
    text.chars().filter(|&c| c != '\r' && c != '\n').take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_shown_is_shown_and_the_rest_is_counted() {
        for (line, shown) in [
            ("EHLO app.contoso.com", "EHLO app.contoso.com"),
            ("helo", "helo"),
            ("MAIL FROM:<joe@contoso.com> SIZE=12", "MAIL FROM:<joe@contoso.com> SIZE=12"),
            ("rcpt to: jane@contoso.com", "rcpt to: jane@contoso.com"),
            ("BDAT 12 LAST", "BDAT 12 LAST"),
            ("DATA", "DATA"),
            ("QUIT", "QUIT"),
            ("AUTH LOGIN", "AUTH LOGIN"),
            ("AUTH PLAIN AGpvZQBzZWNyZXQ=", "AUTH PLAIN <authentication information>"),
            ("auth scram-sha-256 biws", "auth scram-sha-256 <authentication information>"),
            // A client that wrote it wrongly, or went on though nobody asked it to.
            ("AUTH AGpvZQBzZWNyZXQ=", "AUTH <authentication information>"),
            ("AUTH  PLAIN AGpvZQBzZWNyZXQ=", "AUTH <authentication information>"),
            ("AGpvZQBzZWNyZXQ=", "<16 bytes that are no command>"),
            ("c2VjcmV0", "<8 bytes that are no command>"),
            (" AUTH PLAIN AGpvZQBzZWNyZXQ=", "<28 bytes that are no command>"),
            // Content that is taken for commands.
            ("Help me, Jane", "Help <8 bytes>"),
            ("mail me the figures", "<19 bytes that are no command>"),
            ("data follows here", "<17 bytes that are no command>"),
            ("Dear Jane,", "<10 bytes that are no command>"),
            ("", "<0 bytes that are no command>"),
        ] {
            assert_eq!(command(line.as_bytes(), false), shown, "{line}");
            let in_exchange = if line.to_uppercase().starts_with("AUTH ") { shown } else { STRUCK };
            assert_eq!(command(line.as_bytes(), true), in_exchange, "{line}");
        }
    }

    #[test]
    fn a_challenge_is_struck_out_and_no_reply_ends_a_line() {
        assert_eq!(reply("334 VXNlcm5hbWU6"), "334 <authentication information>");
        assert_eq!(reply("550-5.1.1 no\r\n250 ok"), "550-5.1.1 no250 ok");
        assert_eq!(reply(&"x".repeat(5000)).len(), LONGEST);
    }
}
