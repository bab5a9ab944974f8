//! From a destination to the addresses of its hosts, in the order they are to be tried (RFC 5321 section 5).

use std::net::IpAddr;

use postroad_address_space::Domain;
use postroad_message::{EnhancedStatus, Failure, Fault, Outcome, Phase, Scope};

use crate::client::Ourselves;
use crate::destination::{Hosts, SmartHost};
use crate::resolve::answer::{Answer, BoxFuture, MxRecord, Security};
use crate::resolve::questions::{Questions, all};

/// MX records that are looked at: a domain with more has an accident or a plan, and both can wait.
const MAX_RECORDS: usize = 20;

/// Addresses of one host that are looked at.
const MAX_ADDRESSES: usize = 10;

/// Hosts of equal preference, in the order they are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    hosts: Vec<SmartHost>,
    origin: Origin,
    /// The smart host's name, whatever its MX records say: these are not proof enough to hand a password to another name.
    configured: Option<Domain>,
}

/// What a group was made from; it decides what a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The recipient's domain: what its records say is so is its own affair, for good.
    Mx,
    /// Our configuration: nothing of it is the recipient's fault.
    SmartHost,
}

/// One address to connect to, and the host it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The host's name; `None` for an address that was configured.
    pub(crate) name: Option<Domain>,
    /// The name its certificate is for: that of the smart host as configured, or else the host's own.
    pub(crate) certificate_name: Option<Domain>,
    pub(crate) address: IpAddr,
}

impl Target {
    /// An address that was configured.
    pub(crate) fn at(address: IpAddr) -> Self {
        Self { name: None, certificate_name: None, address: address.to_canonical() }
    }
}

/// Picks a number below its argument, at random.
pub(crate) type Pick<'a> = &'a mut (dyn FnMut(usize) -> usize + Send);

/// Why there is no host to try.
#[derive(Debug)]
pub(crate) struct Nowhere {
    pub(crate) outcome: Outcome,
    /// The name service failed, or knows no such name; anything else is an answer.
    pub(crate) dns_failed: bool,
}

impl Nowhere {
    fn dns_failed(outcome: Outcome) -> Self {
        Self { outcome, dns_failed: true }
    }

    fn answered(outcome: Outcome) -> Self {
        Self { outcome, dns_failed: false }
    }
}

/// The hosts of a destination, best preference first; or why there are none.
pub(crate) async fn groups(
    questions: Questions<'_>,
    hosts: &Hosts,
    ourselves: &Ourselves,
    pick: Pick<'_>,
) -> Result<Vec<Group>, Nowhere> {
    match hosts {
        Hosts::Mx(domain) => mx_groups(questions, domain, ourselves, pick).await,
        Hosts::SmartHosts(list) if list.is_empty() => Err(Nowhere::answered(Outcome::Deferred(failure(
            EnhancedStatus::transient(3, 5),
            Fault::Configuration,
            "there is no smart host in the list",
        )))),
        Hosts::SmartHosts(list) => {
            let mut list = list.clone();
            shuffle(&mut list, pick);
            let asked = |host| -> BoxFuture<'_, Option<Answer<MxRecord>>> {
                match host {
                    &SmartHost::Address(_) => Box::pin(std::future::ready(None)),
                    SmartHost::Name(name) => Box::pin(async { Some(questions.mx(name.ascii()).await) }),
                }
            };
            let answers = all(list.iter().map(asked).collect()).await;
            let both = list.iter().zip(answers);
            Ok(both.flat_map(|(host, answer)| smart_host_groups(host, answer, pick)).collect())
        }
    }
}

async fn mx_groups(
    questions: Questions<'_>,
    domain: &Domain,
    ourselves: &Ourselves,
    pick: Pick<'_>,
) -> Result<Vec<Group>, Nowhere> {
    let name = domain.ascii();
    let failed = |status, text: &str| Outcome::Failed(failure(status, Fault::Message, text));
    match questions.mx(name).await {
        Answer::NoData => Ok(vec![Group::mx(vec![domain.clone()])]),
        Answer::NoSuchName => {
            let text = format!("the domain {name} does not exist");
            Err(Nowhere::dns_failed(failed(EnhancedStatus::permanent(4, 4), &text)))
        }
        Answer::Failed(why) => Err(Nowhere::dns_failed(Outcome::Deferred(no_answer(name, &why)))),
        Answer::Records { records, .. } if records.iter().all(is_null) => {
            let text = format!("the domain {name} says that it takes no mail");
            Err(Nowhere::answered(failed(EnhancedStatus::permanent(1, 10), &text)))
        }
        Answer::Records { records, .. } => {
            let sorted = by_preference(records, pick);
            if sorted.is_empty() {
                let text = format!("no MX record of {name} holds the name of a host");
                return Err(Nowhere::answered(failed(EnhancedStatus::permanent(4, 4), &text)));
            }
            // Ourselves by name; by address it shows later, before anything of the group is tried.
            let before_us =
                sorted.into_iter().take_while(|hosts| !hosts.iter().any(|host| ourselves.is_called(host)));
            let groups: Vec<Group> = before_us.map(Group::mx).collect();
            if groups.is_empty() {
                Err(Nowhere::answered(Outcome::Failed(loops_back(name))))
            } else {
                Ok(groups)
            }
        }
    }
}

