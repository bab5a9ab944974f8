//! `TlsCertificateName`: a certificate by its issuer and subject, as Exchange writes the two.

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::CertificateDer;

/// `<I>issuer<S>subject`, two distinguished names as Windows shows them: `<I>CN=CA 1, O=Contoso, C=US<S>CN=mail.contoso.com`.
///
/// Names are the same when their attributes are, from the first to the last or from the last to the first (Windows and RFC 4514
/// write them the other way round than the certificate and `openssl -nameopt`); neither case nor double spaces count.
///
/// ```
/// use postroad_smtp_server::TlsCertificateName;
/// let name: TlsCertificateName = "<I>CN=CA 1, O=\"Contoso, Ltd.\", C=US<S>CN=mail.contoso.com".parse()?;
/// assert!("CN=mail.contoso.com".parse::<TlsCertificateName>().is_err());
/// # Ok::<(), postroad_smtp_server::InvalidCertificateName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsCertificateName {
    written: String,
    issuer: Name,
    subject: Name,
}

/// Why a text names no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the name of a certificate: expected issuer and subject as in \"<I>CN=CA 1, O=Contoso, C=US<S>CN=mail.contoso.com\""
)]
pub struct InvalidCertificateName;

/// Its parts in order; each has one attribute, seldom more: the object identifier and the value, folded.
type Name = Vec<Vec<(Oid, String)>>;

/// The content octets of an object identifier.
type Oid = Vec<u8>;

impl TlsCertificateName {
    /// Whether the certificate is issued by, and for, the two.
    pub(crate) fn is_of(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok(leaf) = webpki::EndEntityCert::try_from(certificate) else { return false };
        let same = |written: &Name, held: &[u8]| {
            read(held).is_some_and(|held| *written == held || written.iter().eq(held.iter().rev()))
        };
        same(&self.issuer, leaf.issuer()) && same(&self.subject, leaf.subject())
    }
}

impl FromStr for TlsCertificateName {
    type Err = InvalidCertificateName;

    fn from_str(text: &str) -> Result<Self, InvalidCertificateName> {
        let (issuer, subject) = text
            .strip_prefix("<I>")
            .and_then(|rest| rest.split_once("<S>"))
            .and_then(|(issuer, subject)| Some((parse(issuer)?, parse(subject)?)))
            .ok_or(InvalidCertificateName)?;
        Ok(Self { written: text.to_owned(), issuer, subject })
    }
}

impl fmt::Display for TlsCertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// `type = value *("+" type = value) *("," ...)`; values may be quoted, a quote in them doubled, or escaped by backslashes.
fn parse(text: &str) -> Option<Name> {
    let mut name = Vec::new();
    for part in split(text, &[',', ';'])? {
        let mut attributes = split(part, &['+'])?.into_iter().map(attribute).collect::<Option<Vec<_>>>()?;
        attributes.sort();
        name.push(attributes);
    }
    Some(name)
}

/// Parts between these characters, where they are neither quoted nor escaped.
fn split<'a>(text: &'a str, at: &[char]) -> Option<Vec<&'a str>> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (offset, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            other if !quoted && at.contains(&other) => {
                parts.push(text.get(start..offset)?);
                start = offset + other.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text.get(start..)?);
    (!quoted && !escaped).then_some(parts)
}

fn attribute(text: &str) -> Option<(Oid, String)> {
    let (kind, value) = text.split_once('=')?;
    let value = value.trim();
    let plain = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?.replace("\"\"", "\""),
        None => value.to_owned(),
    };
    let mut unescaped = String::with_capacity(plain.len());
    let mut characters = plain.chars();
    while let Some(character) = characters.next() {
        unescaped.push(if character == '\\' { characters.next()? } else { character });
    }
    let value = folded(&unescaped);
    (!value.is_empty()).then_some((oid(kind.trim())?, value))
}

/// Case and runs of spaces do not tell names apart (RFC 5280 section 7.1).
fn folded(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ").to_lowercase()
}

