//! An X.400 originator/recipient address, read from either text form and printed in each.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;

use crate::error::{ParseError, ParseErrorKind};
use crate::hash::hash;
use crate::x400::attribute::{Attribute, HIERARCHY};
use crate::x400::print::{Exchange, Rfc1685, Rfc2156};
use crate::x400::text::{Attributes, Form};

/// An O/R address such as `C=US;A=Fabrikam;P=Contoso;O=Sales;S=Doe;G=Jane;`.
///
/// The order of attributes and the case of keywords carry no meaning. Values keep their case but not the spaces
/// around them; two addresses are equal if their values are, without regard to case and to the number of spaces
/// between words. A missing ADMD and `A= ` are the same: [`Admd::Blank`].
///
/// `Display` prints the form of Exchange: RFC 1685 with C first and a delimiter at the end.
#[derive(Clone)]
pub struct OrAddress {
    /// Sorted by attribute; those that a domain defined follow in their own order.
    fields: Box<[Field]>,
    /// The values one behind the other, as written.
    text: Box<str>,
    /// The values one behind the other, as they are compared, each with [`FOLDED_END`].
    folded: Box<str>,
}

/// Stands behind each value as it is compared; no value holds a control character.
pub(crate) const FOLDED_END: char = '\u{1f}';

/// Where one value ends in both texts; it begins where the one before ends.
#[derive(Clone, Copy)]
struct Field {
    name: FieldName,
    text_end: u32,
    folded_end: u32,
    /// Of the value as it is compared.
    hash: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum FieldName {
    Standard(Attribute),
    DomainDefinedType,
    DomainDefinedValue,
}

/// The administration management domain of an O/R address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admd<'a> {
    /// None is named: left out in RFC 1685, one space in Exchange's text and RFC 2156.
    Blank,
    /// The one with this name.
    Named(&'a str),
}

impl OrAddress {
    /// Reads either form: RFC 2156 if the text begins with `/`, else RFC 1685 with `;`.
    ///
    /// # Errors
    ///
    /// The first fault of the text, with its byte.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Self::read(text, if text.starts_with('/') { Form::Dollar } else { Form::Doubling(b';') })
    }

    /// Reads the form of RFC 1685: `G=Jane;S=Doe;O=Research ;; Sales;C=US`, or with `/` throughout if it begins with one.
    /// The delimiter is doubled within a value, `=` within the type of a domain-defined attribute.
    ///
    /// # Errors
    ///
    /// The first fault of the text, with its byte.
    pub fn parse_rfc1685(text: &str) -> Result<Self, ParseError> {
        Self::read(text, Form::Doubling(if text.starts_with('/') { b'/' } else { b';' }))
    }

    /// Reads the form of RFC 2156: `/G=Jane/S=Doe/O=Research $/ Sales/PRMD=Contoso/ADMD= /C=US/`. `;` parts attributes
    /// too, and `$` quotes `/`, `;`, `=` and itself.
    ///
    /// # Errors
    ///
    /// The first fault of the text, with its byte.
    pub fn parse_rfc2156(text: &str) -> Result<Self, ParseError> {
        Self::read(text, Form::Dollar)
    }

    fn read(text: &str, form: Form) -> Result<Self, ParseError> {
        if text.is_empty() {
            return Err(ParseError::new(ParseErrorKind::EmptyAddress, 0));
        }
        let attributes = Attributes::read(text, form)?;
        if attributes.get(Attribute::Country).is_none() {
            return Err(ParseError::new(ParseErrorKind::MissingCountry, text.len()));
        }
        Ok(Self::of_attributes(attributes, text.len()))
    }

    pub(crate) fn of_attributes(mut attributes: Attributes<'_>, length: usize) -> Self {
        attributes.values[Attribute::Admd.index()].get_or_insert_default();
        let mut builder = Builder {
            fields: Vec::with_capacity(12),
            text: String::with_capacity(length),
            folded: String::with_capacity(length),
        };
        for (index, value) in attributes.values.iter().enumerate() {
            if let Some(value) = value {
                builder.push(FieldName::Standard(Attribute::ALL[index]), value);
            }
        }
        for (name, value) in &attributes.domain_defined {
            builder.push(FieldName::DomainDefinedType, name);
            builder.push(FieldName::DomainDefinedValue, value);
        }
        let Builder { fields, text, folded } = builder;
        Self { fields: fields.into(), text: text.into(), folded: folded.into() }
    }

    /// The value of an attribute; the blank ADMD is the empty text.
    pub fn get(&self, attribute: Attribute) -> Option<&str> {
        self.attributes().find(|(name, _)| *name == attribute).map(|(_, value)| value)
    }

