//! The PROXY protocol, versions 1 and 2: what a load balancer says of the client before the client's own first byte.
//!
//! ```text
//! version-1 = "PROXY" SP ( ( "TCP4" / "TCP6" ) SP source SP destination SP port SP port / "UNKNOWN" *any ) CRLF   ; at most 107 bytes
//! version-2 = %x0D.0A.0D.0A.00.0D.0A.51.55.49.54.0A ( %x20 / %x21 ) family-and-transport length addresses *TLV    ; length: 2 bytes, big-endian
//! ```
//!
//! (`proxy-protocol.txt` of HAProxy, sections 2.1 and 2.2.) It is strict, for whoever says it is believed: one space, ports
//! without leading zeros, nothing after the last port. TLVs are passed over. Whom to believe is for the caller to know;
//! anybody else must not get here.
//!
//! ```
//! use postroad_smtp_protocol::proxy::Reader;
//! let mut reader = Reader::default();
//! let wire = b"PROXY TCP4 192.0.2.37 10.0.0.1 40000 25\r\nEHLO app01\r\n";
//! let (mut at, mut found) = (0, None);
//! while found.is_none() {
//!     let piece = &wire[at..at + reader.wants()]; // as a socket would give it
//!     found = reader.read(piece)?;
//!     at += piece.len();
//! }
//! let endpoints = found.and_then(|header| header.endpoints).expect("of a client");
//! assert_eq!(endpoints.source, "192.0.2.37:40000".parse().unwrap());
//! assert_eq!(&wire[at..], b"EHLO app01\r\n", "nothing of what follows was read");
//! # Ok::<(), postroad_smtp_protocol::proxy::ProxyError>(())
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// `None`: the connection is the proxy's own (`LOCAL`: it looks whether we live), or it does not know whose it is
    /// (`UNKNOWN`, `AF_UNSPEC`). The connection's true ends are all there is.
    pub endpoints: Option<Endpoints>,
}

/// The two ends of the connection that the proxy took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The client.
    pub source: SocketAddr,
    /// What the client had dialled.
    pub destination: SocketAddr,
}

/// Why this is no header. The connection must be closed: nobody can tell whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// Neither `PROXY ` nor the signature of version 2.
    #[error("there is no PROXY header")]
    Absent,
    /// It begins as one and is none.
    #[error("the PROXY header is malformed")]
    Malformed,
    /// Longer than 107 bytes (version 1) or [`Reader::LONGEST`] (version 2).
    #[error("the PROXY header is too long")]
    TooLong,
    /// Of something that no SMTP client connects by: datagrams, UNIX sockets.
    #[error("the PROXY header is not of a TCP connection")]
    Transport,
}

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const WORD: &[u8] = b"PROXY ";
/// `PROXY UNKNOWN\r\n`; version 2 has more.
const SHORTEST: usize = 15;
const LONGEST_LINE: usize = 107;
const FIXED: usize = 16;

