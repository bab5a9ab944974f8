//! Logons with both ends in memory: every mechanism, and whoever stands between.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postroad_address_space::Address;
use postroad_message::{Content, Envelope, Fault, Outcome, Recipient, ReversePath, Timestamp};
use postroad_smtp_protocol::sasl::{
    Binding, ChannelBindings, ClientExchange, Credential, ExchangeError, Mechanism, Nonce, Refused,
    ScramVerifier, Secret, ServerExchange, ServerStep,
};
use postroad_smtp_protocol::{client, server};
use proptest::prelude::*;

use crate::client_with_server::{Pair, client_settings, moment, pair, server_settings};

fn credential_for(mechanism: Mechanism, secret: &str) -> Credential {
    match mechanism {
        Mechanism::External => Credential::certificate(Some("tim".to_owned())),
        Mechanism::OAuthBearer | Mechanism::XOAuth2 => Credential::token("tim", Secret::new(secret)),
        _ => Credential::new("tim", Secret::new(secret)),
    }
}

/// A client that may use these (all: none named), and a server that offers those, inside TLS.
fn logged_in(
    allowed: &[Mechanism],
    credential: Credential,
    offered: &[&str],
    bindings: [ChannelBindings; 2],
) -> Pair {
    let now = moment();
    let mut ours = client_settings();
    ours.starttls = client::StartTls::Required;
    ours.nonce = Nonce::parse("clients-part");
    let mut authentication = client::Authentication::new(credential);
    authentication.mechanisms = allowed.to_vec();
    ours.authentication = Some(authentication);
    let mut theirs = server_settings();
    theirs.starttls = true;
    let offered = offered.iter().map(|name| (*name).to_owned()).collect();
    theirs.logon = Some(server::LogonOffer::new(offered, true));
    let mut both = pair(ours, theirs, now);
    let [at_client, at_server] = bindings;
    both.client_bindings = at_client;
    both.logons.bindings = at_server;
    let recipient = Recipient::new(Address::parse("a@b.test").expect("an address"));
    let envelope = Envelope::new(ReversePath::Null, vec![recipient]);
    let content = Content::from(b"x\r\n".to_vec());
    let message = client::Transaction::new(
        &envelope,
        &envelope.recipients,
        &content,
        None,
        Timestamp::from_unix_millis(0),
    );
    both.delivered = both
        .play(now, vec![message])
        .first()
        .is_some_and(|outcomes| matches!(outcomes.as_slice(), [Outcome::Delivered(_)]));
    both
}

fn exporter(byte: u8) -> ChannelBindings {
    ChannelBindings::none().with_exporter([byte; 32])
}

#[test]
fn tls_and_then_a_login_by_each_mechanism() {
    for mechanism in Mechanism::ALL.into_iter().filter(|mechanism| *mechanism != Mechanism::CramMd5) {
        let bindings = if mechanism.binds_channel() { exporter(1) } else { ChannelBindings::none() };
        let bindings = [bindings.clone(), bindings];
        let both = logged_in(&[mechanism], credential_for(mechanism, "pw"), &[mechanism.name()], bindings);
        assert!(both.delivered, "{mechanism}: {:?}", both.failures);
        assert_eq!((both.logons.asked, both.handshakes), (vec!["tim".to_owned()], 1), "{mechanism}");
    }
}

#[test]
fn a_wrong_secret_is_tried_once_by_whatever_mechanism() {
    for mechanism in Mechanism::ALL {
        if matches!(mechanism, Mechanism::CramMd5 | Mechanism::External) {
            continue;
        }
        let names = [mechanism.name(), "LOGIN", "XOAUTH2"];
        let both = logged_in(&[], credential_for(mechanism, "wrong"), &names, [exporter(1), exporter(1)]);
        assert!(!both.delivered, "{mechanism}");
        assert!(both.logons.asked.len() <= 1, "{mechanism}: {:?}", both.logons.asked);
        assert_eq!(both.failures.len(), 1, "{mechanism}");
        assert_eq!(both.failures[0].fault, Fault::Configuration, "{mechanism}");
        assert_eq!(both.failures[0].status.to_string(), "4.7.8", "{mechanism}");
    }
}

const SCRAM_BOTH: [&str; 3] = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN"];

