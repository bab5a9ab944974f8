//! The listeners: binds, accepts, admits, and stops within a bound.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::admission::{Admission, Admitted, ConnectionRate, OnceAMinute};
use crate::bind_error::{self, BindError};
use crate::client::Client;
use crate::connection;
use crate::counts::{ConnectorCounts, Counts};
use crate::front;
use crate::listening::Listening;
use crate::receive_connector::ReceiveConnector;
use crate::server_settings::ServerSettings;
use crate::service::Service;
use crate::submit::Submit;
use crate::tls::TlsMaterial;
use crate::tls::watch::keep_current;
use crate::verify::Verify;

/// Receive connectors, bound and ready to serve.
pub struct Server {
    listeners: Vec<Listener>,
    /// Certificates whose files are looked at while it serves.
    watched: Vec<TlsMaterial>,
    settings: Arc<ServerSettings>,
    counts: Counts,
}

/// One binding and the connectors behind it.
struct Listener {
    binding: SocketAddr,
    socket: TcpListener,
    door: Arc<Door>,
}

/// What all connections of one binding go by.
struct Door {
    /// They begin with TLS.
    implicit_tls: bool,
    receptions: Vec<Arc<Reception>>,
    settings: Arc<ServerSettings>,
    rate: Arc<ConnectionRate>,
}

/// One receive connector at work.
struct Reception {
    service: Service,
    admission: Arc<Admission>,
}

/// Where it listens.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("bindings", &self.local_addrs()).finish_non_exhaustive()
    }
}

impl Server {
    /// Binds every enabled connector; connectors of one binding share a listener.
    ///
    /// Connections are taken by the system from here on, and served by [`serve`](Self::serve). Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Enabled connectors that contradict themselves or each other, ask for what is not available yet, or name a certificate
    /// that was not read; a binding that cannot be had. A certificate that was given stands for the files that
    /// [`validate`](ReceiveConnector::validate) misses, and `verify` for a credentials file.
    pub async fn bind(
        connectors: Vec<(ReceiveConnector, TlsMaterial)>,
        settings: ServerSettings,
        submit: Arc<dyn Submit>,
        verify: Arc<dyn Verify>,
    ) -> Result<Self, BindError> {
        Self::succeed(&Listening::default(), connectors, settings, submit, verify).await
    }

    /// As [`bind`](Self::bind), but a binding that an earlier server has keeps its socket: for a changed configuration. What the
    /// earlier one still serves counts against the limits of this one.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind). The earlier server goes on as it was then.
    pub async fn succeed(
        earlier: &Listening,
        connectors: Vec<(ReceiveConnector, TlsMaterial)>,
        settings: ServerSettings,
        submit: Arc<dyn Submit>,
        verify: Arc<dyn Verify>,
    ) -> Result<Self, BindError> {
        let connectors: Vec<_> = connectors.into_iter().filter(|(connector, _)| connector.enabled).collect();
        bind_error::check(&connectors)?;
        let settings = Arc::new(settings);
        let mut counts = earlier.counts.succeeded();
        let mut doors: Vec<(SocketAddr, Door)> = Vec::new();
        let mut watched = Vec::new();
        for (connector, tls) in connectors {
            let plain = connector.bindings.iter().map(|binding| (*binding, false));
            let implicit = connector.implicit_tls_bindings.iter().map(|binding| (*binding, true));
            let bindings: Vec<_> = plain.chain(implicit).collect();
            watched.push(tls.clone());
            let ConnectorCounts { admission, messages } = counts.of(&connector.name, &earlier.counts);
            let service = Service {
                connector,
                tls,
                settings: Arc::clone(&settings),
                submit: Arc::clone(&submit),
                verify: Arc::clone(&verify),
                rate: messages,
                memory: Arc::clone(&counts.memory),
                unfinished: Arc::clone(&counts.unfinished),
            };
            let reception = Arc::new(Reception { service, admission });
            for (binding, implicit_tls) in bindings {
                let reception = Arc::clone(&reception);
                match doors
                    .iter_mut()
                    .find(|(bound, door)| *bound == binding && door.implicit_tls == implicit_tls)
                {
                    Some((_, door)) => door.receptions.push(reception),
                    None => {
                        let (settings, rate) = (Arc::clone(&settings), Arc::clone(&counts.connections));
                        let receptions = vec![reception];
                        doors.push((binding, Door { implicit_tls, receptions, settings, rate }));
                    }
                }
            }
        }
        let mut listeners = Vec::new();
        for (binding, door) in doors {
            let socket = earlier.take_over(binding).map_err(|error| BindError::Listen { binding, error })?;
            listeners.push(Listener { binding, socket, door: Arc::new(door) });
        }
        Ok(Self { listeners, watched, settings, counts })
    }

