//! What a configuration names on the disk, read: the part of a start and of a reload that takes as long as a disk likes.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use postroad_connector::{Contradictions, RoutingTable};
use postroad_smtp_client::{self as smtp_client, BuildError};
use postroad_smtp_server::{CredentialsError, FileVerifier, ReceiveConnector, TlsMaterial, TlsMaterialError};
use postroad_transport::{
    AgentDeliver, Credentials, Delivers, DropDeliver, Lmtp, Logs, Pipe, Settings, SmtpDeliver, SystemWorld,
};

use crate::configuration::Configuration;
use crate::credential::Credential;

/// A configuration, and what came of reading every file that it names but for secrets, which are read when they are needed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened {
    /// What was written.
    pub configuration: Configuration,
    /// What the pipeline goes by.
    pub settings: Settings,
    /// Which connector takes whom.
    pub routing_table: RoutingTable,
    /// How mail leaves.
    pub delivers: Delivers,
    /// Each receive connector that is enabled, with its certificates.
    pub receive_connectors: Vec<(ReceiveConnector, TlsMaterial)>,
    /// Who may log in to these.
    pub verifier: FileVerifier,
}

/// Why a configuration in which nothing is wrong cannot be put in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The client by which mail leaves cannot be made: its trust anchors cannot be read, say.
    #[error("the SMTP client: {0}")]
    Client(#[source] BuildError),
    /// The connectors contradict each other; a configuration as it was parsed has none such.
    #[error(transparent)]
    Connectors(#[from] Contradictions),
    /// A certificate or a key is no good.
    #[error("receive connector {connector:?}: {error}")]
    Tls {
        /// Whose.
        connector: String,
        /// Why.
        #[source]
        error: TlsMaterialError,
    },
    /// A credentials file is no good.
    #[error(transparent)]
    Logons(#[from] CredentialsError),
    /// A directory of ours is not there and cannot be made.
    #[error("the directory {} cannot be made: {error}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
}

impl OpenError {
    /// Whether it is a fault of this machine, so that the same configuration may do later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Client(_) | Self::Directory { .. })
    }
}

impl Configuration {
    /// Reads each file that it names, and makes the directories that it watches. It blocks for as long as their disks do.
    ///
    /// # Errors
    ///
    /// The first that cannot be read, or is no good.
    pub fn open(self, logs: &Logs) -> Result<Opened, OpenError> {
        let settings = self.transport_settings();
        let delivers = self.delivers(&settings, logs).map_err(OpenError::Client)?;
        let enabled = || self.receive_connectors.iter().filter(|connector| connector.enabled);
        let with_tls = |connector: &ReceiveConnector| match TlsMaterial::of(connector) {
            Ok(tls) => Ok((connector.clone(), tls)),
            Err(error) => Err(OpenError::Tls { connector: connector.name.clone(), error }),
        };
        let receive_connectors = enabled().map(with_tls).collect::<Result<_, _>>()?;
        let verifier = FileVerifier::new(enabled())?;
        for (_, path) in self.directories().into_iter().filter(|(kind, _)| *kind != "Drop") {
            std::fs::create_dir_all(&path).map_err(|error| OpenError::Directory { path, error })?;
        }
        let routing_table = self.routing_table()?;
        Ok(Opened { settings, routing_table, delivers, receive_connectors, verifier, configuration: self })
    }

    /// How mail leaves: by SMTP, into Drop directories, and to delivery agents of the protocols `lmtp` and `pipe`.
    ///
    /// # Errors
    ///
    /// The client cannot be made; see [`BuildError`].
    pub fn delivers(&self, settings: &Settings, logs: &Logs) -> Result<Delivers, BuildError> {
        let client = self.client_builder().protocol_log(logs.send_protocol()).build()?;
        let smtp = SmtpDeliver::new(client, settings.names(), Logins(self.credentials.clone()));
        let domain = self.server.default_domain().clone();
        let lmtp = Lmtp::new(settings.names(), self.smtp_client, SystemWorld);
        let agent = AgentDeliver::new().register("lmtp", lmtp).register("pipe", Pipe::new(domain.clone()));
        Ok(Delivers::new(smtp, DropDeliver::new(self.drop_directories(), domain), agent))
    }
}

/// Reads secrets when they are needed, so that a changed file counts at once.
struct Logins(BTreeMap<String, Credential>);

impl Credentials for Logins {
    fn credential(&self, name: &str) -> Option<smtp_client::Credential> {
        match self.0.get(name)?.load() {
            Ok(credential) => Some(credential),
            Err(error) => {
                tracing::error!(%error, "mail for connectors with this credential waits");
                None
            }
        }
    }
}
