//! Protocol logs: what sessions write down, as rows of a log.

use std::fmt;
use std::sync::Arc;

use postroad_smtp_protocol::transcript::{Conversation, Entry, ProtocolLog};
use postroad_smtp_server::Source;
use postroad_tracking::{Log, ProtocolLine};

use crate::world::World;

/// A protocol log in files.
pub struct ProtocolFile {
    log: Log,
    world: Arc<dyn World>,
}

impl ProtocolFile {
    /// Writes to this log, by this clock.
    pub fn new(log: Log, world: Arc<dyn World>) -> Self {
        Self { log, world }
    }

    /// The log it writes to.
    pub fn log(&self) -> &Log {
        &self.log
    }
}

impl ProtocolLog for ProtocolFile {
    fn record(&self, conversation: &Conversation, sequence: u64, entry: Entry<'_>) {
        let line = ProtocolLine {
            connector: &conversation.connector,
            session: conversation.session,
            sequence,
            local: conversation.local,
            remote: conversation.remote,
            event: entry.mark(),
            data: entry.data(),
            context: entry.context(),
        };
        let partner = Source::from(conversation.remote.ip()).address();
        self.log.write_about(partner, self.world.now(), || line.values());
    }
}

impl fmt::Debug for ProtocolFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProtocolFile").field(&self.log).finish()
    }
}
