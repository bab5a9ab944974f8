//! Why a handshake failed, in words for the person who has to mend the server or its certificate.

use std::fmt;
use std::io;

use postroad_message::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, OtherError, PeerIncompatible};

/// No name of the certificate is one label below the domain.
#[derive(Debug, thiserror::Error)]
#[error("the server's certificate is not for a name below {domain}: {}", Names(names))]
pub(crate) struct NoNameBelow {
    pub(crate) domain: String,
    pub(crate) names: Vec<String>,
}

/// What went wrong in a handshake: a sentence for every fault of a certificate, else what the library says.
pub(crate) fn explain(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(fault)) => certificate_fault(fault),
        Some(
            Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            )
            | Error::AlertReceived(AlertDescription::ProtocolVersion),
        ) => "the server speaks no TLS 1.2 and no TLS 1.3, and nothing older is spoken here".to_owned(),
        _ => error.to_string(),
    }
}

fn certificate_fault(fault: &CertificateError) -> String {
    use CertificateError as Fault;
    match fault {
        Fault::BadEncoding => "the server's certificate cannot be read".to_owned(),
        Fault::UnknownIssuer => {
            "the server's certificate was not issued by an authority that is trusted here; \
                                 trust_anchors says which are"
                .to_owned()
        }
        Fault::NotValidForNameContext { expected, presented } => format!(
            "the server's certificate is not for {}: {}",
            expected.to_str(),
            Names(&presented.iter().map(|name| bare(name)).collect::<Vec<_>>())
        ),
        Fault::ExpiredContext { not_after, .. } => {
            format!("the server's certificate has expired: it was valid until {}", moment(*not_after))
        }
        Fault::Expired => "the server's certificate has expired".to_owned(),
        Fault::NotValidYetContext { not_before, .. } => format!(
            "the server's certificate is not valid before {}; is the clock of this machine right?",
            moment(*not_before)
        ),
        Fault::NotValidYet => "the server's certificate is not valid yet".to_owned(),
        Fault::BadSignature => {
            "the server's certificate names an authority that is trusted here, but was not \
                                signed by its key"
                .to_owned()
        }
        Fault::Other(OtherError(other)) => match other.downcast_ref::<webpki::Error>() {
            Some(fault) => chain_fault(fault),
            None => other.to_string(),
        },
        other => format!("the server's certificate is not accepted: {other}"),
    }
}

fn chain_fault(fault: &webpki::Error) -> String {
    match fault {
        webpki::Error::CaUsedAsEndEntity => {
            "the server's certificate is an authority's own (CA:TRUE), which no server may show; make one \
             with basicConstraints CA:FALSE"
                .to_owned()
        }
        webpki::Error::EndEntityUsedAsCa => {
            "the server's certificate was issued by one that is no authority's (CA:FALSE)".to_owned()
        }
        webpki::Error::UnsupportedCertVersion => {
            "the server's certificate is not of version 3, which alone can carry subjectAltName".to_owned()
        }
        other => format!("the server's certificate is not accepted: {other}"),
    }
}

/// `DnsName("mx.example.com")` as the name alone.
fn bare(presented: &str) -> String {
    let inner = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(presented).trim_matches('"').to_owned()
}

fn moment(time: UnixTime) -> String {
    let millis = i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000);
    Timestamp::from_unix_millis(millis).to_rfc5322()
}

/// The names in a certificate, the first few of them.
struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        match self.0 {
            [] => write!(f, "it names no host in subjectAltName"),
            names => {
                let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
                let more = if names.len() > SHOWN { ", ..." } else { "" };
                write!(f, "it is for {}{more}", shown.join(", "))
            }
        }
    }
}
