//! The attributes of an O/R address: their keywords in both text forms, their lengths and what they may hold.

use crate::error::ParseErrorKind;

/// One attribute of an O/R address, in the order in which Exchange writes them.
///
/// Domain-defined attributes have a name of their own and are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "the table below says what each is; a sentence each would only repeat the name"
)]
pub enum Attribute {
    Country,
    Admd,
    Prmd,
    Organization,
    OrganizationalUnit1,
    OrganizationalUnit2,
    OrganizationalUnit3,
    OrganizationalUnit4,
    Surname,
    GivenName,
    Initials,
    GenerationQualifier,
    CommonName,
    X121Address,
    NumericUserIdentifier,
    TerminalIdentifier,
    TerminalType,
    NetworkNumber,
    NetworkSubaddress,
    PresentationAddress,
    PostalPersonalName,
    PostalOrganizationName,
    PostalExtensionAddress,
    PostalExtensionDelivery,
    PostalOfficeNumber,
    PostalOfficeName,
    PostalStreet,
    PostalLine1,
    PostalLine2,
    PostalLine3,
    PostalLine4,
    PostalLine5,
    PostalLine6,
    PostalUniqueName,
    PostalLocal,
    PostalPosteRestante,
    PostalBox,
    PostalCode,
    PostalService,
    PostalCountry,
}

/// What a value may hold beyond what every value may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Text,
    Digits,
    Country,
    TerminalType,
    /// A line of an unformatted postal address; `|` parts lines in RFC 2156.
    Line,
}

struct Row {
    attribute: Attribute,
    rfc1685: &'static str,
    rfc2156: &'static str,
    /// In characters.
    longest: usize,
    content: Content,
}

pub(crate) const COUNT: usize = 40;

/// How many attributes make the hierarchy that address spaces cover: C, A, P, O and OU1 to OU4.
pub(crate) const HIERARCHY: usize = 8;

pub(crate) const ORGANIZATIONAL_UNITS: [Attribute; 4] = [
    Attribute::OrganizationalUnit1,
    Attribute::OrganizationalUnit2,
    Attribute::OrganizationalUnit3,
    Attribute::OrganizationalUnit4,
];

pub(crate) const POSTAL_LINES: [Attribute; 6] = [
    Attribute::PostalLine1,
    Attribute::PostalLine2,
    Attribute::PostalLine3,
    Attribute::PostalLine4,
    Attribute::PostalLine5,
    Attribute::PostalLine6,
];

const TERMINAL_TYPES: [&str; 6] = ["tlx", "ttx", "g3fax", "g4fax", "ia5", "vtx"];

/// Keywords: RFC 1685 tables F.1 and F.3, RFC 2156 section 4. Lengths: Exchange 5.5 where it has one, else the upper
/// bounds of X.411, else 128.
#[rustfmt::skip]
const ROWS: [Row; COUNT] = {
    use Attribute::*;
    use Content::{Digits, Line, Text};
    const fn row(
        attribute: Attribute, rfc1685: &'static str, rfc2156: &'static str, longest: usize, content: Content,
    ) -> Row {
        Row { attribute, rfc1685, rfc2156, longest, content }
    }
    [
        row(Country,                 "C",      "C",               3,   Content::Country),
        row(Admd,                    "A",      "ADMD",            16,  Text),
        row(Prmd,                    "P",      "PRMD",            16,  Text),
        row(Organization,            "O",      "O",               64,  Text),
        row(OrganizationalUnit1,     "OU1",    "OU1",             32,  Text),
        row(OrganizationalUnit2,     "OU2",    "OU2",             32,  Text),
        row(OrganizationalUnit3,     "OU3",    "OU3",             32,  Text),
        row(OrganizationalUnit4,     "OU4",    "OU4",             32,  Text),
        row(Surname,                 "S",      "S",               40,  Text),
        row(GivenName,               "G",      "G",               16,  Text),
        row(Initials,                "I",      "I",               5,   Text),
        row(GenerationQualifier,     "Q",      "GQ",              3,   Text),
        row(CommonName,              "CN",     "CN",              64,  Text),
        row(X121Address,             "X.121",  "X121",            15,  Digits),
        row(NumericUserIdentifier,   "N-ID",   "UA-ID",           32,  Digits),
        row(TerminalIdentifier,      "T-ID",   "T-ID",            24,  Text),
        row(TerminalType,            "T-TY",   "T-TY",            5,   Content::TerminalType),
        row(NetworkNumber,           "ISDN",   "NET-NUM",         128, Text),
        row(NetworkSubaddress,       "NET-SUB", "NET-SUB",        128, Text),
        row(PresentationAddress,     "PSAP",   "NET-PSAP",        128, Text),
        row(PostalPersonalName,      "PD-PN",  "PD-PN",           30,  Text),
        row(PostalOrganizationName,  "PD-O",   "PD-O",            30,  Text),
        row(PostalExtensionAddress,  "PD-EA",  "PD-EXT-ADDRESS",  30,  Text),
        row(PostalExtensionDelivery, "PD-ED",  "PD-EXT-DELIVERY", 30,  Text),
        row(PostalOfficeNumber,      "PD-OFN", "PD-OFFICE-NUM",   30,  Text),
        row(PostalOfficeName,        "PD-OF",  "PD-OFFICE",       30,  Text),
        row(PostalStreet,            "PD-S",   "PD-STREET",       30,  Text),
        row(PostalLine1,             "PD-A1",  "PD-A1",           30,  Line),
        row(PostalLine2,             "PD-A2",  "PD-A2",           30,  Line),
        row(PostalLine3,             "PD-A3",  "PD-A3",           30,  Line),
        row(PostalLine4,             "PD-A4",  "PD-A4",           30,  Line),
        row(PostalLine5,             "PD-A5",  "PD-A5",           30,  Line),
        row(PostalLine6,             "PD-A6",  "PD-A6",           30,  Line),
        row(PostalUniqueName,        "PD-U",   "PD-UNIQUE",       30,  Text),
        row(PostalLocal,             "PD-L",   "PD-LOCAL",        30,  Text),
        row(PostalPosteRestante,     "PD-R",   "PD-RESTANTE",     30,  Text),
        row(PostalBox,               "PD-B",   "PD-BOX",          30,  Text),
        row(PostalCode,              "PD-PC",  "PD-CODE",         16,  Text),
        row(PostalService,           "PD-SN",  "PD-SERVICE",      30,  Text),
        row(PostalCountry,           "PD-C",   "PD-C",            3,   Content::Country),
    ]
};

