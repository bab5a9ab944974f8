//! Edge's space `--`: every accepted domain, whichever these are.

use std::fmt;
use std::str::FromStr;

use postroad_address_space::{AddressSpace, Domain};

use crate::error::{Expected, ParseError};
use crate::named::as_text;

/// `[SMTP:]--[;cost]`: all accepted domains, each as closely as if it were written out.
///
/// It is no [`AddressSpace`], because what it covers is not in its text: [`AcceptedDomains::spaces`] writes the domains
/// out, and these are what a connector holds.
///
/// ```
/// use postroad_connector::{AcceptedDomains, SendConnector};
///
/// let inside: AcceptedDomains = "--;5".parse()?;
/// let spaces = inside.spaces(&["contoso.com".parse()?, "fabrikam.com".parse()?]);
/// let connector = SendConnector::new("To the inside", spaces);
/// assert_eq!(connector.address_spaces[1].to_string(), "SMTP:fabrikam.com;5");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AcceptedDomains {
    cost: u8,
}

impl AcceptedDomains {
    /// 1 to 100; that of each domain.
    pub fn cost(self) -> u8 {
        self.cost
    }

    /// The accepted domains written out, each without what is below it.
    pub fn spaces(self, accepted_domains: &[Domain]) -> Vec<AddressSpace> {
        let space = |domain: &Domain| AddressSpace::parse(&format!("SMTP:{domain};{}", self.cost)).ok();
        accepted_domains.iter().filter_map(space).collect()
    }
}

impl fmt::Display for AcceptedDomains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SMTP:--;{}", self.cost)
    }
}

impl FromStr for AcceptedDomains {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = |rest: &str| ParseError::new(Expected::AcceptedDomains, text.len() - rest.len());
        let space = match text.split_once(':') {
            Some((word, space)) if word.trim().eq_ignore_ascii_case("smtp") => space,
            Some(_) => return Err(wrong(text)),
            None => text,
        };
        let space = space.trim_start();
        let rest = space.strip_prefix("--").ok_or_else(|| wrong(space))?.trim_start();
        let Some(cost) = rest.strip_prefix(';') else {
            return if rest.is_empty() { Ok(Self { cost: 1 }) } else { Err(wrong(rest)) };
        };
        let digits = cost.trim();
        match digits.parse() {
            Ok(cost @ 1..=100) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Self { cost }),
            _ => Err(wrong(cost.trim_start())),
        }
    }
}

as_text!(AcceptedDomains);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_that_of_any_space() {
        for (text, expected) in [
            ("--", Ok(1)),
            ("SMTP:--", Ok(1)),
            (" smtp : -- ; 7 ", Ok(7)),
            ("--;100", Ok(100)),
            ("--;0", Err(3)),
            ("--;101", Err(3)),
            ("--;+5", Err(3)),
            ("--;", Err(3)),
            ("--x", Err(2)),
            ("-", Err(0)),
            ("*.--", Err(0)),
            ("X400:--;1", Err(0)),
            ("", Err(0)),
        ] {
            let read = text.parse::<AcceptedDomains>();
            assert_eq!(read.map(AcceptedDomains::cost).map_err(|error| error.offset()), expected, "{text:?}");
        }
        let five: AcceptedDomains = "--;5".parse().unwrap();
        assert_eq!(five.to_string(), "SMTP:--;5");
        assert_eq!(five.to_string().parse(), Ok(five));
    }

    #[test]
    fn it_is_exactly_the_accepted_domains() {
        let domains = ["contoso.com", "münchen.example"].map(|text| Domain::parse(text).unwrap());
        let spaces: Vec<_> = "--;5".parse::<AcceptedDomains>().unwrap().spaces(&domains);
        assert_eq!(spaces.len(), 2);
        for (address, expected) in [
            ("jane@contoso.com", true),
            ("jane@xn--mnchen-3ya.example", true),
            ("jane@eu.contoso.com", false),
            ("jane@fabrikam.com", false),
        ] {
            let address = postroad_address_space::Address::parse(address).unwrap();
            assert_eq!(spaces.iter().any(|space| space.matches(&address).is_some()), expected, "{address}");
        }
    }
}
