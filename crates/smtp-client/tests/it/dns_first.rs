//! Direct delivery first, and a smart host when the name service names nobody: when that is, and with whose password.

use std::future::ready;
use std::net::IpAddr;
use std::sync::Arc;

use postroad_smtp_client::BoxFuture;
use postroad_smtp_client::{
    Answer, Authentication, Credential, Destination, Hosts, MxRecord, Resolve, Secret, Security, SmartHost,
    SmtpClient, TlsPolicy, TrustAnchors, Verification,
};
use rustls::RootCertStore;

use crate::pretend::{Behaviour, Pretend, by_mx, deliver, destination, words};

/// What the name service says to every question for MX records, and to every one for addresses.
#[derive(Clone)]
struct Says {
    mx: Answer<MxRecord>,
    addresses: Answer<IpAddr>,
}

impl Resolve for Says {
    fn mx<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Answer<MxRecord>> {
        Box::pin(ready(self.mx.clone()))
    }

    fn addresses<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Answer<IpAddr>> {
        Box::pin(ready(self.addresses.clone()))
    }
}

fn records<T>(records: Vec<T>) -> Answer<T> {
    Answer::records(records, Security::Insecure)
}

fn mx(exchange: &str) -> Answer<MxRecord> {
    records(vec![MxRecord::new(10, exchange)])
}

fn client(says: Says) -> SmtpClient {
    SmtpClient::builder()
        .resolver(Arc::new(says))
        .trust_anchors(TrustAnchors::Store(Arc::new(RootCertStore::empty())))
        .build()
        .expect("a client")
}

/// By MX; instead to a smart host that wants a password.
fn dns_first(port: u16, smart_host: &Pretend) -> Destination {
    let mut instead = smart_host.destination();
    let mut authentication = Authentication::new(Credential::new("tim", Secret::new("pw")));
    authentication.clear_text_allowed = true;
    instead.authentication = Some(authentication);
    let mut direct = by_mx(port);
    direct.when_dns_fails = Some(Box::new(instead));
    direct
}

async fn smart_host() -> Pretend {
    let replies = [("AUTH", "235 welcome\r\n")].into();
    Pretend::start(Behaviour { capabilities: vec!["AUTH PLAIN"], replies, ..Behaviour::default() }).await
}

#[tokio::test]
async fn mail_goes_to_the_smart_host_when_the_name_service_names_nobody() {
    let broken = || "SERVFAIL".to_owned();
    for (name, mx, addresses) in [
        ("the domain does not exist", Answer::NoSuchName, Answer::NoSuchName),
        ("neither MX nor address", Answer::NoData, Answer::NoData),
        ("the name service fails", Answer::Failed(broken()), Answer::Failed(broken())),
        ("no MX, and the address can't be found out", Answer::NoData, Answer::Failed(broken())),
        ("the MX host does not exist", mx("m1.test"), Answer::NoSuchName),
        ("the MX host can't be found out", mx("m1.test"), Answer::Failed(broken())),
    ] {
        let smart_host = smart_host().await;
        let client = client(Says { mx, addresses });
        let outcomes = deliver(&client, &dns_first(25, &smart_host), &["a@b.test", "c@b.test"]).await;
        assert_eq!(words(&outcomes), ["delivered", "delivered"], "{name}");
        assert_eq!((smart_host.heard("AUTH"), smart_host.heard("RCPT")), (1, 2), "{name}");
    }
}

#[tokio::test]
async fn an_answer_of_the_name_service_is_kept_to() {
    let loopback = || records(vec![IpAddr::from([127, 0, 0, 1])]);
    for (name, mx, addresses, expected) in [
        ("null MX", mx(""), Answer::NoData, "failed 5.1.10 at name lookup"),
        ("an MX host on loopback", mx("m1.test"), loopback(), "failed 5.4.4 at name lookup"),
    ] {
        let smart_host = smart_host().await;
        let client = client(Says { mx, addresses });
        let outcomes = deliver(&client, &dns_first(25, &smart_host), &["a@b.test"]).await;
        assert_eq!(words(&outcomes), [expected], "{name}");
        assert_eq!(smart_host.seen(|seen| seen.connections), 0, "{name}");
    }
}

#[tokio::test]
async fn a_host_that_refuses_or_is_down_keeps_its_mail_and_hears_no_password() {
    let at_home = Says { mx: mx("m1.test"), addresses: records(vec![IpAddr::from([127, 0, 0, 1])]) };
    let refuses = Behaviour {
        capabilities: vec!["AUTH PLAIN"],
        replies: [("RCPT", "550 5.1.1 no\r\n")].into(),
        ..Behaviour::default()
    };
    let hangs_up = Behaviour { hangs_up_at: Some("EHLO"), ..Behaviour::default() };
    for (behaviour, expected) in [(refuses, "failed 5.1.1 at RCPT TO"), (hangs_up, "deferred 4.4.2 at EHLO")]
    {
        let (direct, smart_host) = (Pretend::start(behaviour).await, smart_host().await);
        let client = SmtpClient::builder()
            .resolver(Arc::new(at_home.clone()))
            .trust_anchors(TrustAnchors::Store(Arc::new(RootCertStore::empty())))
            .allow_loopback_mx(true)
            .build()
            .expect("a client");
        let outcomes = deliver(&client, &dns_first(direct.address.port(), &smart_host), &["a@b.test"]).await;
        assert_eq!(words(&outcomes), [expected]);
        assert_eq!((direct.heard("AUTH"), smart_host.seen(|seen| seen.connections)), (0, 0));
    }
}

#[tokio::test]
async fn each_way_keeps_its_own_terms_and_the_last_reason_is_told() {
    let smart_host = Pretend::start(Behaviour::default()).await;
    let mut direct = dns_first(25, &smart_host);
    if let Some(instead) = &mut direct.when_dns_fails {
        instead.authentication = None;
        instead.tls = TlsPolicy::required(Verification::EncryptionOnly);
    }
    let nobody = Says { mx: Answer::NoSuchName, addresses: Answer::NoSuchName };
    let outcomes = deliver(&client(nobody.clone()), &direct, &["a@b.test"]).await;
    assert_eq!(words(&outcomes), ["deferred 4.7.4 at EHLO"], "the smart host has no TLS");

    // A smart host that has no address either: the mail waits, as with any smart host.
    let name = SmartHost::Name("relay.test".parse().expect("a name"));
    direct.when_dns_fails = Some(Box::new(destination(Hosts::SmartHosts(vec![name]), 25)));
    let outcomes = deliver(&client(nobody), &direct, &["a@b.test"]).await;
    assert_eq!(words(&outcomes), ["deferred 4.4.4 at name lookup"]);
}
