//! Reads the text of an O/R address, in either form, into one value for each attribute.

use std::borrow::Cow;

use crate::error::{ParseError, ParseErrorKind};
use crate::smtp::mailbox::is_control;
use crate::x400::attribute::{Attribute, COUNT, ORGANIZATIONAL_UNITS, POSTAL_LINES};

const MOST_DOMAIN_DEFINED: usize = 4;
const LONGEST_DOMAIN_DEFINED_TYPE: usize = 8;
const LONGEST_DOMAIN_DEFINED_VALUE: usize = 128;

/// How elements are parted, and how a character that would part them is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// RFC 1685: one delimiter throughout, which is doubled within a value.
    Doubling(u8),
    /// RFC 2156: both `/` and `;`, with `$` before a character that is meant literally.
    Dollar,
}

/// The attributes of one text, checked each for itself.
pub(crate) struct Attributes<'a> {
    /// By [`Attribute::index`]; the blank ADMD is the empty text.
    pub(crate) values: [Option<Cow<'a, str>>; COUNT],
    /// Type and value, in the order of the text.
    pub(crate) domain_defined: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Attributes<'a> {
    pub(crate) fn read(text: &'a str, form: Form) -> Result<Self, ParseError> {
        let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !plain && let Some((offset, _)) = text.char_indices().find(|(_, c)| is_control(*c)) {
            return Err(ParseError::new(ParseErrorKind::ControlCharacter, offset));
        }
        let mut reader = Reader {
            text,
            form,
            attributes: Self { values: [const { None }; COUNT], domain_defined: Vec::new() },
            bare_units: Vec::new(),
        };
        let mut position = usize::from(text.starts_with('/') && form != Form::Doubling(b';'));
        while !text[position..].trim_start_matches(' ').is_empty() {
            position = reader.element(position)?;
        }
        reader.place_bare_units()?;
        Ok(reader.attributes)
    }

    pub(crate) fn get(&self, attribute: Attribute) -> Option<&str> {
        self.values[attribute.index()].as_deref()
    }
}

struct Reader<'a> {
    text: &'a str,
    form: Form,
    attributes: Attributes<'a>,
    /// `OU` without a number, and where: the last is the most significant (RFC 2156 section 4.3.3).
    bare_units: Vec<(Cow<'a, str>, usize)>,
}

impl<'a> Reader<'a> {
    /// Reads `keyword=value` and answers where the next element begins.
    fn element(&mut self, position: usize) -> Result<usize, ParseError> {
        let rest = &self.text[position..];
        let start = position + rest.len() - rest.trim_start_matches(' ').len();
        let domain_defined = domain_defined_prefix(&self.text[start..]);
        let (keyword, end) = self.scan(start, Some(domain_defined > 0))?;
        if self.text.as_bytes().get(end) != Some(&b'=') {
            return Err(ParseError::new(ParseErrorKind::MissingEquals, end));
        }
        let value_start = end + 1;
        let (value, end) = self.scan(value_start, None)?;
        if domain_defined > 0 {
            self.domain_defined(cut(keyword, domain_defined), value, start, value_start)?;
        } else {
            self.assign(keyword.trim_end_matches(' '), value, start, value_start)?;
        }
        Ok((end + 1).min(self.text.len()))
    }

    /// Reads up to a delimiter, or up to `=` too in a keyword, and takes the quoting away. `keyword` says whether we
    /// are in one, and if so, whether `==` means `=` there.
    fn scan(&self, from: usize, keyword: Option<bool>) -> Result<(Cow<'a, str>, usize), ParseError> {
        let bytes = self.text.as_bytes();
        let mut owned: Option<String> = None;
        let mut copied = from;
        let mut at = from;
        while let Some(&byte) = bytes.get(at) {
            let doubled = bytes.get(at + 1) == Some(&byte);
            let quoted = match (self.form, byte) {
                (Form::Doubling(delimiter), _) if byte == delimiter => doubled,
                (Form::Doubling(_), b'=') if keyword == Some(true) => doubled,
                (Form::Dollar, b'$') => match bytes.get(at + 1) {
                    Some(b'/' | b';' | b'=' | b'$') => true,
                    _ => return Err(ParseError::new(ParseErrorKind::BadDollarQuote, at)),
                },
                (Form::Dollar, b'/' | b';') => false,
                (_, b'=') if keyword.is_some() => false,
                _ => {
                    at += 1;
                    continue;
                }
            };
            if !quoted {
                break;
            }
            owned.get_or_insert_default().push_str(&self.text[copied..at]);
            copied = at + 1;
            at += 2;
        }
        let tail = &self.text[copied..at];
        let text = match owned {
            None => Cow::Borrowed(tail),
            Some(owned) => Cow::Owned(owned + tail),
        };
        Ok((text, at))
    }

