//! What TLS has to be, and what happens where it is not.

use std::sync::Arc;

use postroad_address_space::Domain;
use postroad_message::{Outcome, TlsFacts};
use postroad_smtp_client::{
    Authentication, CertificateName, Credential, Hosts, Secret, SmartHost, TlsPolicy, TrustAnchors,
    Verification,
};
use rustls::ClientConfig;
use rustls::crypto::{CryptoProvider, KeyProvider};
use rustls::sign::SigningKey;

use crate::pretend::{Authority, Behaviour, Pretend, builder, by_mx, deliver, destination, mx_hosts, words};

fn offering(tls: std::sync::Arc<rustls::ServerConfig>) -> Behaviour {
    Behaviour { capabilities: vec!["STARTTLS"], tls: Some(tls), ..Behaviour::default() }
}

fn facts(outcomes: &[Outcome]) -> Option<TlsFacts> {
    match outcomes {
        [Outcome::Delivered(receipt)] => receipt.tls.clone(),
        other => panic!("not delivered: {other:?}"),
    }
}

#[tokio::test]
async fn each_level_of_validation_asks_for_what_it_says() {
    let name = |text| Domain::parse(text).expect("a domain");
    let domain = |certificate_name| Verification::DomainValidation(certificate_name);
    let (ours, strangers) = (Authority::new(), Authority::new());
    let refused = "deferred 4.7.5 at STARTTLS";
    for (case, authority, certificate, verify, expected) in [
        ("anyone", &strangers, "x.test", Verification::EncryptionOnly, "delivered"),
        ("a stranger's certificate", &strangers, "m1.test", Verification::CertificateValidation, refused),
        ("any name will do", &ours, "other.test", Verification::CertificateValidation, "delivered"),
        ("the host's name", &ours, "m1.test", domain(CertificateName::Host), "delivered"),
        ("not the host's name", &ours, "m2.test", domain(CertificateName::Host), refused),
        (
            "a wildcard covers one label",
            &ours,
            "*.test",
            domain(CertificateName::Exact(name("a.b.test"))),
            refused,
        ),
        (
            "a wildcard that covers it",
            &ours,
            "*.b.test",
            domain(CertificateName::Exact(name("a.b.test"))),
            "delivered",
        ),
        (
            "a wildcard is not its own domain",
            &ours,
            "*.b.test",
            domain(CertificateName::Exact(name("b.test"))),
            refused,
        ),
        (
            "a given name",
            &ours,
            "smtp.b.test",
            domain(CertificateName::Exact(name("smtp.b.test"))),
            "delivered",
        ),
        (
            "not the given name",
            &ours,
            "m1.test",
            domain(CertificateName::Exact(name("smtp.b.test"))),
            refused,
        ),
        (
            "a given name by a stranger",
            &strangers,
            "smtp.b.test",
            domain(CertificateName::Exact(name("smtp.b.test"))),
            refused,
        ),
        ("below a domain", &ours, "x.b.test", domain(CertificateName::Below(name("b.test"))), "delivered"),
        ("the domain itself", &ours, "b.test", domain(CertificateName::Below(name("b.test"))), refused),
        (
            "below by a stranger",
            &strangers,
            "x.b.test",
            domain(CertificateName::Below(name("b.test"))),
            refused,
        ),
    ] {
        let server = Pretend::start(offering(authority.server(certificate))).await;
        let client = builder(mx_hosts(1)).trust_anchors(ours.trust()).build().expect("a client");
        let mut destination = by_mx(server.address.port());
        let authenticates = verify != Verification::EncryptionOnly;
        destination.tls = TlsPolicy::required(verify);
        let outcomes = deliver(&client, &destination, &["a@b.test"]).await;
        assert_eq!(words(&outcomes), [expected], "{case}");
        if expected == "delivered" {
            let facts = facts(&outcomes).expect("TLS");
            assert_eq!((facts.version.as_str(), facts.authenticated), ("TLSv1.3", authenticates), "{case}");
            assert!(facts.cipher.starts_with("TLS_"), "{case}: {}", facts.cipher);
        } else {
            assert_eq!(server.heard("MAIL"), 0, "{case}");
        }
    }
}

