//! An address space: which addresses a connector takes, and at what cost.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::address::Address;
use crate::error::{ParseError, ParseErrorKind};
use crate::glob::Glob;
use crate::other::check_type;
use crate::smtp::pattern::SmtpPattern;
use crate::smtp::wildcards::WildcardDomain;
use crate::specificity::Specificity;
use crate::x400::pattern::OrPattern;

/// `[Type:]space[;cost]`, such as `*.contoso.com`, `SMTP:*;5`, `X400:c=US;a=Fabrikam;P=Contoso;5` or `FAX:*;1`.
///
/// Prints in full, with type and cost.
#[derive(Clone)]
pub struct AddressSpace {
    pattern: Pattern,
    cost: u8,
    local_scope: bool,
}

/// What [`AddressSpace::parse_with`] takes beyond the documented syntax; by default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leniency {
    local_scope: bool,
    missing_cost: bool,
    wildcards: bool,
}

impl Leniency {
    /// Takes Exchange 2007's scope word, as in `Local:SMTP:contoso.com;1`; see [`AddressSpace::has_local_scope`].
    #[must_use]
    pub fn local_scope(self) -> Self {
        Self { local_scope: true, ..self }
    }

    /// Takes `X400:c=US;a=Fabrikam;P=Contoso`, which has `;` but no cost, at the cost 1.
    #[must_use]
    pub fn missing_cost(self) -> Self {
        Self { missing_cost: true, ..self }
    }

    /// Takes Exchange 5.5's `*` (any run of characters) and `%` (one character) anywhere in an SMTP domain and in the
    /// values of an X400 space, as in `*contoso.%%` or `X400:c=US;a=Fabri*;1`; a country is still written whole.
    #[must_use]
    pub fn wildcards(self) -> Self {
        Self { wildcards: true, ..self }
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Pattern {
    Smtp(SmtpPattern),
    /// With wildcards of Exchange 5.5.
    SmtpWildcards(WildcardDomain),
    X400(OrPattern),
    Other {
        address_type: Box<str>,
        glob: Glob,
    },
}

impl AddressSpace {
    /// Reads an address space, strictly: a cost is 1 to 100, and must be there if a space that is not SMTP holds `;`.
    ///
    /// # Errors
    ///
    /// The first fault of the text, with its byte. What a leniency would take is a kind of its own.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Self::parse_with(text, Leniency::default())
    }

    /// Reads an address space with the leniencies named.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), but for the leniencies.
    pub fn parse_with(text: &str, leniency: Leniency) -> Result<Self, ParseError> {
        let start = text.len() - text.trim_start().len();
        let text = text.trim_start();
        let scope = text.split_once(':').filter(|(word, _)| word.trim().eq_ignore_ascii_case("local"));
        match scope {
            None => Self::parse_unscoped(text, leniency).map_err(|error| error.shifted(start)),
            Some(_) if !leniency.local_scope => Err(ParseError::new(ParseErrorKind::LocalScope, start)),
            Some((word, rest)) => {
                let start = start + word.len() + 1;
                let space = Self::parse_unscoped(rest, leniency).map_err(|error| error.shifted(start))?;
                Ok(Self { local_scope: true, ..space })
            }
        }
    }

    fn parse_unscoped(text: &str, leniency: Leniency) -> Result<Self, ParseError> {
        if text.trim().is_empty() {
            return Err(ParseError::new(ParseErrorKind::Empty, 0));
        }
        let (address_type, start) = match text.split_once(':') {
            // Behind a scope it would print as another scope.
            Some((word, _)) if word.trim().eq_ignore_ascii_case("local") => {
                return Err(ParseError::new(ParseErrorKind::LocalScope, 0));
            }
            Some((word, _)) => (check_type(word)?, word.len() + 1),
            None => ("SMTP".into(), 0),
        };
        let rest = &text[start..];
        let (space, cost) =
            split_cost(rest, &address_type, leniency).map_err(|error| error.shifted(start))?;
        let start = start + space.len() - space.trim_start().len();
        let space = space.trim_start();
        let pattern = match &*address_type {
            "SMTP" => parse_smtp(space.trim_end(), leniency),
            // A space at its end may be the blank ADMD.
            "X400" => OrPattern::parse(space, leniency.wildcards).map(Pattern::X400),
            _ => Glob::parse(space.trim_end()).map(|glob| Pattern::Other { address_type, glob }),
        };
        Ok(Self::of(pattern.map_err(|error| error.shifted(start))?, cost))
    }

    pub(crate) fn of(pattern: Pattern, cost: u8) -> Self {
        Self { pattern, cost, local_scope: false }
    }

    /// Whether it has wildcards of Exchange 5.5, which only [`Leniency::wildcards`] takes: two different SMTP spaces may then
    /// fit one address equally closely.
    pub fn has_wildcards(&self) -> bool {
        self.wildcard_specificity().is_some()
    }

    /// How closely a space with wildcards of Exchange 5.5 fits what it covers; `None` for any other.
    pub(crate) fn wildcard_specificity(&self) -> Option<Specificity> {
        match &self.pattern {
            Pattern::SmtpWildcards(domain) => Some(domain.specificity()),
            Pattern::X400(pattern) if pattern.has_wildcards() => Some(pattern.specificity()),
            _ => None,
        }
    }

    pub(crate) fn into_pattern(self) -> Pattern {
        self.pattern
    }

    /// How closely this space fits the address, or `None` if it does not cover it.
    pub fn matches(&self, address: &Address) -> Option<Specificity> {
        match (&self.pattern, address) {
            (Pattern::Smtp(pattern), Address::Smtp(mailbox)) => pattern.matches(mailbox),
            (Pattern::SmtpWildcards(domain), Address::Smtp(mailbox)) => domain.matches(mailbox),
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

    /// Whether it was read with Exchange 2007's `Local:`: the connector is to be scoped to its own site.
    ///
    /// Neither printed nor compared, nor kept by an [`AddressSpaceMap`](crate::AddressSpaceMap), because the space itself is
    /// the same.
    pub fn has_local_scope(&self) -> bool {
        self.local_scope
    }

    /// The address type in upper case: `SMTP`, `X400`, `FAX` ...
    pub fn address_type(&self) -> &str {
        match &self.pattern {
            Pattern::Smtp(_) | Pattern::SmtpWildcards(_) => "SMTP",
            Pattern::X400(_) => "X400",
            Pattern::Other { address_type, .. } => address_type,
        }
    }
}

fn parse_smtp(space: &str, leniency: Leniency) -> Result<Pattern, ParseError> {
    match SmtpPattern::parse(space) {
        Err(_) if leniency.wildcards && space.contains(['*', '%']) => {
            WildcardDomain::parse(space).map(Pattern::SmtpWildcards)
        }
        parsed => parsed.map(Pattern::Smtp),
    }
}

/// Takes the cost from behind the last `;`.
fn split_cost<'a>(
    rest: &'a str,
    address_type: &str,
    leniency: Leniency,
) -> Result<(&'a str, u8), ParseError> {
    let Some((space, tail)) = rest.rsplit_once(';') else { return Ok((rest, 1)) };
    let offset = space.len() + 1;
    let digits = tail.trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return match address_type {
            "SMTP" => Err(ParseError::new(ParseErrorKind::BadCost, offset)),
            _ if leniency.missing_cost => Ok((rest, 1)),
            _ => Err(ParseError::new(ParseErrorKind::MissingCost, offset)),
        };
    }
    match digits.parse() {
        Ok(cost @ 1..=100) => Ok((space, cost)),
        _ => Err(ParseError::new(ParseErrorKind::BadCost, offset)),
    }
}

impl PartialEq for AddressSpace {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern && self.cost == other.cost
    }
}