    fn assign(
        &mut self,
        keyword: &str,
        value: Cow<'a, str>,
        start: usize,
        at: usize,
    ) -> Result<(), ParseError> {
        let refuse = |kind| Err(ParseError::new(kind, at));
        let written = value.len();
        let value = trim(value);
        if let Some(attribute) = Attribute::of_keyword(keyword) {
            if value.is_empty() && !(attribute == Attribute::Admd && written > 0) {
                return refuse(ParseErrorKind::EmptyAttribute);
            }
            return self.put(attribute, value, start, at);
        }
        if value.is_empty() {
            return refuse(ParseErrorKind::EmptyAttribute);
        }
        if keyword.eq_ignore_ascii_case("OU") {
            self.bare_units.push((value, at));
            Ok(())
        } else if keyword.eq_ignore_ascii_case("PN") {
            self.personal_name(&value, start, at)
        } else if keyword.eq_ignore_ascii_case("PD-ADDRESS") {
            let lines: Vec<_> = value.split('|').map(|line| line.trim_matches(' ')).collect();
            if lines.len() > POSTAL_LINES.len() {
                return refuse(ParseErrorKind::AttributeTooLong);
            }
            for (attribute, line) in POSTAL_LINES.into_iter().zip(lines).filter(|(_, line)| !line.is_empty())
            {
                self.put(attribute, Cow::Owned(line.into()), start, at)?;
            }
            Ok(())
        } else {
            Err(ParseError::new(ParseErrorKind::UnknownAttribute, start))
        }
    }

    fn put(
        &mut self,
        attribute: Attribute,
        value: Cow<'a, str>,
        start: usize,
        at: usize,
    ) -> Result<(), ParseError> {
        if !value.is_empty() {
            attribute.check(&value).map_err(|(kind, offset)| ParseError::new(kind, at + offset))?;
        }
        let slot = &mut self.attributes.values[attribute.index()];
        if slot.is_some() {
            return Err(ParseError::new(ParseErrorKind::RepeatedAttribute, start));
        }
        *slot = Some(value);
        Ok(())
    }

    /// `PN = [ given "." ] *( initial "." ) surname` (RFC 2156 section 4.1), where a given name has two letters or more.
    fn personal_name(&mut self, value: &str, start: usize, at: usize) -> Result<(), ParseError> {
        let named = [Attribute::Surname, Attribute::GivenName, Attribute::Initials];
        if named.iter().any(|attribute| self.attributes.get(*attribute).is_some()) {
            return Err(ParseError::new(ParseErrorKind::MixedPersonalName, start));
        }
        let (first, surname) = value.rsplit_once('.').unwrap_or(("", value));
        let (given, initials) = match first.split_once('.') {
            _ if first.chars().count() < 2 => ("", first),
            Some((given, _)) if given.chars().count() < 2 => ("", first),
            Some((given, initials)) => (given, initials),
            None => (first, ""),
        };
        let single = initials.split('.').all(|initial| initial != " " && initial.chars().count() == 1);
        if surname.trim_matches(' ').is_empty() || !(initials.is_empty() || single) {
            return Err(ParseError::new(ParseErrorKind::AttributeCharacter, at));
        }
        for (attribute, part) in
            [(Attribute::Surname, surname), (Attribute::GivenName, given), (Attribute::Initials, initials)]
        {
            let part = part.trim_matches(' ');
            if !part.is_empty() {
                let part = if attribute == Attribute::Initials { part.replace('.', "") } else { part.into() };
                self.put(attribute, Cow::Owned(part), start, at)?;
            }
        }
        Ok(())
    }

    fn domain_defined(
        &mut self,
        name: Cow<'a, str>,
        value: Cow<'a, str>,
        start: usize,
        at: usize,
    ) -> Result<(), ParseError> {
        let name = trim(name);
        if self.attributes.domain_defined.len() == MOST_DOMAIN_DEFINED {
            return Err(ParseError::new(ParseErrorKind::TooManyDomainDefined, start));
        }
        if name.is_empty() || value.is_empty() {
            let offset = if name.is_empty() { start } else { at };
            return Err(ParseError::new(ParseErrorKind::EmptyAttribute, offset));
        }
        if name.chars().count() > LONGEST_DOMAIN_DEFINED_TYPE {
            return Err(ParseError::new(ParseErrorKind::AttributeTooLong, start));
        }
        if value.chars().count() > LONGEST_DOMAIN_DEFINED_VALUE {
            return Err(ParseError::new(ParseErrorKind::AttributeTooLong, at));
        }
        // RFC 1685 could not tell `DDA:a=` `=b` from the type `a=b`.
        if value.starts_with('=') {
            return Err(ParseError::new(ParseErrorKind::AttributeCharacter, at));
        }
        self.attributes.domain_defined.push((name, value));
        Ok(())
    }

    /// Gives bare `OU`s their numbers, the last one first.
    fn place_bare_units(&mut self) -> Result<(), ParseError> {
        let units = std::mem::take(&mut self.bare_units);
        let numbered = ORGANIZATIONAL_UNITS.iter().any(|unit| self.attributes.get(*unit).is_some());
        for (index, (value, at)) in units.into_iter().rev().enumerate() {
            match ORGANIZATIONAL_UNITS.get(index) {
                Some(unit) if !numbered => self.put(*unit, value, at, at)?,
                _ => return Err(ParseError::new(ParseErrorKind::MixedOrganizationalUnits, at)),
            }
        }
        Ok(())
    }
}

/// The length of `DDA:` or `DD.`, if an element begins so.
fn domain_defined_prefix(element: &str) -> usize {
    let begins = |prefix: &str| element.get(..prefix.len()).is_some_and(|it| it.eq_ignore_ascii_case(prefix));
    ["DDA:", "DD."].into_iter().find(|prefix| begins(prefix)).map_or(0, str::len)
}

fn cut(text: Cow<'_, str>, from: usize) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[from..]),
        Cow::Owned(text) => Cow::Owned(text[from..].into()),
    }
}

fn trim(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches(' ')),
        Cow::Owned(text) => Cow::Owned(text.trim_matches(' ').into()),
    }
}
