//! From a configuration to a running relay: every part is made here once, and joined.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use postroad_configuration::{Configuration, Credential, QueueStore, TrustAnchors};
use postroad_connector::{Connector, RoutingTable};
use postroad_message_directory::DropDirectory;
use postroad_queue::SqliteStore;
use postroad_smtp_client::{self as smtp_client, SmtpClient};
use postroad_smtp_server::{FileVerifier, ReceiveConnector, Server, ServerSettings, TlsMaterial};
use postroad_transport::{
    Credentials, Delivers, DropDeliver, NobodyWatches, Observe, Pipeline, Settings, SmtpDeliver, SystemWorld,
    WatchedDirectory,
};
use tokio::sync::watch;

use crate::exit::Exit;

/// Everything of one relay, ready to run.
pub(crate) struct House {
    pipeline: Pipeline,
    server: Server,
    watched: Vec<WatchedDirectory>,
    /// Held as long as the relay runs: two of them on one queue would deliver twice.
    _lock: File,
}

/// Why a relay does not start: said to a person, with the exit code that fits.
pub(crate) struct Refused(Exit, String);

impl Refused {
    /// Says why, and gives the exit code.
    pub(crate) fn say(&self) -> Exit {
        eprintln!("relay: {}", self.1);
        self.0
    }
}

/// A fault of this machine, such as a port in use: the same start may succeed later.
fn machine(what: impl std::fmt::Display) -> impl FnOnce(&dyn std::fmt::Display) -> Refused {
    move |why| Refused(Exit::Temporary, format!("{what}: {why}"))
}

impl House {
    /// Makes every part: opens the queue, finds what an earlier run left in it, and binds the listeners.
    pub(crate) async fn open(
        configuration: &Configuration,
        observer: Arc<dyn Observe>,
    ) -> Result<Self, Refused> {
        let data = &configuration.server.data_directory;
        create(data)?;
        let lock = lock(&data.join("relay.lock"))?;
        let pipeline = pipeline(configuration, open_queue(configuration)?, observer)?;
        pipeline.recover().await.map_err(|error| machine("the queue")(&error))?;
        for directory in drop_directories(configuration).values() {
            // One that is missing has nothing left over; its mail waits and says why.
            let _ = directory.sweep();
        }
        let server = server(configuration, &pipeline).await?;
        let watched = watched(configuration)?;
        Ok(Self { pipeline, server, watched, _lock: lock })
    }

    /// Where it listens.
    pub(crate) fn listeners(&self) -> Vec<SocketAddr> {
        self.server.local_addrs()
    }

    /// The way into the pipeline.
    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Runs until `stop` says true, then finishes what is in flight: first no more comes in, then what is out comes home.
    pub(crate) async fn run(self, stop: watch::Receiver<bool>) {
        let doors = async {
            let mut directories = tokio::task::JoinSet::new();
            for directory in self.watched {
                directories.spawn(self.pipeline.clone().watch(directory, stopped(stop.clone())));
            }
            self.server.serve(stopped(stop.clone())).await;
            while let Some(ended) = directories.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a directory was no longer watched");
                }
            }
        };
        tokio::join!(doors, self.pipeline.run(stopped(stop.clone())));
    }
}

/// The table of a configuration; its contradictions were found when it was read.
pub(crate) fn routing_table(configuration: &Configuration) -> Result<RoutingTable, Exit> {
    configuration.routing_table().map_err(|contradictions| {
        for contradiction in contradictions {
            eprintln!("relay: {contradiction}");
        }
        Exit::Configuration
    })
}

/// The pipeline of a relay that runs elsewhere, or not now: for commands that put something into its queue.
pub(crate) fn pipeline_beside(configuration: &Configuration) -> Result<Pipeline, Refused> {
    create(&configuration.server.data_directory)?;
    pipeline(configuration, open_queue(configuration)?, Arc::new(NobodyWatches))
}