#[test]
fn whoever_stands_between_is_found_out() {
    let tim = || Credential::new("tim", Secret::new("pw"));
    // Nobody does.
    assert!(logged_in(&[], tim(), &SCRAM_BOTH, [exporter(1), exporter(1)]).delivered);
    // Somebody ends one TLS connection and begins another: the two ends are bound by different things.
    let bound = logged_in(&[], tim(), &SCRAM_BOTH, [exporter(1), exporter(2)]);
    assert!(!bound.delivered);
    assert_eq!(bound.failures[0].fault, Fault::Configuration);
    // Somebody strikes -PLUS out as well: the client says that it would have bound the channel.
    let stripped = logged_in(&[], tim(), &SCRAM_BOTH[1..], [exporter(1), exporter(2)]);
    assert!(!stripped.delivered && stripped.logons.asked.is_empty());
    // A client that has nothing to bind by says so, and is let in.
    let none = logged_in(&[], tim(), &SCRAM_BOTH, [ChannelBindings::none(), exporter(1)]);
    assert!(none.delivered, "{:?}", none.failures);
    // So is one that was told not to.
    let told = logged_in(&[Mechanism::ScramSha256], tim(), &SCRAM_BOTH, [exporter(1), exporter(1)]);
    assert!(told.delivered, "{:?}", told.failures);
}

/// Messages of both sides in turn, the client's first; the exchanges of RFC 5802 section 5 and RFC 7677 section 3.
fn plays_as(mechanism: Mechanism, nonces: [&str; 2], salt: &str, messages: [&str; 4]) {
    let [client_nonce, server_nonce] = nonces.map(|text| Nonce::parse(text).expect("a nonce"));
    let password = Secret::new("pencil");
    let credential = Credential::new("user", password.clone());
    let mut client = ClientExchange::new(mechanism, credential, Some(client_nonce), Binding::None);
    let mut server = ServerExchange::new(mechanism, server_nonce, ChannelBindings::none(), false);
    let hash = mechanism.scram().expect("a SCRAM mechanism");
    let salt = STANDARD.decode(salt).expect("base64");

    let first = client.initial_response().expect("the client begins");
    assert_eq!(String::from_utf8_lossy(first.expose()), messages[0]);
    let Ok(ServerStep::Fetch(name)) = server.respond(Some(first.expose())) else {
        panic!("no user was asked for")
    };
    assert_eq!(name, "user");
    let verifier = ScramVerifier::derive(hash, &password, salt, 4096);
    let Ok(ServerStep::Challenge(challenge)) = server.verifier(verifier) else { panic!("no challenge") };
    assert_eq!(String::from_utf8_lossy(challenge.expose()), messages[1]);
    let proof = client.respond(challenge.expose()).expect("a proof");
    assert_eq!(String::from_utf8_lossy(proof.expose()), messages[2]);
    assert!(!client.is_complete());
    let Ok(ServerStep::Challenge(signature)) = server.respond(Some(proof.expose())) else {
        panic!("no signature")
    };
    assert_eq!(String::from_utf8_lossy(signature.expose()), messages[3]);
    let last = client.respond(signature.expose()).expect("an acknowledgement");
    assert!(last.expose().is_empty() && client.is_complete());
    assert!(matches!(server.respond(Some(last.expose())), Ok(ServerStep::Accept(user)) if user == "user"));
}