/// What each demand means where the caller brought a whole TLS configuration: his verifier is asked, and told a name, and what it
/// cannot be told is checked behind it.
#[tokio::test]
async fn a_given_configuration_is_asked_beside_each_demand_and_weakens_none() {
    let name = |text| Domain::parse(text).expect("a domain");
    let domain = |certificate_name| Verification::DomainValidation(certificate_name);
    let (ours, strangers) = (Authority::new(), Authority::new());
    let refused = "deferred 4.7.5 at STARTTLS";
    for (case, authority, certificates, verify, expected) in [
        (
            "nothing is asked of anyone",
            &strangers,
            &["x.test"][..],
            Verification::EncryptionOnly,
            "delivered",
        ),
        ("a chain", &ours, &["m1.test"], Verification::CertificateValidation, "delivered"),
        (
            "his verifier asks for the host too",
            &ours,
            &["m2.test"],
            Verification::CertificateValidation,
            refused,
        ),
        ("a stranger's chain", &strangers, &["m1.test"], Verification::CertificateValidation, refused),
        ("the host", &ours, &["m1.test"], domain(CertificateName::Host), "delivered"),
        ("not the host", &ours, &["m2.test"], domain(CertificateName::Host), refused),
        (
            "a given name",
            &ours,
            &["smtp.b.test"],
            domain(CertificateName::Exact(name("smtp.b.test"))),
            "delivered",
        ),
        (
            "not the given name",
            &ours,
            &["m1.test"],
            domain(CertificateName::Exact(name("smtp.b.test"))),
            refused,
        ),
        (
            "below a domain",
            &ours,
            &["m1.test", "x.b.test"],
            domain(CertificateName::Below(name("b.test"))),
            "delivered",
        ),
        (
            "the host's, and not below",
            &ours,
            &["m1.test"],
            domain(CertificateName::Below(name("b.test"))),
            refused,
        ),
        (
            "below, and not the host's",
            &ours,
            &["x.b.test"],
            domain(CertificateName::Below(name("b.test"))),
            refused,
        ),
    ] {
        let names: Vec<String> = certificates.iter().map(|name| (*name).to_owned()).collect();
        let parameters = rcgen::CertificateParams::new(names).expect("names");
        let server = Pretend::start(offering(authority.server_of(parameters))).await;
        let given = given(&ours, rustls::crypto::ring::default_provider());
        let client = builder(mx_hosts(1)).tls_configuration(given).build().expect("a client");
        let mut destination = by_mx(server.address.port());
        destination.tls = TlsPolicy::required(verify);
        assert_eq!(words(&deliver(&client, &destination, &["a@b.test"]).await), [expected], "{case}");
        assert_eq!(server.heard("MAIL"), usize::from(expected == "delivered"), "{case}");
    }
}

/// A configuration of the caller's that trusts this authority.
fn given(authority: &Authority, provider: CryptoProvider) -> Arc<ClientConfig> {
    let TrustAnchors::Store(roots) = authority.trust() else { panic!("a store") };
    let configuration = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(configuration)
}

#[derive(Debug)]
struct NoKeyWillDo;

impl KeyProvider for NoKeyWillDo {
    fn load_private_key(
        &self,
        _: rustls::pki_types::PrivateKeyDer<'static>,
    ) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("no key will do".to_owned()))
    }
}

