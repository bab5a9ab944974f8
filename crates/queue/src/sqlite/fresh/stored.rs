//! What there is in the database beside the fresh mail, as far as a claim has to know it.

use postroad_message::NextHop;
use rusqlite::Connection;

use super::shelf::Shelf;
use crate::message_id::MessageId;

impl Shelf {
    /// Something for this next hop is written into the database, or may be.
    pub(in super::super) fn is_stored(&self, hop: &NextHop) {
        let mut shared = self.shared();
        if !shared.stored.contains(hop) {
            shared.stored.insert(hop.clone());
        }
    }

    /// A message with this id is, or was.
    pub(in super::super) fn is_known(&self, id: MessageId) {
        let mut shared = self.shared();
        shared.floor = shared.floor.max(Some(id));
    }

    /// Nothing for these next hops is there any more.
    pub(in super::super) fn is_not_stored(&self, hops: impl IntoIterator<Item = NextHop>) {
        let mut shared = self.shared();
        for hop in hops {
            shared.stored.remove(&hop);
        }
    }

    pub(in super::super) fn suspend(&self, hop: &NextHop, suspended: bool) {
        let mut shared = self.shared();
        match suspended {
            true => shared.suspended.insert(hop.clone()),
            false => shared.suspended.remove(hop),
        };
    }

    /// Looks what is there; somebody else may have changed it.
    pub(in super::super) fn look(&self, connection: &Connection) {
        let read = || -> rusqlite::Result<Vec<(NextHop, bool)>> {
            let mut statement =
                connection.prepare_cached("SELECT connector, destination, suspended FROM queue")?;
            let rows = statement.query_map([], |row| {
                Ok((NextHop::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?), row.get(2)?))
            })?;
            rows.collect()
        };
        let queues = read();
        let mut shared = self.shared();
        shared.retries = true;
        shared.unknown = queues.is_err();
        for (hop, suspended) in queues.unwrap_or_default() {
            match suspended {
                true => shared.suspended.insert(hop.clone()),
                false => shared.suspended.remove(&hop),
            };
            shared.stored.insert(hop);
        }
    }

    /// Another process changed something: it may want to see all that there is.
    pub(in super::super) fn visited(&self) {
        self.shared().visited = true;
    }

    pub(super) fn take_visited(&self) -> bool {
        std::mem::take(&mut self.shared().visited)
    }

    pub(in super::super) fn asked_for_retries(&self) {
        self.shared().retries = true;
    }

    /// Whether somebody may have asked for retries since this was last called.
    pub(in super::super) fn take_asked_for_retries(&self) -> bool {
        std::mem::take(&mut self.shared().retries)
    }
}