    /// The country: two letters or three digits.
    pub fn country(&self) -> &str {
        self.get(Attribute::Country).unwrap_or_default()
    }

    /// The administration management domain.
    pub fn admd(&self) -> Admd<'_> {
        match self.get(Attribute::Admd) {
            None | Some("") => Admd::Blank,
            Some(name) => Admd::Named(name),
        }
    }

    /// Every attribute but the domain-defined ones, in the order in which Exchange writes them.
    pub fn attributes(&self) -> impl Iterator<Item = (Attribute, &str)> {
        self.fields().filter_map(|(name, value)| match name {
            FieldName::Standard(attribute) => Some((attribute, value)),
            _ => None,
        })
    }

    /// Type and value of each domain-defined attribute, in their order, which carries meaning.
    pub fn domain_defined(&self) -> impl Iterator<Item = (&str, &str)> {
        let of = |wanted| self.fields().filter(move |(name, _)| *name == wanted).map(|(_, value)| value);
        of(FieldName::DomainDefinedType).zip(of(FieldName::DomainDefinedValue))
    }

    /// The form of RFC 1685 in its recommended order, with the blank ADMD left out: `G=Jane;S=Doe;P=Contoso;C=US`.
    pub fn rfc1685(&self) -> impl fmt::Display + '_ {
        Rfc1685(self)
    }

    /// The form of RFC 2156: `/G=Jane/S=Doe/PRMD=Contoso/ADMD= /C=US/`.
    pub fn rfc2156(&self) -> impl fmt::Display + '_ {
        Rfc2156(self)
    }

    /// Each attribute with its value as it is compared: lower case, single spaces.
    pub(crate) fn folded_attributes(&self) -> impl Iterator<Item = (Attribute, &str)> {
        let mut start = 0;
        self.fields.iter().map_while(move |field| {
            let FieldName::Standard(attribute) = field.name else { return None };
            let end = field.folded_end as usize;
            let value = self.folded.get(start..end)?;
            start = end + FOLDED_END.len_utf8();
            Some((attribute, value))
        })
    }

    /// The text of all values as they are compared, and of each in the hierarchy where in it and its hash.
    pub(crate) fn hierarchy(&self) -> (&[u8], impl Iterator<Item = (Attribute, Range<usize>, u32)>) {
        let mut start = 0;
        let fields = self.fields.iter().map_while(move |field| match field.name {
            FieldName::Standard(attribute) if attribute.index() < HIERARCHY => {
                let end = field.folded_end as usize;
                Some((attribute, std::mem::replace(&mut start, end + FOLDED_END.len_utf8())..end, field.hash))
            }
            _ => None,
        });
        (self.folded.as_bytes(), fields)
    }

    fn fields(&self) -> impl Iterator<Item = (FieldName, &str)> {
        let mut start = 0;
        self.fields.iter().map_while(move |field| {
            let end = field.text_end as usize;
            let value = self.text.get(start..end)?;
            start = end;
            Some((field.name, value))
        })
    }
}

struct Builder {
    fields: Vec<Field>,
    text: String,
    folded: String,
}

impl Builder {
    fn push(&mut self, name: FieldName, value: &str) {
        self.text.push_str(value);
        let start = self.folded.len();
        fold_onto(value, &mut self.folded);
        let hash = hash(self.folded.as_bytes().get(start..).unwrap_or_default()) as u32;
        let (text_end, folded_end) = (offset(&self.text), offset(&self.folded));
        self.folded.push(FOLDED_END);
        self.fields.push(Field { name, text_end, folded_end, hash });
    }
}

/// The limits of all attributes together are far below four gigabytes.
fn offset(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

/// Lower case, no space at either end, one space between words.
fn fold_onto(value: &str, folded: &mut String) {
    let mut space = false;
    for c in value.trim_matches(' ').chars() {
        if c == ' ' {
            space = true;
            continue;
        }
        if std::mem::take(&mut space) {
            folded.push(' ');
        }
        if c.is_ascii() {
            folded.push(c.to_ascii_lowercase());
        } else {
            folded.extend(c.to_lowercase());
        }
    }
}

impl PartialEq for OrAddress {
    fn eq(&self, other: &Self) -> bool {
        let name = |field: &Field| (field.name, field.folded_end);
        self.folded == other.folded && self.fields.iter().map(name).eq(other.fields.iter().map(name))
    }
}

impl Eq for OrAddress {}

impl Hash for OrAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded.hash(state);
    }
}

impl fmt::Display for OrAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Exchange(self).fmt(f)
    }
}

impl fmt::Debug for OrAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrAddress({self})")
    }
}
