//! Prints an O/R address in each of its text forms.

use std::fmt::{self, Write};

use crate::x400::attribute::{Attribute, ORGANIZATIONAL_UNITS, POSTAL_LINES};
use crate::x400::or_address::OrAddress;

/// `C=US;A=Fabrikam;P=Contoso;O=Sales;S=Doe;G=Jane;`
pub(crate) struct Exchange<'a>(pub(crate) &'a OrAddress);

impl fmt::Display for Exchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (attribute, value) in self.0.attributes() {
            write!(f, "{}=", attribute.rfc1685_keyword())?;
            write_doubled(f, spelled_out(value), &[';'])?;
            f.write_char(';')?;
        }
        for (name, value) in self.0.domain_defined() {
            write_domain_defined(f, name, value)?;
            f.write_char(';')?;
        }
        Ok(())
    }
}

/// `G=Jane;S=Doe;O=Sales;P=Contoso;A=Fabrikam;C=US`
pub(crate) struct Rfc1685<'a>(pub(crate) &'a OrAddress);

impl fmt::Display for Rfc1685<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut delimiter = "";
        for attribute in recommended_order() {
            let Some(value) = self.0.get(attribute).filter(|value| !value.is_empty()) else { continue };
            write!(f, "{delimiter}{}=", attribute.rfc1685_keyword())?;
            write_doubled(f, value, &[';'])?;
            delimiter = ";";
        }
        for (name, value) in self.0.domain_defined() {
            f.write_str(delimiter)?;
            write_domain_defined(f, name, value)?;
        }
        Ok(())
    }
}

/// `/G=Jane/S=Doe/O=Sales/PRMD=Contoso/ADMD=Fabrikam/C=US/`
pub(crate) struct Rfc2156<'a>(pub(crate) &'a OrAddress);

impl fmt::Display for Rfc2156<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units: Vec<_> = ORGANIZATIONAL_UNITS.iter().map(|unit| self.0.get(*unit)).collect();
        // Bare OUs have no numbers, so they can only say units without a gap between them.
        let gap = units.windows(2).any(|pair| matches!(pair, [None, Some(_)]));
        f.write_char('/')?;
        for attribute in recommended_order() {
            if attribute == Attribute::OrganizationalUnit1 && !gap {
                for unit in units.iter().rev().flatten() {
                    write_element(f, "OU", unit)?;
                }
            } else if attribute == Attribute::PostalLine1 {
                write_lines(f, self.0)?;
            } else if (ORGANIZATIONAL_UNITS.contains(&attribute) && !gap) || POSTAL_LINES.contains(&attribute)
            {
                continue;
            } else if let Some(value) = self.0.get(attribute) {
                write_element(f, attribute.rfc2156_keyword(), spelled_out(value))?;
            }
        }
        for (name, value) in self.0.domain_defined() {
            f.write_str("DD.")?;
            write_quoted(f, name)?;
            write_element(f, "", value)?;
        }
        Ok(())
    }
}

fn write_lines(f: &mut fmt::Formatter<'_>, address: &OrAddress) -> fmt::Result {
    let lines = POSTAL_LINES.map(|line| address.get(line).unwrap_or_default());
    let lines = lines.join("|");
    let lines = lines.trim_end_matches('|');
    if lines.is_empty() { Ok(()) } else { write_element(f, "PD-ADDRESS", lines) }
}

/// The blank ADMD is one space.
fn spelled_out(value: &str) -> &str {
    if value.is_empty() { " " } else { value }
}

/// RFC 1685: from the person up to the country, and what is rare behind it.
fn recommended_order() -> impl Iterator<Item = Attribute> {
    use Attribute::{
        Admd, CommonName, Country, GenerationQualifier, GivenName, Initials, Organization,
        OrganizationalUnit1, OrganizationalUnit2, OrganizationalUnit3, OrganizationalUnit4, Prmd, Surname,
    };
    const FIRST: [Attribute; 13] = [
        GivenName,
        Initials,
        Surname,
        GenerationQualifier,
        CommonName,
        Organization,
        OrganizationalUnit1,
        OrganizationalUnit2,
        OrganizationalUnit3,
        OrganizationalUnit4,
        Prmd,
        Admd,
        Country,
    ];
    FIRST.into_iter().chain(Attribute::ALL.into_iter().skip(FIRST.len()))
}

fn write_domain_defined(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    f.write_str("DDA:")?;
    write_doubled(f, name, &[';', '='])?;
    f.write_char('=')?;
    write_doubled(f, value, &[';'])
}

fn write_doubled(f: &mut fmt::Formatter<'_>, value: &str, doubled: &[char]) -> fmt::Result {
    for c in value.chars() {
        if doubled.contains(&c) {
            f.write_char(c)?;
        }
        f.write_char(c)?;
    }
    Ok(())
}

/// `keyword=value/`
fn write_element(f: &mut fmt::Formatter<'_>, keyword: &str, value: &str) -> fmt::Result {
    write!(f, "{keyword}=")?;
    write_quoted(f, value)?;
    f.write_char('/')
}

fn write_quoted(f: &mut fmt::Formatter<'_>, value: &str) -> fmt::Result {
    for c in value.chars() {
        if matches!(c, '/' | ';' | '=' | '$') {
            f.write_char('$')?;
        }
        f.write_char(c)?;
    }
    Ok(())
}
