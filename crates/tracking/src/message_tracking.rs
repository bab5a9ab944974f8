//! The message tracking log: one event in a message's way, and its thirty fields.

use std::net::IpAddr;

use crate::layout::Layout;
use crate::value::Value;

/// What happened: the values of `event-id` that a relay without mailboxes needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventId {
    /// A message is in the queue, durably.
    Receive,
    /// It was handed on: to the next server, or to a gateway (source [`Source::Gateway`]).
    Send,
    /// Not now; it is tried again.
    Defer,
    /// Given up.
    Fail,
    /// A report was made of it.
    Dsn,
    /// It waits in another queue now. (Exchange says so of Safety Net; the use for a new route is ours.)
    Resubmit,
    /// It was set aside: working on it does harm.
    PoisonMessage,
    /// A file of Pickup or Replay that can be neither delivered nor returned.
    BadMail,
}

impl EventId {
    fn word(self) -> &'static str {
        match self {
            Self::Receive => "RECEIVE",
            Self::Send => "SEND",
            Self::Defer => "DEFER",
            Self::Fail => "FAIL",
            Self::Dsn => "DSN",
            Self::Resubmit => "RESUBMIT",
            Self::PoisonMessage => "POISONMESSAGE",
            Self::BadMail => "BADMAIL",
        }
    }
}

/// Which part saw it happen: the values of `source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// A receive or Send connector.
    Smtp,
    /// The Pickup directory.
    Pickup,
    /// A person: a file in the Replay directory, a command.
    Admin,
    /// A Foreign connector.
    Gateway,
    /// Reports.
    Dsn,
    /// The name service.
    Dns,
    /// The queue: expiry, say.
    Queue,
    /// The choice of connectors.
    Routing,
    /// A delivery agent.
    Agent,
    /// Whoever finds poison messages.
    PoisonMessage,
}

impl Source {
    fn word(self) -> &'static str {
        match self {
            Self::Smtp => "SMTP",
            Self::Pickup => "PICKUP",
            Self::Admin => "ADMIN",
            Self::Gateway => "GATEWAY",
            Self::Dsn => "DSN",
            Self::Dns => "DNS",
            Self::Queue => "QUEUE",
            Self::Routing => "ROUTING",
            Self::Agent => "AGENT",
            Self::PoisonMessage => "POISONMESSAGE",
        }
    }
}

/// One row of the message tracking log. What is empty is left empty.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackingEvent {
    /// `event-id`
    pub event: EventId,
    /// `source`
    pub source: Source,
    /// `internal-message-id` and `network-message-id`: the queue's id, the same in every row of a message.
    pub id: String,
    /// `client-ip`: who brought it.
    pub client_ip: Option<IpAddr>,
    /// `client-hostname`: the name it gave, or ours where we are the client.
    pub client_hostname: String,
    /// `server-ip`: ours for what came, the other's for what went.
    pub server_ip: Option<IpAddr>,
    /// `server-hostname`
    pub server_hostname: String,
    /// `source-context`: what else the source knows.
    pub source_context: String,
    /// `connector-id`
    pub connector_id: String,
    /// `message-id`: the field of that name.
    pub message_id: String,
    /// `recipient-address`
    pub recipients: Vec<String>,
    /// `recipient-status`, in the order of the recipients.
    pub recipient_statuses: Vec<String>,
    /// `total-bytes`
    pub total_bytes: Option<u64>,
    /// `related-recipient-address`
    pub related_recipient_address: String,
    /// `reference`: of a report the Message-ID of what it is about.
    pub reference: String,
    /// `message-subject`
    pub message_subject: String,
    /// `sender-address`: of `Sender:`, or else of `From:`.
    pub sender_address: String,
    /// `return-path`: the reverse-path, `<>` if null.
    pub return_path: String,
    /// `message-info`: of what went the moment it came.
    pub message_info: String,
    /// `directionality`: `Originating` or `Incoming`.
    pub directionality: &'static str,
    /// `original-client-ip`
    pub original_client_ip: Option<IpAddr>,
    /// `original-server-ip`
    pub original_server_ip: Option<IpAddr>,
    /// `custom-data`: `S:Name=value`, joined by `;`.
    pub custom_data: Vec<String>,
}

