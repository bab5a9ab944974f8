//! Who may send to whom: by address list, by logon, by accepted domain, and by nothing else.

use std::net::IpAddr;

use postroad_address_space::encapsulation::decapsulate;
use postroad_address_space::{Address, Domain, MailDomain, Mailbox};
use postroad_smtp_protocol::server::Refusal;

use crate::client::Client;
use crate::parameters::PermissionGroup;
use crate::receive_connector::ReceiveConnector;
use crate::server_settings::ServerSettings;

/// Whether mail from this client may go anywhere: because of its address, or of its logon. A client certificate is no reason.
pub fn may_relay(connector: &ReceiveConnector, peer: IpAddr, logged_on: bool) -> bool {
    connector.relays_for(peer) || (logged_on && connector.permits(PermissionGroup::ExchangeUsers))
}

/// Judges one recipient: the address it is known by from here on, or the refusal.
///
/// | client | recipient | answer |
/// |---|---|---|
/// | with relay right | anybody | yes |
/// | with relay right | IMCEA in the first accepted domain | yes, as the address in its own type |
/// | anonymous, where that is permitted | in an accepted domain, or `<postmaster>` | yes |
/// | any other | | 550 5.7.1 |
///
/// `IMCEASMTP` and `IMCEAX500` are for nobody. Without relay right a local part that some server behind us might read as a
/// route (`user%elsewhere`, `elsewhere!user`, `"user@elsewhere"`) is refused too.
///
/// # Errors
///
/// What the client is told in place of a 250.
pub fn judge(
    connector: &ReceiveConnector,
    settings: &ServerSettings,
    client: &Client,
    recipient: &Address,
    postmaster: bool,
) -> Result<Address, Refusal> {
    let Some(mailbox) = recipient.mailbox() else { return Err(unable_to_relay()) };
    refuse_reserved(connector, mailbox)?;
    let domain = match mailbox.domain() {
        MailDomain::Name(domain) => Some(domain),
        MailDomain::Literal(_) => None,
    };
    let accepted = domain.is_some_and(|domain| settings.accepted_domains.contains(domain));
    if accepted && is_forbidden_encapsulation(mailbox.local_part()) {
        return Err(unable_to_relay());
    }
    if client.may_relay {
        let opened = domain
            .filter(|domain| encapsulation_domain(connector, settings) == Some(*domain))
            .and_then(|_| decapsulate(mailbox));
        return Ok(opened.unwrap_or_else(|| recipient.clone()));
    }
    let anonymous = connector.permits(PermissionGroup::AnonymousUsers);
    if anonymous && (postmaster || (accepted && !is_route(mailbox.local_part()))) {
        return Ok(recipient.clone());
    }
    Err(unable_to_relay())
}

/// `DefaultDomain`, or the first accepted domain.
fn encapsulation_domain<'a>(
    connector: &'a ReceiveConnector,
    settings: &'a ServerSettings,
) -> Option<&'a Domain> {
    connector.default_domain.as_ref().or(settings.accepted_domains.first())
}

fn unable_to_relay() -> Refusal {
    Refusal::permanent(7, 1, "Unable to relay")
}

fn is_route(local_part: &str) -> bool {
    local_part.contains(['%', '!', '@'])
}

/// The type behind `IMCEA` may itself be encoded, so it is decoded before it is compared.
fn is_forbidden_encapsulation(local_part: &str) -> bool {
    let Some((prefix, rest)) = local_part.split_at_checked(5) else { return false };
    let Some((address_type, _)) = rest.split_once('-') else { return false };
    let plain = postroad_smtp_protocol::xtext::decode(address_type).unwrap_or_default();
    prefix.eq_ignore_ascii_case("IMCEA")
        && ["SMTP", "X500"].iter().any(|name| plain.eq_ignore_ascii_case(name))
}