    /// Where it listens, in the order of the bindings; port 0 is answered by the port that was given.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.socket.local_addr().ok()).collect()
    }

    /// Its sockets, for a server that shall [`succeed`](Self::succeed) it. They listen until both are dropped.
    ///
    /// # Errors
    ///
    /// The system has no descriptors for them.
    #[cfg(unix)]
    pub fn listening(&self) -> io::Result<Listening> {
        use std::os::fd::AsFd;
        let duplicate = |listener: &Listener| {
            let socket = listener.socket.as_fd().try_clone_to_owned()?;
            Ok((listener.binding, std::net::TcpListener::from(socket)))
        };
        let sockets = self.listeners.iter().map(duplicate).collect::<io::Result<_>>()?;
        Ok(Listening { sockets, counts: self.counts.clone() })
    }

    /// Serves until `shutdown` ends. Then nobody new is taken, idle sessions are told 421, and those with a message under way
    /// have `shutdown_grace` to finish.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(false);
        let mut accepting = JoinSet::new();
        for tls in self.watched {
            accepting.spawn(keep_current(tls, stopped.clone()));
        }
        for Listener { socket, door, .. } in self.listeners {
            accepting.spawn(accept(socket, door, stopped.clone()));
        }
        shutdown.await;
        let _ = stop.send(true);
        let everything = async { while accepting.join_next().await.is_some() {} };
        if tokio::time::timeout(self.settings.shutdown_grace, everything).await.is_err() {
            tracing::warn!("sessions were still under way when the server had to stop");
        }
        // Dropping the set ends what is left, with the sessions in it.
    }
}

/// Accepts until told to stop, then waits for its sessions. No error of `accept` ends it: running out of descriptors is passing.
async fn accept(listener: TcpListener, door: Arc<Door>, stopped: watch::Receiver<bool>) {
    let mut sessions = JoinSet::new();
    let mut stop = stopped.clone();
    let mut told = OnceAMinute::default();
    loop {
        tokio::select! {
            () = connection::told_to_stop(&mut stop) => break,
            Some(ended) = sessions.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a session broke off");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    match door.admit(peer.ip()) {
                        Ok((reception, admitted)) => {
                            let implicit_tls = door.implicit_tls;
                            sessions.spawn(session(reception, admitted, implicit_tls, stream, peer, stopped.clone()));
                        }
                        Err(line) => turn_away(&stream, door.implicit_tls, line),
                    }
                }
                Err(error) => {
                    if told.is_due() {
                        tracing::error!(%error, "a connection could not be accepted");
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    while sessions.join_next().await.is_some() {}
}

const TOO_MANY: &str = "421 4.3.2 Too many connections, try again later\r\n";

impl Door {
    /// The connector whose remote range holds the client most closely, if it has room.
    fn admit(&self, peer: IpAddr) -> Result<(Arc<Reception>, Admitted), &'static str> {
        let closest = self
            .receptions
            .iter()
            .filter_map(|reception| Some((reception.service.connector.remote_span(peer)?, reception)))
            .min_by_key(|(span, _)| *span);
        let Some((_, reception)) = closest else { return Err("554 5.7.1 Access denied\r\n") };
        let connector = &reception.service.connector;
        // A load balancer or a front is many sources: each is counted when it has been named.
        let speaks_for_others = connector.awaits_proxy_header(peer) || connector.takes_xclient(peer);
        let source = (!speaks_for_others).then(|| peer.to_canonical());
        let admitted = reception.admission.admit(connector, source).ok_or(TOO_MANY)?;
        if !self.rate.admits(self.settings.max_connection_rate_per_minute) {
            return Err("421 4.3.2 Too many connections a minute, try again later\r\n");
        }
        Ok((Arc::clone(reception), admitted))
    }
}

/// One line if it can be written at once, and out; nothing where the client waits for TLS.
fn turn_away(stream: &TcpStream, implicit_tls: bool, line: &'static str) {
    tracing::debug!(peer = ?stream.peer_addr().ok(), line = line.trim_end(), "a connection was turned away");
    if !implicit_tls {
        let _ = stream.try_write(line.as_bytes());
    }
}

async fn session(
    reception: Arc<Reception>,
    mut admitted: Admitted,
    implicit_tls: bool,
    mut stream: TcpStream,
    peer: SocketAddr,
    stopped: watch::Receiver<bool>,
) {
    // Begins anywhere, so that the logs of one run are not taken for another's.
    static SESSIONS: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(0) >> 1));
    let Ok(local) = stream.local_addr() else { return };
    // Replies are written whole; waiting for more to send only delays the client.
    let _ = stream.set_nodelay(true);
    let mut client = Client::new(reception.service.connector.name.clone(), peer, local);
    client.connector_fqdn.clone_from(&reception.service.connector.fqdn);
    client.session = SESSIONS.fetch_add(1, Ordering::Relaxed);
    let number = format!("{:016X}", client.session);
    let span =
        tracing::info_span!("session", session = number, connector = %client.connector, peer = %client.peer);
    if reception.service.connector.awaits_proxy_header(peer.ip()) {
        if front::await_header(&mut stream, &mut client).instrument(span.clone()).await.is_err() {
            return;
        }
        // From here on it counts as its own source, unless it is a front that names another.
        let connector = &reception.service.connector;
        let is_source = |client: &IpAddr| !client.is_unspecified() && !connector.takes_xclient(*client);
        let source = client.through.map(|_| client.peer.ip()).filter(is_source);
        match admitted.again(connector, source) {
            Some(again) => admitted = again,
            None => return turn_away(&stream, implicit_tls, TOO_MANY),
        }
    }
    connection::serve(&reception.service, client, admitted, implicit_tls, stream, stopped)
        .instrument(span)
        .await;
}