#[test]
fn the_example_of_rfc_5802() {
    plays_as(
        Mechanism::ScramSha1,
        ["fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j"],
        "QSXCR+Q6sek8bf92",
        [
            "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ],
    );
}

#[test]
fn the_example_of_rfc_7677() {
    plays_as(
        Mechanism::ScramSha256,
        ["rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"],
        "W22ZaJ0SNY7soEsUEjb6gQ==",
        [
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ],
    );
}

#[test]
fn a_server_that_cheats_is_told_nothing() {
    let mechanism = Mechanism::ScramSha256;
    let begun = || {
        let credential = Credential::new("user", Secret::new("pencil"));
        let nonce = Nonce::parse("abc");
        let mut client = ClientExchange::new(mechanism, credential, nonce, Binding::None);
        client.initial_response().expect("the client begins");
        client
    };
    for (challenge, error) in [
        ("r=abc,s=c2FsdA==,i=4096", ExchangeError::WrongNonce(mechanism)),
        ("r=abd1,s=c2FsdA==,i=4096", ExchangeError::WrongNonce(mechanism)),
        ("r=abc1,s=c2FsdA==,i=1", ExchangeError::Iterations(1)),
        ("r=abc1,s=c2FsdA==,i=4095", ExchangeError::Iterations(4095)),
        ("r=abc1,s=c2FsdA==,i=1000001", ExchangeError::Iterations(1_000_001)),
        ("r=abc1,s=c2FsdA==,i=2147483647", ExchangeError::Iterations(2_147_483_647)),
        ("r=abc1,s=,i=4096", ExchangeError::Malformed(mechanism)),
        ("", ExchangeError::Malformed(mechanism)),
        ("v=AAAA", ExchangeError::Malformed(mechanism)),
    ] {
        let mut client = begun();
        assert_eq!(client.respond(challenge.as_bytes()).err(), Some(error), "{challenge}");
        assert!(!client.is_complete() && client.respond(b"").is_err());
    }
    let mut client = begun();
    client.respond(b"r=abc1,s=c2FsdA==,i=4096").expect("a proof");
    assert_eq!(
        client.respond(b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").err(),
        Some(ExchangeError::NotTheServer(mechanism))
    );
    let mut client = begun();
    client.respond(b"r=abc1,s=c2FsdA==,i=4096").expect("a proof");
    assert!(client.respond(b"e=invalid-proof").is_ok_and(|answer| answer.expose().is_empty()));
    assert!(!client.is_complete());
}

#[test]
fn what_a_server_refuses_and_why() {
    let begun = |mechanism, bindings: ChannelBindings, plus_offered| {
        ServerExchange::new(mechanism, Nonce::parse("xyz").expect("a nonce"), bindings, plus_offered)
    };
    let refused = |mechanism, plus_offered, message: &str| {
        begun(mechanism, exporter(1), plus_offered).respond(Some(message.as_bytes())).err()
    };
    let (plain, plus) = (Mechanism::ScramSha256, Mechanism::ScramSha256Plus);
    for (mechanism, plus_offered, message, expected) in [
        (plain, true, "n,,n=user,r=abc", None),
        (plain, false, "y,,n=user,r=abc", None),
        (plain, true, "y,,n=user,r=abc", Some(Refused::Downgraded)),
        (plain, true, "p=tls-exporter,,n=user,r=abc", Some(Refused::Malformed)),
        (plus, true, "p=tls-exporter,,n=user,r=abc", None),
        (plus, true, "n,,n=user,r=abc", Some(Refused::Malformed)),
        (plus, true, "y,,n=user,r=abc", Some(Refused::Malformed)),
        (plus, true, "p=tls-unique,,n=user,r=abc", Some(Refused::UnsupportedBinding)),
        (plus, true, "p=tls-server-end-point,,n=user,r=abc", Some(Refused::UnsupportedBinding)),
        (plain, false, "n,a=user,n=user,r=abc", None),
        (plain, false, "n,a=other,n=user,r=abc", Some(Refused::ActsForAnother)),
        (plain, false, "n,,m=x,n=user,r=abc", Some(Refused::Malformed)),
        (Mechanism::CramMd5, false, "", Some(Refused::Malformed)),
    ] {
        assert_eq!(refused(mechanism, plus_offered, message), expected, "{mechanism} {message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// 4096 rounds of a hash are slow without optimisation, so there are few cases.
    #[test]
    fn whoever_knows_the_password_gets_in_and_nobody_else(
        name in "\\PC{1,12}", password in "\\PC{1,12}", other in "\\PC{1,12}", sha1 in any::<bool>(), end_point in any::<bool>(),
    ) {
        let mechanism = if sha1 { Mechanism::ScramSha1Plus } else { Mechanism::ScramSha256Plus };
        let bindings = if end_point { exporter(7).with_server_certificate(b"none") } else { exporter(7) };
        let data = Secret::new([7; 32]);
        let binding = Binding::Bound(postroad_smtp_protocol::sasl::BindingType::TlsExporter, data);
        let nonce = Nonce::from_random([3; 18]);
        let credential = Credential::new(name.as_str(), Secret::new(password.as_str()));
        let mut client = ClientExchange::new(mechanism, credential, Some(nonce.clone()), binding);
        let mut server = ServerExchange::new(mechanism, nonce, bindings, true);
        let hash = mechanism.scram().expect("a SCRAM mechanism");
        let verifier = ScramVerifier::derive(hash, &Secret::new(other.as_str()), *b"salt", 4096);
        let knows = verifier.matches(&Secret::new(password.as_str()));
        let first = client.initial_response().expect("the client begins");
        prop_assert!(matches!(server.respond(Some(first.expose())), Ok(ServerStep::Fetch(_))));
        let Ok(ServerStep::Challenge(challenge)) = server.verifier(verifier) else { panic!("no challenge") };
        let proof = client.respond(challenge.expose()).expect("a proof");
        match server.respond(Some(proof.expose())) {
            Ok(ServerStep::Challenge(signature)) => {
                prop_assert!(knows);
                prop_assert!(client.respond(signature.expose()).is_ok() && client.is_complete());
            }
            refused => prop_assert!(!knows && matches!(refused, Err(Refused::Wrong))),
        }
    }
}
