//! Makes text from outside fit for a report: printable, on lines of bounded length, in ASCII or in what SMTPUTF8 allows.

use std::fmt::Write;

/// The characters that a report may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letters {
    /// ASCII: every reader takes it.
    Ascii,
    /// Unicode, for a sender who used SMTPUTF8 (RFC 6533).
    Unicode,
}

/// The text in printable ASCII: control characters become `?`, others beyond ASCII their `\x{HEX}` form
/// (`EmbeddedUnicodeChar` of RFC 6533 section 3), blanks in a row one. At most `limit` bytes and a little.
pub(crate) fn ascii(text: &str, limit: usize) -> String {
    Letters::Ascii.clean(text, limit)
}

/// `utf-8-addr-xtext` (RFC 6533 section 3): an address beyond ASCII where only ASCII may stand.
pub(crate) fn address_xtext(address: &str) -> String {
    let mut xtext = String::with_capacity(address.len() * 2);
    for character in address.chars() {
        match character {
            '!'..='~' if !matches!(character, '+' | '=' | '\\') => xtext.push(character),
            // Writing into a String cannot fail.
            _ => drop(write!(xtext, "\\x{{{:X}}}", u32::from(character))),
        }
    }
    xtext
}

impl Letters {
    /// As [`ascii`]; in Unicode what lies beyond ASCII stays, but for what could end a line or turn it round.
    pub(crate) fn clean(self, text: &str, limit: usize) -> String {
        clean(text, limit, self)
    }
}

fn clean(text: &str, limit: usize, letters: Letters) -> String {
    let mut clean = String::with_capacity(text.len().min(limit));
    for character in text.trim().chars() {
        if clean.len() >= limit {
            clean.push_str("...");
            break;
        }
        match character {
            '\r' | '\n' | '\t' | ' ' if clean.ends_with(' ') => (),
            '\r' | '\n' | '\t' | ' ' => clean.push(' '),
            _ if character.is_control() => clean.push('?'),
            _ if character.is_ascii() => clean.push(character),
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' if letters == Letters::Unicode => {
                clean.push('?')
            }
            _ if letters == Letters::Unicode => clean.push(character),
            // Writing into a String cannot fail.
            _ => drop(write!(clean, "\\x{{{:X}}}", u32::from(character))),
        }
    }
    clean
}

/// Puts `Name: value` into a block of fields, folded at blanks. The value is cleaned: it cannot end its line.
pub(crate) fn push_field(block: &mut String, name: &str, value: &str, letters: Letters) {
    let mut length = name.len() + 1;
    block.push_str(name);
    block.push(':');
    for word in letters.clean(value, 1800).split(' ') {
        if length + word.len() + 1 > 76 && length > name.len() + 1 {
            block.push_str("\r\n");
            length = 0;
        }
        block.push(' ');
        for (at, piece) in pieces(word).enumerate() {
            // Only a word that is longer than any line may be is cut.
            block.push_str(if at > 0 { "\r\n " } else { "" });
            block.push_str(piece);
        }
        length += word.len() + 1;
    }
    block.push_str("\r\n");
}

fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(900));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_line_or_leaves_ascii() {
        assert_eq!(ascii("a\r\nSubject: owned\0\u{1b}[31m é", 100), "a Subject: owned??[31m \\x{E9}");
        assert_eq!(ascii("a\u{85}\u{2028}b", 100), "a?\\x{2028}b");
        assert_eq!(ascii("aaaaaaaaaa", 4), "aaaa...");
    }

    #[test]
    fn unicode_stays_where_it_may_and_turns_nothing_round() {
        assert_eq!(Letters::Unicode.clean("jürgen\r\n\u{202e}moc\u{2028}x\u{85}y", 100), "jürgen ?moc?x?y");
        assert_eq!(address_xtext("jü+x=\\@d.example"), "j\\x{FC}\\x{2B}x\\x{3D}\\x{5C}@d.example");
    }

    #[test]
    fn long_values_are_folded_and_never_blank() {
        let mut block = String::new();
        push_field(
            &mut block,
            "Diagnostic-Code",
            &format!("smtp; 550 {} {}", "word ".repeat(30), "é".repeat(1200)),
            Letters::Unicode,
        );
        assert!(block.lines().all(|line| line.len() < 998 && !line.trim().is_empty()), "{block}");
        assert!(block.lines().skip(1).all(|line| line.starts_with(' ')), "{block}");
    }
}
