//! Who is talking to us, as far as we know.

use std::net::SocketAddr;

use postroad_message::TlsFacts;

use crate::tls::PeerCertificate;

/// One connection's other end, and what it has proved so far.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// The receive connector that serves it.
    pub connector: String,
    /// The name that connector goes by (`Fqdn`); `None`: the server's.
    pub connector_fqdn: Option<String>,
    /// A number of its own for each session; logs show it as 16 hexadecimal digits.
    pub session: u64,
    /// Its address; an IPv4-mapped one is IPv4 here.
    pub peer: SocketAddr,
    /// Ours, at which it came.
    pub local: SocketAddr,
    /// The load balancer or front that says so of it: the connection's true peer, where that is another.
    pub through: Option<SocketAddr>,
    /// It speaks LMTP.
    pub lmtp: bool,
    /// What it said in EHLO or HELO: printable ASCII of a domain or address literal. `None` before that, or where EHLO was bare.
    pub hello_name: Option<String>,
    /// It said EHLO, not HELO.
    pub extended: bool,
    /// How the connection is protected.
    pub tls: Option<TlsFacts>,
    /// Its certificate, where one was asked for and is believed.
    pub certificate: Option<PeerCertificate>,
    /// Who logged on.
    pub user: Option<String>,
    /// Whether it may send to anywhere: by its address, or because somebody with that right logged on.
    pub may_relay: bool,
}

impl Client {
    /// A client of which nothing is known but where it is.
    pub fn new(connector: impl Into<String>, peer: SocketAddr, local: SocketAddr) -> Self {
        let unmapped = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Self {
            connector: connector.into(),
            connector_fqdn: None,
            session: 0,
            peer: unmapped(peer),
            local: unmapped(local),
            through: None,
            lmtp: false,
            hello_name: None,
            extended: false,
            tls: None,
            certificate: None,
            user: None,
            may_relay: false,
        }
    }

    /// RFC 5321 section 4.1.4, RFC 3207 section 4.2: what was said before TLS is forgotten.
    pub(crate) fn forget(&mut self) {
        self.hello_name = None;
        self.extended = false;
        self.user = None;
    }
}
