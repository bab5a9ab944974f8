//! Opens a connection to a host: to the first of its addresses that answers, within its time.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use postroad_message::{EnhancedStatus, Failure, Fault, Phase, Scope};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::proxy::{self, Hop};

/// How long one address is waited for before the next is tried beside it (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// How connections are opened.
#[derive(Clone)]
pub(crate) struct Way {
    /// The address they leave from.
    pub(crate) from: Option<IpAddr>,
    /// Proxies; empty: straight. The first that can be reached is asked.
    pub(crate) through: Vec<Hop>,
    /// For each address.
    pub(crate) within: Duration,
}

/// How a race of a host's addresses ended.
pub(crate) struct Raced {
    pub(crate) winner: Option<(SocketAddr, TcpStream)>,
    /// Those that were tried and failed. Those that were merely slower are not among them.
    pub(crate) failed: Vec<(SocketAddr, Unconnected)>,
}

/// Why there is no connection to an address.
#[derive(Debug)]
pub(crate) enum Unconnected {
    /// The address failed, or what a proxy that we reached says of it.
    Target(Failure),
    /// No proxy could be reached, which says nothing of the address.
    Proxy(Failure),
}

impl Unconnected {
    pub(crate) fn into_failure(self) -> Failure {
        match self {
            Self::Target(failure) | Self::Proxy(failure) => failure,
        }
    }
}

/// Connects to the first of these that answers: each has a head start before the next, and a failure is no reason to wait.
pub(crate) async fn race(addresses: Vec<SocketAddr>, way: &Way) -> Raced {
    let mut failed = Vec::new();
    if let [address] = addresses[..] {
        return match connect(address, way).await {
            Ok(stream) => Raced { winner: Some((address, stream)), failed },
            Err(failure) => Raced { winner: None, failed: vec![(address, failure)] },
        };
    }
    let mut waiting = addresses.into_iter();
    let mut under_way = JoinSet::new();
    loop {
        if let Some(address) = waiting.next() {
            let way = way.clone();
            under_way.spawn(async move { (address, connect(address, &way).await) });
        }
        let is_last = waiting.len() == 0;
        tokio::select! {
            ended = under_way.join_next() => match ended {
                Some(Ok((address, Ok(stream)))) => return Raced { winner: Some((address, stream)), failed },
                Some(Ok((address, Err(failure)))) => failed.push((address, failure)),
                Some(Err(_)) => {}
                None => return Raced { winner: None, failed },
            },
            () = tokio::time::sleep(HEAD_START), if !is_last => {}
        }
    }
}

/// The addresses of a host as they are raced: the families in turn, IPv6 first (RFC 8305 section 4); none that a connection
/// from our own address can't reach.
pub(crate) fn in_turns<T>(targets: Vec<T>, address: impl Fn(&T) -> IpAddr, from: Option<IpAddr>) -> Vec<T> {
    let reachable = |target: &T| from.is_none_or(|from| from.is_ipv6() == address(target).is_ipv6());
    let any_reachable = targets.iter().any(reachable);
    let usable = targets.into_iter().filter(|target| !any_reachable || reachable(target));
    let (six, four): (Vec<T>, Vec<T>) = usable.partition(|target| address(target).is_ipv6());
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    let mut mixed = Vec::new();
    loop {
        let before = mixed.len();
        mixed.extend(six.next());
        mixed.extend(four.next());
        if mixed.len() == before {
            return mixed;
        }
    }
}

/// A TCP connection that sends what it is given at once. A proxy that does not answer takes no more than its share of the
/// time, so that each of them has its turn.
async fn connect(to: SocketAddr, way: &Way) -> Result<TcpStream, Unconnected> {
    let began = tokio::time::Instant::now();
    let left = || way.within.saturating_sub(began.elapsed());
    if way.through.is_empty() {
        return open(to, way.from, left(), "no connection").await.map_err(Unconnected::Target);
    }
    let mut last = None;
    for (at, hop) in way.through.iter().enumerate() {
        let hops_left = u32::try_from(way.through.len() - at).unwrap_or(u32::MAX);
        match open(hop.address, way.from, left() / hops_left, "no connection to the front-end proxy").await {
            Ok(stream) => {
                let late =
                    |_| Err(unreached(Fault::Remote, "no connection through the front-end proxy in time"));
                let asked = tokio::time::timeout(left(), proxy::connect(stream, hop, to)).await;
                return asked.unwrap_or_else(late).map_err(Unconnected::Target);
            }
            Err(failure) => last = Some(failure),
        }
    }
    let none = || unreached(Fault::Configuration, "there is no front-end proxy");
    Err(Unconnected::Proxy(last.unwrap_or_else(none)))
}

