//! The certificate that we show: to whom, on which connection, and what a login by it says.

use postroad_message::{Fault, Outcome};
use postroad_smtp_client::{
    Authentication, ClientCertificate, Credential, Destination, TlsPolicy, Verification,
};

use crate::pretend::{Authority, Behaviour, Pretend, client, deliver, words};

async fn server(authority: &Authority, demands: bool, capabilities: Vec<&'static str>) -> Pretend {
    let tls = Some(authority.server_that_asks("mx.test", demands));
    Pretend::start(Behaviour { capabilities, tls, ..Behaviour::default() }).await
}

fn showing(server: &Pretend, certificate: Option<&ClientCertificate>) -> Destination {
    let mut destination = server.destination();
    destination.tls = TlsPolicy::required(Verification::EncryptionOnly);
    destination.client_certificate = certificate.cloned();
    destination
}

#[tokio::test]
async fn a_certificate_is_shown_to_whoever_asks_and_each_has_connections_of_its_own() {
    let authority = Authority::new();
    let server = server(&authority, false, vec!["STARTTLS"]).await;
    let (hub, shop) = (authority.client("hub.test"), authority.client("shop.test"));
    let client = client();
    for certificate in [None, Some(&hub), Some(&shop), None, Some(&hub), Some(&shop)] {
        let outcomes = deliver(&client, &showing(&server, certificate), &["a@b.test"]).await;
        assert_eq!(words(&outcomes), ["delivered"], "{certificate:?}");
    }
    let shown = server.seen(|seen| seen.certificates.clone());
    assert_eq!(shown.len(), 3, "one connection for each, and the second message on it");
    assert!(shown[0].is_none() && shown[1].is_some() && shown[2].is_some() && shown[1] != shown[2]);
}

#[tokio::test]
async fn a_server_that_demands_one_keeps_the_mail_of_whoever_has_none_waiting_and_says_why() {
    let (authority, strangers) = (Authority::new(), Authority::called("Strangers"));
    let server = server(&authority, true, vec!["STARTTLS"]).await;
    let ours = authority.client("hub.test");
    let outcomes = deliver(&client(), &showing(&server, Some(&ours)), &["a@b.test"]).await;
    assert_eq!(words(&outcomes), ["delivered"]);
    for certificate in [None, Some(strangers.client("hub.test"))] {
        let outcomes = deliver(&client(), &showing(&server, certificate.as_ref()), &["a@b.test"]).await;
        let failure = outcomes[0].failure().expect("no mail for strangers");
        assert!(matches!(outcomes[0], Outcome::Deferred(_)), "{failure}");
        assert!(failure.text.contains("alert"), "{failure}");
    }
    assert_eq!(server.seen(|seen| seen.messages.len()), 1);
}

#[tokio::test]
async fn external_logs_in_by_the_certificate_and_sends_no_word_of_it_in_clear() {
    let authority = Authority::new();
    let server = server(&authority, false, vec!["STARTTLS", "AUTH EXTERNAL PLAIN"]).await;
    let ours = authority.client("hub.test");
    let mut destination = showing(&server, Some(&ours));
    destination.authentication = Some(Authentication::new(Credential::certificate(None)));
    assert_eq!(words(&deliver(&client(), &destination, &["a@b.test"]).await), ["delivered"]);
    assert_eq!((server.heard("AUTH EXTERNAL ="), server.heard("AUTH")), (1, 1));

    destination.tls = TlsPolicy::Never;
    let outcomes = deliver(&client(), &destination, &["a@b.test"]).await;
    assert_eq!(words(&outcomes), ["deferred 4.7.11 at AUTH"]);
    assert_eq!(server.heard("AUTH"), 1);
}

#[tokio::test]
async fn a_key_of_another_certificate_is_our_fault_and_nobody_elses() {
    let authority = Authority::new();
    let server = server(&authority, false, vec!["STARTTLS"]).await;
    let certificate =
        rcgen::generate_simple_self_signed(vec!["hub.test".to_owned()]).expect("a pair").cert.pem();
    let key = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let mixed = ClientCertificate::from_pem(certificate.as_bytes(), key.as_bytes()).expect("both are PEM");
    let outcomes = deliver(&client(), &showing(&server, Some(&mixed)), &["a@b.test"]).await;
    assert_eq!(words(&outcomes), ["deferred 4.3.5 at STARTTLS"]);
    assert_eq!(outcomes[0].failure().map(|failure| failure.fault), Some(Fault::Configuration));
}
