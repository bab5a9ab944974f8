//! microsocks: the way out through a SOCKS5 front end, with a password and without, and never past it.

use postroad_interop::{Sample, Scratch, Sink, Socks, port};
use postroad_message::{Fault, Outcome, Phase};
use postroad_smtp_client::{Credential, Destination, Proxy, Secret, SmartHost, SmtpClient};

use crate::client::{Client, at};

fn through(socks: &Socks, sink: &Sink, login: Option<(&str, &str)>) -> Destination {
    let mut proxy = Proxy::new(SmartHost::Address(socks.address().ip()), socks.address().port());
    proxy.credential = login.map(|(name, password)| Credential::new(name, Secret::new(password)));
    let mut destination = at(sink.address());
    destination.proxies = vec![proxy];
    destination
}

#[test]
#[ignore = "needs Debian's microsocks; .ci/run runs it"]
fn mail_leaves_through_it_or_not_at_all() {
    let (scratch, sink) = (Scratch::new(), Sink::start());
    let open = Socks::start(&scratch, None);
    let closed = Socks::start(&scratch, Some(("relay", "correct horse")));
    let client = Client::made_by(SmtpClient::builder());
    let sample = Sample::plain();
    for (socks, login, passes) in [
        (&open, None, true),
        (&open, Some(("relay", "correct horse")), true),
        (&closed, Some(("relay", "correct horse")), true),
        (&closed, Some(("relay", "wrong horse")), false),
        (&closed, None, false),
    ] {
        let before = sink.taken().len();
        let destination = through(socks, &sink, login);
        let outcomes =
            client.deliver(&destination, "joe@contoso.com", &["jane@fabrikam.com"], sample.content.clone());
        let taken = sink.taken();
        match outcomes.as_slice() {
            [Outcome::Delivered(_)] if passes => {
                assert_eq!(taken.len(), before + 1);
                sample.assert_arrived_in(&taken[before].content);
            }
            [Outcome::Deferred(failure)] if !passes => {
                assert_eq!(
                    (failure.fault, failure.phase),
                    (Fault::Configuration, Phase::Connect),
                    "{failure}"
                );
                assert_eq!(taken.len(), before);
            }
            other => panic!("{login:?}: {other:?}"),
        }
    }
    let port = format!(":{}", sink.address().port());
    assert_eq!(open.log().matches(&port).count(), 2, "{}", open.log());
    assert_eq!(closed.log().matches(&port).count(), 1, "{}", closed.log());
}

#[test]
#[ignore = "needs Debian's microsocks; .ci/run runs it"]
fn a_host_that_is_down_behind_it_is_the_hosts_fault() {
    let scratch = Scratch::new();
    let socks = Socks::start(&scratch, None);
    let mut destination = through(&socks, &Sink::start(), None);
    destination.port = port::free().port();
    let client = Client::made_by(SmtpClient::builder());
    let outcomes = client.deliver(&destination, "joe@contoso.com", &["jane@fabrikam.com"], *b"\r\n");
    let [Outcome::Deferred(failure)] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    assert_eq!((failure.fault, failure.phase), (Fault::Remote, Phase::Connect), "{failure}");
    assert!(failure.text.contains("connection refused"), "{failure}");
}