impl Eq for AddressSpace {}

impl Hash for AddressSpace {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pattern.hash(state);
        self.cost.hash(state);
    }
}

impl fmt::Display for AddressSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pattern {
            Pattern::Smtp(pattern) => write!(f, "SMTP:{pattern};{}", self.cost),
            Pattern::SmtpWildcards(domain) => write!(f, "SMTP:{domain};{}", self.cost),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_leniency_takes_what_it_names_and_nothing_else() {
        let scoped = "Local:X400:c=US;a=Fabrikam;P=Contoso;5";
        let costless = "X400:c=US;a=Fabrikam;P=Contoso";
        let (local, cost) = (Leniency::default().local_scope(), Leniency::default().missing_cost());
        assert!(AddressSpace::parse_with(scoped, cost).is_err());
        assert!(AddressSpace::parse_with(costless, local).is_err());
        let space = AddressSpace::parse_with(scoped, local).unwrap();
        assert!(space.has_local_scope());
        assert_eq!(space.to_string(), "X400:C=US;A=Fabrikam;P=Contoso;5");
        assert_eq!(AddressSpace::parse_with(costless, cost).unwrap().cost(), 1);
        assert_eq!(AddressSpace::parse_with("FAX:a;b", cost).unwrap().to_string(), "FAX:a;b;1");
        assert!(AddressSpace::parse_with("*;abc", cost).is_err());
        let twice = AddressSpace::parse_with("Local:Local:a;1", local).unwrap_err();
        assert_eq!((twice.kind(), twice.offset()), (ParseErrorKind::LocalScope, 6));
    }

    #[test]
    fn wildcards_of_exchange_5_5_stand_anywhere() {
        let lenient = Leniency::default().wildcards();
        for (text, printed, covered, others) in [
            ("*contoso.com", "SMTP:*contoso.com;1", "j@evilcontoso.com", "j@contoso.org"),
            ("contoso.c%m", "SMTP:contoso.c%m;1", "j@contoso.com", "j@contoso.coom"),
            ("Contos%.*;5", "SMTP:contos%.*;5", "j@contosa.co.uk", "j@contos.com"),
            (
                "X400:c=US;a=Fab*;p=%ontoso;1",
                "X400:C=US;A=Fab*;P=%ontoso;1",
                "X400:C=US;A=FABRIKAM;P=Contoso",
                "X400:C=US;P=Contoso",
            ),
            ("X400:c=US;a=*;o=*;1", "X400:C=US;A=*;O=*;1", "X400:C=US;O=x", "X400:C=US;P=x"),
        ] {
            assert!(AddressSpace::parse(text).is_err(), "{text}");
            let space = AddressSpace::parse_with(text, lenient).unwrap();
            assert_eq!(space.to_string(), printed);
            assert_eq!(AddressSpace::parse_with(printed, lenient), Ok(space.clone()));
            assert!(space.matches(&Address::parse(covered).unwrap()).is_some(), "{text}");
            assert_eq!(space.matches(&Address::parse(others).unwrap()), None, "{text}");
        }
        for text in ["a_*.com", "*..com", "bü*.com", "-*.com", "X400:c=*;a=x;1", "X400:c=US;a=x;s=*;1"] {
            assert!(AddressSpace::parse_with(text, lenient).is_err(), "{text}");
        }
        // What is no wildcard of 5.5 is read as ever.
        assert_eq!(AddressSpace::parse_with("*.contoso.com", lenient), AddressSpace::parse("*.contoso.com"));
    }
}
