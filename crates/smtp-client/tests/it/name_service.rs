//! hickory against a name server of a few lines: what is there, what is not, and what can't be found out.

use std::net::{IpAddr, SocketAddr};

use postroad_smtp_client::{Answer, HickoryResolver, MxRecord, Resolve, Security};
use tokio::net::UdpSocket;

const A: u16 = 1;
const CNAME: u16 = 5;
const MX: u16 = 15;
const AAAA: u16 = 28;

/// Answers by the first label of the name that is asked for.
async fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port on loopback");
    let address = socket.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            if let Some(answer) = answer(&buffer[..length]) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    address
}

/// `Header Question Answer` (RFC 1035 section 4.1), the name in each record a pointer to the question.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let end = 12 + query.get(12..)?.iter().position(|&byte| byte == 0)? + 5;
    let question = query.get(12..end)?;
    let kind = u16::from_be_bytes([*question.get(question.len() - 4)?, *question.get(question.len() - 3)?]);
    let label =
        std::str::from_utf8(question.get(1..1 + usize::from(*question.first()?))?).ok()?.to_ascii_lowercase();
    let mx = |preference: u16, host: &[u8]| [&preference.to_be_bytes()[..], host].concat();
    let (code, records): (u8, Vec<Vec<u8>>) = match (label.as_str(), kind) {
        ("good", MX) => (0, vec![mx(20, b"\x02m2\x04test\0"), mx(10, b"\x02m1\x04test\0")]),
        ("null", MX) => (0, vec![mx(0, b"\0")]),
        ("good" | "half", A) => (0, vec![vec![192, 0, 2, 1]]),
        ("good", AAAA) => (0, vec![[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].to_vec()]),
        ("nothere", _) => (3, vec![]),
        ("broken", _) | ("half" | "doubtful", AAAA) => (2, vec![]),
        _ => (0, vec![]),
    };
    // `loop` is its own alias; `c12` is that of `c11`, and so on down to `good`.
    let alias = match (label.as_str(), label.strip_prefix('c').and_then(|digits| digits.parse::<u8>().ok())) {
        ("loop", _) => Some("loop".to_owned()),
        (_, Some(1)) => Some("good".to_owned()),
        (_, Some(number)) => Some(format!("c{}", number - 1)),
        _ => None,
    };
    let (kind, records) = match alias {
        Some(name) => {
            let length = u8::try_from(name.len()).ok()?;
            (CNAME, vec![[&[length][..], name.as_bytes(), b"\x04test\0"].concat()])
        }
        None => (kind, records),
    };
    let mut answer = query.get(..2)?.to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1]);
    answer.extend(u16::try_from(records.len()).ok()?.to_be_bytes());
    answer.extend([0, 0, 0, 0]);
    answer.extend(question);
    for record in records {
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1, 0, 0, 0, 60]);
        answer.extend(u16::try_from(record.len()).ok()?.to_be_bytes());
        answer.extend(record);
    }
    Some(answer)
}

fn sorted<T: Ord>(answer: Answer<T>) -> Answer<T> {
    match answer {
        Answer::Records { mut records, security, .. } => {
            records.sort();
            Answer::records(records, security)
        }
        other => other,
    }
}

#[tokio::test]
async fn four_kinds_of_answers_are_told_apart() {
    let resolver = HickoryResolver::new(&[name_server().await]).expect("a resolver");
    let Answer::Records { mut records, security, .. } = resolver.mx("good.test").await else {
        panic!("no records")
    };
    records.sort_by_key(|record| record.preference);
    let record = |preference, host: &str| MxRecord::new(preference, host);
    assert_eq!((records, security), (vec![record(10, "m1.test"), record(20, "m2.test")], Security::Insecure));
    let Answer::Records { records, .. } = resolver.mx("null.test").await else { panic!("no records") };
    assert_eq!(records, [record(0, "")]);
    assert_eq!(resolver.mx("nothere.test").await, Answer::NoSuchName);
    assert_eq!(resolver.mx("other.test").await, Answer::NoData);
    assert!(matches!(resolver.mx("broken.test").await, Answer::Failed(_)));
    assert_eq!(resolver.mx("no name at all").await, Answer::NoSuchName);
}

#[tokio::test]
async fn an_address_is_missing_only_if_neither_family_failed() {
    let resolver = HickoryResolver::new(&[name_server().await]).expect("a resolver");
    let records = |texts: &[&str]| {
        let records: Vec<IpAddr> = texts.iter().map(|text| text.parse().expect("an address")).collect();
        Answer::records(records, Security::Insecure)
    };
    assert_eq!(sorted(resolver.addresses("good.test").await), records(&["192.0.2.1", "2001:db8::1"]));
    assert_eq!(resolver.addresses("half.test").await, records(&["192.0.2.1"]));
    assert_eq!(resolver.addresses("nothere.test").await, Answer::NoSuchName);
    assert_eq!(resolver.addresses("other.test").await, Answer::NoData);
    assert!(
        matches!(resolver.addresses("doubtful.test").await, Answer::Failed(_)),
        "no A, and AAAA can't be found out"
    );
    assert!(matches!(resolver.addresses("broken.test").await, Answer::Failed(_)));
}

#[tokio::test]
async fn aliases_are_followed_and_not_for_ever() {
    let resolver = HickoryResolver::new(&[name_server().await]).expect("a resolver");
    for alias in ["c1.test", "c3.test"] {
        let Answer::Records { records, .. } = resolver.mx(alias).await else {
            panic!("no records of {alias}")
        };
        assert_eq!(records.len(), 2, "{alias}");
        let Answer::Records { records, .. } = resolver.addresses(alias).await else {
            panic!("no address of {alias}")
        };
        assert_eq!(records.len(), 2, "{alias}");
    }
    for endless in ["loop.test", "c40.test"] {
        let (mx, addresses) = (resolver.mx(endless).await, resolver.addresses(endless).await);
        assert!(matches!(mx, Answer::Failed(_)), "{endless}: {mx:?}");
        assert!(matches!(addresses, Answer::Failed(_)), "{endless}: {addresses:?}");
    }
}

/// The clock stands still and leaps to the next time-out when there is nothing else to do.
#[tokio::test(start_paused = true)]
async fn nobody_there_is_a_failure() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("a port on loopback");
    let address = silent.local_addr().expect("an address");
    drop(silent);
    let resolver = HickoryResolver::new(&[address]).expect("a resolver");
    assert!(matches!(resolver.mx("good.test").await, Answer::Failed(_)));
}