fn open_queue(configuration: &Configuration) -> Result<Arc<SqliteStore>, Refused> {
    let QueueStore::Sqlite(queue) = &configuration.queue else {
        return Err(Refused(Exit::Configuration, "only the embedded queue is available yet".to_owned()));
    };
    SqliteStore::open(queue).map(Arc::new).map_err(|error| machine(queue.display())(&error))
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // A sender that is gone means stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

fn create(directory: &Path) -> Result<(), Refused> {
    std::fs::create_dir_all(directory).map_err(|error| machine(directory.display())(&error))
}

fn lock(path: &Path) -> Result<File, Refused> {
    let file = File::create(path).map_err(|error| machine(path.display())(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(machine(path.display())(&"another relay runs on this data directory"))
        }
        Err(TryLockError::Error(error)) => Err(machine(path.display())(&error)),
    }
}

fn pipeline(
    configuration: &Configuration,
    store: Arc<SqliteStore>,
    observer: Arc<dyn Observe>,
) -> Result<Pipeline, Refused> {
    let Configuration { server, transport, .. } = configuration;
    let domain = server.default_domain().clone();
    let mut settings =
        Settings::new(&server.name, server.fqdn.clone(), domain.clone(), server.postmaster.clone());
    if !server.accepted_domains.is_empty() {
        settings.accepted_domains.clone_from(&server.accepted_domains);
    }
    settings.retry_schedule = transport.retry_schedule.clone();
    settings.timers = transport.timers;
    settings.concurrency = transport.concurrency;

    let logins = Logins(configuration.credentials.clone());
    let smtp = SmtpDeliver::new(client(configuration)?, settings.names(), logins);
    let drop = DropDeliver::new(drop_directories(configuration), domain, Arc::new(SystemWorld));
    let delivers = Delivers { smtp: Arc::new(smtp), drop: Arc::new(drop) };
    let table = routing_table(configuration).map_err(|exit| Refused(exit, "no routing table".to_owned()))?;
    Ok(Pipeline::new(settings, table, store, delivers, observer, Arc::new(SystemWorld)))
}

/// Reads passwords when they are needed, so that a changed file counts at once.
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

fn client(configuration: &Configuration) -> Result<SmtpClient, Refused> {
    let anchors = match &configuration.trust_anchors {
        TrustAnchors::File(file) => smtp_client::TrustAnchors::PemFile(file.clone()),
        _ => smtp_client::TrustAnchors::System,
    };
    let listeners =
        configuration.receive_connectors.iter().flat_map(|connector| connector.bindings.iter().copied());
    SmtpClient::builder()
        .name_servers(configuration.dns.servers.iter().copied())
        .allow_loopback_mx(configuration.dns.allow_loopback_mx)
        .own_listeners(listeners)
        .own_names([configuration.server.fqdn.to_string()])
        .timeouts(configuration.smtp_client)
        .trust_anchors(anchors)
        .build()
        .map_err(|error| machine("the SMTP client")(&error))
}

/// One directory for each foreign connector, by the connector's name.
fn drop_directories(configuration: &Configuration) -> BTreeMap<String, DropDirectory> {
    let foreign = configuration.connectors.iter().filter_map(|connector| match connector {
        Connector::Foreign(foreign) => Some(foreign),
        _ => None,
    });
    foreign
        .map(|connector| {
            let directory = DropDirectory::new(configuration.drop_directory(connector))
                .quota(connector.drop_directory_quota);
            (connector.name.clone(), directory)
        })
        .collect()
}

async fn server(configuration: &Configuration, pipeline: &Pipeline) -> Result<Server, Refused> {
    let mut connectors = Vec::new();
    for connector in configuration.receive_connectors.iter().filter(|connector| connector.enabled) {
        connectors.push((connector.clone(), tls(connector)?));
    }
    let names = &configuration.server;
    let settings =
        ServerSettings::new(names.fqdn.as_str(), names.accepted_domains.clone(), names.postmaster.clone());
    let enabled = configuration.receive_connectors.iter().filter(|connector| connector.enabled);
    let verifier =
        FileVerifier::new(enabled).map_err(|error| Refused(Exit::Configuration, error.to_string()))?;
    Server::bind(connectors, settings, Arc::new(pipeline.clone()), Arc::new(verifier))
        .await
        .map_err(|error| machine("the listeners")(&error))
}

fn tls(connector: &ReceiveConnector) -> Result<TlsMaterial, Refused> {
    match (&connector.tls_certificate, &connector.tls_key) {
        (Some(certificate), Some(key)) => TlsMaterial::from_pem_files(certificate, key).map_err(|error| {
            Refused(Exit::Configuration, format!("receive connector {:?}: {error}", connector.name))
        }),
        _ => Ok(TlsMaterial::none()),
    }
}

fn watched(configuration: &Configuration) -> Result<Vec<WatchedDirectory>, Refused> {
    let domain = configuration.server.default_domain();
    let mut watched = Vec::new();
    if let Some(pickup) = &configuration.pickup {
        create(&pickup.path)?;
        let directory = WatchedDirectory::pickup(&pickup.path, pickup.rules(domain));
        watched.push(directory.every(pickup.poll_interval).at_most(pickup.max_messages_per_minute));
    }
    if let Some(replay) = &configuration.replay {
        create(&replay.path)?;
        let directory = WatchedDirectory::replay(&replay.path, replay.rules(domain));
        watched.push(directory.every(replay.poll_interval).at_most(replay.max_messages_per_minute));
    }
    Ok(watched)
}
