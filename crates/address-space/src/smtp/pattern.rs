//! The part of the world of domains that an SMTP address space covers.

use std::fmt;

use crate::error::{ParseError, ParseErrorKind};
use crate::smtp::domain::Domain;
use crate::smtp::mailbox::{MailDomain, Mailbox};
use crate::specificity::Specificity;

/// `*`, `*.suffix` or one domain.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum SmtpPattern {
    /// Every domain, and every address literal.
    Every,
    /// The domain and everything below it.
    Suffix(Domain),
    /// The domain and nothing below it.
    Exact(Domain),
}

impl SmtpPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        if text == "*" {
            return Ok(Self::Every);
        }
        if text == "--" {
            return Err(ParseError::new(ParseErrorKind::AcceptedDomains, 0));
        }
        if text.ends_with('.') && text.len() > 1 {
            return Err(ParseError::new(ParseErrorKind::EmptyLabel, text.len()));
        }
        let (start, name) = match text.strip_prefix("*.") {
            Some(name) => (2, name),
            None => (0, text),
        };
        if let Some(offset) = name.find('*') {
            return Err(ParseError::new(ParseErrorKind::MisplacedWildcard, start + offset));
        }
        let domain = Domain::parse(name).map_err(|error| error.shifted(start))?;
        Ok(if start == 0 { Self::Exact(domain) } else { Self::Suffix(domain) })
    }

    pub(crate) fn matches(&self, mailbox: &Mailbox) -> Option<Specificity> {
        let name = match mailbox.domain() {
            MailDomain::Name(domain) => domain.ascii(),
            MailDomain::Literal(_) => return matches!(self, Self::Every).then_some(Specificity::CATCH_ALL),
        };
        let covers = match self {
            Self::Every => true,
            Self::Exact(domain) => domain.ascii() == name,
            Self::Suffix(domain) => match name.strip_suffix(domain.ascii()) {
                Some(rest) => rest.is_empty() || rest.ends_with('.'),
                None => false,
            },
        };
        covers.then(|| self.specificity())
    }

    pub(crate) fn domain(&self) -> Option<&Domain> {
        match self {
            Self::Every => None,
            Self::Suffix(domain) | Self::Exact(domain) => Some(domain),
        }
    }

    pub(crate) fn specificity(&self) -> Specificity {
        match self {
            Self::Every => Specificity::CATCH_ALL,
            Self::Exact(_) => Specificity::EXACT,
            Self::Suffix(domain) => Specificity::partial(domain.label_count(), 0),
        }
    }
}

impl fmt::Display for SmtpPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.write_str("*"),
            Self::Suffix(domain) => write!(f, "*.{domain}"),
            Self::Exact(domain) => domain.fmt(f),
        }
    }
}
