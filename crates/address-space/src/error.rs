//! Why a text is no address or no address space, and at which byte.

use std::fmt;

/// A text was refused: what is wrong, and the byte where it went wrong.
///
/// Whose fault: the text's. The same text is refused for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    kind: ParseErrorKind,
    offset: usize,
}

impl ParseError {
    pub(crate) fn new(kind: ParseErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// The same refusal, seen from a text in which ours begins `by` bytes in.
    #[must_use]
    pub fn shifted(self, by: usize) -> Self {
        Self { kind: self.kind, offset: self.offset + by }
    }

    /// What is wrong.
    pub fn kind(&self) -> ParseErrorKind {
        self.kind
    }

    /// Where, in bytes from the start of the text that was parsed; its length if something is missing at the end.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.kind, self.offset)
    }
}

impl std::error::Error for ParseError {}

/// What is wrong with a text, and what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// There is no text.
    #[error("the text is empty")]
    Empty,
    /// CR, LF, NUL or any other control character; never allowed, quoted or not.
    #[error("control characters are never allowed in an address")]
    ControlCharacter,

    /// An SMTP address without `@domain`.
    #[error("an SMTP address is local-part@domain; the @ is missing")]
    MissingAt,
    /// Nothing before the `@`.
    #[error("the local part before the @ is empty")]
    EmptyLocalPart,
    /// A dot at either end of an unquoted local part, or two in a row.
    #[error("a dot may not begin or end a local part or follow another dot, unless the local part is quoted")]
    MisplacedDot,
    /// A space or special character in an unquoted local part.
    #[error("this character is allowed in a local part only within double quotes")]
    UnquotedSpecial,
    /// A quoted local part that does not end.
    #[error("the quoted local part has no closing double quote")]
    UnclosedQuote,
    /// A backslash before something that may not be quoted.
    #[error("a backslash quotes one printable ASCII character")]
    BadQuotedPair,

    /// Nothing where a domain is due, or nothing between two dots.
    #[error("a domain is labels separated by single dots; a label is missing here")]
    EmptyLabel,
    /// A label above 63 octets in its A-label form.
    #[error("a label of a domain has at most 63 octets")]
    LabelTooLong,
    /// A domain above 255 octets in its A-label form.
    #[error("a domain has at most 255 octets")]
    DomainTooLong,
    /// Something other than letter, digit or hyphen in a label.
    #[error("a label of a domain holds letters, digits and hyphens only")]
    DomainCharacter,
    /// A hyphen at either end of a label.
    #[error("a label of a domain neither begins nor ends with a hyphen")]
    MisplacedHyphen,
    /// A name that IDNA refuses.
    #[error("this internationalised domain name has no valid A-label form")]
    InvalidInternationalName,
    /// Brackets that hold neither an IPv4, an `IPv6:` nor a `tag:` literal.
    #[error("an address literal is [192.0.2.1], [IPv6:2001:db8::1] or [tag:content]")]
    BadAddressLiteral,

    /// A `:` with no type before it.
    #[error("the address type before the colon is empty")]
    EmptyAddressType,
    /// A `;` in an address type.
    #[error("an address type holds neither ':' nor ';'")]
    AddressTypeCharacter,
    /// A typed address with nothing behind the colon.
    #[error("there is no address behind the type")]
    EmptyAddress,

    /// An X.400 attribute without `=`.
    #[error("an X.400 attribute is keyword=value; the '=' is missing")]
    MissingEquals,
    /// A keyword that neither RFC 1685 nor RFC 2156 knows.
    #[error("this is no X.400 keyword; use those of RFC 1685 (C, A, P, O, OU1, S, G, ...) or RFC 2156")]
    UnknownAttribute,
    /// An attribute that may stand once stands twice.
    #[error("this X.400 attribute stands twice")]
    RepeatedAttribute,
    /// An attribute with no value.
    #[error("this X.400 attribute has no value")]
    EmptyAttribute,
    /// A value above its attribute's length.
    #[error("this X.400 value is longer than its attribute allows")]
    AttributeTooLong,
    /// A value with a character that its attribute does not allow.
    #[error("this character is not allowed in the value of this X.400 attribute")]
    AttributeCharacter,
    /// An O/R address without a country.
    #[error("an X.400 address needs a country: C=")]
    MissingCountry,
    /// A country that is neither two letters nor three digits.
    #[error("a country is two letters or three digits")]
    BadCountry,
    /// More than four domain-defined attributes.
    #[error("at most four domain-defined attributes are allowed")]
    TooManyDomainDefined,
    /// Bare `OU` beside `OU1` to `OU4`, or more than four units.
    #[error("write either OU up to four times or OU1 to OU4, not both")]
    MixedOrganizationalUnits,
    /// `PN` beside `G`, `I` or `S`.
    #[error("write the personal name either as PN or as G, I and S, not both")]
    MixedPersonalName,
    /// A `$` at the end, or before something that needs no quoting.
    #[error("'$' quotes one of / ; = $")]
    BadDollarQuote,

    /// A cost that is not 1 to 100.
    #[error("a cost is a whole number from 1 to 100")]
    BadCost,
    /// An address space with a `;` and no cost behind the last one, where the type is not SMTP.
    #[error("an address space that holds ';' must end in its cost, as in X400:c=US;a=Fabrikam;1")]
    MissingCost,
    /// A `*` where the type does not allow one.
    #[error("a wildcard is '*' alone or '*.' before a domain")]
    MisplacedWildcard,
    /// `--`, which only an Edge server understands.
    #[error("'--' stands for the accepted domains; write each of them out")]
    AcceptedDomains,
    /// `Local:` without the option for it.
    #[error("the scope word 'Local:' is Exchange 2007's; make the connector scoped instead")]
    LocalScope,
    /// An X.400 space without `A`.
    #[error("an X.400 address space needs an ADMD: 'a=*' for any, 'a= ' for the blank one")]
    MissingAdmd,
    /// An attribute that an X.400 space may not name.
    #[error("an X.400 address space names C, A, P, O and OU1 to OU4 only")]
    NotOrganizational,
}
