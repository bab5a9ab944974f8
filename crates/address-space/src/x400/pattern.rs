//! The part of the X.400 hierarchy that an address space covers.

use std::fmt;

use crate::error::{ParseError, ParseErrorKind};
use crate::glob::covers;
use crate::specificity::Specificity;
use crate::x400::attribute::{Attribute, HIERARCHY};
use crate::x400::or_address::OrAddress;
use crate::x400::text::{Attributes, Form};

/// `*`, or country and ADMD with any of P, O and OU1 to OU4.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum OrPattern {
    /// Every O/R address.
    Every,
    /// Those whose attributes equal all that are named here.
    Under {
        /// The attributes; whatever stands in A if any will do.
        attributes: OrAddress,
        /// `a=*`: any ADMD, named or blank.
        any_admd: bool,
        /// Whose values hold wildcards of Exchange 5.5.
        wildcards: Shape,
    },
}

/// Which attributes a pattern asks for: a bit for each of the hierarchy's eight, C lowest.
pub(crate) type Shape = u8;

const COUNTRY_BIT: Shape = 1;
const ADMD_BIT: Shape = 1 << 1;

impl OrPattern {
    /// Reads what stands between `X400:` and the cost; spaces at its end may be the blank ADMD. `lenient` takes the
    /// wildcards of Exchange 5.5.
    pub(crate) fn parse(text: &str, lenient: bool) -> Result<Self, ParseError> {
        if text.trim() == "*" {
            return Ok(Self::Every);
        }
        let form = if text.starts_with('/') { Form::Dollar } else { Form::Doubling(b';') };
        let attributes = Attributes::read(text, form)?;
        let wrong = |kind, value: Option<&str>| {
            // The value stands in the text as it is, unless it was quoted.
            let offset =
                value.filter(|value| !value.is_empty()).and_then(|value| text.find(value)).unwrap_or(0);
            Err(ParseError::new(kind, offset))
        };
        let mut wildcards = 0;
        for (index, value) in attributes.values.iter().enumerate() {
            let Some(value) = value.as_deref() else { continue };
            if index >= HIERARCHY {
                return wrong(ParseErrorKind::NotOrganizational, Some(value));
            }
            if index == Attribute::Admd.index() && value == "*" {
                continue;
            }
            if value.contains(['*', '%']) {
                if !lenient {
                    return wrong(ParseErrorKind::MisplacedWildcard, Some(value));
                }
                wildcards |= 1 << index;
            }
            if !value.bytes().all(|byte| is_printable_string(byte) || matches!(byte, b'*' | b'%')) {
                return wrong(ParseErrorKind::AttributeCharacter, Some(value));
            }
        }
        if let Some((_, value)) = attributes.domain_defined.first() {
            return wrong(ParseErrorKind::NotOrganizational, Some(value));
        }
        if attributes.get(Attribute::Country).is_none() {
            return Err(ParseError::new(ParseErrorKind::MissingCountry, text.len()));
        }
        let any_admd = match attributes.get(Attribute::Admd) {
            None => return Err(ParseError::new(ParseErrorKind::MissingAdmd, text.len())),
            Some(value) => value == "*",
        };
        Ok(Self::Under { attributes: OrAddress::of_attributes(attributes, text.len()), any_admd, wildcards })
    }

    /// How closely it fits the address, or `None` if it does not cover it.
    pub(crate) fn matches(&self, address: &OrAddress) -> Option<Specificity> {
        let covers = match self {
            Self::Every => true,
            Self::Under { attributes, any_admd, wildcards } => attributes
                .folded_attributes()
                .filter(|(attribute, _)| !(*any_admd && *attribute == Attribute::Admd))
                .all(|wanted| {
                    let fits = |found: &str| match wildcards >> wanted.0.index() & 1 {
                        0 => found == wanted.1,
                        _ => covers(wanted.1.as_bytes(), found.as_bytes(), Some(b'%')),
                    };
                    address.folded_attributes().any(|found| found.0 == wanted.0 && fits(found.1))
                }),
        };
        covers.then(|| self.specificity())
    }

    pub(crate) fn specificity(&self) -> Specificity {
        match self {
            Self::Every => Specificity::CATCH_ALL,
            Self::Under { attributes, wildcards, .. } => {
                let whole = shape_specificity(self.shape() & !wildcards);
                if *wildcards == 0 {
                    return whole;
                }
                let values = attributes
                    .folded_attributes()
                    .filter(|(attribute, _)| wildcards >> attribute.index() & 1 == 1);
                let characters =
                    values.map(|(_, value)| value.replace(['*', '%'], "").chars().count()).sum::<usize>();
                whole.with_partial_values(u32::try_from(characters).unwrap_or(u32::MAX))
            }
        }
    }

    /// Whether a value holds wildcards of Exchange 5.5.
    pub(crate) fn has_wildcards(&self) -> bool {
        matches!(self, Self::Under { wildcards: 1.., .. })
    }

    /// The attributes that it asks for; none for `*`.
    pub(crate) fn shape(&self) -> Shape {
        match self {
            Self::Every => 0,
            Self::Under { attributes, any_admd, .. } => {
                let all = shape_of(attributes);
                if *any_admd { all & !ADMD_BIT } else { all }
            }
        }
    }

    /// The values that it asks for, in the order of the hierarchy.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &str> {
        let (address, any_admd) = match self {
            Self::Every => (None, false),
            Self::Under { attributes, any_admd, .. } => (Some(attributes), *any_admd),
        };
        address
            .into_iter()
            .flat_map(OrAddress::folded_attributes)
            .filter(move |(attribute, _)| !(any_admd && *attribute == Attribute::Admd))
            .map(|(_, value)| value)
    }
}

/// More attributes first, then a named ADMD before any, then the deeper last attribute.
pub(crate) fn shape_specificity(shape: Shape) -> Specificity {
    if shape & COUNTRY_BIT == 0 {
        return Specificity::CATCH_ALL;
    }
    let deepest = Shape::BITS - shape.leading_zeros();
    Specificity::partial(shape.count_ones(), u32::from(shape & ADMD_BIT != 0) << 4 | deepest)
}

/// Which attributes of the hierarchy an address has.
pub(crate) fn shape_of(address: &OrAddress) -> Shape {
    address
        .folded_attributes()
        .filter(|(attribute, _)| attribute.index() < HIERARCHY)
        .fold(0, |shape, (attribute, _)| shape | 1 << attribute.index())
}

/// The characters that Exchange documents for the attributes of an X.400 domain.
fn is_printable_string(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte)
}

impl fmt::Display for OrPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.write_str("*"),
            // The delimiter at the end goes to the cost.
            Self::Under { attributes, .. } => f.write_str(attributes.to_string().trim_end_matches(';')),
        }
    }
}
