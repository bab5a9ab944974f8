//! A range of client addresses: one address, `first-last`, or CIDR; IPv4-mapped IPv6 is IPv4.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use postroad_address_space::Domain;

/// An inclusive range of addresses of one family.
///
/// Written as one address, as `first-last`, as CIDR (host bits are allowed, as in Exchange:
/// `192.168.1.1/24` is the whole network), or with a dotted mask (`10.0.0.0/255.0.0.0`, `10.0.0.0(255.0.0.0)`).
/// An IPv6 zone (`fe80::1%11`) is read and dropped. `::ffff:10.0.0.1` is `10.0.0.1`.
///
/// ```
/// use postroad_smtp_server::IpRange;
/// let range: IpRange = "192.168.1.1/24".parse()?;
/// assert!(range.contains("192.168.1.250".parse()?));
/// assert!(range.contains("::ffff:192.168.1.250".parse()?));
/// assert!(!range.contains("192.168.2.1".parse()?));
/// assert_eq!(range.to_string(), "192.168.1.0/24");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpRange {
    v6: bool,
    first: u128,
    last: u128,
}

/// Why a text is no range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidIpRange {
    /// It is no address, `first-last` of one family in rising order, or CIDR.
    #[error(
        "not an address range: expected an address, `first-last` in rising order or `address/prefix-length`"
    )]
    Malformed,
    /// It is a domain, which IIS looks the client's address up for.
    #[error(
        "not an address range but a name: whoever owns an address says what it is called, so write the addresses"
    )]
    Name,
}

impl IpRange {
    /// Every IPv4 address.
    pub const ALL_IPV4: Self = Self { v6: false, first: 0, last: u32::MAX as u128 };
    /// Every IPv6 address.
    pub const ALL_IPV6: Self = Self { v6: true, first: 0, last: u128::MAX };

    /// The range of one address.
    pub fn single(address: IpAddr) -> Self {
        let (v6, value) = key(address);
        Self { v6, first: value, last: value }
    }

    /// Whether the address is in the range; a range of one family holds no address of the other.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (v6, value) = key(address);
        v6 == self.v6 && (self.first..=self.last).contains(&value)
    }

    /// Number of addresses less one: smaller is more specific.
    pub fn span(&self) -> u128 {
        self.last - self.first
    }

    /// Whether the two have addresses in common and neither lies within the other.
    pub fn partly_overlaps(&self, other: &Self) -> bool {
        self.overlaps(other) && !self.covers(other) && !other.covers(self)
    }

    /// Whether every address of `other` is in this range.
    pub fn covers(&self, other: &Self) -> bool {
        self.v6 == other.v6 && self.first <= other.first && other.last <= self.last
    }

    /// Whether every address of `whole` is in one of the ranges, such as the two halves of a family.
    pub fn cover_together(ranges: &[Self], whole: &Self) -> bool {
        let mut sorted: Vec<&Self> = ranges.iter().filter(|range| range.v6 == whole.v6).collect();
        sorted.sort_by_key(|range| range.first);
        let mut next = whole.first;
        for range in sorted {
            if range.first > next {
                return false;
            }
            if range.last >= whole.last {
                return true;
            }
            next = next.max(range.last + 1);
        }
        false
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.v6 == other.v6 && self.first <= other.last && other.first <= self.last
    }

    fn bits(&self) -> u32 {
        if self.v6 { 128 } else { 32 }
    }
}

/// An IPv4-mapped IPv6 address as the IPv4 address it stands for; others unchanged.
pub fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn key(address: IpAddr) -> (bool, u128) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (false, u128::from(u32::from(v4))),
        IpAddr::V6(v6) => (true, u128::from(v6)),
    }
}

impl FromStr for IpRange {
    type Err = InvalidIpRange;

