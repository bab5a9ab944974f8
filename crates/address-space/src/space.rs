//! An address space: which addresses a connector takes, and at what cost.

use std::fmt;
use std::str::FromStr;

use crate::address::Address;
use crate::error::{ParseError, ParseErrorKind};
use crate::glob::Glob;
use crate::other::check_type;
use crate::smtp::pattern::SmtpPattern;
use crate::specificity::Specificity;
use crate::x400::pattern::OrPattern;

/// `[Type:]space[;cost]`, such as `*.contoso.com`, `SMTP:*;5`, `X400:c=US;a=Fabrikam;P=Contoso;5` or `FAX:*;1`.
///
/// Prints in full, with type and cost.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AddressSpace {
    pattern: Pattern,
    cost: u8,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Pattern {
    Smtp(SmtpPattern),
    X400(OrPattern),
    Other { address_type: Box<str>, glob: Glob },
}

impl AddressSpace {
    /// Reads an address space, strictly: a cost is 1 to 100, and must be there if a space that is not SMTP holds `;`.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let start = text.len() - text.trim_start().len();
        Self::parse_trimmed(text.trim_start()).map_err(|error| error.shifted(start))
    }

    fn parse_trimmed(text: &str) -> Result<Self, ParseError> {
        if text.is_empty() {
            return Err(ParseError::new(ParseErrorKind::Empty, 0));
        }
        let (address_type, start) = match text.split_once(':') {
            Some((word, _)) if word.trim().eq_ignore_ascii_case("local") => {
                return Err(ParseError::new(ParseErrorKind::LocalScope, 0));
            }
            Some((word, _)) => (check_type(word)?, word.len() + 1),
            None => ("SMTP".into(), 0),
        };
        let rest = &text[start..];
        let (space, cost) = split_cost(rest, &address_type).map_err(|error| error.shifted(start))?;
        let start = start + space.len() - space.trim_start().len();
        let space = space.trim_start();
        let pattern = match &*address_type {
            "SMTP" => SmtpPattern::parse(space.trim_end()).map(Pattern::Smtp),
            // A space at its end may be the blank ADMD.
            "X400" => OrPattern::parse(space).map(Pattern::X400),
            _ => Glob::parse(space.trim_end()).map(|glob| Pattern::Other { address_type, glob }),
        };
        Ok(Self { pattern: pattern.map_err(|error| error.shifted(start))?, cost })
    }

    pub(crate) fn of(pattern: Pattern, cost: u8) -> Self {
        Self { pattern, cost }
    }

    pub(crate) fn into_pattern(self) -> Pattern {
        self.pattern
    }

    /// How closely this space fits the address, or `None` if it does not cover it.
    pub fn matches(&self, address: &Address) -> Option<Specificity> {
        match (&self.pattern, address) {
            (Pattern::Smtp(pattern), Address::Smtp(mailbox)) => pattern.matches(mailbox),
            (Pattern::Other { address_type, glob }, Address::Other(other)) => {
                (**address_type == *other.address_type()).then(|| glob.matches(other.folded()))?
            }
            (Pattern::X400(pattern), Address::X400(address)) => pattern.matches(address),
            _ => None,
        }
    }

    /// 1 to 100; less is preferred among spaces that fit equally closely.
    pub fn cost(&self) -> u8 {
        self.cost
    }

    /// The address type in upper case: `SMTP`, `X400`, `FAX` ...
    pub fn address_type(&self) -> &str {
        match &self.pattern {
            Pattern::Smtp(_) => "SMTP",
            Pattern::X400(_) => "X400",
            Pattern::Other { address_type, .. } => address_type,
        }
    }
}

/// Takes the cost from behind the last `;`.
fn split_cost<'a>(rest: &'a str, address_type: &str) -> Result<(&'a str, u8), ParseError> {
    let Some((space, tail)) = rest.rsplit_once(';') else { return Ok((rest, 1)) };
    let offset = space.len() + 1;
    let digits = tail.trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let kind = if address_type == "SMTP" { ParseErrorKind::BadCost } else { ParseErrorKind::MissingCost };
        return Err(ParseError::new(kind, offset));
    }
    match digits.parse() {
        Ok(cost @ 1..=100) => Ok((space, cost)),
        _ => Err(ParseError::new(ParseErrorKind::BadCost, offset)),
    }
}

impl fmt::Display for AddressSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pattern {
            Pattern::Smtp(pattern) => write!(f, "SMTP:{pattern};{}", self.cost),
            Pattern::X400(pattern) => write!(f, "X400:{pattern};{}", self.cost),
            Pattern::Other { address_type, glob } => write!(f, "{address_type}:{glob};{}", self.cost),
        }
    }
}

impl fmt::Debug for AddressSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AddressSpace({self})")
    }
}

impl FromStr for AddressSpace {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}
