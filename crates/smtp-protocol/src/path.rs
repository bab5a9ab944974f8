//! The path in MAIL FROM and RCPT TO: reverse-path and forward-path.

use postroad_address_space::Mailbox;
use postroad_message::ReversePath;

/// Whom a `RCPT TO` names (RFC 5321 section 4.1.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardPath {
    /// A mailbox.
    Mailbox(Mailbox),
    /// `<postmaster>`, in any case and without a domain: whoever looks after this server.
    Postmaster,
}

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Not `<mailbox>`, and not the bare form that may stand alone.
    #[error("the path must be an address in angle brackets, right after the colon")]
    Syntax,
    /// A control character: nothing that could end a line is let through, quoted or not.
    #[error("the address holds a control character")]
    ControlCharacter,
    /// `<@a,@b:user@c>`
    #[error("source routes are not taken")]
    SourceRoute,
    /// What stands in the brackets is no mailbox.
    #[error("the address is not a mailbox: byte {offset}")]
    Mailbox {
        /// The byte of the address where it went wrong.
        offset: usize,
    },
    /// `user@contoso.com.`: RFC 5321 domains end without a dot.
    #[error("the domain ends with a dot")]
    TrailingDot,
    /// More than [`LONGEST_ADDRESS`], or where XLONGADDR is not offered more than [`MAX_ADDRESS_LENGTH`].
    #[error("the address is too long")]
    TooLong,
}

/// The longest address that everybody takes: Exchange's limit for an encapsulated one (local part 315, domain 255).
pub const MAX_ADDRESS_LENGTH: usize = 571;

/// The longest that is read where XLONGADDR is offered: an encapsulated X.400 address may be that long.
pub const LONGEST_ADDRESS: usize = 1860;

/// A path and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split<'a> {
    /// What stands in the angle brackets, or the bare address.
    pub address: &'a str,
    /// The parameters, without the space before them.
    pub parameters: &'a str,
}

/// `( "<" address ">" [ SP parameters ] ) / ( [ SP ] ( "<" address ">" / address ) )`, what follows `FROM:` or `TO:`.
///
/// The second form is what people type into telnet: one space after the colon, or no brackets, and no parameters.
///
/// # Errors
/// A bracket without its other, more than one space, a control character.
pub fn split(text: &str) -> Result<Split<'_>, PathError> {
    if text.chars().any(char::is_control) {
        return Err(PathError::ControlCharacter);
    }
    let text = text.trim_end_matches(' ');
    let (spaced, rest) = match text.strip_prefix(' ') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let Some(bracketed) = rest.strip_prefix('<') else {
        let bare = !rest.is_empty() && !rest.contains([' ', '<', '>']);
        return if bare { Ok(Split { address: rest, parameters: "" }) } else { Err(PathError::Syntax) };
    };
    let end = closing_bracket(bracketed).ok_or(PathError::Syntax)?;
    let (address, after) = bracketed.split_at(end);
    let after = after.strip_prefix('>').unwrap_or(after);
    let parameters = match after.strip_prefix(' ') {
        Some(parameters) => parameters.trim_start_matches(' '),
        None if after.is_empty() => "",
        None => return Err(PathError::Syntax),
    };
    if spaced && !parameters.is_empty() {
        return Err(PathError::Syntax);
    }
    Ok(Split { address, parameters })
}

/// The offset of the `>` that is not in a quoted string.
fn closing_bracket(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(offset),
            _ => {}
        }
    }
    None
}

/// `Reverse-path = Path / "<>"` (RFC 5321 section 4.1.2), without the brackets.
///
/// # Errors
/// What is no mailbox.
pub fn reverse_path(address: &str) -> Result<ReversePath, PathError> {
    if address.is_empty() { Ok(ReversePath::Null) } else { mailbox(address).map(ReversePath::Mailbox) }
}

/// `( "Postmaster" / Forward-path )` (RFC 5321 section 4.1.1.3), without the brackets.
///
/// # Errors
/// What is no mailbox and not `Postmaster`.
pub fn forward_path(address: &str) -> Result<ForwardPath, PathError> {
    if address.eq_ignore_ascii_case("postmaster") {
        return Ok(ForwardPath::Postmaster);
    }
    mailbox(address).map(ForwardPath::Mailbox)
}

fn mailbox(address: &str) -> Result<Mailbox, PathError> {
    if address.len() > LONGEST_ADDRESS {
        return Err(PathError::TooLong);
    }
    if address.starts_with('@') {
        return Err(PathError::SourceRoute);
    }
    if address.ends_with('.') {
        return Err(PathError::TrailingDot);
    }
    Mailbox::parse(address).map_err(|error| PathError::Mailbox { offset: error.offset() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_path_and_parameters() {
        for (text, address, parameters) in [
            ("<joe@contoso.com>", "joe@contoso.com", ""),
            ("<joe@contoso.com> SIZE=10 BODY=7BIT", "joe@contoso.com", "SIZE=10 BODY=7BIT"),
            ("<>", "", ""),
            ("<> RET=HDRS", "", "RET=HDRS"),
            ("<joe@contoso.com>  ", "joe@contoso.com", ""),
            (" joe@contoso.com", "joe@contoso.com", ""),
            ("joe@contoso.com", "joe@contoso.com", ""),
            (" <joe@contoso.com>", "joe@contoso.com", ""),
            (r#"<"a>b"@contoso.com>"#, r#""a>b"@contoso.com"#, ""),
            (r#"<"a\"> b"@contoso.com> SIZE=1"#, r#""a\"> b"@contoso.com"#, "SIZE=1"),
        ] {
            assert_eq!(split(text), Ok(Split { address, parameters }), "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        for text in [
            "",
            " ",
            "  joe@contoso.com",
            "joe@contoso.com SIZE=10",
            " joe@contoso.com SIZE=10",
            " <joe@contoso.com> SIZE=10",
            "<joe@contoso.com",
            "joe@contoso.com>",
            "<joe@contoso.com>SIZE=10",
            "u@a,<u@f>",
            "<\"a>",
        ] {
            assert_eq!(split(text), Err(PathError::Syntax), "{text:?}");
        }
        for text in ["<a\r@b>", "<a\0@b>", "<a@b>\x1b", "a\u{85}@b"] {
            assert_eq!(split(text), Err(PathError::ControlCharacter), "{text:?}");
        }
    }

    #[test]
    fn postmaster_needs_no_domain() {
        assert_eq!(forward_path("PostMaster"), Ok(ForwardPath::Postmaster));
        assert!(matches!(forward_path("postmaster@contoso.com"), Ok(ForwardPath::Mailbox(_))));
        assert!(reverse_path("postmaster").is_err());
        assert_eq!(reverse_path(""), Ok(ReversePath::Null));
    }

    #[test]
    fn what_relays_by_trickery_is_no_mailbox() {
        assert_eq!(forward_path("@a:u@f"), Err(PathError::SourceRoute));
        assert_eq!(forward_path("@a,@b:u@f"), Err(PathError::SourceRoute));
        assert_eq!(forward_path("u@f."), Err(PathError::TrailingDot));
        for text in ["", "u", "u@", "@f", "u@.a", "u@a@f", "\"u@f\"", "u@a,u@f", "u@a b", "u u@a"] {
            assert!(forward_path(text).is_err(), "{text:?}");
        }
        assert_eq!(forward_path(&format!("{}@contoso.com", "x".repeat(1860))), Err(PathError::TooLong));
    }
}
