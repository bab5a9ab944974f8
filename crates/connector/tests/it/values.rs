//! Values as they are written: there, back, and refused with the byte.

use postroad_connector::{
    DeliveryAgentConnector, ErrorPolicy, ForeignConnector, SaslMechanism, SenderAttachment, ServerAddress,
    SmartHost, SmartHostAuthMechanism, TlsAuthLevel, TlsCertificateName, TlsDomain, Usage,
};

use crate::*;

/// Reads a text, and says how it is written, or at which byte it is wrong.
fn read<T: std::str::FromStr<Err = postroad_connector::ParseError> + ToString>(
    text: &str,
) -> Result<String, usize> {
    text.parse::<T>().map(|value| value.to_string()).map_err(|error| error.offset())
}

#[test]
fn smart_hosts() {
    for (text, expected) in [
        ("smtp-relay.example.com", Ok("smtp-relay.example.com")),
        ("10.10.1.1", Ok("[10.10.1.1]")),
        ("[10.10.1.1]", Ok("[10.10.1.1]")),
        (" [10.10.1.1] ", Ok("[10.10.1.1]")),
        ("2001:db8::1", Ok("[2001:db8::1]")),
        ("[2001:DB8::1]", Ok("[2001:db8::1]")),
        ("[IPv6:2001:db8::1]", Ok("[2001:db8::1]")),
        ("10.10.1.256", Err(0)),
        ("[10.10.1.256]", Err(1)),
        ("[10.10.1.1", Err(10)),
        ("[relay.example.com]", Err(1)),
        ("", Err(0)),
    ] {
        assert_eq!(read::<SmartHost>(text), expected.map(str::to_owned), "{text:?}");
    }
}

#[test]
fn server_addresses() {
    for (text, expected) in [
        ("10.0.0.2:2525", Ok("10.0.0.2:2525")),
        ("10.0.0.2", Ok("10.0.0.2:25")),
        ("hub02.contoso.com:25", Ok("hub02.contoso.com:25")),
        ("[::1]:2525", Ok("[::1]:2525")),
        ("[::1]", Ok("[::1]:25")),
        ("::1", Ok("[::1]:25")),
        ("hub02:99999", Err(6)),
        ("hub02:", Err(6)),
    ] {
        assert_eq!(read::<ServerAddress>(text), expected.map(str::to_owned), "{text:?}");
    }
}

#[test]
fn names_and_certificates() {
    assert_eq!(read::<TlsDomain>("*.contoso.com"), Ok("*.contoso.com".to_owned()));
    assert_eq!(read::<TlsDomain>("mail.contoso.com"), Ok("mail.contoso.com".to_owned()));
    assert!(read::<TlsDomain>("*").is_err());
    assert_eq!(read::<TlsCertificateName>("<I>CN=CA<S>CN=mail"), Ok("<I>CN=CA<S>CN=mail".to_owned()));
    assert_eq!(read::<TlsCertificateName>("<S>CN=mail"), Err(0));
    assert_eq!(read::<TlsCertificateName>("<I><S>CN=mail"), Err(3));
    assert_eq!(read::<SaslMechanism>("scram-sha-256-plus"), Ok("SCRAM-SHA-256-PLUS".to_owned()));
    assert_eq!(read::<SaslMechanism>("PLAIN LOGIN"), Err(5));
    assert_eq!(read::<SenderAttachment>("@contoso.com"), Ok("contoso.com".to_owned()));
    assert_eq!(read::<SenderAttachment>("jane@contoso.com"), Ok("jane@contoso.com".to_owned()));
}

#[test]
fn enumerated_values_are_kebab_case_and_exchange_spelling_is_understood() {
    let spelled = ["basic-auth-require-tls", "BasicAuthRequireTLS", " basicauthrequiretls "];
    for text in spelled {
        assert_eq!(text.parse(), Ok(SmartHostAuthMechanism::BasicAuthRequireTls), "{text:?}");
    }
    assert_eq!("DomainValidation".parse(), Ok(TlsAuthLevel::DomainValidation));
    assert_eq!("Partner".parse(), Ok(Usage::Partner));
    assert_eq!("DowngradeDnsFailures".parse(), Ok(ErrorPolicy::DowngradeDnsFailures));
    let error = "ntlm".parse::<SmartHostAuthMechanism>().unwrap_err().to_string();
    assert!(error.contains("integrated") && error.contains("external-authoritative"), "{error}");
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let send: SendConnector =
        serde_json::from_str(r#"{"name": "Internet", "address_spaces": ["*"]}"#).unwrap();
    assert_eq!(send, SendConnector::new("Internet", spaces(&["*"])));
    assert_eq!(send.max_message_size, Some(36_700_160));
    let internal = SendConnector::for_usage("Internal", spaces(&["*"]), Usage::Internal);
    assert_eq!(internal.max_message_size, None);
    let foreign: ForeignConnector =
        serde_json::from_str(r#"{"name": "Fax", "address_spaces": ["FAX:*"]}"#).unwrap();
    assert_eq!(foreign, ForeignConnector::new("Fax", spaces(&["FAX:*"])));
    let agent = r#"{"name": "A", "address_spaces": ["contoso.com"], "delivery_protocol": "lmtp"}"#;
    let agent: DeliveryAgentConnector = serde_json::from_str(agent).unwrap();
    assert_eq!(agent, DeliveryAgentConnector::new("A", spaces(&["contoso.com"]), "lmtp"));
}

#[test]
fn a_slip_of_the_pen_in_stored_data_is_refused() {
    let refused = |kind: &str, text: &str| match kind {
        "send" => serde_json::from_str::<SendConnector>(text).map(drop),
        "foreign" => serde_json::from_str::<ForeignConnector>(text).map(drop),
        "agent" => serde_json::from_str::<DeliveryAgentConnector>(text).map(drop),
        "pin" => serde_json::from_str::<SenderPin>(text).map(drop),
        _ => serde_json::from_str::<Topology>(text).map(drop),
    };
    for (kind, text, word) in [
        ("send", r#"{"name": "C", "address_spaces": ["*"], "require_tsl": true}"#, "require_tsl"),
        ("foreign", r#"{"name": "F", "address_spaces": ["FAX:*"], "drop_dir": "x"}"#, "drop_dir"),
        ("agent", r#"{"name": "A", "delivery_protocol": "pipe", "comand": []}"#, "comand"),
        ("pin", r#"{"address": "a@b.test", "connector": null, "conector": "C"}"#, "conector"),
        ("topology", r#"{"server": "Hub01", "siet": "Paris"}"#, "siet"),
        (
            "topology",
            r#"{"server": "H", "site_links": [{"between": ["A", "B"], "cost": 1, "kost": 2}]}"#,
            "kost",
        ),
    ] {
        let error = refused(kind, text).expect_err(word).to_string();
        assert!(error.contains(&format!("unknown field `{word}`")), "{error}");
    }
}

#[test]
fn a_connector_is_written_and_read_again() {
    let mut connector = send("C", &["X400:c=US;a=Fabrikam;P=Contoso;5"]);
    connector.smart_hosts = vec!["[10.0.0.1]".parse().unwrap(), "relay.example.com".parse().unwrap()];
    connector.tls_domain = Some("*.example.com".parse().unwrap());
    connector.senders = vec!["jane@contoso.com".parse().unwrap(), "contoso.com".parse().unwrap()];
    connector.max_message_size = None;
    let connector = Connector::from(connector);
    let text = serde_json::to_string(&connector).unwrap();
    assert_eq!(serde_json::from_str::<Connector>(&text).unwrap(), connector, "{text}");
}