    fn from_str(text: &str) -> Result<Self, InvalidIpRange> {
        let text = text.trim();
        if is_name(text) {
            return Err(InvalidIpRange::Name);
        }
        if let Some((address, prefix)) = text.split_once('/') {
            return network(address, prefix);
        }
        if let Some((address, mask)) = text.split_once('(') {
            return network(address, mask.strip_suffix(')').ok_or(InvalidIpRange::Malformed)?);
        }
        if let Some((first, last)) = text.split_once('-') {
            let (v6, first) = key(address(first)?);
            let (last_v6, last) = key(address(last)?);
            return if v6 == last_v6 && first <= last {
                Ok(Self { v6, first, last })
            } else {
                Err(InvalidIpRange::Malformed)
            };
        }
        address(text).map(Self::single)
    }
}

/// `contoso.com`, `*.contoso.com`: an entry of IIS's Relay list by domain.
fn is_name(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    name.contains('.') && !name.split('.').any(number) && Domain::parse(name).is_ok()
}

fn address(text: &str) -> Result<IpAddr, InvalidIpRange> {
    let text = text.trim();
    let without_zone = match text.split_once('%') {
        Some((address, zone)) if !zone.is_empty() && address.contains(':') => address,
        Some(_) => return Err(InvalidIpRange::Malformed),
        None => text,
    };
    without_zone.parse().map_err(|_| InvalidIpRange::Malformed)
}

fn network(base: &str, prefix: &str) -> Result<IpRange, InvalidIpRange> {
    let written: IpAddr = address(base)?;
    let length = prefix_length(prefix.trim(), written)?;
    let (v6, value) = key(written);
    // `::ffff:10.0.0.0/104` is 10.0.0.0/8; a mapped network wider than the mapped block is not IPv4 at all.
    let (v6, value, length) = match (written, v6) {
        (IpAddr::V6(_), false) if length >= 96 => (false, value, length - 96),
        (IpAddr::V6(whole), false) => (true, u128::from(whole), length),
        _ => (v6, value, length),
    };
    let bits = if v6 { 128 } else { 32 };
    let host = low_bits(bits - length);
    Ok(IpRange { v6, first: value & !host, last: value | host })
}

fn prefix_length(text: &str, base: IpAddr) -> Result<u32, InvalidIpRange> {
    let bits = if base.is_ipv6() { 128 } else { 32 };
    if let (Ok(mask), true) = (text.parse::<Ipv4Addr>(), base.is_ipv4()) {
        let mask = u32::from(mask);
        return if mask.leading_ones() + mask.trailing_zeros() >= 32 {
            Ok(mask.leading_ones())
        } else {
            Err(InvalidIpRange::Malformed)
        };
    }
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidIpRange::Malformed);
    }
    text.parse().ok().filter(|length| *length <= bits).ok_or(InvalidIpRange::Malformed)
}

fn low_bits(count: u32) -> u128 {
    1u128.checked_shl(count).map_or(u128::MAX, |bit| bit - 1)
}

/// One address, CIDR where the range is a network, else `first-last`.
impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host_bits = 128 - self.span().leading_zeros();
        if self.span() == 0 {
            write!(f, "{}", self.shown(self.first))
        } else if self.span() == low_bits(host_bits) && self.first & self.span() == 0 {
            write!(f, "{}/{}", self.shown(self.first), self.bits() - host_bits)
        } else {
            write!(f, "{}-{}", self.shown(self.first), self.shown(self.last))
        }
    }
}

impl IpRange {
    fn shown(&self, value: u128) -> IpAddr {
        match u32::try_from(value) {
            Ok(value) if !self.v6 => IpAddr::V4(Ipv4Addr::from(value)),
            _ => IpAddr::V6(Ipv6Addr::from(value)),
        }
    }
}

impl fmt::Debug for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> IpRange {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn prints_what_it_read_in_the_shortest_form() {
        for (written, printed) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1/32", "127.0.0.1"),
            ("192.168.1.1/24", "192.168.1.0/24"),
            ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
            ("10.0.0.0(255.255.0.0)", "10.0.0.0/16"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("0.0.0.0-255.255.255.255", "0.0.0.0/0"),
            ("10.0.0.1 - 10.0.0.9", "10.0.0.1-10.0.0.9"),
            ("::/0", "::/0"),
            ("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0"),
            ("fe80::1%11", "fe80::1"),
            ("2001:db8::5/32", "2001:db8::/32"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0.0.0.0/96", "0.0.0.0/0"),
        ] {
            assert_eq!(range(written).to_string(), printed, "{written}");
            assert_eq!(range(printed), range(written), "{written}");
        }
    }

