//! From a configuration to a running relay: every part is made here once, and joined.

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postroad_configuration::{Configuration, OpenError, Opened, QueueStore};
use postroad_connector::RoutingTable;
use postroad_queue::SqliteStore;
use postroad_smtp_server::{BindError, FileVerifier, Listening, ReceiveConnector, Server, TlsMaterial};
use postroad_transport::{Doors, DropDeliver, Logs, Observe, Pipeline, WatchedDirectory};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::exit::Exit;

/// Everything of one relay, ready to run.
pub(crate) struct House {
    pipeline: Pipeline,
    server: Server,
    watched: Vec<WatchedDirectory>,
    listening: Listening,
    data_directory: PathBuf,
    logs: Logs,
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

    /// The same of a changed configuration, of which a running relay takes no harm.
    pub(crate) fn say_of_a_reload(&self) {
        self.say();
        tracing::error!("the new configuration does not start; the old one stays in force");
    }
}

/// A fault of this machine, such as a port in use: the same start may succeed later.
fn machine(what: impl std::fmt::Display) -> impl FnOnce(&dyn std::fmt::Display) -> Refused {
    move |why| Refused(Exit::Temporary, format!("{what}: {why}"))
}

/// A fault of the configuration, which the same start meets again.
fn wrong(why: impl std::fmt::Display) -> Refused {
    Refused(Exit::Configuration, why.to_string())
}

impl From<OpenError> for Refused {
    fn from(error: OpenError) -> Self {
        if error.is_transient() { Self(Exit::Temporary, error.to_string()) } else { wrong(error) }
    }
}

impl House {
    /// Makes every part: opens the queue, and binds the listeners. Whoever drops this is not kept by a file that hangs.
    pub(crate) async fn open(
        configuration: Configuration,
        observer: Option<Arc<dyn Observe>>,
    ) -> Result<Self, Refused> {
        let opened = beside(move || {
            let data = &configuration.server.data_directory;
            create(data)?;
            let lock = lock(&data.join("relay.lock"))?;
            configuration.drop_directories().values().for_each(DropDeliver::sweep);
            let store = open_queue(&configuration)?;
            let logs = Logs::open(configuration.server.fqdn.as_str(), &configuration.server.logs);
            Ok::<_, Refused>((lock, store, configuration.open(&logs)?, logs))
        });
        let (lock, store, opened, logs) = opened.await?;
        let Opened { configuration, settings, routing_table, delivers, receive_connectors, verifier, .. } =
            opened;
        let observer = observer.unwrap_or(logs.message_tracking());
        let pipeline =
            Pipeline::builder(settings, routing_table, store).delivers(delivers).observer(observer).build();
        let (served, earlier) = ((receive_connectors, verifier), Listening::default());
        let (server, listening) = server(&configuration, served, &pipeline, &earlier, &logs).await?;
        let watched = configuration.watched_directories();
        let data_directory = configuration.server.data_directory;
        Ok(Self { pipeline, server, watched, listening, data_directory, logs, _lock: lock })
    }

    /// Reads for this relay what a changed configuration names.
    pub(crate) fn reader(&self) -> impl Fn(Configuration) -> Result<Opened, Refused> + use<> {
        let (data_directory, logs) = (self.data_directory.clone(), self.logs.clone());
        move |changed| match changed.server.data_directory == data_directory {
            true => Ok(changed.open(&logs)?),
            false => Err(wrong("data_directory cannot change while the relay runs: restart it")),
        }
    }

    /// Where it listens.
    pub(crate) fn listeners(&self) -> Vec<SocketAddr> {
        self.server.local_addrs()
    }

    /// The way into the pipeline.
    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Takes up what an earlier run left, and greets meanwhile; then runs until nobody sends configurations any more, and
    /// finishes what is in flight: first no more comes in, then what is out comes home. A configuration that comes is put in
    /// force whole or not at all; sessions under the old one end as they began, and no client is refused meanwhile. Fails where
    /// a part of the relay broke off.
    pub(crate) async fn run(self, mut told: mpsc::Receiver<Opened>) -> Result<(), String> {
        let Self { pipeline, server, watched, mut listening, logs, _lock, .. } = self;
        let mut doors = Doors::open(&pipeline, server, watched);
        let (stop, mut stopped) = watch::channel(false);
        let end = async move { drop(stopped.wait_for(|stop| *stop).await) };
        let delivering = pipeline.clone();
        let mut delivering = tokio::spawn(async move { delivering.recover_and_run(end).await });
        let mut closing = JoinSet::new();
        loop {
            tokio::select! {
                told = told.recv() => match told {
                    None => break,
                    Some(changed) => match reload(changed, &pipeline, &listening, &logs).await {
                        Ok((next, sockets)) => {
                            listening = sockets;
                            let mut before = std::mem::replace(&mut doors, next);
                            before.close();
                            closing.spawn(async move { before.closed().await });
                            tracing::info!("configuration reloaded");
                        }
                        Err(refused) => refused.say_of_a_reload(),
                    },
                },
                ended = &mut delivering => return ended.map_err(broken),
                ended = doors.closed() => return ended.map_err(broken),
                Some(_) = closing.join_next() => {}
            }
        }
        drop(listening);
        doors.close();
        stop.send_replace(true);
        doors.closed().await.map_err(broken)?;
        while closing.join_next().await.is_some() {}
        delivering.await.map_err(broken)
    }
}