impl Attribute {
    /// Every attribute, in the order in which Exchange writes them.
    pub const ALL: [Self; COUNT] = {
        let mut all = [Self::Country; COUNT];
        let mut index = 0;
        while index < COUNT {
            all[index] = ROWS[index].attribute;
            index += 1;
        }
        all
    };

    /// The attribute with this keyword, in either text form and any letter case.
    pub fn of_keyword(keyword: &str) -> Option<Self> {
        ROWS.iter()
            .find(|row| {
                row.rfc1685.eq_ignore_ascii_case(keyword) || row.rfc2156.eq_ignore_ascii_case(keyword)
            })
            .map(|row| row.attribute)
    }

    /// The keyword of RFC 1685, which Exchange writes too: `C`, `A`, `P`.
    pub fn rfc1685_keyword(self) -> &'static str {
        self.row().rfc1685
    }

    /// The keyword of RFC 2156: `C`, `ADMD`, `PRMD`.
    pub fn rfc2156_keyword(self) -> &'static str {
        self.row().rfc2156
    }

    /// The most characters that a value may have.
    pub fn longest_value(self) -> usize {
        self.row().longest
    }

    /// Its place in the order in which Exchange writes attributes.
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    fn row(self) -> &'static Row {
        &ROWS[self.index()]
    }

    /// Checks a value that is not blank; the error says where in the value.
    pub(crate) fn check(self, value: &str) -> Result<(), (ParseErrorKind, usize)> {
        let row = self.row();
        if value.len() > row.longest && value.chars().count() > row.longest {
            return Err((ParseErrorKind::AttributeTooLong, 0));
        }
        let stray = match row.content {
            Content::Text => None,
            Content::Digits => value.bytes().position(|byte| !byte.is_ascii_digit()),
            Content::Line => value.bytes().position(|byte| byte == b'|'),
            Content::Country if is_country(value) => None,
            Content::Country => return Err((ParseErrorKind::BadCountry, 0)),
            Content::TerminalType if TERMINAL_TYPES.iter().any(|name| name.eq_ignore_ascii_case(value)) => {
                None
            }
            Content::TerminalType => Some(0),
        };
        stray.map_or(Ok(()), |offset| Err((ParseErrorKind::AttributeCharacter, offset)))
    }
}

/// Two letters of ISO 3166, or three digits of X.121.
fn is_country(value: &str) -> bool {
    match value.as_bytes() {
        letters @ [_, _] => letters.iter().all(u8::is_ascii_alphabetic),
        digits @ [_, _, _] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stands_in_the_order_of_the_attributes() {
        for (index, row) in ROWS.iter().enumerate() {
            assert_eq!(row.attribute.index(), index);
            assert_eq!(Attribute::of_keyword(row.rfc1685), Some(row.attribute));
            assert_eq!(Attribute::of_keyword(&row.rfc2156.to_lowercase()), Some(row.attribute));
        }
    }
}