/// RFC 2606: domains that nobody has.
fn refuse_reserved(connector: &ReceiveConnector, mailbox: &Mailbox) -> Result<(), Refusal> {
    let MailDomain::Name(domain) = mailbox.domain() else { return Ok(()) };
    let name = domain.ascii();
    let last = name.rsplit('.').next().unwrap_or_default();
    let top = ["test", "example", "invalid", "localhost"].contains(&last);
    let second = ["example.com", "example.net", "example.org"].iter().any(|reserved| {
        name.strip_suffix(reserved).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    });
    let refused = (connector.reject_reserved_top_level_recipient_domains && top)
        || (connector.reject_reserved_second_level_recipient_domains && second)
        || (connector.reject_single_label_recipient_domains && !name.contains('.'));
    if refused { Err(Refusal::permanent(1, 4, "Nobody has this domain")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ServerSettings {
        let domains = ["contoso.com", "fabrikam.com"].map(|name| Domain::parse(name).unwrap());
        ServerSettings::new(
            "hub01.contoso.com",
            domains.to_vec(),
            Mailbox::parse("admin@elsewhere.net").unwrap(),
        )
    }

    fn client(may_relay: bool) -> Client {
        let address = "192.0.2.1:40000".parse().unwrap();
        let mut client = Client::new("Default", address, address);
        client.may_relay = may_relay;
        client
    }

    fn anonymous() -> ReceiveConnector {
        let mut connector = ReceiveConnector::new("Default");
        connector.permission_groups = vec![PermissionGroup::AnonymousUsers];
        connector
    }

    fn judged(connector: &ReceiveConnector, may_relay: bool, recipient: &str) -> Result<String, u16> {
        let address = Address::Smtp(Mailbox::parse(recipient).unwrap_or_else(|e| panic!("{recipient}: {e}")));
        judge(connector, &settings(), &client(may_relay), &address, false)
            .map(|address| address.to_string())
            .map_err(|refusal| refusal.line().code())
    }

    #[test]
    fn strangers_reach_accepted_domains_only() {
        for accepted in
            ["jane@contoso.com", "jane@CONTOSO.com", "jane@fabrikam.com", "\"jane doe\"@contoso.com"]
        {
            assert_eq!(judged(&anonymous(), false, accepted), Ok(accepted.to_owned()));
        }
        for refused in [
            "u@f.test",
            "u%f.test@contoso.com",
            "f.test!u@contoso.com",
            "\"u@f.test\"@contoso.com",
            "u@[127.0.0.1]",
            "u@[IPv6:::ffff:127.0.0.9]",
            "u@contoso.com.evil.test",
            "u@mail.contoso.com",
            "u@evilcontoso.com",
            "u@com",
            "IMCEASMTP-u+40f.test@contoso.com",
            "imceax500-_o=x@contoso.com",
            "IMCEA+53MTP-u+40f@contoso.com",
        ] {
            assert_eq!(judged(&anonymous(), false, refused), Err(550), "{refused}");
        }
        assert_eq!(judged(&ReceiveConnector::new("Default"), false, "jane@contoso.com"), Err(550));
    }

    #[test]
    fn encapsulated_recipients_are_opened_for_those_who_may_relay() {
        let closed = "IMCEAFAX-+2B1+20425@contoso.com";
        assert_eq!(judged(&anonymous(), true, closed), Ok("FAX:+1 425".to_owned()));
        assert_eq!(judged(&anonymous(), false, closed), Ok(closed.to_owned()));
        let second = "IMCEAFAX-+2B1+20425@fabrikam.com";
        assert_eq!(judged(&anonymous(), true, second), Ok(second.to_owned()));
        assert_eq!(judged(&anonymous(), true, "IMCEASMTP-u+40f.test@contoso.com"), Err(550));
    }

    #[test]
    fn the_right_comes_from_the_list_or_from_a_logon_where_that_is_permitted() {
        let (listed, other) = ("127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap());
        let mut connector = ReceiveConnector::new("Applications");
        connector.relay_ip_ranges = vec!["127.0.0.1".parse().unwrap()];
        assert!(may_relay(&connector, listed, false) && !may_relay(&connector, other, false));
        assert!(!may_relay(&connector, other, true));
        connector.permission_groups = vec![PermissionGroup::ExchangeUsers];
        assert!(may_relay(&connector, other, true) && !may_relay(&connector, other, false));
    }

    #[test]
    fn postmaster_is_reached_wherever_he_is() {
        let address = Address::Smtp(settings().postmaster);
        let judged = |connector: &ReceiveConnector| {
            judge(connector, &settings(), &client(false), &address, true).is_ok()
        };
        assert!(judged(&anonymous()));
        assert!(!judged(&ReceiveConnector::new("Default")));
    }

    #[test]
    fn reserved_domains_are_refused_when_told_so() {
        let mut connector = anonymous();
        assert!(judged(&connector, true, "u@a.test").is_ok());
        connector.reject_reserved_top_level_recipient_domains = true;
        connector.reject_reserved_second_level_recipient_domains = true;
        connector.reject_single_label_recipient_domains = true;
        for refused in ["u@a.test", "u@localhost", "u@example.com", "u@mail.EXAMPLE.net", "u@intranet"] {
            assert_eq!(judged(&connector, true, refused), Err(550), "{refused}");
        }
        assert!(judged(&connector, true, "u@myexample.com").is_ok());
    }
}