#[tokio::test]
async fn what_a_given_configuration_is_made_with_signs_for_our_certificate() {
    let ours = Authority::new();
    let provider = CryptoProvider { key_provider: &NoKeyWillDo, ..rustls::crypto::ring::default_provider() };
    let client = builder(mx_hosts(1)).tls_configuration(given(&ours, provider)).build().expect("a client");
    for verify in [Verification::CertificateValidation, Verification::EncryptionOnly] {
        let server = Pretend::start(offering(ours.server_that_asks("m1.test", false))).await;
        let mut destination = by_mx(server.address.port());
        destination.tls = TlsPolicy::required(verify);
        destination.client_certificate = Some(ours.client("hub.test"));
        let outcomes = deliver(&client, &destination, &["a@b.test"]).await;
        assert_eq!(words(&outcomes), ["deferred 4.3.5 at STARTTLS"]);
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_do_is_told_in_a_sentence() {
    let (ours, strangers) = (Authority::new(), Authority::called("Another"));
    let namesake = Authority::new();
    let made = |names: &[&str], change: fn(&mut rcgen::CertificateParams)| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = rcgen::CertificateParams::new(names).expect("names");
        change(&mut parameters);
        parameters
    };
    let as_it_is = |_: &mut rcgen::CertificateParams| {};
    let below = CertificateName::Below(Domain::parse("b.test").expect("a domain"));
    let the_host = CertificateName::Host;
    for (authority, certificate, name, expected) in [
        (
            &ours,
            made(&["m1.test"], |it| it.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained)),
            &the_host,
            "the server's certificate is an authority's own (CA:TRUE), which no server may show; make one \
             with basicConstraints CA:FALSE",
        ),
        (
            &strangers,
            made(&["m1.test"], as_it_is),
            &the_host,
            "the server's certificate was not issued by an authority that is trusted here; \
             trust_anchors says which are",
        ),
        (
            &namesake,
            made(&["m1.test"], as_it_is),
            &the_host,
            "the server's certificate names an authority that is trusted here, but was not signed by its key",
        ),
        (
            &ours,
            made(&["m2.test", "*.m3.test"], as_it_is),
            &the_host,
            "the server's certificate is not for m1.test: it is for m2.test, *.m3.test",
        ),
        (
            &ours,
            made(&[], as_it_is),
            &the_host,
            "the server's certificate is not for m1.test: it names no host in subjectAltName",
        ),
        (
            &ours,
            made(&["b.test"], as_it_is),
            &below,
            "the server's certificate is not for a name below b.test: it is for b.test",
        ),
        (
            &ours,
            made(&["m1.test"], |it| it.not_after = rcgen::date_time_ymd(2001, 2, 3)),
            &the_host,
            "the server's certificate has expired: it was valid until Sat, 03 Feb 2001 00:00:00 +0000",
        ),
        (
            &ours,
            made(&["m1.test"], |it| it.not_before = rcgen::date_time_ymd(2101, 2, 3)),
            &the_host,
            "the server's certificate is not valid before Thu, 03 Feb 2101 00:00:00 +0000; \
             is the clock of this machine right?",
        ),
    ] {
        let server = Pretend::start(offering(authority.server_of(certificate))).await;
        let client = builder(mx_hosts(1)).trust_anchors(ours.trust()).build().expect("a client");
        let mut destination = by_mx(server.address.port());
        destination.tls = TlsPolicy::required(Verification::DomainValidation(name.clone()));
        let outcomes = deliver(&client, &destination, &["a@b.test"]).await;
        let told = outcomes[0].failure().expect("a failure").to_string();
        assert!(told.contains(expected), "{told}\n{expected}");
    }
}

#[tokio::test]
async fn the_mx_records_of_a_smart_host_can_not_lend_it_another_name() {
    let ours = Authority::new();
    for (certificate, expected) in [("smart.test", "delivered"), ("m1.test", "deferred 4.7.5 at STARTTLS")] {
        let server = Pretend::start(offering(ours.server(certificate))).await;
        let client = builder(mx_hosts(1)).trust_anchors(ours.trust()).build().expect("a client");
        let smart_host = SmartHost::Name(Domain::parse("smart.test").expect("a domain"));
        let mut destination = destination(Hosts::SmartHosts(vec![smart_host]), server.address.port());
        destination.tls = TlsPolicy::verified();
        assert_eq!(words(&deliver(&client, &destination, &["a@b.test"]).await), [expected], "{certificate}");
    }
}

#[tokio::test]
async fn a_wish_for_tls_falls_back_visibly_and_remembers() {
    // 220, and then a server that hangs up instead of shaking hands.
    let broken = Behaviour { capabilities: vec!["STARTTLS"], ..Behaviour::default() };
    let server = Pretend::start(broken).await;
    let client = builder(mx_hosts(1)).build().expect("a client");
    let mut destination = by_mx(server.address.port());
    destination.max_messages_per_connection = 1;
    let outcomes = deliver(&client, &destination, &["a@b.test"]).await;
    assert_eq!(facts(&outcomes), None);
    let Outcome::Delivered(receipt) = &outcomes[0] else { panic!("not delivered") };
    assert!(receipt.host.ends_with("in clear text after a failed TLS handshake"), "{}", receipt.host);
    assert_eq!((server.heard("STARTTLS"), server.seen(|seen| seen.connections)), (1, 2));
    deliver(&client, &destination, &["a@b.test"]).await;
    assert_eq!((server.heard("STARTTLS"), server.seen(|seen| seen.connections)), (1, 3), "remembered");
}

