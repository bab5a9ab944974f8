//! The addresses that an address space of a type with no grammar covers: a text in which `*` stands for any run.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::error::{ParseError, ParseErrorKind};
use crate::other::fold;
use crate::smtp::mailbox::is_control;
use crate::specificity::Specificity;

/// A pattern with any number of `*`, compared without regard to case.
#[derive(Clone)]
pub(crate) struct Glob {
    text: Box<str>,
    folded: Box<str>,
}

impl Glob {
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        if text.is_empty() {
            return Err(ParseError::new(ParseErrorKind::EmptyAddress, 0));
        }
        if let Some((offset, _)) = text.char_indices().find(|(_, c)| is_control(*c)) {
            return Err(ParseError::new(ParseErrorKind::ControlCharacter, offset));
        }
        Ok(Self { text: text.into(), folded: fold(text).into() })
    }

    /// The pattern in lower case.
    pub(crate) fn folded(&self) -> &str {
        &self.folded
    }

    /// What stands before the first `*`, in lower case, if there is a `*`.
    pub(crate) fn prefix(&self) -> Option<&str> {
        self.folded.split_once('*').map(|(prefix, _)| prefix)
    }

    /// Whether it covers an address that is in lower case already.
    pub(crate) fn matches(&self, folded_address: &str) -> Option<Specificity> {
        covers(self.folded.as_bytes(), folded_address.as_bytes(), None).then(|| self.specificity())
    }

    pub(crate) fn specificity(&self) -> Specificity {
        if &*self.folded == "*" {
            return Specificity::CATCH_ALL;
        }
        match self.folded.find('*') {
            None => Specificity::EXACT,
            Some(prefix) => {
                let literal = self.folded.bytes().filter(|byte| *byte != b'*').count();
                Specificity::partial(saturated(prefix), saturated(literal))
            }
        }
    }
}

fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Whether a pattern covers a text, `*` being any run of characters, and `one`, if it is given, one character.
///
/// Tries the last `*` one byte further whenever the text behind it fails: at worst pattern times text steps.
pub(crate) fn covers(pattern: &[u8], text: &[u8], one: Option<u8>) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while let Some(&byte) = text.get(t) {
        match (pattern.get(p), star) {
            (Some(b'*'), _) => {
                star = Some((p + 1, t));
                p += 1;
            }
            (Some(wanted), _) if one == Some(*wanted) => {
                p += 1;
                t += 1;
                // The rest of a character that is not ASCII.
                t += text.iter().skip(t).take_while(|byte| matches!(byte, 0x80..=0xbf)).count();
            }
            (Some(&wanted), _) if wanted == byte => {
                p += 1;
                t += 1;
            }
            (_, Some((after, from))) => {
                star = Some((after, from + 1));
                p = after;
                t = from + 1;
            }
            (_, None) => return false,
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}

impl Eq for Glob {}

impl Hash for Glob {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded.hash(state);
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_character_is_one_character_in_any_script() {
        for (pattern, text, wanted) in [
            ("a%c", "abc", true),
            ("a%c", "aéc", true),
            ("a%%c", "aéc", false),
            ("%", "", false),
            ("%*", "é", true),
            ("*%", "é", true),
            ("*%%", "é", false),
            ("*%%", "€", false),
            ("*%%", "xé", true),
            ("a%*c", "ac", false),
        ] {
            assert_eq!(covers(pattern.as_bytes(), text.as_bytes(), Some(b'%')), wanted, "{pattern} {text}");
        }
        assert!(!covers(b"a%c", b"abc", None));
        assert!(covers(b"a%c", b"a%c", None));
    }
}