/// Takes the header as it comes, and not a byte of what follows it.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    /// Bytes of a version 2 header, its TLVs (certificates, names) included.
    pub const LONGEST: usize = 4096;

    /// How many bytes may be read next: those surely belong to the header. At least one.
    pub fn wants(&self) -> usize {
        let held = self.bytes.len();
        let wanted = match self.bytes.first() {
            Some(b'\r') if held >= FIXED => FIXED + self.announced(),
            Some(b'\r') => FIXED,
            _ if held < SHORTEST => SHORTEST,
            // Before the CR there are always two more to come.
            _ => held + if self.bytes.last() == Some(&b'\r') { 1 } else { 2 },
        };
        wanted.saturating_sub(held).max(1)
    }

    /// Takes what came: at most as much as was [wanted](Self::wants). `None`: more must come.
    ///
    /// # Errors
    /// What is no PROXY header: the connection is of no use.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Option<Header>, ProxyError> {
        self.bytes.extend_from_slice(bytes);
        let held = self.bytes.as_slice();
        let begins = |with: &[u8]| {
            let common = held.len().min(with.len());
            held.get(..common) == with.get(..common)
        };
        if begins(SIGNATURE) {
            return self.second();
        }
        if !begins(WORD) {
            return Err(ProxyError::Absent);
        }
        match memchr::memmem::find(held, b"\r\n") {
            Some(end) if end + 2 > LONGEST_LINE => Err(ProxyError::TooLong),
            // What follows within the first bytes follows a line that is too short to be one.
            Some(end) => first(held.get(..end).unwrap_or_default()).map(Some),
            None if held.len() >= LONGEST_LINE => Err(ProxyError::TooLong),
            None => Ok(None),
        }
    }

    /// The length that a version 2 header has after its fixed part.
    fn announced(&self) -> usize {
        let byte = |at: usize| self.bytes.get(at).copied().map_or(0, usize::from);
        byte(14) << 8 | byte(15)
    }

    fn second(&self) -> Result<Option<Header>, ProxyError> {
        let Some((fixed, rest)) = self.bytes.split_first_chunk::<FIXED>() else { return Ok(None) };
        let [.., command, family, _, _] = *fixed;
        let length = self.announced();
        if FIXED + length > Self::LONGEST {
            return Err(ProxyError::TooLong);
        }
        if rest.len() < length {
            return Ok(None);
        }
        if rest.len() > length {
            return Err(ProxyError::Malformed);
        }
        let endpoints = match (command, family) {
            (0x20, _) | (0x21, 0x00) => None,
            (0x21, 0x11) => Some(addresses::<4, 12>(rest, |octets| Ipv4Addr::from(octets).into())?),
            (0x21, 0x21) => Some(addresses::<16, 36>(rest, |octets| Ipv6Addr::from(octets).into())?),
            (0x21, 0x12 | 0x22 | 0x31 | 0x32) => return Err(ProxyError::Transport),
            _ => return Err(ProxyError::Malformed),
        };
        Ok(Some(Header { endpoints }))
    }
}

/// Two addresses and two ports, the beginning of `rest`.
fn addresses<const ADDRESS: usize, const ALL: usize>(
    rest: &[u8],
    ip: impl Fn([u8; ADDRESS]) -> IpAddr,
) -> Result<Endpoints, ProxyError> {
    let block = rest.first_chunk::<ALL>().ok_or(ProxyError::Malformed)?;
    let address = |at: usize| block.get(at..).and_then(<[u8]>::first_chunk::<ADDRESS>).copied().map(&ip);
    let port =
        |at: usize| block.get(at..).and_then(<[u8]>::first_chunk::<2>).copied().map(u16::from_be_bytes);
    match (address(0), address(ADDRESS), port(2 * ADDRESS), port(2 * ADDRESS + 2)) {
        (Some(source), Some(destination), Some(from), Some(to)) => Ok(Endpoints {
            source: SocketAddr::new(source, from),
            destination: SocketAddr::new(destination, to),
        }),
        _ => Err(ProxyError::Malformed),
    }
}

/// The line of version 1, without its CRLF.
fn first(line: &[u8]) -> Result<Header, ProxyError> {
    let text = std::str::from_utf8(line).map_err(|_| ProxyError::Malformed)?;
    let words: Vec<&str> = text.split(' ').collect();
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Ok(Header { endpoints: None }),
        ["PROXY", "TCP4", from, to, from_port, to_port] => ends::<Ipv4Addr>([from, to], [from_port, to_port]),
        ["PROXY", "TCP6", from, to, from_port, to_port] => ends::<Ipv6Addr>([from, to], [from_port, to_port]),
        _ => Err(ProxyError::Malformed),
    }
}

fn ends<A: FromStr + Into<IpAddr>>(addresses: [&str; 2], ports: [&str; 2]) -> Result<Header, ProxyError> {
    let address = |text: &str| text.parse::<A>().map(Into::into).map_err(|_| ProxyError::Malformed);
    let [source, destination] = addresses.map(address);
    let [from, to] = ports.map(port);
    let source = SocketAddr::new(source?, from?);
    Ok(Header { endpoints: Some(Endpoints { source, destination: SocketAddr::new(destination?, to?) }) })
}

/// 0 to 65535, without sign or leading zero.
fn port(digits: &str) -> Result<u16, ProxyError> {
    let plain =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|_| plain).ok_or(ProxyError::Malformed)
}

