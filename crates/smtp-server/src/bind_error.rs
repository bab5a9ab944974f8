//! Why a server does not listen: connectors that cannot be kept as they are written, or a binding that cannot be had.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::contradiction::{Contradiction, validate_together};
use crate::parameters::TlsClientCertificates;
use crate::receive_connector::ReceiveConnector;
use crate::tls::TlsMaterial;

/// Why a server does not listen. Nothing is bound then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Whoever wrote the connectors mends them; the same ones are refused again. All that is wrong, at least one, printed one
    /// a line.
    #[error("{}", Lines(.0))]
    Connectors(Vec<ConnectorFault>),
    /// A fault of this machine, such as a port in use: the same connectors may be taken later.
    #[error("cannot listen on {binding}: {error}")]
    Listen {
        /// Where.
        binding: SocketAddr,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

/// Why a receive connector cannot be kept as it is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectorFault {
    /// Its parameters contradict each other, or another connector's.
    #[error("receive connector {connector:?}: {contradiction}")]
    Contradiction {
        /// Its name.
        connector: String,
        /// The rule.
        contradiction: Contradiction,
    },
    /// It asks for a part that is not built yet.
    #[error("receive connector {connector:?}: `{parameter}` is not available yet")]
    NotAvailableYet {
        /// Its name.
        connector: String,
        /// The parameter, by its name in relay.toml.
        parameter: &'static str,
    },
    /// It names a certificate, and came with [`TlsMaterial::none`].
    #[error("receive connector {connector:?}: `tls_certificate` was not read: `TlsMaterial::of` does")]
    CertificateNotRead {
        /// Its name.
        connector: String,
    },
}

struct Lines<'a>(&'a [ConnectorFault]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.0.iter().enumerate() {
            f.write_str(if number > 0 { "\n" } else { "" })?;
            fault.fmt(f)?;
        }
        Ok(())
    }
}

/// Whether all of them can be kept as they are written, together with what an embedder brings.
pub(crate) fn check(connectors: &[(ReceiveConnector, TlsMaterial)]) -> Result<(), BindError> {
    let alone = connectors.iter().flat_map(|(connector, tls)| faults(connector, tls));
    let together = validate_together(connectors.iter().map(|(connector, _)| connector));
    let together = together.into_iter().filter_map(|(index, contradiction)| {
        Some(ConnectorFault::Contradiction {
            connector: connectors.get(index)?.0.name.clone(),
            contradiction,
        })
    });
    let found: Vec<_> = alone.chain(together).collect();
    if found.is_empty() { Ok(()) } else { Err(BindError::Connectors(found)) }
}

fn faults(connector: &ReceiveConnector, tls: &TlsMaterial) -> Vec<ConnectorFault> {
    let name = || connector.name.clone();
    let contradicts = |contradiction| ConnectorFault::Contradiction { connector: name(), contradiction };
    let given = |contradiction: &Contradiction| match contradiction {
        // Who logs on is the embedder's to say; his certificate may stand in no file.
        Contradiction::NoCredentials => true,
        Contradiction::NoCertificate(parameter) => tls.is_some() && *parameter != "tls_certificate_name",
        Contradiction::NoClientAuthorities(_) => tls.judges_clients(),
        _ => false,
    };
    let mut found: Vec<_> =
        connector.validate().into_iter().filter(|broken| !given(broken)).map(contradicts).collect();
    let asks = connector.tls_client_certificates != TlsClientCertificates::None;
    if asks && connector.tls_client_ca_file.is_some() && tls.is_some() && !tls.judges_clients() {
        found.push(contradicts(Contradiction::NoClientAuthorities("tls_client_certificates")));
    }
    if connector.tls_certificate.is_some() && connector.tls_key.is_some() && !tls.is_some() {
        found.push(ConnectorFault::CertificateNotRead { connector: name() });
    }
    let missing = connector.not_available_yet().into_iter();
    found.extend(missing.map(|parameter| ConnectorFault::NotAvailableYet { connector: name(), parameter }));
    found
}