fn broken(why: impl std::fmt::Display) -> String {
    why.to_string()
}

/// On a thread of its own: a file on a share that hangs keeps that thread, and nothing else.
pub(crate) async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Puts a changed configuration in force: what can fail comes first, and leaves everything as it was.
async fn reload(
    opened: Opened,
    pipeline: &Pipeline,
    earlier: &Listening,
    logs: &Logs,
) -> Result<(Doors, Listening), Refused> {
    let Opened { configuration, settings, routing_table, delivers, receive_connectors, verifier, .. } =
        opened;
    let served = (receive_connectors, verifier);
    let (server, listening) = server(&configuration, served, pipeline, earlier, logs).await?;
    logs.configure(&configuration.server.logs);
    pipeline.put_in_force(settings, routing_table, delivers);
    Ok((Doors::open(pipeline, server, configuration.watched_directories()), listening))
}

/// The table of a configuration; its contradictions were found when it was read.
pub(crate) fn routing_table(configuration: &Configuration) -> Result<RoutingTable, Refused> {
    configuration.routing_table().map_err(wrong)
}

/// The pipeline of a relay that runs elsewhere, or not now: for commands that put something into its queue.
pub(crate) fn pipeline_beside(configuration: &Configuration) -> Result<Pipeline, Refused> {
    create(&configuration.server.data_directory)?;
    let logs = Logs::open(configuration.server.fqdn.as_str(), &configuration.server.logs);
    let settings = configuration.transport_settings();
    let delivers = configuration.delivers(&settings, &logs).map_err(OpenError::Client)?;
    let pipeline = Pipeline::builder(settings, routing_table(configuration)?, open_queue(configuration)?);
    Ok(pipeline.delivers(delivers).observer(logs.message_tracking()).build())
}

/// The same for commands that look after a queue that is there: they make none.
pub(crate) fn pipeline_of_queue(configuration: &Configuration) -> Result<Pipeline, Refused> {
    match &configuration.queue.store {
        QueueStore::Sqlite(queue) if !queue.exists() => {
            let text =
                format!("{}: there is no queue; --config or RELAY_CONFIG names another", queue.display());
            Err(Refused(Exit::Unavailable, text))
        }
        _ => pipeline_beside(configuration),
    }
}

fn open_queue(configuration: &Configuration) -> Result<Arc<SqliteStore>, Refused> {
    let QueueStore::Sqlite(queue) = &configuration.queue.store else {
        return Err(wrong("only the embedded queue is available yet"));
    };
    SqliteStore::open(queue).map(Arc::new).map_err(|error| machine(queue.display())(&error))
}

/// Makes a directory of ours.
pub(crate) fn create(directory: &Path) -> Result<(), Refused> {
    let what = format!("the directory {} cannot be made", directory.display());
    std::fs::create_dir_all(directory).map_err(|error| machine(what)(&error))
}

fn lock(path: &Path) -> Result<File, Refused> {
    let file = File::create(path).map_err(|error| machine(path.display())(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(error @ TryLockError::Error(_)) => Err(machine(path.display())(&error)),
        Err(TryLockError::WouldBlock) => {
            Err(machine(path.display())(&"another relay runs on this directory"))
        }
    }
}

async fn server(
    configuration: &Configuration,
    (connectors, verifier): (Vec<(ReceiveConnector, TlsMaterial)>, FileVerifier),
    pipeline: &Pipeline,
    earlier: &Listening,
    logs: &Logs,
) -> Result<(Server, Listening), Refused> {
    let mut settings = configuration.server_settings();
    settings.protocol_log = Some(logs.receive_protocol());
    let server =
        Server::succeed(earlier, connectors, settings, Arc::new(pipeline.clone()), Arc::new(verifier));
    let server = server.await.map_err(|error| match error {
        // Found when the configuration was read, and so by nobody here.
        BindError::Connectors(_) => wrong(error),
        _ => machine("the listeners")(&error),
    })?;
    let listening = server.listening().map_err(|error| machine("the listeners")(&error))?;
    Ok((server, listening))
}
