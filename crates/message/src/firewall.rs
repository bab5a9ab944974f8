//! The header firewall: fields that only the inside of an organisation may see or set, and Bcc.

use crate::edits::Edits;
use crate::header::{Field, HeaderBlock};

/// `X-MS-Exchange-Organization-*`: what an Exchange organisation tells itself.
pub const ORGANIZATION_PREFIX: &str = "X-MS-Exchange-Organization-";
/// `X-MS-Exchange-Forest-*`: what an Active Directory forest tells itself.
pub const FOREST_PREFIX: &str = "X-MS-Exchange-Forest-";

/// Takes out organisation and forest fields, as every way does that leads in from, or out to, strangers.
///
/// ```
/// use postroad_message::{HeaderBlock, firewall};
/// let content = b"X-MS-Exchange-Organization-SCL: -1\r\nSubject: Trust me\r\n\r\n";
/// let edits = firewall::organization(&HeaderBlock::scan(content));
/// assert_eq!(edits.apply(content), b"Subject: Trust me\r\n\r\n");
/// ```
pub fn organization(header: &HeaderBlock<'_>) -> Edits {
    removing(header, is_organization)
}

/// Takes out what a new message cannot have: `Received`, `Resent-*` and `Return-Path`.
pub fn routing(header: &HeaderBlock<'_>) -> Edits {
    removing(header, is_routing)
}

/// Takes out `Bcc`, which nobody else is to see (RFC 5322 section 3.6.3).
pub fn blind_copies(header: &HeaderBlock<'_>) -> Edits {
    removing(header, |field| field.is("Bcc"))
}

/// Whether the field belongs to an organisation or a forest.
pub fn is_organization(field: &Field<'_>) -> bool {
    field.starts_with(ORGANIZATION_PREFIX) || field.starts_with(FOREST_PREFIX)
}

/// Whether the field tells of the way of an earlier message.
pub fn is_routing(field: &Field<'_>) -> bool {
    field.is("Received") || field.starts_with("Resent-") || field.is("Return-Path")
}

fn removing(header: &HeaderBlock<'_>, condemned: impl Fn(&Field<'_>) -> bool) -> Edits {
    let mut edits = Edits::of(header);
    edits.remove_where(header, condemned);
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letter_case_opens_no_hole_and_near_names_stay() {
        let content =
            b"x-ms-exchange-ORGANIZATION-AuthAs: Internal\r\nX-MS-Exchange-Forest-RulesExecuted: y\r\n\
            X-MS-Exchange-CrossPremises-a: z\r\nX-MS-Exchange-Organization: no dash\r\n\r\n";
        let edits = organization(&HeaderBlock::scan(content));
        assert_eq!(
            edits.apply(content),
            b"X-MS-Exchange-CrossPremises-a: z\r\nX-MS-Exchange-Organization: no dash\r\n\r\n"
        );
    }

    #[test]
    fn an_obsolete_blank_before_the_colon_opens_no_hole() {
        let content = b"X-MS-Exchange-Organization-SCL : -1\r\nbcc\t: a@b.example\r\nA: 1\r\n\r\n";
        let header = HeaderBlock::scan(content);
        let mut edits = organization(&header);
        edits.merge(blind_copies(&header));
        assert_eq!(edits.apply(content), b"A: 1\r\n\r\n");
    }

    #[test]
    fn a_new_message_has_no_past() {
        let content = b"Received: from here\r\n by there\r\nResent-To: a@b.example\r\nReturn-Path: <a@b.example>\r\nTo: c@d.example\r\n\r\n";
        assert_eq!(routing(&HeaderBlock::scan(content)).apply(content), b"To: c@d.example\r\n\r\n");
    }
}