async fn open(
    to: SocketAddr,
    from: Option<IpAddr>,
    within: Duration,
    otherwise: &str,
) -> Result<TcpStream, Failure> {
    match tokio::time::timeout(within, open_socket(to, from)).await {
        // With no address of ours to leave from it is a port that is missing.
        Ok(Err(error)) if from.is_none() && error.kind() == std::io::ErrorKind::AddrNotAvailable => {
            Err(unreached(Fault::Local, &format!("{otherwise}: {error}")))
        }
        Ok(opened) => opened.map_err(|error| failure(&error, otherwise)),
        Err(_) => Err(unreached(Fault::Remote, &format!("{otherwise} in time"))),
    }
}

async fn open_socket(to: SocketAddr, from: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let stream = socket.connect(to).await?;
    // Commands are small and awaited: waiting to fill a segment stalls each of them by the peer's delayed acknowledgement.
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub(crate) fn failure(error: &std::io::Error, what: &str) -> Failure {
    use std::io::ErrorKind;
    let fault = match error.kind() {
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::UnexpectedEof
        | ErrorKind::TimedOut => Fault::Remote,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Fault::Remote,
        // A source address that is none of ours.
        ErrorKind::AddrNotAvailable => Fault::Configuration,
        // Out of descriptors, memory or ports: nothing the other side could mend.
        _ => Fault::Local,
    };
    unreached(fault, &format!("{what}: {error}"))
}

pub(crate) fn unreached(fault: Fault, text: &str) -> Failure {
    Failure::new(EnhancedStatus::transient(4, 1), fault, Scope::NextHop, Phase::Connect, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_those_out_of_reach_stay_out() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let all = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.3", "2001:db8::2"].map(ip).to_vec();
        let turns = |from: Option<&str>| {
            let turns = in_turns(all.clone(), |address| *address, from.map(ip));
            turns.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(turns(None), ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.3"]);
        assert_eq!(turns(Some("192.0.2.9")), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        assert_eq!(in_turns(vec![ip("::1")], |address| *address, Some(ip("192.0.2.9"))), [ip("::1")]);
    }

    /// Whatever the system says when a connection is opened, the mail waits; and what this machine lacks is not the host's fault.
    #[test]
    fn no_error_of_the_system_is_for_good() {
        use postroad_message::StatusClass;
        for number in 0..200 {
            let failure = failure(&std::io::Error::from_raw_os_error(number), "no connection");
            assert_eq!(failure.status.class(), StatusClass::Transient, "{failure}");
            assert_eq!(failure.scope, Scope::NextHop, "{failure}");
        }
        for (name, number, fault) in [
            ("EPERM, a firewall of ours", 1, Fault::Local),
            ("ENOMEM", 12, Fault::Local),
            ("ENFILE", 23, Fault::Local),
            ("EMFILE", 24, Fault::Local),
            ("ENOBUFS", 105, Fault::Local),
            ("EADDRNOTAVAIL", 99, Fault::Configuration),
            ("ENETUNREACH", 101, Fault::Remote),
            ("ECONNRESET", 104, Fault::Remote),
            ("ETIMEDOUT", 110, Fault::Remote),
            ("ECONNREFUSED", 111, Fault::Remote),
            ("EHOSTUNREACH", 113, Fault::Remote),
        ] {
            assert_eq!(failure(&std::io::Error::from_raw_os_error(number), "").fault, fault, "{name}");
        }
    }

    /// An address of which no connection is ever accepted nor refused: its queue is full.
    async fn silent() -> (tokio::net::TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = open(address, None, Duration::from_millis(300), "full").await {
            waiting.push(stream);
        }
        (listener, waiting)
    }

    #[tokio::test]
    async fn a_proxy_that_is_silent_leaves_time_for_the_next() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (dead, _waiting) = silent().await;
        let alive = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hop = |listener: &tokio::net::TcpListener| Hop {
            address: listener.local_addr().unwrap(),
            credential: None,
        };
        let mut way =
            Way { from: None, through: vec![hop(&dead), hop(&alive)], within: Duration::from_secs(4) };
        tokio::spawn(async move {
            let (mut stream, _) = alive.accept().await.unwrap();
            stream.read_exact(&mut [0; 3]).await.unwrap();
            stream.write_all(&[5, 0]).await.unwrap();
            stream.read_exact(&mut [0; 10]).await.unwrap();
            stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        });
        let target = "192.0.2.1:25".parse().unwrap();
        connect(target, &way).await.expect("the second proxy has its turn");
        way.through.truncate(1);
        way.within = Duration::from_millis(300);
        let failed = connect(target, &way).await;
        assert!(matches!(failed, Err(Unconnected::Proxy(_))), "{failed:?}");
    }
}
