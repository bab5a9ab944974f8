//! NSD: which hosts a domain's records lead to, in which order, and what becomes of mail where they lead nowhere.

use std::net::{IpAddr, SocketAddr};

use postroad_interop::{NameServer, Sample, Scratch, Sink, port};
use postroad_message::Outcome;
use postroad_smtp_client::{Destination, Hosts, SmartHost, SmtpClient};

use crate::client::{Client, at};

const ZONE: &str = "
one      MX 10 mx1
two      MX 20 mx2
two      MX 10 mx1
down     MX 10 mx9
down     MX 20 mx2
null     MX 0 .
implicit A 127.0.0.2
alias    CNAME two
aliased  MX 10 cmx2
cmx2     CNAME mx2
lame     MX 10 nothere
exists   TXT here
mx1      A 127.0.0.1
mx2      A 127.0.0.2
mx9      A 127.0.0.9
";

#[test]
#[ignore = "needs Debian's nsd; .ci/run runs it"]
fn each_domain_leads_where_its_records_say() {
    let scratch = Scratch::new();
    let names = NameServer::start(&scratch, &[("x.test", Some(ZONE)), ("broken.test", None)]);
    let first = Sink::start_at(port::free());
    let at_port =
        |ip: &str| SocketAddr::new(ip.parse::<IpAddr>().expect("an address"), first.address().port());
    let second = Sink::start_at(at_port("127.0.0.2"));
    let client = SmtpClient::builder().name_servers([names.address()]).allow_loopback_mx(true);
    let client = Client::made_by(client);
    for (domain, expected) in [
        ("one.x.test", "first"),
        ("two.x.test", "first"),
        ("down.x.test", "second"),
        ("null.x.test", "failed 5.1.10"),
        ("implicit.x.test", "second"),
        ("alias.x.test", "first"),
        ("aliased.x.test", "second"),
        ("lame.x.test", "failed 5.4.4"),
        ("exists.x.test", "failed 5.4.4"),
        ("nothere.x.test", "failed 5.4.4"),
        ("a.broken.test", "deferred 4.4.3"),
        ("refused.test", "deferred 4.4.3"),
    ] {
        let mut destination = Destination::new(
            Hosts::Mx(domain.parse().expect("a domain")),
            "client.test".parse().expect("our name"),
        );
        destination.port = first.address().port();
        let before = (first.taken().len(), second.taken().len());
        let to = format!("jane@{domain}");
        let outcomes = client.deliver(&destination, "joe@contoso.com", &[&to], Sample::plain().content);
        let [outcome] = outcomes.as_slice() else { panic!("{domain}: {outcomes:?}") };
        let more = (first.taken().len() - before.0, second.taken().len() - before.1);
        let told = match (outcome, more) {
            (Outcome::Delivered(_), (1, 0)) => "first".to_owned(),
            (Outcome::Delivered(_), (0, 1)) => "second".to_owned(),
            (Outcome::Failed(failure), (0, 0)) => format!("failed {}", failure.status),
            (Outcome::Deferred(failure), (0, 0)) => format!("deferred {}", failure.status),
            other => panic!("{domain}: {other:?}"),
        };
        assert_eq!(told, expected, "{domain}: {outcome:?}");
    }
}

#[test]
#[ignore = "needs Debian's nsd; .ci/run runs it"]
fn a_smart_hosts_name_is_looked_up_too_and_nothing_fails_by_it() {
    let scratch = Scratch::new();
    let names = NameServer::start(&scratch, &[("x.test", Some(ZONE))]);
    let sink = Sink::start_at(SocketAddr::new([127, 0, 0, 2].into(), port::free().port()));
    let client =
        Client::made_by(SmtpClient::builder().name_servers([names.address()]).allow_loopback_mx(true));
    for (host, delivered) in [("mx2.x.test", true), ("aliased.x.test", true), ("nothere.x.test", false)] {
        let mut destination = at(sink.address());
        let name = SmartHost::Name(host.parse().expect("a name"));
        destination.hosts = Hosts::SmartHosts(vec![name]);
        let outcomes =
            client.deliver(&destination, "joe@contoso.com", &["jane@y.test"], Sample::plain().content);
        match outcomes.as_slice() {
            [Outcome::Delivered(_)] if delivered => {}
            [Outcome::Deferred(_)] if !delivered => {}
            other => panic!("{host}: {other:?}"),
        }
    }
    assert_eq!(sink.taken().len(), 2);
}
