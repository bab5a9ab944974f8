//! The commands of a client, as a server reads them.

use crate::path::{self, ForwardPath, PathError};
use postroad_message::ReversePath;

/// One command, its words told apart. Parameters are read later, against what was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command<'a> {
    /// `EHLO`, `HELO` or `LHLO`; Exchange lets EHLO come without a name.
    Hello {
        /// Which of them.
        verb: HelloVerb,
        /// The name as written: safe to print, at most 255 bytes.
        name: Option<&'a str>,
    },
    /// `MAIL FROM:`
    Mail {
        /// The reverse-path.
        path: ReversePath,
        /// What follows it.
        parameters: &'a str,
    },
    /// `RCPT TO:`
    Recipient {
        /// The forward-path.
        path: ForwardPath,
        /// What follows it.
        parameters: &'a str,
    },
    /// `DATA`
    Data,
    /// `BDAT size [LAST]` (RFC 3030)
    Chunk {
        /// Octets that follow the command.
        size: u64,
        /// Whether they are the last.
        last: bool,
    },
    /// `RSET`
    Reset,
    /// `NOOP [anything]`
    Noop,
    /// `VRFY something`
    Verify,
    /// `HELP [anything]`
    Help,
    /// `QUIT`
    Quit,
    /// `STARTTLS` (RFC 3207)
    StartTls,
    /// `AUTH mechanism [initial-response]` (RFC 4954)
    Auth {
        /// The mechanism as written.
        mechanism: &'a str,
        /// The initial response, not decoded.
        initial: Option<&'a str>,
    },
    /// `XCLIENT name=value ...`, Postfix's: see [`xclient`](crate::xclient).
    Xclient {
        /// What follows the command.
        attributes: &'a str,
    },
}

/// How a client says hello, and so which protocol it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloVerb {
    /// `HELO`: no extensions.
    Helo,
    /// `EHLO`
    Ehlo,
    /// `LHLO`: LMTP (RFC 2033 section 4.1).
    Lhlo,
}

/// Why a line is no command that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// No such command: 500.
    #[error("the command is not recognised")]
    Unknown,
    /// A command of SMTP that is not served here: 502.
    #[error("the command is not implemented")]
    NotImplemented,
    /// Words missing, or too many, or not of the right form: 501.
    #[error("the arguments are malformed")]
    Arguments,
    /// The size of a BDAT is no number: 501, and nobody can tell where the next command starts.
    #[error("the size of the chunk is malformed")]
    ChunkSize,
    /// The name in EHLO or HELO: 501.
    #[error("the name must be a domain or an address literal")]
    HelloName,
    /// The path of MAIL.
    #[error("{0}")]
    ReversePath(PathError),
    /// The path of RCPT.
    #[error("{0}")]
    ForwardPath(PathError),
    /// A byte that no command has: a control character, or one above 127 that is not UTF-8: 501.
    #[error("the command holds a byte that no command has")]
    Byte,
    /// A web browser or proxy speaks: drop it.
    #[error("mail is served here, and nothing else")]
    OtherProtocol,
}

impl<'a> Command<'a> {
    /// `command = verb [ SP arguments ]` (RFC 5321 section 4.1.1), without CRLF; verbs compare without case.
    ///
    /// # Errors
    /// What is no command, with the reply that it gets.
    pub fn parse(line: &'a [u8]) -> Result<Self, CommandError> {
        let verb_end = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
        let verb = line.get(..verb_end).unwrap_or_default().to_ascii_uppercase();
        if matches!(verb.as_slice(), b"GET" | b"POST" | b"PUT" | b"HEAD" | b"CONNECT" | b"OPTIONS" | b"PROXY")
        {
            return Err(CommandError::OtherProtocol);
        }
        if !verb.iter().all(u8::is_ascii_alphanumeric) || verb.is_empty() {
            return Err(CommandError::Unknown);
        }
        let text = std::str::from_utf8(line).map_err(|_| CommandError::Byte)?;
        if text.chars().any(char::is_control) {
            return Err(CommandError::Byte);
        }
        let arguments = text.get(verb_end..).unwrap_or_default();
        Self::with_arguments(&verb, arguments)
    }