impl Header {
    /// Writes version 1. Ends of different families become `UNKNOWN`.
    pub fn write_v1(&self, wire: &mut Vec<u8>) {
        let line = match self.endpoints {
            Some(Endpoints { source, destination }) if source.is_ipv4() == destination.is_ipv4() => {
                let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
                let (from, to) = (source.ip(), destination.ip());
                format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port())
            }
            _ => "PROXY UNKNOWN\r\n".to_owned(),
        };
        wire.extend_from_slice(line.as_bytes());
    }

    /// Writes version 2. `None`, and ends of different families, become `LOCAL`.
    pub fn write_v2(&self, wire: &mut Vec<u8>) {
        wire.extend_from_slice(SIGNATURE);
        let ports = |ends: &Endpoints| {
            [ends.source.port().to_be_bytes(), ends.destination.port().to_be_bytes()].concat()
        };
        match self.endpoints.as_ref().map(|ends| (ends.source.ip(), ends.destination.ip(), ports(ends))) {
            Some((IpAddr::V4(from), IpAddr::V4(to), ports)) => {
                wire.extend_from_slice(&[0x21, 0x11, 0, 12]);
                wire.extend_from_slice(&[from.octets(), to.octets()].concat());
                wire.extend_from_slice(&ports);
            }
            Some((IpAddr::V6(from), IpAddr::V6(to), ports)) => {
                wire.extend_from_slice(&[0x21, 0x21, 0, 36]);
                wire.extend_from_slice(&[from.octets(), to.octets()].concat());
                wire.extend_from_slice(&ports);
            }
            _ => wire.extend_from_slice(&[0x20, 0x00, 0, 0]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads as a socket would be read, at most `cut` bytes at a time; what was taken, and what was found.
    fn read(wire: &[u8], cut: usize) -> (usize, Result<Option<Header>, ProxyError>) {
        let mut reader = Reader::default();
        let mut at = 0;
        while at < wire.len() {
            let count = reader.wants().min(cut).min(wire.len() - at);
            let found = reader.read(&wire[at..at + count]);
            at += count;
            if !matches!(found, Ok(None)) {
                return (at, found);
            }
        }
        (at, Ok(None))
    }

    fn found(wire: &[u8]) -> Result<Option<Header>, ProxyError> {
        let whole = read(wire, usize::MAX).1;
        for cut in [1, 2, 3, 7] {
            assert_eq!(read(wire, cut).1, whole, "{wire:?} cut by {cut}");
        }
        whole
    }

    fn ends(source: &str, destination: &str) -> Result<Option<Header>, ProxyError> {
        let endpoints =
            Endpoints { source: source.parse().unwrap(), destination: destination.parse().unwrap() };
        Ok(Some(Header { endpoints: Some(endpoints) }))
    }

    const NOBODY: Result<Option<Header>, ProxyError> = Ok(Some(Header { endpoints: None }));

    #[test]
    fn reads_version_1() {
        for (line, header) in [
            ("PROXY TCP4 192.0.2.1 10.0.0.1 40000 25\r\n", ends("192.0.2.1:40000", "10.0.0.1:25")),
            ("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", ends("[2001:db8::1]:0", "[::1]:65535")),
            ("PROXY UNKNOWN\r\n", NOBODY),
            ("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", NOBODY),
        ] {
            assert_eq!(found(line.as_bytes()), header, "{line}");
        }
    }

    #[test]
    fn refuses_what_is_nearly_version_1() {
        use ProxyError::{Absent, Malformed, TooLong};
        for (line, error) in [
            ("EHLO a\r\n", Absent),
            ("proxy TCP4 192.0.2.1 10.0.0.1 40000 25\r\n", Absent),
            ("PROXYTCP4 192.0.2.1 10.0.0.1 40000 25\r\n", Absent),
            (" PROXY TCP4 192.0.2.1 10.0.0.1 40000 25\r\n", Absent),
            ("PROXY TCP5 192.0.2.1 10.0.0.1 40000 25\r\n", Malformed),
            ("PROXY  TCP4 192.0.2.1 10.0.0.1 40000 25\r\n", Malformed),
            ("PROXY TCP4 192.0.2.1 10.0.0.1 40000 25 \r\n", Malformed),
            ("PROXY TCP4 192.0.2.1 10.0.0.1 40000 025\r\n", Malformed),
            ("PROXY TCP4 192.0.2.1 10.0.0.1 40000 +25\r\n", Malformed),
            ("PROXY TCP4 192.0.2.1 10.0.0.1 40000 65536\r\n", Malformed),
            ("PROXY TCP4 192.0.2.1 10.0.0.1 40000\r\n", Malformed),
            ("PROXY TCP4 192.0.2.256 10.0.0.1 40000 25\r\n", Malformed),
            ("PROXY TCP4 192.0.2.010 10.0.0.1 40000 25\r\n", Malformed),
            ("PROXY TCP4 ::1 ::1 40000 25\r\n", Malformed),
            ("PROXY TCP6 fe80::1%1 ::1 40000 25\r\n", Malformed),
            ("PROXY TCP4\r\nabcde\r\n", Malformed),
        ] {
            let found = found(line.as_bytes());
            assert_eq!(found, Err(error), "{line:?}");
        }
        let endless = format!("PROXY UNKNOWN {}\r\n", "x".repeat(200));
        assert_eq!(found(endless.as_bytes()), Err(TooLong));
        assert_eq!(found(b"PROXY TCP4 192.0.2.1 10.0.0.1 40000 25\n"), Ok(None), "a bare LF ends nothing");
    }

    #[test]
    fn reads_version_2_and_passes_over_what_it_adds() {
        let with = |rest: &[u8]| [SIGNATURE.as_slice(), rest].concat();
        let ipv4 = b"\x21\x11\x00\x0c\xc0\x00\x02\x01\x0a\x00\x00\x01\x9c\x40\x00\x19";
        assert_eq!(found(&with(ipv4)), ends("192.0.2.1:40000", "10.0.0.1:25"));
        let mut tlv = ipv4.to_vec();
        tlv[3] = 19;
        tlv.extend(b"\x02\x00\x04host");
        assert_eq!(found(&with(&tlv)), ends("192.0.2.1:40000", "10.0.0.1:25"));
        assert_eq!(found(&with(b"\x20\x00\x00\x00")), NOBODY);
        assert_eq!(found(&with(b"\x20\x11\x00\x02xx")), NOBODY);
        assert_eq!(found(&with(b"\x21\x00\x00\x03abc")), NOBODY);
        for (rest, error) in [
            (&b"\x11\x11\x00\x00"[..], ProxyError::Malformed),
            (b"\x22\x11\x00\x00", ProxyError::Malformed),
            (b"\x21\x11\x00\x0b\xc0\x00\x02\x01\x0a\x00\x00\x01\x9c\x40\x00", ProxyError::Malformed),
            (b"\x21\x41\x00\x00", ProxyError::Malformed),
            (b"\x21\x12\x00\x00", ProxyError::Transport),
            (b"\x21\x31\x00\x00", ProxyError::Transport),
            (b"\x21\x11\xff\xff", ProxyError::TooLong),
        ] {
            assert_eq!(found(&with(rest)), Err(error), "{rest:?}");
        }
        assert_eq!(found(b"\r\n\r\n\0\r\nQUIX\n\x21\x11\x00\x00"), Err(ProxyError::Absent));
        assert_eq!(found(&with(b"\x21\x11\x00")), Ok(None));
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_nothing_after_it(
            (from, to) in (address(), address()), ports in any::<[u16; 2]>(), after in "[A-Z\r\n]{0,20}", cut in 1usize..20,
        ) {
            let endpoints = Endpoints { source: (from, ports[0]).into(), destination: (to, ports[1]).into() };
            let header = Header { endpoints: Some(endpoints).filter(|_| from.is_ipv4() == to.is_ipv4()) };
            for write in [Header::write_v1, Header::write_v2] {
                let mut wire = Vec::new();
                write(&header, &mut wire);
                let length = wire.len();
                wire.extend_from_slice(after.as_bytes());
                prop_assert_eq!(read(&wire, cut), (length, Ok(Some(header))));
            }
        }

        #[test]
        fn garbage_is_refused_the_same_however_it_is_cut(
            wire in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'P'), any::<u8>()], 0..40),
            head in prop_oneof![Just(&b""[..]), Just(&b"PROXY "[..]), Just(&SIGNATURE[..])], cut in 1usize..9,
        ) {
            let wire = [head, &wire].concat();
            let (_, whole) = read(&wire, usize::MAX);
            let (_, pieces) = read(&wire, cut);
            prop_assert_eq!(whole, pieces);
        }
    }
}