/// A server that knows nothing newer than this version: it chooses it, as old ones do, or breaks off, as OpenSSL does.
fn old_servers() -> Vec<(String, Vec<u8>)> {
    let choose = |minor: u8| {
        let random = [7; 32];
        // Type, length, version; then no session, RSA with AES-128, no compression.
        let hello = [&[2, 0, 0, 38, 3, minor][..], &random, &[0, 0, 0x2f, 0]].concat();
        [&[22, 3, minor, 0, 42][..], &hello].concat()
    };
    // A fatal alert: protocol_version.
    let refuse = |minor: u8| vec![21, 3, minor, 0, 2, 2, 70];
    let versions = [("SSL 3.0", 0), ("TLS 1.0", 1), ("TLS 1.1", 2)];
    let both =
        |(name, minor)| [(format!("{name} chosen"), choose(minor)), (format!("{name} only"), refuse(minor))];
    versions.into_iter().flat_map(both).collect()
}

#[tokio::test]
async fn no_version_below_tls_1_2_is_spoken() {
    for (version, answer) in old_servers() {
        for implicit_tls in [false, true] {
            let capabilities = vec!["STARTTLS"];
            let answers_hello = Some(answer.clone());
            let old = Behaviour { capabilities, answers_hello, implicit_tls, ..Behaviour::default() };
            let server = Pretend::start(old).await;
            let client = builder(mx_hosts(1)).build().expect("a client");
            let mut destination = by_mx(server.address.port());
            destination.implicit_tls = implicit_tls;
            destination.tls = TlsPolicy::required(Verification::EncryptionOnly);
            let outcomes = deliver(&client, &destination, &["a@b.test"]).await;
            assert_eq!(words(&outcomes), ["deferred 4.7.5 at STARTTLS"], "{version}");
            let told = outcomes[0].failure().expect("a failure").to_string();
            assert!(told.contains("the server speaks no TLS 1.2 and no TLS 1.3"), "{version}: {told}");
            assert_eq!(server.heard("MAIL"), 0, "{version}");

            // Only a wish for TLS gives way, where there is a clear text to go back to.
            destination.tls = TlsPolicy::Opportunistic;
            let outcomes = deliver(&client, &destination, &["a@b.test"]).await;
            if implicit_tls {
                assert_eq!(words(&outcomes), ["deferred 4.7.5 at STARTTLS"], "{version}");
                continue;
            }
            let [Outcome::Delivered(receipt)] = outcomes.as_slice() else {
                panic!("{version}: {outcomes:?}")
            };
            assert!(receipt.host.ends_with("in clear text after a failed TLS handshake"), "{}", receipt.host);
            assert_eq!(receipt.tls, None, "{version}");
        }
    }
}

#[tokio::test]
async fn no_password_follows_the_fall_back() {
    let broken = Behaviour { capabilities: vec!["STARTTLS", "AUTH PLAIN LOGIN"], ..Behaviour::default() };
    let server = Pretend::start(broken).await;
    let client = builder(mx_hosts(1)).build().expect("a client");
    let mut destination = by_mx(server.address.port());
    let mut authentication = Authentication::new(Credential::new("tim", Secret::new("pw")));
    authentication.clear_text_allowed = true;
    destination.authentication = Some(authentication);
    let outcomes = deliver(&client, &destination, &["a@b.test"]).await;
    assert_eq!(words(&outcomes), ["deferred 4.7.11 at AUTH"]);
    assert_eq!((server.heard("AUTH"), server.heard("MAIL")), (0, 0));
}