    /// `arguments` keeps the space before it.
    fn with_arguments(verb: &[u8], arguments: &'a str) -> Result<Self, CommandError> {
        match verb {
            b"HELO" => hello(HelloVerb::Helo, arguments.trim()),
            b"EHLO" => hello(HelloVerb::Ehlo, arguments.trim()),
            b"LHLO" => hello(HelloVerb::Lhlo, arguments.trim()),
            b"MAIL" => {
                let split =
                    path::split(after_keyword(arguments, "FROM:")?).map_err(CommandError::ReversePath)?;
                let path = path::reverse_path(split.address).map_err(CommandError::ReversePath)?;
                Ok(Self::Mail { path, parameters: split.parameters })
            }
            b"RCPT" => {
                let split =
                    path::split(after_keyword(arguments, "TO:")?).map_err(CommandError::ForwardPath)?;
                let path = path::forward_path(split.address).map_err(CommandError::ForwardPath)?;
                Ok(Self::Recipient { path, parameters: split.parameters })
            }
            b"DATA" => alone(arguments, Self::Data),
            b"BDAT" => chunk(arguments.trim()),
            b"RSET" => alone(arguments, Self::Reset),
            b"QUIT" => alone(arguments, Self::Quit),
            b"STARTTLS" => alone(arguments, Self::StartTls),
            b"NOOP" => Ok(Self::Noop),
            b"HELP" => Ok(Self::Help),
            b"VRFY" if arguments.trim().is_empty() => Err(CommandError::Arguments),
            b"VRFY" => Ok(Self::Verify),
            b"AUTH" => auth(arguments.trim()),
            b"XCLIENT" => Ok(Self::Xclient { attributes: arguments.trim() }),
            b"EXPN" | b"TURN" | b"ETRN" | b"SEND" | b"SOML" | b"SAML" | b"XFORWARD" => {
                Err(CommandError::NotImplemented)
            }
            _ => Err(CommandError::Unknown),
        }
    }
}

fn alone<'a>(arguments: &str, command: Command<'a>) -> Result<Command<'a>, CommandError> {
    if arguments.trim().is_empty() { Ok(command) } else { Err(CommandError::Arguments) }
}

/// One space, the keyword without regard to case, and what follows it.
fn after_keyword<'a>(arguments: &'a str, keyword: &str) -> Result<&'a str, CommandError> {
    let rest = arguments.strip_prefix(' ').ok_or(CommandError::Arguments)?;
    match rest.split_at_checked(keyword.len()) {
        Some((written, rest)) if written.eq_ignore_ascii_case(keyword) => Ok(rest),
        _ => Err(CommandError::Arguments),
    }
}

/// `ehlo = "EHLO" SP ( Domain / address-literal )`, with the underscores that Windows names have.
fn hello(verb: HelloVerb, name: &str) -> Result<Command<'_>, CommandError> {
    match name {
        "" if verb == HelloVerb::Helo => Err(CommandError::HelloName),
        "" => Ok(Command::Hello { verb, name: None }),
        _ if is_host_name(name) => Ok(Command::Hello { verb, name: Some(name) }),
        _ => Err(CommandError::HelloName),
    }
}

/// The letters that domains, address literals and the names of Windows machines have, at most 255: safe to print.
pub(crate) fn is_host_name(text: &str) -> bool {
    text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
}

/// `bdat-cmd = "BDAT" SP chunk-size [ SP end-marker ]` (RFC 3030 section 2)
fn chunk(arguments: &str) -> Result<Command<'_>, CommandError> {
    let (size, marker) = arguments.split_once(' ').unwrap_or((arguments, ""));
    let last = match marker {
        "" => false,
        marker if marker.eq_ignore_ascii_case("LAST") => true,
        _ => return Err(CommandError::ChunkSize),
    };
    if size.is_empty() || size.len() > 20 || !size.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CommandError::ChunkSize);
    }
    size.parse().map(|size| Command::Chunk { size, last }).map_err(|_| CommandError::ChunkSize)
}

