//! What is counted beyond a configuration: a changed one begins with the sessions of the one before.

use std::collections::HashMap;
use std::sync::Arc;

use crate::admission::{Admission, ConnectionRate};
use crate::content_room::ContentRoom;
use crate::message_rate::MessageRate;

/// The counts of a server and of its connectors; a clone counts with the same.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    /// The content that all connections hold.
    pub(crate) memory: Arc<ContentRoom>,
    /// What was handed on of messages that are not whole.
    pub(crate) unfinished: Arc<ContentRoom>,
    /// Connections by the minute.
    pub(crate) connections: Arc<ConnectionRate>,
    by_connector: HashMap<String, ConnectorCounts>,
}

/// The counts of one connector.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectorCounts {
    /// Its connections.
    pub(crate) admission: Arc<Admission>,
    /// Messages begun by the minute.
    pub(crate) messages: Arc<MessageRate>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            memory: Arc::new(ContentRoom::bounded_by("max_content_in_memory")),
            unfinished: Arc::new(ContentRoom::bounded_by("what unfinished messages may take")),
            connections: Arc::default(),
            by_connector: HashMap::new(),
        }
    }
}

impl Counts {
    /// For the server that takes over: of its connectors those are remembered that it asks for.
    pub(crate) fn succeeded(&self) -> Self {
        Self { by_connector: HashMap::new(), ..self.clone() }
    }

    /// Those of the connector of this name, begun by `earlier` where that knew it.
    pub(crate) fn of(&mut self, connector: &str, earlier: &Self) -> ConnectorCounts {
        let name = connector.to_lowercase();
        let before = earlier.by_connector.get(&name).cloned().unwrap_or_default();
        self.by_connector.entry(name).or_insert(before).clone()
    }
}
