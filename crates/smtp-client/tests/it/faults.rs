//! Whose fault it is, and whether it is for good: never where it is ours.

use std::net::IpAddr;
use std::sync::Arc;

use postroad_message::{Fault, Outcome, StatusClass};
use postroad_smtp_client::BoxFuture;
use postroad_smtp_client::{
    Answer, Authentication, Authenticator, Credential, Destination, Login, LoginAnswer, Mechanism, MxRecord,
    Proxy, Resolve, Secret, Security, SmartHost, SmtpClient, TlsPolicy, TrustAnchors, Verification,
};

use crate::pretend::{Behaviour, Pretend, builder, by_mx, deliver, mx_hosts, words};

/// A name service that is out of order; what it says of MX hosts, and of their addresses nothing.
struct Broken(Answer<MxRecord>);

impl Resolve for Broken {
    fn mx<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Answer<MxRecord>> {
        Box::pin(std::future::ready(self.0.clone()))
    }

    fn addresses<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Answer<IpAddr>> {
        Box::pin(std::future::ready(Answer::Failed("no name server can be reached".to_owned())))
    }
}

/// Gives up before it has said anything.
#[derive(Debug)]
struct NoTicket;

impl Authenticator for NoTicket {
    fn mechanisms(&self) -> Vec<String> {
        vec!["GSSAPI".to_owned()]
    }

    fn begin(&self, _: &str, _: &str) -> Box<dyn Login> {
        Box::new(Self)
    }
}

impl Login for NoTicket {
    fn answer<'a>(&'a mut self, _: Option<&'a [u8]>) -> postroad_smtp_client::BoxFuture<'a, LoginAnswer> {
        Box::pin(std::future::ready(LoginAnswer::GiveUp("there is no ticket".to_owned())))
    }
}

fn by_name_service(mx: Answer<MxRecord>) -> SmtpClient {
    let nobody = TrustAnchors::Store(Arc::new(rustls::RootCertStore::empty()));
    SmtpClient::builder().resolver(Arc::new(Broken(mx))).trust_anchors(nobody).build().expect("a client")
}

fn login(mechanisms: Vec<Mechanism>, clear_text_allowed: bool) -> Option<Authentication> {
    let mut login = Authentication::new(Credential::new("tim", Secret::new("pw")));
    (login.mechanisms, login.clear_text_allowed) = (mechanisms, clear_text_allowed);
    Some(login)
}

#[tokio::test]
async fn what_is_wrong_with_us_or_around_us_is_never_for_good() {
    type Change = fn(&mut Destination);
    let capabilities = vec!["AUTH PLAIN GSSAPI"];
    let server = Pretend::start(Behaviour { capabilities, ..Behaviour::default() }).await;
    let usual = || builder(mx_hosts(1)).build().expect("a client");
    let servfail = by_name_service(Answer::Failed("SERVFAIL".to_owned()));
    let none = Answer::records(Vec::new(), Security::Insecure);
    let rows: Vec<(&str, SmtpClient, Change, Fault, &str)> = vec![
        ("no name server", servfail, |_| {}, Fault::Remote, "deferred 4.4.3 at name lookup"),
        (
            "none for hosts",
            by_name_service(Answer::NoData),
            |_| {},
            Fault::Remote,
            "deferred 4.4.3 at name lookup",
        ),
        (
            "records, of which there is none",
            by_name_service(none),
            |_| {},
            Fault::Remote,
            "deferred 4.4.3 at name lookup",
        ),
        (
            "an address to leave from that is none of ours",
            usual(),
            |to| to.source_address = Some([203, 0, 113, 7].into()),
            Fault::Configuration,
            "deferred 4.4.1 at connecting",
        ),
        (
            "an address to leave from of another family",
            usual(),
            |to| to.source_address = Some(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])),
            Fault::Local,
            "deferred 4.4.1 at connecting",
        ),
        (
            "a front end that is not there",
            usual(),
            |to| to.proxies = vec![Proxy::new(SmartHost::Address([127, 0, 0, 1].into()), 1)],
            Fault::Remote,
            "deferred 4.4.1 at connecting",
        ),
        (
            "no mechanism that the server has",
            usual(),
            |to| to.authentication = login(vec![Mechanism::CramMd5], true),
            Fault::Configuration,
            "deferred 4.7.4 at AUTH",
        ),
        (
            "a password that must not go in clear text",
            usual(),
            |to| to.authentication = login(vec![Mechanism::Plain], false),
            Fault::Configuration,
            "deferred 4.7.11 at AUTH",
        ),
        (
            "an authenticator that has nothing to say",
            usual(),
            |to| {
                to.authentication = login(vec![Mechanism::CramMd5], true);
                to.authenticator = Some(Arc::new(NoTicket));
            },
            Fault::Local,
            "deferred 4.7.0 at AUTH",
        ),
        (
            "TLS that is required and not offered",
            usual(),
            |to| to.tls = TlsPolicy::required(Verification::EncryptionOnly),
            Fault::Remote,
            "deferred 4.7.4 at EHLO",
        ),
    ];
    for (what, client, change, fault, expected) in rows {
        let mut to = by_mx(server.address.port());
        change(&mut to);
        let outcomes = deliver(&client, &to, &["a@b.test", "c@b.test"]).await;
        assert_eq!(words(&outcomes), [expected, expected], "{what}: {outcomes:?}");
        for outcome in &outcomes {
            let Outcome::Deferred(failure) = outcome else { panic!("{what}: {outcome:?}") };
            assert_eq!((failure.fault, failure.status.class()), (fault, StatusClass::Transient), "{what}");
        }
    }
    assert_eq!(server.heard("MAIL"), 0);
}