/// `auth-command = "AUTH" SP sasl-mech [SP initial-response]` (RFC 4954 section 8)
fn auth(arguments: &str) -> Result<Command<'_>, CommandError> {
    let (mechanism, initial) = match arguments.split_once(' ') {
        Some((mechanism, initial)) => (mechanism, Some(initial)),
        None => (arguments, None),
    };
    let named = !mechanism.is_empty()
        && mechanism.len() <= 20
        && mechanism.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !named || initial.is_some_and(|response| response.is_empty() || response.contains(' ')) {
        return Err(CommandError::Arguments);
    }
    Ok(Command::Auth { mechanism, initial })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_commands_in_any_case() {
        for (line, command) in [
            ("ehlo server", Command::Hello { verb: HelloVerb::Ehlo, name: Some("server") }),
            ("EHLO", Command::Hello { verb: HelloVerb::Ehlo, name: None }),
            ("HELO [127.0.0.1]", Command::Hello { verb: HelloVerb::Helo, name: Some("[127.0.0.1]") }),
            ("EHLO [IPv6:::1]", Command::Hello { verb: HelloVerb::Ehlo, name: Some("[IPv6:::1]") }),
            ("EHLO DESKTOP_1", Command::Hello { verb: HelloVerb::Ehlo, name: Some("DESKTOP_1") }),
            ("lhlo mx", Command::Hello { verb: HelloVerb::Lhlo, name: Some("mx") }),
            ("XCLIENT ADDR=127.0.0.1", Command::Xclient { attributes: "ADDR=127.0.0.1" }),
            ("Data ", Command::Data),
            ("NOOP whatever", Command::Noop),
            ("VRFY jane", Command::Verify),
            ("BDAT 86 last", Command::Chunk { size: 86, last: true }),
            ("AUTH LOGIN", Command::Auth { mechanism: "LOGIN", initial: None }),
            ("AUTH PLAIN =", Command::Auth { mechanism: "PLAIN", initial: Some("=") }),
            ("mail from:<>", Command::Mail { path: ReversePath::Null, parameters: "" }),
            ("RCPT to:<Postmaster>", Command::Recipient { path: ForwardPath::Postmaster, parameters: "" }),
        ] {
            assert_eq!(Command::parse(line.as_bytes()), Ok(command), "{line}");
        }
    }

    #[test]
    fn names_what_is_wrong_with_a_line() {
        use CommandError::*;
        for (line, error) in [
            (&b""[..], Unknown),
            (b" NOOP", Unknown),
            (b"FOO", Unknown),
            (b"\x16\x03\x01", Unknown),
            (b"HELO", HelloName),
            (b"HELO a\0\x07b\rX: y", Byte),
            (b"NOOP \xff", Byte),
            (b"HELO a<b>", HelloName),
            (b"EHLO a b", HelloName),
            (b"EHLO \xc3\xa9", HelloName),
            (b"DATA x", Arguments),
            (b"STARTTLS x", Arguments),
            (b"MAIL", Arguments),
            (b"MAIL  FROM:<>", Arguments),
            (b"MAIL FROM :<>", Arguments),
            (b"MAIL TO:<a@b.test>", Arguments),
            (b"VRFY", Arguments),
            (b"AUTH", Arguments),
            (b"AUTH PLAIN a b", Arguments),
            (b"BDAT -1", ChunkSize),
            (b"BDAT 0x10", ChunkSize),
            (b"BDAT 1e3", ChunkSize),
            (b"BDAT", ChunkSize),
            (b"BDAT 18446744073709551616", ChunkSize),
            (b"BDAT 5 FIRST", ChunkSize),
            (b"EXPN list", NotImplemented),
            (b"ETRN contoso.com", NotImplemented),
            (b"GET / HTTP/1.1", OtherProtocol),
            (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2", OtherProtocol),
            (b"RCPT TO:<>", ForwardPath(PathError::Mailbox { offset: 0 })),
            (b"RCPT TO:<a@b.test", ForwardPath(PathError::Syntax)),
        ] {
            assert_eq!(Command::parse(line), Err(error), "{}", String::from_utf8_lossy(line));
        }
    }
}
