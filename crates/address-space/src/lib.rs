//! E-mail addresses of every type, and the address spaces that cover them, matched closest first.
//!
//! ```
//! use postroad_address_space::{Address, AddressSpaceMap};
//!
//! let routes: AddressSpaceMap<&str> = [
//!     ("*".parse()?, "the internet"),
//!     ("*.contoso.com".parse()?, "the smart host"),
//!     ("marketing.contoso.com;5".parse()?, "the agency"),
//!     ("X400:c=US;a=Fabrikam;P=Contoso;5".parse()?, "the X.400 gateway"),
//!     ("FAX:+1425*;1".parse()?, "the fax machine"),
//! ]
//! .into_iter()
//! .collect();
//!
//! let julia = Address::parse("julia@marketing.contoso.com")?;
//! let closest_first: Vec<_> = routes.matches(&julia).map(|(_, route)| *route).collect();
//! assert_eq!(closest_first, ["the agency", "the smart host", "the internet"]);
//!
//! let jane = Address::parse("X400:G=Jane;S=Doe;O=Sales;P=contoso;A=FABRIKAM;C=us")?;
//! assert_eq!(routes.matches(&jane).next().map(|(_, route)| *route), Some("the X.400 gateway"));
//! # Ok::<(), postroad_address_space::ParseError>(())
//! ```
//!
//! # Addresses
//!
//! | text | is |
//! |---|---|
//! | `jane@contoso.com`, `SMTP:jane@contoso.com` | a [`Mailbox`]: quoted local parts, address literals, SMTPUTF8, no limit of 64 octets; never a control character |
//! | `X400:C=US;A= ;P=Contoso;S=Doe;`, `X400:/S=Doe/PRMD=Contoso/C=US/` | an [`OrAddress`], in the form of RFC 1685 (`;` doubled in a value) or of RFC 2156 (`$` quotes) |
//! | `FAX:+1 (425) 555-0100`, `NOTES:Jane Doe/Sales@ACME` | an [`OtherAddress`] |
//!
//! A text has a type if its first `:` stands before any `@` and outside quotes. What cannot travel by SMTP as it is can
//! be [encapsulated](encapsulation) in a mailbox and opened again:
//!
//! ```
//! use postroad_address_space::{Address, Domain, encapsulation};
//!
//! let fax = Address::parse("FAX:+1 (425) 555-0100")?;
//! let mailbox = encapsulation::encapsulate(&fax, &Domain::parse("contoso.com")?)?;
//! assert_eq!(mailbox.to_string(), "IMCEAFAX-+2B1+20+28425+29+20555-0100@contoso.com");
//! // Open it only if the domain is your own first accepted domain.
//! assert_eq!(encapsulation::decapsulate(&mailbox), Some(fax));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Address spaces: `[Type:]space[;cost]`
//!
//! No type means SMTP, no cost means 1. A cost is 1 to 100, the less the better, and stands behind the **last** `;`.
//!
//! | space | covers |
//! |---|---|
//! | `contoso.com` | that domain, nothing below it |
//! | `*.contoso.com` | that domain **and** everything below it, at any depth |
//! | `*` | every domain and address literal |
//! | `X400:c=US;a=Fabrikam;p=Contoso;1` | everything below these attributes; C and A must be there, P, O and OU1 to OU4 may |
//! | `X400:c=US;a=*;p=Contoso;1` | the same under any ADMD, named or blank; `a= ` is the blank one |
//! | `X400:*` | every O/R address |
//! | `FAX:*`, `FAX:+1425*`, `NOTES:*@ACME` | what fits, `*` being any run of characters, without regard to case |
//!
//! Which of two fits more closely: [`Specificity`]. A refusal names the byte and says what would be right:
//!
//! ```
//! use postroad_address_space::{AddressSpace, Leniency, ParseErrorKind};
//!
//! let text = "X400:c=US;a=Fabrikam;P=Contoso";
//! let refusal = AddressSpace::parse(text).unwrap_err();
//! assert_eq!((refusal.kind(), refusal.offset()), (ParseErrorKind::MissingCost, 21));
//! // Each leniency names itself.
//! assert_eq!(AddressSpace::parse_with(text, Leniency::default().missing_cost())?.cost(), 1);
//! # Ok::<(), postroad_address_space::ParseError>(())
//! ```
//!
//! # Judgement calls
//!
//! Where the documents are silent or disagree:
//!
//! | question | here | because |
//! |---|---|---|
//! | a dot at the end of a recipient's domain | allowed, not compared | the root's dot names the same domain |
//! | a dot at the end of a space | refused | a typing error is likelier |
//! | `_` in a domain | refused | RFC 5321 knows letters, digits and hyphens |
//! | an `xn--` label that decodes to nothing | compared as the letters it is | another server may know better |
//! | `[2001:db8::1]` | refused | by grammar a literal tagged `2001`; `IPv6:` was meant |
//! | leading zeros in `[192.000.2.1]` | decimal | RFC 5321 says decimal |
//! | local parts `"jane"` and `jane` | differ | only the receiving host may interpret a local part |
//! | `--` as a space | refused | needs the accepted domains; write these out |
//! | address literals | only `*` covers them | they have no domain |
//! | O/R text that begins with `/` | RFC 2156; [`OrAddress::parse_rfc1685`] doubles `/` | the commoner of the two |
//! | `a=` with no space behind it | refused | cannot be told from a value cut off |
//! | a value that begins with `=` in a domain-defined attribute | refused | RFC 1685 could not print it |
//! | X.400 lengths | Exchange 5.5's, then X.411's, then 128 | strictest that is documented; OU is 32, not 2007's 64 |
//! | wildcards inside X.400 values and within labels | refused, but for `a=*` and for [`Leniency::wildcards`] | only Exchange 5.5 knew them |
//! | 5.5's wildcards among other spaces | whole labels and whole values count first, then the characters that are named | 5.5 ranks a partial text last, and says no more |
//! | a domain with 5.5's wildcards and U-labels | refused | part of a label has no A-label form |
//! | two X400 spaces with equally many attributes | a named ADMD is closer, then the deeper last attribute | the document counts and stops there |
//! | two globs with equally long text before `*` | more text in all is closer | says more about the address |
//! | a blank behind the type, as in `FAX: 1` | part of an address, not of a space | a gateway may count it; whoever writes a space does not |
//! | letter case of other types | one character at a time, as Unicode has it | a prefix stays a prefix |

mod address;
pub mod encapsulation;
mod error;
mod from_text;
mod glob;
mod hash;
mod map;
mod other;
#[cfg(feature = "serde")]
mod serde;
mod smtp;
mod space;
mod specificity;
mod x400;

pub use address::Address;
pub use error::{ParseError, ParseErrorKind};
pub use map::{AddressSpaceMap, Matches};
pub use other::OtherAddress;
pub use smtp::domain::Domain;
pub use smtp::literal::AddressLiteral;
pub use smtp::mailbox::{MailDomain, Mailbox};
pub use space::{AddressSpace, Leniency};
pub use specificity::Specificity;
pub use x400::attribute::Attribute;
pub use x400::or_address::{Admd, OrAddress};
