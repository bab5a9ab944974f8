//! What the header of a message is checked for before it is handed on: size and hops.

use postroad_message::{EnhancedStatus, HeaderBlock};
use postroad_smtp_protocol::server::Refusal;

use crate::receive_connector::ReceiveConnector;

/// The header block of a content, or as much of it as has come, against `MaxHeaderSize`.
pub(crate) fn header<'a>(
    connector: &ReceiveConnector,
    content: &'a [u8],
) -> Result<HeaderBlock<'a>, Refusal> {
    let limit = usize::try_from(connector.max_header_size).unwrap_or(usize::MAX);
    let too_large = || Refusal::permanent(3, 4, "The header is larger than this server takes");
    HeaderBlock::scan_within(content, limit).ok_or_else(too_large)
}

/// A whole header block against `MaxHopCount` and `MaxLocalHopCount`.
pub(crate) fn hops(
    connector: &ReceiveConnector,
    fqdn: &str,
    header: &HeaderBlock<'_>,
) -> Result<(), Refusal> {
    let (mut hops, mut local) = (0, 0);
    for field in header.fields().filter(|field| field.is("Received")) {
        hops += 1;
        local += u32::from(names_us(&field.unfolded(), fqdn));
    }
    let looped = hops > connector.max_hop_count
        || (connector.max_local_hop_count > 0 && local > connector.max_local_hop_count);
    if looped {
        // 554, as Exchange and Postfix say it.
        let status = EnhancedStatus::permanent(4, 6);
        return Err(Refusal::new(554, status, "Hop count exceeded - possible mail loop"));
    }
    Ok(())
}

/// Whether the field has `by fqdn`.
fn names_us(value: &[u8], fqdn: &str) -> bool {
    let mut words = value.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
    words.by_ref().any(|word| word.eq_ignore_ascii_case(b"by"))
        && words.next().is_some_and(|name| {
            // Where nothing is said of how it came, the date follows at once: `by hub01.contoso.com; Mon, 1 ...`.
            name.strip_suffix(b";").unwrap_or(name).eq_ignore_ascii_case(fqdn.as_bytes())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(content: &str) -> Option<u16> {
        let mut connector = ReceiveConnector::new("Default");
        connector.max_hop_count = 10;
        connector.max_local_hop_count = 2;
        connector.max_header_size = 1000;
        let header = header(&connector, content.as_bytes());
        let checked = header.and_then(|header| hops(&connector, "hub01.contoso.com", &header));
        checked.err().map(|refusal| refusal.line().code())
    }

    #[test]
    fn loops_and_swollen_headers_are_refused() {
        let hop = "Received: from a\r\n\tby b.test with ESMTP; x\r\n";
        let ours = "received: from a\r\n\tby HUB01.contoso.com with ESMTP; x\r\n";
        assert_eq!(code(&format!("{}\r\nReceived: in the body\r\n", hop.repeat(10))), None);
        assert_eq!(code(&format!("{}\r\n", hop.repeat(11))), Some(554));
        assert_eq!(code(&format!("{}\r\n", ours.repeat(2))), None);
        assert_eq!(code(&format!("{}\r\n", ours.repeat(3))), Some(554));
        let bare = "Received: by hub01.contoso.com; x\r\n";
        assert_eq!(code(&format!("{}\r\n", bare.repeat(3))), Some(554));
        assert_eq!(code(&format!("Subject: {}\r\n\r\n", "x".repeat(1000))), Some(552));
        assert_eq!(code(&format!("Subject: a\r\n\r\n{}", "x".repeat(2000))), None);
        assert_eq!(code(""), None);
    }
}
