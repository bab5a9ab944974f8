//! Connections that wait for the next message to the same host on the same terms.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::connection::{Connection, Purpose, now};

/// How old a connection may become, however busy it is: a changed MX record and a better host that came back count by then.
const LIFETIME: Duration = Duration::from_secs(300);

/// How often idle connections are looked after.
const ROUND: Duration = Duration::from_secs(1);

/// Idle connections, by the address they lead to.
///
/// One is lent to one message at a time, by value: a message that is given up takes its connection with it, so nothing half read
/// ever comes back. How many connections there may be at once is for whoever sends the messages to say.
pub(crate) struct Pool {
    shelves: Mutex<Shelves>,
    capacity: usize,
}

#[derive(Default)]
struct Shelves {
    by_address: BTreeMap<SocketAddr, Vec<Idle>>,
    count: usize,
    caretaker: Option<JoinHandle<()>>,
}

pub(crate) struct Idle {
    pub(crate) connection: Box<Connection>,
    since: Instant,
    until: Instant,
}

impl Pool {
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { shelves: Mutex::default(), capacity })
    }

    /// The connection that served last of those that were opened for this and have heard nothing since.
    pub(crate) fn take(&self, purpose: &Purpose<'_>) -> Option<Box<Connection>> {
        loop {
            let mut connection = self.shelves().take(purpose, now())?;
            if connection.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next message, or takes leave of it: it has served enough, or knows something is wrong.
    pub(crate) fn put(self: &Arc<Self>, connection: Box<Connection>, messages: u32, idle: Duration) {
        if !connection.is_idle() {
            return;
        }
        let now = now();
        let until = (now + idle).min(connection.opened_at() + LIFETIME);
        if connection.messages() >= messages || until <= now || self.capacity == 0 {
            return connection.take_leave();
        }
        let displaced = {
            let mut shelves = self.shelves();
            let displaced = if shelves.count >= self.capacity { shelves.take_oldest() } else { None };
            let shelf = shelves.by_address.entry(connection.address()).or_default();
            shelf.push(Idle { connection, since: now, until });
            shelves.count += 1;
            if shelves.caretaker.as_ref().is_none_or(JoinHandle::is_finished) {
                shelves.caretaker = Some(tokio::spawn(look_after(Arc::downgrade(self))));
            }
            displaced
        };
        if let Some(displaced) = displaced {
            displaced.take_leave();
        }
    }

    /// Every idle connection, for whoever closes them.
    pub(crate) fn drain(&self) -> Vec<Idle> {
        let mut shelves = self.shelves();
        shelves.count = 0;
        std::mem::take(&mut shelves.by_address).into_values().flatten().collect()
    }

    /// Takes away what has waited too long or is not quiet. Whether anything is left.
    fn sweep(&self, now: Instant) -> bool {
        let mut dismissed = Vec::new();
        let mut shelves = self.shelves();
        for shelf in shelves.by_address.values_mut() {
            dismissed.extend(shelf.extract_if(.., |idle| idle.until <= now || !idle.connection.is_quiet()));
        }
        shelves.by_address.retain(|_, shelf| !shelf.is_empty());
        shelves.count = shelves.by_address.values().map(Vec::len).sum();
        let any_left = shelves.count > 0;
        if !any_left {
            shelves.caretaker = None;
        }
        drop(shelves);
        for idle in dismissed {
            idle.connection.take_leave();
        }
        any_left
    }

    /// Nothing panics with the lock held; if it did, the shelves would still be whole.
    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelves {
    fn take(&mut self, purpose: &Purpose<'_>, now: Instant) -> Option<Box<Connection>> {
        let shelf = self.by_address.get_mut(&purpose.address)?;
        let at = shelf.iter().rposition(|idle| idle.until > now && idle.connection.serves(purpose))?;
        self.count -= 1;
        Some(shelf.remove(at).connection)
    }

    fn take_oldest(&mut self) -> Option<Box<Connection>> {
        let oldest = self
            .by_address
            .iter()
            .flat_map(|(address, shelf)| {
                shelf.iter().enumerate().map(move |(at, idle)| (idle.since, *address, at))
            })
            .min_by_key(|(since, ..)| *since);
        let (_, address, at) = oldest?;
        self.count -= 1;
        Some(self.by_address.get_mut(&address)?.remove(at).connection)
    }
}

/// Runs while there are idle connections, and no longer than the pool.
async fn look_after(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(ROUND).await;
        match pool.upgrade() {
            Some(pool) if pool.sweep(now()) => {}
            _ => return,
        }
    }
}

/// The client is gone: each host hears QUIT, if it takes it at once.
impl Drop for Pool {
    fn drop(&mut self) {
        for mut idle in self.drain() {
            idle.connection.quit_unheard();
        }
    }
}