#[tokio::test]
async fn required_tls_never_falls_back() {
    let required = TlsPolicy::required(Verification::EncryptionOnly);
    let broken = Behaviour { capabilities: vec!["STARTTLS"], ..Behaviour::default() };
    for (behaviour, expected) in
        [(broken, "deferred 4.7.5 at STARTTLS"), (Behaviour::default(), "deferred 4.7.4 at EHLO")]
    {
        let server = Pretend::start(behaviour).await;
        let client = builder(mx_hosts(1)).build().expect("a client");
        let mut destination = by_mx(server.address.port());
        destination.tls = required.clone();
        assert_eq!(words(&deliver(&client, &destination, &["a@b.test"]).await), [expected]);
        assert_eq!((server.heard("MAIL"), server.seen(|seen| seen.connections)), (0, 1));
    }
}

#[tokio::test]
async fn the_default_cryptography_of_the_process_is_neither_read_nor_set() {
    let ours = Authority::new();
    let server = Pretend::start(offering(ours.server("m1.test"))).await;
    let client = builder(mx_hosts(1)).trust_anchors(ours.trust()).build().expect("a client");
    let mut destination = by_mx(server.address.port());
    destination.tls = TlsPolicy::verified();
    assert_eq!(words(&deliver(&client, &destination, &["a@b.test"]).await), ["delivered"]);
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}

#[tokio::test]
async fn never_is_never() {
    let server = Pretend::start(offering(Authority::new().server("m1.test"))).await;
    let client = builder(mx_hosts(1)).build().expect("a client");
    let mut destination = by_mx(server.address.port());
    destination.tls = TlsPolicy::Never;
    assert_eq!(facts(&deliver(&client, &destination, &["a@b.test"]).await), None);
    assert_eq!(server.heard("STARTTLS"), 0);
}

#[tokio::test]
async fn tls_from_the_first_byte_on_and_a_login_in_it() {
    let ours = Authority::new();
    let capabilities = vec!["AUTH PLAIN"];
    let tls = Some(ours.server("m1.test"));
    let server =
        Pretend::start(Behaviour { capabilities, tls, implicit_tls: true, ..Behaviour::default() }).await;
    let client = builder(mx_hosts(1)).trust_anchors(ours.trust()).build().expect("a client");
    let mut destination = by_mx(server.address.port());
    destination.implicit_tls = true;
    destination.tls = TlsPolicy::verified();
    destination.authentication = Some(Authentication::new(Credential::new("tim", Secret::new("pw"))));
    let outcomes = deliver(&client, &destination, &["a@b.test"]).await;
    assert!(facts(&outcomes).is_some_and(|facts| facts.authenticated));
    assert_eq!((server.heard("AUTH PLAIN AHRpbQBwdw=="), server.heard("STARTTLS")), (1, 0));
}

/// Hazards 12: what a certificate's names stand for, and what they do not.
#[tokio::test]
async fn a_certificate_is_for_the_names_it_holds_and_no_others() {
    let ours = Authority::new();
    let host = |text: &str| CertificateName::Exact(Domain::parse(text).expect("a domain"));
    for (names, wanted, fits) in [
        (&["*.a.test"][..], "x.a.test", true),
        (&["*.a.test"], "a.test", false),
        (&["*.a.test"], "x.y.a.test", false),
        (&["f*.a.test"], "fx.a.test", false),
        (&["*x.a.test"], "fx.a.test", false),
        (&["x.*.test"], "x.a.test", false),
        (&["*.test"], "x.test", false),
        (&["*"], "test", false),
        (&["*"], "x.test", false),
        (&["X.A.TEST"], "x.a.test", true),
        (&["y.test", "x.a.test"], "x.a.test", true),
        // An address is a name of another kind.
        (&["192.0.2.1"], "x.a.test", false),
    ] {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let parameters = rcgen::CertificateParams::new(names.clone()).expect("names");
        let server = Pretend::start(offering(ours.server_of(parameters))).await;
        let client = builder(mx_hosts(1)).trust_anchors(ours.trust()).build().expect("a client");
        let mut destination = by_mx(server.address.port());
        destination.tls = TlsPolicy::required(Verification::DomainValidation(host(wanted)));
        let outcomes = deliver(&client, &destination, &["a@b.test"]).await;
        let expected = if fits { "delivered" } else { "deferred 4.7.5 at STARTTLS" };
        assert_eq!(words(&outcomes), [expected], "{names:?} for {wanted}");
    }
}

