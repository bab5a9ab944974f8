//! Quoted-printable (RFC 2045 section 6.7) of text whose lines end with CRLF.

/// Characters in a line, the `=` of a soft line break among them.
const LINE: usize = 76;

/// Writes the text; decoded it is the same to the byte, whether or not its last line is ended.
///
/// A part of a text may go on in a line of the one before it, where that one broke its last line for it.
pub(super) fn encode(text: &[u8], goes_on: bool, breaks: bool, out: &mut Vec<u8>) {
    let (mut width, mut is_ours) = (0, goes_on);
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        if let Some(next_line) = rest.strip_prefix(b"\r\n") {
            out.extend_from_slice(b"\r\n");
            (width, is_ours, rest) = (0, false, next_line);
            continue;
        }
        let ends_line = (behind.is_empty() && !breaks) || behind.starts_with(b"\r\n");
        // A line that we begin could look like a boundary, or end the content of a careless program.
        let begins_ours = width == 0 && is_ours;
        let literal = match byte {
            b' ' | b'\t' => !ends_line,
            b'-' | b'.' => !begins_ours,
            b'=' => false,
            b'!'..=b'~' => true,
            _ => false,
        };
        let needs = if literal { 1 } else { 3 };
        let room = if ends_line { LINE } else { LINE - 1 };
        if width + needs > room {
            out.extend_from_slice(b"=\r\n");
            (width, is_ours) = (0, true);
            continue;
        }
        if literal {
            out.push(byte);
        } else {
            let digit = |nibble: u8| b"0123456789ABCDEF".get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'=', digit(byte >> 4), digit(byte & 15)]);
        }
        (width, rest) = (width + needs, behind);
    }
    if breaks {
        out.extend_from_slice(b"=\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written() {
        let long = "x".repeat(80);
        for (text, expected) in [
            ("", "".to_owned()),
            ("a=b", "a=3Db".to_owned()),
            ("a \r\nb\t", "a=20\r\nb=09".to_owned()),
            ("a b", "a b".to_owned()),
            ("\u{fc}\r\n", "=C3=BC\r\n".to_owned()),
            ("a\rb\n", "a=0Db=0A".to_owned()),
            (&long, format!("{}=\r\nxxxxx", "x".repeat(75))),
            (&format!("{}--b", "x".repeat(75)), format!("{}=\r\n=2D-b", "x".repeat(75))),
            (&"x".repeat(76), "x".repeat(76)),
        ] {
            let mut out = Vec::new();
            encode(text.as_bytes(), false, false, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    #[test]
    fn a_line_in_two_parts() {
        for (first, second, expected) in [
            ("a ", "b", "a =\r\nb".to_owned()),
            ("a", "-b\r\n-c", "a=\r\n=2Db\r\n-c".to_owned()),
            (&"x".repeat(75), ".", format!("{}=\r\n=2E", "x".repeat(75))),
            (&"x".repeat(76), "y", format!("{}=\r\nx=\r\ny", "x".repeat(75))),
        ] {
            let mut out = Vec::new();
            encode(first.as_bytes(), false, true, &mut out);
            encode(second.as_bytes(), true, false, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