/// The MX hosts of a smart host's name, or the host of that name where it has none or the question failed.
fn smart_host_groups(host: &SmartHost, mx: Option<Answer<MxRecord>>, pick: Pick<'_>) -> Vec<Group> {
    let configured = match host {
        SmartHost::Name(name) => Some(name.clone()),
        SmartHost::Address(_) => None,
    };
    let group = |hosts| Group { hosts, origin: Origin::SmartHost, configured: configured.clone() };
    if let Some(Answer::Records { records, .. }) = mx {
        let found = by_preference(records, pick);
        if !found.is_empty() {
            return found
                .into_iter()
                .map(|hosts| group(hosts.into_iter().map(SmartHost::Name).collect()))
                .collect();
        }
    }
    vec![group(vec![host.clone()])]
}

/// The addresses of a group; or what stands in the way, and whether worse hosts may still be tried.
pub(crate) async fn targets(
    questions: Questions<'_>,
    group: &Group,
    port: u16,
    ourselves: &Ourselves,
) -> Result<Vec<Target>, Blocked> {
    let mut found = Vec::new();
    let mut obstacle = None;
    let mut dns_failed = true;
    let asked = |host| -> BoxFuture<'_, Answer<IpAddr>> {
        match host {
            &SmartHost::Address(address) => Box::pin(std::future::ready(Answer::Records {
                records: vec![address],
                security: Security::Insecure,
            })),
            SmartHost::Name(name) => questions.addresses(name.ascii()),
        }
    };
    let answers = all(group.hosts.iter().map(asked).collect()).await;
    for (host, answer) in group.hosts.iter().zip(answers) {
        let addresses = match answer {
            Answer::Records { records, .. } => records,
            Answer::Failed(why) => {
                obstacle = Some(Outcome::Deferred(no_answer(&host.to_string(), &why)));
                continue;
            }
            Answer::NoData | Answer::NoSuchName => {
                let text = format!("the host {host} has no address");
                obstacle.get_or_insert_with(|| group.hopeless(EnhancedStatus::permanent(4, 4), &text));
                continue;
            }
        };
        if addresses.iter().any(|&address| ourselves.listens_at(address, port)) {
            return Err(Blocked {
                outcome: group.hopeless(EnhancedStatus::permanent(4, 6), LOOP),
                is_loop: group.origin == Origin::Mx,
                dns_failed: false,
            });
        }
        let name = match host {
            SmartHost::Name(name) => Some(name.clone()),
            SmartHost::Address(_) => None,
        };
        for address in addresses.into_iter().take(MAX_ADDRESSES).map(|address| address.to_canonical()) {
            if group.origin == Origin::Mx && address.is_loopback() && !ourselves.allow_loopback_mx {
                let text = format!("the host {host} has a loopback address, which is nobody's MX");
                obstacle.get_or_insert_with(|| group.hopeless(EnhancedStatus::permanent(4, 4), &text));
                dns_failed = false;
            } else {
                let certificate_name = group.configured.clone().or_else(|| name.clone());
                found.push(Target { name: name.clone(), certificate_name, address });
            }
        }
    }
    match obstacle {
        Some(outcome) if found.is_empty() => Err(Blocked { outcome, is_loop: false, dns_failed }),
        _ => Ok(found),
    }
}

/// A group that can't be tried.
pub(crate) struct Blocked {
    pub(crate) outcome: Outcome,
    /// It is ourselves: whatever has a worse preference is to be left alone.
    pub(crate) is_loop: bool,
    /// The name service gave no address at all.
    pub(crate) dns_failed: bool,
}

const LOOP: &str = "the best host for this mail is this relay itself: mail loops back";

impl Group {
    fn mx(hosts: Vec<Domain>) -> Self {
        Self { hosts: hosts.into_iter().map(SmartHost::Name).collect(), origin: Origin::Mx, configured: None }
    }