#[tokio::test]
async fn what_a_certificate_says_beside_its_names_counts_or_does_not() {
    type Change = fn(&mut rcgen::CertificateParams);
    let ours = Authority::new();
    let refused = "deferred 4.7.5 at STARTTLS";
    let rows: &[(&str, &[&str], Change, &str)] = &[
        ("a common name beside other names is none", &["y.test"], |it| common_name(it, "m1.test"), refused),
        ("a common name alone is none", &[], |it| common_name(it, "m1.test"), refused),
        (
            "a common name of somebody else does no harm",
            &["m1.test"],
            |it| common_name(it, "evil.test"),
            "delivered",
        ),
        (
            "for clients only",
            &["m1.test"],
            |it| it.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth],
            refused,
        ),
        (
            "for servers too",
            &["m1.test"],
            |it| {
                it.extended_key_usages = vec![
                    rcgen::ExtendedKeyUsagePurpose::ClientAuth,
                    rcgen::ExtendedKeyUsagePurpose::ServerAuth,
                ];
            },
            "delivered",
        ),
        (
            "a NUL inside the name",
            &["y.test"],
            |it| {
                let evil = rcgen::string::Ia5String::try_from("m1.test\0.evil.test").expect("seven bits");
                it.subject_alt_names = vec![rcgen::SanType::DnsName(evil)];
            },
            refused,
        ),
        (
            "the name as an address of mail",
            &[],
            |it| {
                let mail = rcgen::string::Ia5String::try_from("m1.test").expect("seven bits");
                it.subject_alt_names = vec![rcgen::SanType::Rfc822Name(mail)];
            },
            refused,
        ),
    ];
    for (case, names, change, expected) in rows {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = rcgen::CertificateParams::new(names).expect("names");
        change(&mut parameters);
        let server = Pretend::start(offering(ours.server_of(parameters))).await;
        let client = builder(mx_hosts(1)).trust_anchors(ours.trust()).build().expect("a client");
        let mut destination = by_mx(server.address.port());
        let verify = Verification::DomainValidation(CertificateName::Host);
        destination.tls = TlsPolicy::required(verify);
        assert_eq!(words(&deliver(&client, &destination, &["a@b.test"]).await), [*expected], "{case}");
    }
}

fn common_name(parameters: &mut rcgen::CertificateParams, name: &str) {
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
}

#[tokio::test]
async fn a_smart_host_that_is_an_address_proves_that_address_and_is_told_no_name() {
    let ours = Authority::new();
    for (name, expected) in [
        ("127.0.0.1", "delivered"),
        ("127.0.0.2", "deferred 4.7.5 at STARTTLS"),
        ("m1.test", "deferred 4.7.5 at STARTTLS"),
    ] {
        let server = Pretend::start(offering(ours.server(name))).await;
        let client = builder(mx_hosts(1)).trust_anchors(ours.trust()).build().expect("a client");
        let mut destination = server.destination();
        let verify = Verification::DomainValidation(CertificateName::Host);
        destination.tls = TlsPolicy::required(verify);
        assert_eq!(words(&deliver(&client, &destination, &["a@b.test"]).await), [expected], "{name}");
        if expected == "delivered" {
            assert_eq!(server.seen(|seen| seen.server_names.clone()), [None]);
        }
    }
    let server = Pretend::start(offering(ours.server("m1.test"))).await;
    let client = builder(mx_hosts(1)).build().expect("a client");
    deliver(&client, &by_mx(server.address.port()), &["a@b.test"]).await;
    assert_eq!(server.seen(|seen| seen.server_names.clone()), [Some("m1.test".to_owned())]);
}

#[tokio::test]
async fn a_chain_is_shown_whole_or_leads_nowhere() {
    let ours = Authority::new();
    for (shown, expected) in [(true, "delivered"), (false, "deferred 4.7.5 at STARTTLS")] {
        let server = Pretend::start(offering(ours.intermediate(shown).server("m1.test"))).await;
        let client = builder(mx_hosts(1)).trust_anchors(ours.trust()).build().expect("a client");
        let mut destination = by_mx(server.address.port());
        destination.tls = TlsPolicy::required(Verification::CertificateValidation);
        assert_eq!(words(&deliver(&client, &destination, &["a@b.test"]).await), [expected], "{shown}");
    }
}