/// The types that Windows and RFC 4514 have words for; any other is written as `OID.1.2.3` or `1.2.3`.
fn oid(kind: &str) -> Option<Oid> {
    const DOMAIN_COMPONENT: [u8; 10] = [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19];
    const USER_ID: [u8; 10] = [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01];
    const MAIL: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01];
    let of_x500 = |last: u8| Some(vec![0x55, 0x04, last]);
    match kind.to_ascii_uppercase().as_str() {
        "CN" => of_x500(3),
        "SN" => of_x500(4),
        "SERIALNUMBER" => of_x500(5),
        "C" => of_x500(6),
        "L" => of_x500(7),
        "S" | "ST" => of_x500(8),
        "STREET" => of_x500(9),
        "O" => of_x500(10),
        "OU" => of_x500(11),
        "T" | "TITLE" => of_x500(12),
        "G" | "GN" | "GIVENNAME" => of_x500(42),
        "I" | "INITIALS" => of_x500(43),
        "DC" => Some(DOMAIN_COMPONENT.to_vec()),
        "UID" => Some(USER_ID.to_vec()),
        "E" | "EMAIL" | "EMAILADDRESS" => Some(MAIL.to_vec()),
        kind => numbered(kind.strip_prefix("OID.").unwrap_or(kind)),
    }
}