    /// What never changes about an MX host is for good; about a smart host it is our configuration.
    fn hopeless(&self, status: EnhancedStatus, text: &str) -> Outcome {
        match self.origin {
            Origin::Mx => Outcome::Failed(failure(status, Fault::Message, text)),
            Origin::SmartHost => {
                let status = EnhancedStatus::transient(status.subject(), status.detail());
                Outcome::Deferred(failure(status, Fault::Configuration, text))
            }
        }
    }
}

impl Ourselves {
    fn is_called(&self, host: &Domain) -> bool {
        self.names.iter().any(|name| name.trim_end_matches('.').eq_ignore_ascii_case(host.ascii()))
    }
}

/// Usable hosts, best preference first, equal ones shuffled.
fn by_preference(mut records: Vec<MxRecord>, pick: Pick<'_>) -> Vec<Vec<Domain>> {
    records.sort_by_key(|record| record.preference);
    let mut groups: Vec<(u16, Vec<Domain>)> = Vec::new();
    for record in records.iter().filter(|record| !is_null(record)).take(MAX_RECORDS) {
        // A name with other bytes than a host's, or an address where a name belongs, is nobody's host.
        let Ok(host) = Domain::parse(&record.exchange) else { continue };
        if record.exchange.parse::<IpAddr>().is_ok() {
            continue;
        }
        match groups.last_mut() {
            Some((preference, hosts)) if *preference == record.preference => hosts.push(host),
            _ => groups.push((record.preference, vec![host])),
        }
    }
    for (_, hosts) in &mut groups {
        shuffle(hosts, pick);
    }
    groups.into_iter().map(|(_, hosts)| hosts).collect()
}

/// RFC 7505: the exchange is the root.
fn is_null(record: &MxRecord) -> bool {
    record.exchange.is_empty() || record.exchange == "."
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], pick: Pick<'_>) {
    for last in (1..items.len()).rev() {
        items.swap(last, pick(last + 1).min(last));
    }
}

fn no_answer(name: &str, why: &str) -> Failure {
    let why: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    failure(
        EnhancedStatus::transient(4, 3),
        Fault::Remote,
        &format!("the name service gives no answer for {name}: {why}"),
    )
}

fn loops_back(name: &str) -> Failure {
    failure(EnhancedStatus::permanent(4, 6), Fault::Message, &format!("{LOOP} ({name})"))
}

