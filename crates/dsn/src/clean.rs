//! Makes text from outside fit for a report: printable ASCII on lines of bounded length.

use std::fmt::Write;

/// The text in printable ASCII: control characters become `?`, others beyond ASCII their `\x{HEX}` form
/// (`utf-8-addr-xtext` of RFC 6533 section 3), blanks in a row one. At most `limit` bytes and a little.
pub(crate) fn ascii(text: &str, limit: usize) -> String {
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
            // Writing into a String cannot fail.
            _ => drop(write!(clean, "\\x{{{:X}}}", u32::from(character))),
        }
    }
    clean
}

/// Puts `Name: value` into a block of fields, folded at blanks. The value is cleaned: it cannot end its line.
pub(crate) fn push_field(block: &mut String, name: &str, value: &str) {
    let mut length = name.len() + 1;
    block.push_str(name);
    block.push(':');
    for word in ascii(value, 1800).split(' ') {
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
        let (piece, after) = rest.split_at_checked(900).unwrap_or((rest, ""));
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
    fn long_values_are_folded_and_never_blank() {
        let mut block = String::new();
        push_field(
            &mut block,
            "Diagnostic-Code",
            &format!("smtp; 550 {} {}", "word ".repeat(30), "x".repeat(1200)),
        );
        assert!(block.lines().all(|line| line.len() < 998 && !line.trim().is_empty()), "{block}");
        assert!(block.lines().skip(1).all(|line| line.starts_with(' ')), "{block}");
    }
}