    #[test]
    fn a_domain_is_told_from_a_slip_of_the_pen() {
        for (text, wrong) in [
            ("contoso.com", InvalidIpRange::Name),
            ("*.contoso.com", InvalidIpRange::Name),
            ("10.0.0.x", InvalidIpRange::Malformed),
            ("10.0.0.256", InvalidIpRange::Malformed),
            ("*", InvalidIpRange::Malformed),
        ] {
            assert_eq!(text.parse::<IpRange>(), Err(wrong), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_range() {
        for text in [
            "",
            "a",
            "10.0.0.1/33",
            "10.0.0.1/",
            "10.0.0.1/-1",
            "10.0.0.1/+8",
            "10.0.0.9-10.0.0.1",
            "10.0.0.1-::1",
            "10.0.0.1/255.0.255.0",
            "10.0.0.1%1",
            "fe80::1%",
            "::/129",
            "10.0.0",
            "010.0.0.1",
            "10.0.0.0(255.0.0.0",
        ] {
            assert_eq!(text.parse::<IpRange>(), Err(InvalidIpRange::Malformed), "{text:?}");
        }
    }

    #[test]
    fn a_neighbour_of_a_listed_address_is_outside() {
        let listed = range("127.0.0.9");
        assert!(listed.contains(ip("127.0.0.9")) && listed.contains(ip("::ffff:127.0.0.9")));
        for neighbour in ["127.0.0.8", "127.0.0.10", "127.0.0.25", "127.0.0.90", "::1", "::7f00:9"] {
            assert!(!listed.contains(ip(neighbour)), "{neighbour}");
        }
        assert!(!IpRange::ALL_IPV4.contains(ip("::1")) && !IpRange::ALL_IPV6.contains(ip("10.0.0.1")));
        let ends = range("10.0.0.1-10.0.0.3");
        assert!(ends.contains(ip("10.0.0.1")) && ends.contains(ip("10.0.0.3")));
        assert!(!ends.contains(ip("10.0.0.0")) && !ends.contains(ip("10.0.0.4")));
    }

    #[test]
    fn halves_cover_the_whole_together() {
        for (ranges, covers) in [
            ("0.0.0.0/0", true),
            ("128.0.0.0/1 0.0.0.0/1", true),
            ("0.0.0.0/1 64.0.0.0/2 128.0.0.0-255.255.255.255", true),
            ("0.0.0.0/1 128.0.0.1-255.255.255.255", false),
            ("0.0.0.1-255.255.255.255", false),
            ("0.0.0.0-255.255.255.254 ::/0", false),
            ("", false),
        ] {
            let ranges: Vec<IpRange> = ranges.split_whitespace().map(range).collect();
            assert_eq!(IpRange::cover_together(&ranges, &IpRange::ALL_IPV4), covers, "{ranges:?}");
        }
        let halves = [range("::/1"), range("8000::/1")];
        assert!(IpRange::cover_together(&halves, &IpRange::ALL_IPV6));
    }

    #[test]
    fn nesting_is_no_partial_overlap() {
        let overlaps = |a: &str, b: &str| range(a).partly_overlaps(&range(b));
        assert!(overlaps("10.0.0.1-10.0.0.5", "10.0.0.5-10.0.0.9"));
        assert!(!overlaps("10.0.0.0/8", "10.1.0.0/16"));
        assert!(!overlaps("10.0.0.0/8", "10.0.0.0/8"));
        assert!(!overlaps("10.0.0.0/8", "11.0.0.0/8"));
        assert!(!overlaps("0.0.0.0/0", "::/0"));
    }
}