/// X.690 section 8.19: the first two numbers share a place, each is written in groups of seven bits.
fn numbered(text: &str) -> Option<Oid> {
    let numbers = text.split('.').map(|number| number.parse::<u32>().ok()).collect::<Option<Vec<_>>>()?;
    let [first, second, rest @ ..] = numbers.as_slice() else { return None };
    let together = first.checked_mul(40)?.checked_add(*second)?;
    let mut octets = Vec::new();
    for number in std::iter::once(together).chain(rest.iter().copied()) {
        let groups = (32 - number.leading_zeros()).div_ceil(7).max(1);
        octets.extend((0..groups).rev().map(|group| {
            let bits = (number >> (7 * group)) as u8 & 0x7f;
            if group == 0 { bits } else { bits | 0x80 }
        }));
    }
    Some(octets)
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// `RDNSequence ::= SEQUENCE OF SET OF SEQUENCE { type OBJECT IDENTIFIER, value ANY }` (RFC 5280 section 4.1.2.4), without
/// the outer tag. `None` where it is no such thing.
fn read(mut der: &[u8]) -> Option<Name> {
    let mut name = Vec::new();
    while !der.is_empty() {
        let (tag, mut part) = element(&mut der)?;
        let mut attributes = Vec::new();
        while tag == SET && !part.is_empty() {
            let (SEQUENCE, mut pair) = element(&mut part)? else { return None };
            let (OBJECT_IDENTIFIER, kind) = element(&mut pair)? else { return None };
            let (tag, value) = element(&mut pair)?;
            attributes.push((kind.to_vec(), folded(&text(tag, value)?)));
        }
        attributes.sort();
        name.push(attributes);
    }
    Some(name)
}

/// Takes one element off the front: its tag and its content.
pub(crate) fn element<'a>(der: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&[tag, length], rest) = der.split_first_chunk()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => rest.split_first().map(|(&length, rest)| (usize::from(length), rest))?,
        0x82 => {
            rest.split_first_chunk().map(|(&length, rest)| (usize::from(u16::from_be_bytes(length)), rest))?
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *der = rest;
    Some((tag, content))
}

/// A string of one of ASN.1's many kinds.
fn text(tag: u8, value: &[u8]) -> Option<String> {
    const UTF8: u8 = 0x0c;
    const PRINTABLE: u8 = 0x13;
    const TELETEX: u8 = 0x14;
    const IA5: u8 = 0x16;
    const BMP: u8 = 0x1e;
    match tag {
        UTF8 | PRINTABLE | IA5 => String::from_utf8(value.to_vec()).ok(),
        // Latin-1 in practice.
        TELETEX => Some(value.iter().copied().map(char::from).collect()),
        BMP => {
            let units: Vec<u16> =
                value.chunks_exact(2).map(|pair| u16::from(pair[0]) << 8 | u16::from(pair[1])).collect();
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

    use super::*;

    /// Issued by itself: the issuer is the subject.
    fn certificate(parts: &[(DnType, DnValue)]) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["mail.contoso.com".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        parts.iter().for_each(|(kind, value)| params.distinguished_name.push(kind.clone(), value.clone()));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn names(name: &str, certificate: &CertificateDer<'_>) -> bool {
        format!("<I>{name}<S>{name}").parse::<TlsCertificateName>().unwrap().is_of(certificate)
    }

    #[test]
    fn a_name_is_known_however_it_is_written() {
        let shown = certificate(&[
            (DnType::CountryName, DnValue::PrintableString("US".try_into().unwrap())),
            (DnType::StateOrProvinceName, "Washington".into()),
            (DnType::OrganizationName, "Contoso, \"Mail\" Ltd.".into()),
            (DnType::OrganizationalUnitName, DnValue::BmpString("Bürö".try_into().unwrap())),
            (DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 3]), "DE".into()),
            (DnType::CommonName, "mail.contoso.com".into()),
        ]);
        for same in [
            "CN=mail.contoso.com, OID.1.3.6.1.4.1.311.60.2.1.3=DE, OU=Bürö, O=\"Contoso, \"\"Mail\"\" Ltd.\", S=Washington, C=US",
            r#"CN=MAIL.contoso.com,1.3.6.1.4.1.311.60.2.1.3=DE,OU=BÜRÖ,O=Contoso\, \"Mail\" Ltd.,ST=Washington,C=US"#,
            "c = us; s = Washington; o = \"Contoso,  \"\"Mail\"\" Ltd. \"; ou=Bürö; 1.3.6.1.4.1.311.60.2.1.3 = de; cn = mail.contoso.com",
        ] {
            assert!(names(same, &shown), "{same}");
        }
        for other in ["CN=mail.contoso.com", "CN=mail.contoso.com, C=US", "C=mail.contoso.com"] {
            assert!(!names(other, &shown), "{other}");
        }
    }

    #[test]
    fn the_issuer_counts_as_much_as_the_subject() {
        let shown = certificate(&[(DnType::CommonName, "a".into())]);
        for (name, is) in [("<I>CN=a<S>CN=a", true), ("<I>CN=b<S>CN=a", false), ("<I>CN=a<S>CN=b", false)] {
            assert_eq!(name.parse::<TlsCertificateName>().unwrap().is_of(&shown), is, "{name}");
        }
        assert!(
            !"<I>CN=a<S>CN=a".parse::<TlsCertificateName>().unwrap().is_of(&CertificateDer::from(vec![0x30]))
        );
    }

    #[test]
    fn what_names_no_certificate_is_refused() {
        for text in [
            "",
            "CN=a",
            "<S>CN=a",
            "<I>CN=a",
            "<I><S>CN=a",
            "<I>CN=a<S>",
            "<I>CN=a<S>a",
            "<I>CN=a<S>CN=",
            "<I>CN=a<S>CN=a,",
            "<I>CN=a<S>XN=a",
            "<I>CN=a<S>1=a",
            "<I>CN=a<S>1.99999999999.1=a",
            "<I>CN=a<S>CN=\"a",
            "<I>CN=a<S>CN=a\\",
        ] {
            assert_eq!(text.parse::<TlsCertificateName>(), Err(InvalidCertificateName), "{text}");
        }
        let name = "<I>CN=a<S>CN=b";
        assert_eq!(name.parse::<TlsCertificateName>().unwrap().to_string(), name);
    }

    #[test]
    fn bytes_that_are_no_name_are_none() {
        for der in [
            &[0x31_u8][..],
            &[0x31, 0x05, 0x30],
            &[0x31, 0x80],
            &[0x31, 0x84, 1, 1, 1, 1],
            &[0x31, 2, 0x31, 0],
            &[0x31, 4, 0x30, 2, 0x06, 9],
        ] {
            assert_eq!(read(der), None, "{der:?}");
        }
    }
}
