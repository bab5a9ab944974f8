//! What a server says it can do: the lines of its EHLO reply.

use crate::reply::Reply;
use crate::sasl::Mechanism;

/// The service extensions a server offers. Forgotten when TLS begins, and asked for again.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Capabilities {
    /// `PIPELINING` (RFC 2920)
    pub pipelining: bool,
    /// `SIZE` (RFC 1870)
    pub size: Option<SizeLimit>,
    /// `8BITMIME` (RFC 6152)
    pub eight_bit_mime: bool,
    /// `SMTPUTF8` (RFC 6531)
    pub smtputf8: bool,
    /// `DSN` (RFC 3461)
    pub dsn: bool,
    /// `STARTTLS` (RFC 3207)
    pub starttls: bool,
    /// `ENHANCEDSTATUSCODES` (RFC 2034)
    pub enhanced_status_codes: bool,
    /// `CHUNKING` (RFC 3030)
    pub chunking: bool,
    /// `BINARYMIME` (RFC 3030)
    pub binary_mime: bool,
    /// `REQUIRETLS` (RFC 8689)
    pub require_tls: bool,
    /// `DELIVERBY` (RFC 2852): the fewest seconds that it takes for a message to be returned; 0 where it names none.
    pub deliver_by: Option<u32>,
    /// `MT-PRIORITY` (RFC 6710)
    pub priority: bool,
    /// `AUTH` (RFC 4954): the mechanisms named, also those that we do not have; upper case.
    pub auth: Vec<String>,
    /// `LIMITS RCPTMAX=` (RFC 9422): recipients in one transaction.
    pub max_recipients: Option<usize>,
}

/// What `SIZE` promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeLimit {
    /// `SIZE` alone or `SIZE 0`: declared sizes are understood, none is known to be too large.
    Unknown,
    /// The largest message, in bytes.
    Bytes(u64),
}

impl Capabilities {
    /// `ehlo-ok-rsp = "250-" Domain [ SP ehlo-greet ] CRLF *( "250-" ehlo-line CRLF ) "250 " ehlo-line CRLF`
    /// (RFC 5321 section 4.1.1.1); its first line is the server's name and greeting.
    ///
    /// Keywords compare without case; unknown ones and broken parameters are passed over.
    pub fn from_ehlo(reply: &Reply) -> Self {
        let mut found = Self::default();
        for line in reply.lines().iter().skip(1) {
            found.add(line);
        }
        found
    }

    /// Whether `AUTH` names the mechanism.
    pub fn offers(&self, mechanism: Mechanism) -> bool {
        self.auth.iter().any(|name| name == mechanism.name())
    }

    fn add(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let Some(keyword) = words.next() else { return };
        match keyword.to_ascii_uppercase().as_str() {
            "PIPELINING" => self.pipelining = true,
            "SIZE" => self.size = Some(size_limit(words.next())),
            "8BITMIME" => self.eight_bit_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "DSN" => self.dsn = true,
            "STARTTLS" => self.starttls = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "CHUNKING" => self.chunking = true,
            "BINARYMIME" => self.binary_mime = true,
            "REQUIRETLS" => self.require_tls = true,
            "DELIVERBY" => self.deliver_by = Some(least_seconds(words.next())),
            "MT-PRIORITY" => self.priority = true,
            "AUTH" => self.add_mechanisms(words),
            "LIMITS" => self.max_recipients = words.find_map(recipient_limit),
            // The form from before RFC 2554, which old servers send beside the right one.
            other => {
                if let Some(first) = other.strip_prefix("AUTH=") {
                    self.add_mechanisms(std::iter::once(first).chain(words));
                }
            }
        }
    }

    fn add_mechanisms<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        for name in names.map(str::to_ascii_uppercase) {
            if !name.is_empty() && !self.auth.contains(&name) {
                self.auth.push(name);
            }
        }
    }
}

/// `size-param = [1*DIGIT]` (RFC 1870 section 3)
fn size_limit(word: Option<&str>) -> SizeLimit {
    match word.and_then(|digits| digits.parse().ok()) {
        None | Some(0) => SizeLimit::Unknown,
        Some(bytes) => SizeLimit::Bytes(bytes),
    }
}

/// `deliverby-param = min-by-time *( ',' extension-token )`, `min-by-time = [1*9DIGIT]` (RFC 2852 section 2)
fn least_seconds(word: Option<&str>) -> u32 {
    let first = word.and_then(|options| options.split(',').next()).unwrap_or_default();
    let is_time = first.len() <= 9 && first.bytes().all(|byte| byte.is_ascii_digit());
    if is_time { first.parse().unwrap_or(0) } else { 0 }
}

fn recipient_limit(word: &str) -> Option<usize> {
    let (name, value) = word.split_once('=')?;
    let limit = value.parse().ok()?;
    (name.eq_ignore_ascii_case("RCPTMAX") && limit > 0).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::ReplyReader;

    fn offered(text: &str) -> Capabilities {
        let reply =
            ReplyReader::default().read(text.as_bytes()).ok().and_then(|(_, reply)| reply).expect("a reply");
        Capabilities::from_ehlo(&reply)
    }

    #[test]
    fn reads_what_postfix_offers() {
        let found = offered(
            "250-mx.example.com\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-STARTTLS\r\n250-AUTH PLAIN LOGIN\r\n\
             250-AUTH=PLAIN LOGIN\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n",
        );
        assert!(found.pipelining && found.starttls && found.enhanced_status_codes && found.eight_bit_mime);
        assert!(found.dsn && found.smtputf8 && found.chunking && !found.binary_mime && !found.require_tls);
        assert_eq!(found.size, Some(SizeLimit::Bytes(10_240_000)));
        assert_eq!(found.auth, ["PLAIN", "LOGIN"]);
        assert!(found.offers(Mechanism::Plain) && found.offers(Mechanism::Login));
    }

    #[test]
    fn the_servers_own_name_is_no_keyword_and_case_does_not_matter() {
        let found = offered("250-STARTTLS\r\n250-size\r\n250 limits mailmax=5 rcptmax=100\r\n");
        assert!(!found.starttls);
        assert_eq!(found.size, Some(SizeLimit::Unknown));
        assert_eq!(found.max_recipients, Some(100));
    }

    #[test]
    fn a_deadline_may_have_a_least_and_a_priority_a_policy() {
        for (line, least) in [
            ("DELIVERBY", 0),
            ("DELIVERBY 240", 240),
            ("deliverby 240,later", 240),
            ("DELIVERBY ,later", 0),
            ("DELIVERBY -240", 0),
            ("DELIVERBY +240", 0),
            ("DELIVERBY 1234567890", 0),
        ] {
            assert_eq!(offered(&format!("250-x\r\n250 {line}\r\n")).deliver_by, Some(least), "{line}");
        }
        let found = offered("250-x\r\n250 MT-PRIORITY MIXER\r\n");
        assert!(found.priority && found.deliver_by.is_none());
    }

    #[test]
    fn broken_parameters_promise_nothing() {
        for line in ["SIZE", "SIZE 0", "SIZE -1", "SIZE ten", "SIZE 99999999999999999999"] {
            assert_eq!(offered(&format!("250-x\r\n250 {line}\r\n")).size, Some(SizeLimit::Unknown), "{line}");
        }
        assert!(offered("250-x\r\n250 AUTH\r\n").auth.is_empty());
    }
}
