//! The contract of a resolver: no data, no such name and no answer are three things.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

/// A future on the heap, so that a resolver can be chosen at run time.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A name service.
///
/// An implementation answers within a bound of its own, follows CNAMEs and caches as it likes. What it could not find
/// out is [`Answer::Failed`], never [`Answer::NoSuchName`]: mail to a name that does not exist fails for good.
pub trait Resolve: Send + Sync + 'static {
    /// The MX records of a domain, in any order.
    fn mx<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Answer<MxRecord>>;

    /// The addresses of a host, of both families.
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Answer<IpAddr>>;
}

/// One resolver for several clients.
impl<T: Resolve + ?Sized> Resolve for Arc<T> {
    fn mx<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Answer<MxRecord>> {
        (**self).mx(domain)
    }

    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Answer<IpAddr>> {
        (**self).addresses(host)
    }
}

/// What the name service says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer<T> {
    /// There are such records: at least one. None are taken for [`Answer::Failed`]. See [`Answer::records`].
    #[non_exhaustive]
    Records {
        /// The records.
        records: Vec<T>,
        /// Whether DNSSEC vouches for them.
        security: Security,
    },
    /// The name exists, and has no such record.
    NoData,
    /// The name does not exist (NXDOMAIN).
    NoSuchName,
    /// There is no usable answer now: SERVFAIL, no server reached, or DNSSEC proved the answer false. Why, for a person.
    Failed(String),
}

impl<T> Answer<T> {
    /// These records, at least one.
    pub const fn records(records: Vec<T>, security: Security) -> Self {
        Self::Records { records, security }
    }
}

/// What DNSSEC says of an answer. DANE will ask; nothing does yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Security {
    /// Signed, and the signatures hold.
    Secure,
    /// Not signed, or not checked.
    Insecure,
}

/// `preference exchange` (RFC 1035 section 3.3.9)
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MxRecord {
    /// Lower is better.
    pub preference: u16,
    /// The host, without its trailing dot; empty for the null MX (RFC 7505).
    pub exchange: String,
}

impl MxRecord {
    /// `10 mx.example.com`
    pub fn new(preference: u16, exchange: impl Into<String>) -> Self {
        Self { preference, exchange: exchange.into() }
    }
}