fn failure(status: EnhancedStatus, fault: Fault, text: &str) -> Failure {
    Failure::new(status, fault, Scope::NextHop, Phase::Lookup, text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::resolve::answer::Resolve;

    /// A zone as a table: `name MX preference host`, `name A address`, `name MX|A FAIL` or `SILENCE`, and `name EXISTS` for no
    /// data.
    struct Zone(&'static str);

    impl Zone {
        /// `None`: never.
        fn ask<T>(&self, name: &str, kind: &str, read: impl Fn(&[&str]) -> T) -> Option<Answer<T>> {
            let lines = || self.0.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let of_name: Vec<Vec<&str>> = lines().filter(|words| words.first() == Some(&name)).collect();
            let of_kind = of_name.iter().filter(|words| words.get(1) == Some(&kind));
            if of_kind.clone().any(|words| words.get(2) == Some(&"SILENCE")) {
                return None;
            }
            if of_kind.clone().any(|words| words.get(2) == Some(&"FAIL")) {
                return Some(Answer::Failed("SERVFAIL".into()));
            }
            let records: Vec<T> = of_kind.map(|words| read(&words[2..])).collect();
            Some(match (records.is_empty(), of_name.is_empty()) {
                (false, _) => Answer::Records { records, security: Security::Insecure },
                (true, false) => Answer::NoData,
                (true, true) => Answer::NoSuchName,
            })
        }
    }

    fn said<'a, T: Send + 'a>(answer: Option<Answer<T>>) -> BoxFuture<'a, Answer<T>> {
        match answer {
            Some(answer) => Box::pin(std::future::ready(answer)),
            None => Box::pin(std::future::pending()),
        }
    }

    impl Resolve for Zone {
        fn mx<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Answer<MxRecord>> {
            let read = |words: &[&str]| MxRecord {
                preference: words[0].parse().expect("a preference"),
                exchange: words[1].replace("\\n", "\n").trim_end_matches('.').to_owned(),
            };
            said(self.ask(domain, "MX", read))
        }

        fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Answer<IpAddr>> {
            said(self.ask(host, "A", |words| words[0].parse().expect("an address")))
        }
    }

    /// What becomes of a destination: the addresses in their order, a bar between groups; then why it ends, if for a reason.
    async fn way(zone: &'static str, hosts: &Hosts, ourselves: &Ourselves) -> String {
        let zone = Zone(zone);
        let questions = questions(&zone);
        let groups = match groups(questions, hosts, ourselves, &mut |below| below - 1).await {
            Ok(groups) => groups,
            Err(nowhere) => return word(&nowhere.outcome),
        };
        let mut steps = Vec::new();
        for group in groups {
            match targets(questions, &group, 25, ourselves).await {
                Ok(targets) => {
                    let addresses: Vec<String> =
                        targets.iter().map(|target| target.address.to_string()).collect();
                    steps.push(addresses.join(" "));
                }
                Err(blocked) => {
                    steps.push(word(&blocked.outcome));
                    if blocked.is_loop {
                        break;
                    }
                }
            }
        }
        steps.join(" | ")
    }

    fn questions(zone: &Zone) -> Questions<'_> {
        Questions { resolver: zone, within: Duration::from_secs(30) }
    }

    fn word(outcome: &Outcome) -> String {
        let kind = if outcome.is_final() { "failed" } else { "deferred" };
        outcome.failure().map_or_else(String::new, |failure| format!("{kind} {}", failure.status))
    }

    fn ourselves() -> Ourselves {
        Ourselves {
            listeners: vec![
                "192.0.2.9:25".parse().expect("an address"),
                "192.0.2.8:2525".parse().expect("an address"),
            ],
            names: vec!["hub.test".into()],
            allow_loopback_mx: false,
        }
    }

    async fn mx(zone: &'static str) -> String {
        way(zone, &Hosts::Mx(Domain::parse("b.test").expect("a domain")), &ourselves()).await
    }

    #[tokio::test]
    async fn an_mx_set_says_where_mail_goes() {
        for (name, zone, expected) in [
            (
                "best preference first, 65535 included",
                "b.test MX 65535 m3\nb.test MX 10 m1\nb.test MX 20 m2\nm1 A 192.0.2.1\nm2 A 192.0.2.2\nm3 A 192.0.2.3",
                "192.0.2.1 | 192.0.2.2 | 192.0.2.3",
            ),
            ("no MX: the domain itself", "b.test A 192.0.2.1", "192.0.2.1"),
            ("neither MX nor address", "b.test EXISTS", "failed 5.4.4"),
            ("no such domain", "", "failed 5.4.4"),
            ("the name service fails", "b.test MX FAIL", "deferred 4.4.3"),
            ("null MX", "b.test MX 0 .", "failed 5.1.10"),
            (
                "null MX among others is passed over",
                "b.test MX 0 .\nb.test MX 10 m1\nm1 A 192.0.2.1",
                "192.0.2.1",
            ),
            ("an address for some only", "b.test MX 10 m1\nb.test MX 10 m2\nm2 A 192.0.2.2", "192.0.2.2"),
            (
                "no address at all",
                "b.test MX 10 m1\nb.test MX 20 m2\nm2 EXISTS",
                "failed 5.4.4 | failed 5.4.4",
            ),
            ("one address can't be found out", "b.test MX 10 m1\nm1 A FAIL", "deferred 4.4.3"),
            ("an address where a name belongs", "b.test MX 10 192.0.2.1", "failed 5.4.4"),
            (
                "a name that is none",
                "b.test MX 10 a\\nb\nb.test MX 10 a@b\nb.test MX 20 m1\nm1 A 192.0.2.1",
                "192.0.2.1",
            ),
            (
                "ourselves by name: this one and worse are dropped",
                "b.test MX 10 m1\nb.test MX 20 HUB.test.\nb.test MX 30 m3\nm1 A 192.0.2.1\nm3 A 192.0.2.3",
                "192.0.2.1",
            ),
            (
                "ourselves by name, and equal ones",
                "b.test MX 10 m1\nb.test MX 10 hub.test\nm1 A 192.0.2.1",
                "failed 5.4.6",
            ),
            (
                "ourselves by address",
                "b.test MX 10 m1\nb.test MX 20 m2\nb.test MX 30 m3\nm1 A 192.0.2.1\nm2 A 192.0.2.9\nm3 A 192.0.2.3",
                "192.0.2.1 | failed 5.4.6",
            ),
            ("our address with another port is someone else", "b.test MX 10 m1\nm1 A 192.0.2.8", "192.0.2.8"),
            (
                "loopback is nobody's MX",
                "b.test MX 10 m1\nb.test MX 20 m2\nm1 A 127.0.0.2\nm2 A 192.0.2.2",
                "failed 5.4.4 | 192.0.2.2",
            ),
            ("mapped loopback is loopback", "b.test MX 10 m1\nm1 A ::ffff:127.0.0.1", "failed 5.4.4"),
            ("both families", "b.test MX 10 m1\nm1 A 2001:db8::1\nm1 A 192.0.2.1", "2001:db8::1 192.0.2.1"),
        ] {
            assert_eq!(mx(zone).await, expected, "{name}");
        }
    }

    #[tokio::test]
    async fn loopback_is_an_mx_where_that_is_allowed() {
        let allowing = Ourselves { allow_loopback_mx: true, ..ourselves() };
        let hosts = Hosts::Mx(Domain::parse("b.test").expect("a domain"));
        assert_eq!(way("b.test MX 10 m1\nm1 A 127.0.0.1", &hosts, &allowing).await, "127.0.0.1");
    }

    #[tokio::test]
    async fn a_smart_host_is_an_mx_or_a_host_and_never_the_recipients_fault() {
        for (name, host, zone, expected) in [
            (
                "a name with MX",
                "s.test",
                "s.test MX 10 m1\ns.test MX 20 m2\nm1 A 192.0.2.1\nm2 A 192.0.2.2",
                "192.0.2.1 | 192.0.2.2",
            ),
            ("a name with an address", "s.test", "s.test A 192.0.2.1", "192.0.2.1"),
            (
                "MX look-up fails, the address is there",
                "s.test",
                "s.test MX FAIL\ns.test A 192.0.2.1",
                "192.0.2.1",
            ),
            ("null MX means nothing here", "s.test", "s.test MX 0 .\ns.test A 192.0.2.1", "192.0.2.1"),
            ("an address is not looked up", "[127.0.0.1]", "", "127.0.0.1"),
            ("no such name", "s.test", "", "deferred 4.4.4"),
            ("ourselves", "s.test", "s.test A 192.0.2.9", "deferred 4.4.6"),
        ] {
            let address = host.trim_matches(|c| c == '[' || c == ']').parse();
            let host = address
                .map_or_else(|_| SmartHost::Name(Domain::parse(host).expect("a name")), SmartHost::Address);
            assert_eq!(way(zone, &Hosts::SmartHosts(vec![host]), &ourselves()).await, expected, "{name}");
        }
        assert_eq!(way("", &Hosts::SmartHosts(Vec::new()), &ourselves()).await, "deferred 4.3.5");
    }

    /// By a clock that leaps to the next time-out: two minutes of it would be four names in turn.
    #[tokio::test(start_paused = true)]
    async fn a_name_that_nobody_answers_for_keeps_no_other_waiting() {
        let began = tokio::time::Instant::now();
        let zone =
            "b.test MX 10 m1\nb.test MX 10 m2\nb.test MX 10 m3\nm1 A SILENCE\nm2 A 192.0.2.2\nm3 A SILENCE";
        assert_eq!(mx(zone).await, "192.0.2.2");
        let names = ["[192.0.2.1]", "s.test", "t.test"].map(|text| {
            let address = text.trim_matches(['[', ']']).parse();
            address.map_or_else(|_| SmartHost::Name(Domain::parse(text).expect("a name")), SmartHost::Address)
        });
        let zone = "s.test MX SILENCE\ns.test A SILENCE\nt.test MX SILENCE\nt.test A 192.0.2.4";
        let found = way(zone, &Hosts::SmartHosts(names.to_vec()), &ourselves()).await;
        assert_eq!(found, "192.0.2.1 | deferred 4.4.3 | 192.0.2.4");
        assert!(began.elapsed() <= Duration::from_secs(90), "{:?}", began.elapsed());
        assert_eq!(mx("b.test MX SILENCE").await, "deferred 4.4.3");
    }

    #[tokio::test]
    async fn smart_hosts_are_spread_by_the_randomness_given() {
        let list: Vec<SmartHost> = (1..=3).map(|last| SmartHost::Address([192, 0, 2, last].into())).collect();
        let mut firsts = Vec::new();
        for number in 0..3 {
            let groups =
                groups(questions(&Zone("")), &Hosts::SmartHosts(list.clone()), &ourselves(), &mut |_| number)
                    .await;
            firsts.push(groups.expect("groups")[0].hosts[0].clone());
        }
        firsts.sort_by_key(ToString::to_string);
        firsts.dedup();
        assert_eq!(firsts.len(), 2, "which is first depends on the randomness");
    }

    #[test]
    fn a_thousand_records_are_a_few() {
        let records =
            (0..1000).map(|n| MxRecord { preference: n / 100, exchange: format!("m{n}.test") }).collect();
        let hosts: usize = by_preference(records, &mut |_| 0).iter().map(Vec::len).sum();
        assert_eq!(hosts, MAX_RECORDS);
    }
}