impl TrackingEvent {
    /// The form of the log.
    pub const LAYOUT: Layout = Layout {
        prefix: "MSGTRK",
        log_type: "Message Tracking Log",
        version: env!("CARGO_PKG_VERSION"),
        fields: &[
            "date-time",
            "client-ip",
            "client-hostname",
            "server-ip",
            "server-hostname",
            "source-context",
            "connector-id",
            "source",
            "event-id",
            "internal-message-id",
            "message-id",
            "network-message-id",
            "recipient-address",
            "recipient-status",
            "total-bytes",
            "recipient-count",
            "related-recipient-address",
            "reference",
            "message-subject",
            "sender-address",
            "return-path",
            "message-info",
            "directionality",
            "tenant-id",
            "original-client-ip",
            "original-server-ip",
            "custom-data",
            "transport-traffic-type",
            "log-id",
            "schema-version",
        ],
    };

    /// An event of which nothing more is known.
    pub fn new(event: EventId, source: Source, id: impl Into<String>) -> Self {
        Self {
            event,
            source,
            id: id.into(),
            client_ip: None,
            client_hostname: String::new(),
            server_ip: None,
            server_hostname: String::new(),
            source_context: String::new(),
            connector_id: String::new(),
            message_id: String::new(),
            recipients: Vec::new(),
            recipient_statuses: Vec::new(),
            total_bytes: None,
            related_recipient_address: String::new(),
            reference: String::new(),
            message_subject: String::new(),
            sender_address: String::new(),
            return_path: String::new(),
            message_info: String::new(),
            directionality: "",
            original_client_ip: None,
            original_server_ip: None,
            custom_data: Vec::new(),
        }
    }

    /// Its fields, those behind `date-time`.
    pub fn values(self) -> Vec<Value> {
        let ip = |address: Option<IpAddr>| address.map_or(Value::Empty, |ip| Value::Text(ip.to_string()));
        let count = self.recipients.len() as u64;
        vec![
            ip(self.client_ip),
            Value::text(self.client_hostname),
            ip(self.server_ip),
            Value::text(self.server_hostname),
            Value::text(self.source_context),
            Value::text(self.connector_id),
            Value::Word(self.source.word()),
            Value::Word(self.event.word()),
            Value::text(self.id.clone()),
            Value::text(self.message_id),
            Value::text(self.id),
            Value::list(self.recipients),
            Value::list(self.recipient_statuses),
            self.total_bytes.map_or(Value::Empty, Value::Number),
            if count == 0 { Value::Empty } else { Value::Number(count) },
            Value::text(self.related_recipient_address),
            Value::text(self.reference),
            Value::text(self.message_subject),
            Value::text(self.sender_address),
            Value::text(self.return_path),
            Value::text(self.message_info),
            if self.directionality.is_empty() { Value::Empty } else { Value::Word(self.directionality) },
            Value::Empty,
            ip(self.original_client_ip),
            ip(self.original_server_ip),
            Value::list(self.custom_data),
            Value::Word("Email"),
            Value::Empty,
            Value::Word(Self::LAYOUT.version),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_its_value() {
        let values = TrackingEvent::new(EventId::Receive, Source::Smtp, "1").values();
        assert_eq!(values.len() + 1, TrackingEvent::LAYOUT.fields.len());
        let at = |field: &str| {
            let index = TrackingEvent::LAYOUT.fields.iter().position(|known| *known == field);
            values[index.expect("a known field") - 1].clone()
        };
        assert_eq!(at("event-id"), Value::Word("RECEIVE"));
        assert_eq!(at("network-message-id"), Value::text("1"));
        assert_eq!(at("tenant-id"), Value::Empty);
        assert_eq!(at("transport-traffic-type"), Value::Word("Email"));
        assert_eq!(at("schema-version"), Value::Word(env!("CARGO_PKG_VERSION")));
    }
}
