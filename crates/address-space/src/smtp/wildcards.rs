//! Domains with the wildcards of Exchange 5.5, which may stand anywhere.

use std::fmt;

use crate::error::{ParseError, ParseErrorKind};
use crate::glob::covers;
use crate::smtp::domain::Domain;
use crate::smtp::mailbox::{MailDomain, Mailbox};
use crate::specificity::Specificity;

/// A domain in which `*` is any run of characters, dots too, and `%` is one character.
///
/// Compared in the A-label form of what it is to cover, and so written in ASCII.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct WildcardDomain {
    /// In lower case.
    text: Box<str>,
}

impl WildcardDomain {
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        if let Some(offset) = text.bytes().position(|byte| !byte.is_ascii()) {
            return Err(ParseError::new(ParseErrorKind::InvalidInternationalName, offset));
        }
        // A recipient's domain may end with a dot; a space may not, in any dialect.
        if text.ends_with('.') {
            return Err(ParseError::new(ParseErrorKind::EmptyLabel, text.len()));
        }
        // With a letter for each wildcard it is a domain like any other.
        let stand_in: String = text.chars().map(|c| if matches!(c, '*' | '%') { 'x' } else { c }).collect();
        Domain::parse(&stand_in)?;
        Ok(Self { text: text.to_ascii_lowercase().into() })
    }

    pub(crate) fn matches(&self, mailbox: &Mailbox) -> Option<Specificity> {
        let MailDomain::Name(domain) = mailbox.domain() else { return None };
        covers(self.text.as_bytes(), domain.ascii().as_bytes(), Some(b'%')).then(|| self.specificity())
    }

    /// As close as `*.suffix` with the whole labels at its end, and closer the more characters it names.
    pub(crate) fn specificity(&self) -> Specificity {
        let is_wildcard = |c: char| matches!(c, '*' | '%');
        let labels = self.text.rsplit('.').take_while(|label| !label.contains(is_wildcard)).count();
        let characters = self.text.chars().filter(|c| !is_wildcard(*c)).count();
        let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
        Specificity::partial(count(labels), count(characters))
    }
}

impl fmt::Display for WildcardDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_at_the_end_is_refused_as_in_any_space() {
        for text in ["*.contoso.com.", "*contoso.com.", "*."] {
            assert_eq!(
                WildcardDomain::parse(text).map(|_| ()).unwrap_err().kind(),
                ParseErrorKind::EmptyLabel,
                "{text}"
            );
        }
    }
}
