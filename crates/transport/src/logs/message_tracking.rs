//! The message tracking log: what the pipeline does with a message, as rows that can be followed by its id.
//!
//! | the pipeline | event | source |
//! |---|---|---|
//! | queued | `RECEIVE` | `SMTP`; `PICKUP`; `ADMIN` for Replay and for commands, with the door as source-context |
//! | handed on by SMTP | `SEND` | `SMTP`; source-context is the queue, recipient-status the reply |
//! | written for a gateway | `SEND` | `GATEWAY`; source-context is the file |
//! | taken by a delivery agent | `SEND` | `AGENT`; source-context is the queue, recipient-status the reply where there was one |
//! | deferred, or left open | `DEFER` | `SMTP`, `DNS`, `GATEWAY`, `AGENT`, `ROUTING` |
//! | given up | `FAIL` | the same, or `QUEUE` where its time was up |
//! | a report is queued | `DSN` | `DSN`; its own id, source-context is the id it is about, reference the Message-ID |
//! | routed anew | `RESUBMIT` | `ROUTING`; source-context is the queue it left |
//! | set aside | `POISONMESSAGE` | `POISONMESSAGE` |
//! | a file that is no message | `BADMAIL` | `PICKUP`, `ADMIN` |
//!
//! Recipients with the same event, source and host share a row, in the order of their statuses.

use std::sync::atomic::{AtomicBool, Ordering};

use postroad_message::{
    EnhancedStatus, Failure, HeaderBlock, NextHop, Outcome, Phase, Receipt, Recipient, ReversePath,
    StatusClass, Timestamp,
};
use postroad_smtp_server::Client;
use postroad_tracking::{EventId, Log, LogSettings, Source, TrackingEvent};

use crate::observe::{Observe, Seen, Way};

/// An observer that keeps the message tracking log.
#[derive(Debug)]
pub struct MessageTracking {
    log: Log,
    server: String,
    subjects: AtomicBool,
}

/// More of a header block is not looked through for a subject.
const HEADER: usize = 64 * 1024;
/// More of a field is not written.
const FIELD: usize = 1000;

impl MessageTracking {
    /// A log that is off, of the server of this name.
    pub fn new(server: impl Into<String>) -> Self {
        let log = Log::new(TrackingEvent::LAYOUT);
        Self { log, server: server.into(), subjects: AtomicBool::new(true) }
    }

    /// Puts it on, off or elsewhere, with subjects or without.
    pub fn configure(&self, settings: Option<&LogSettings>, subjects: bool) {
        self.subjects.store(subjects, Ordering::Relaxed);
        self.log.configure(settings);
    }

    /// The log it writes to.
    pub fn log(&self) -> &Log {
        &self.log
    }

    fn about(&self, seen: &Seen<'_>, event: EventId, source: Source) -> TrackingEvent {
        let mut row = TrackingEvent::new(event, source, seen.id.to_string());
        row.total_bytes = Some(seen.size);
        row.return_path = match seen.reverse_path {
            ReversePath::Null => "<>".to_owned(),
            ReversePath::Mailbox(mailbox) => mailbox.to_string(),
        };
        let header = seen.content.and_then(|content| HeaderBlock::scan_within(content.head(), HEADER));
        if let Some(header) = header {
            row.message_id = field(&header, "Message-ID").unwrap_or_default();
            let sender = field(&header, "Sender").or_else(|| field(&header, "From"));
            row.sender_address = sender.map(|text| address(&text).to_owned()).unwrap_or_default();
            if self.subjects.load(Ordering::Relaxed) {
                row.message_subject = field(&header, "Subject").unwrap_or_default();
            }
        }
        row
    }
}

impl Observe for MessageTracking {
    fn queued(
        &self,
        message: &Seen<'_>,
        client: Option<&Client>,
        deliveries: &[(NextHop, Vec<Recipient>)],
        refused: &[(Recipient, Failure)],
    ) {
        self.log.write(message.at, || {
            let source = door(message.source);
            let mut row = self.about(message, EventId::Receive, source);
            row.recipients = addresses(
                deliveries
                    .iter()
                    .flat_map(|(_, to)| to)
                    .chain(refused.iter().map(|(recipient, _)| recipient)),
            );
            row.server_hostname.clone_from(&self.server);
            row.directionality = "Originating";
            if source == Source::Admin {
                message.source.clone_into(&mut row.source_context);
            }
            if let Some(client) = client {
                row.client_ip = Some(client.peer.ip());
                row.original_client_ip = row.client_ip;
                row.client_hostname = client.hello_name.clone().unwrap_or_default();
                row.server_ip = Some(client.local.ip());
                row.connector_id.clone_from(&client.connector);
                row.source_context = format!("{:016X}", client.session);
                row.directionality = if client.may_relay { "Originating" } else { "Incoming" };
                let tls = client.tls.as_ref().map(|tls| format!("S:TlsVersion={}", tls.version));
                row.custom_data.extend(tls);
                row.custom_data
                    .extend(client.user.as_ref().map(|user| format!("S:AuthenticatedUser={user}")));
            }
            row.values()
        });
    }

    fn attempted(&self, message: &Seen<'_>, next_hop: &NextHop, outcomes: &[(Recipient, Outcome)]) {
        let mut rows: Vec<TrackingEvent> = Vec::new();
        if !self.log.is_on() {
            return;
        }
        for (recipient, outcome) in outcomes {
            let Some(said) = Said::of(outcome, next_hop, message.way) else { continue };
            let fits = |row: &&mut TrackingEvent| {
                (row.event, row.source) == (said.event, said.source)
                    && row.server_hostname == said.host.0
                    && row.server_ip == said.host.1
                    && row.source_context == said.context
            };
            let row = match rows.iter_mut().find(fits) {
                Some(row) => row,
                None => {
                    let mut row = self.about(message, said.event, said.source);
                    row.connector_id = next_hop.connector.to_string();
                    row.client_hostname.clone_from(&self.server);
                    (row.server_hostname, row.server_ip) = said.host;
                    row.source_context = said.context;
                    if said.event == EventId::Send {
                        row.message_info = message.received_at.to_string();
                    }
                    rows.push(row);
                    let Some(row) = rows.last_mut() else { return };
                    row
                }
            };
            row.recipients.push(recipient.address.to_string());
            row.recipient_statuses.push(said.status);
        }
        for row in rows {
            self.log.write(message.at, || row.values());
        }
    }

    fn reported(&self, original: &Seen<'_>, report: &Seen<'_>, deliveries: &[(NextHop, Vec<Recipient>)]) {
        self.log.write(report.at, || {
            let mut row = self.about(report, EventId::Dsn, Source::Dsn);
            row.recipients = addresses(deliveries.iter().flat_map(|(_, to)| to));
            row.server_hostname.clone_from(&self.server);
            row.directionality = "Originating";
            row.source_context = original.id.to_string();
            row.reference = self.about(original, EventId::Dsn, Source::Dsn).message_id;
            row.values()
        });
    }

    fn rerouted(&self, message: &Seen<'_>, from: &NextHop, to: &NextHop, recipients: &[Recipient]) {
        self.log.write(message.at, || {
            let mut row = self.about(message, EventId::Resubmit, Source::Routing);
            row.recipients = addresses(recipients);
            row.connector_id = to.connector.to_string();
            row.source_context = from.to_string();
            row.values()
        });
    }

    fn set_aside(&self, message: &Seen<'_>, reason: &str) {
        self.log.write(message.at, || {
            let mut row = self.about(message, EventId::PoisonMessage, Source::PoisonMessage);
            reason.clone_into(&mut row.source_context);
            row.values()
        });
    }

    fn bad_mail(&self, at: Timestamp, source: &str, file: &str, reason: &str) {
        self.log.write(at, || {
            let mut row = TrackingEvent::new(EventId::BadMail, door(source), "");
            row.source_context = format!("{file}: {reason}");
            row.values()
        });
    }
}

/// What a row says of one outcome.
struct Said {
    event: EventId,
    source: Source,
    host: (String, Option<std::net::IpAddr>),
    context: String,
    status: String,
}

impl Said {
    fn of(outcome: &Outcome, next_hop: &NextHop, way: Option<Way>) -> Option<Self> {
        let destination = || next_hop.destination.to_string();
        let (event, failure) = match outcome {
            Outcome::Delivered(receipt) | Outcome::Relayed(receipt) | Outcome::Expanded(receipt) => {
                return Some(Self::sent(receipt, destination(), way));
            }
            Outcome::Deferred(failure) | Outcome::Ambiguous(failure) => (EventId::Defer, failure),
            Outcome::Failed(failure) => (EventId::Fail, failure),
            _ => return None,
        };
        let host = failure.host.as_deref().map(host).unwrap_or_default();
        Some(Self {
            event,
            source: seen_by(failure, way),
            host,
            context: destination(),
            status: status(failure),
        })
    }

    fn sent(receipt: &Receipt, destination: String, way: Option<Way>) -> Self {
        let event = EventId::Send;
        match &receipt.reply {
            _ if way == Some(Way::Agent) => {
                let taken = || "250 2.0.0 taken by the agent".to_owned();
                let status = receipt.reply.as_ref().map_or_else(taken, ToString::to_string);
                let (host, context) = (host(&receipt.host), destination);
                Self { event, source: Source::Agent, host, context, status }
            }
            Some(reply) => {
                let (host, status) = (host(&receipt.host), reply.to_string());
                Self { event, source: Source::Smtp, host, context: destination, status }
            }
            None => {
                let (host, context) = (<_>::default(), receipt.host.clone());
                let status = "250 2.0.0 written for the gateway".to_owned();
                Self { event, source: Source::Gateway, host, context, status }
            }
        }
    }
}

fn door(source: &str) -> Source {
    match source {
        "smtp" => Source::Smtp,
        "pickup" => Source::Pickup,
        "dsn" => Source::Dsn,
        _ => Source::Admin,
    }
}

fn seen_by(failure: &Failure, way: Option<Way>) -> Source {
    match failure.phase {
        _ if failure.status == EnhancedStatus::permanent(4, 7) => Source::Queue,
        Phase::Queue => Source::Queue,
        Phase::Routing => Source::Routing,
        _ if way == Some(Way::Agent) => Source::Agent,
        Phase::Lookup => Source::Dns,
        Phase::File => Source::Gateway,
        Phase::Agent => Source::Agent,
        _ => Source::Smtp,
    }
}

/// What the host said, or what is to be said in its place.
fn status(failure: &Failure) -> String {
    match &failure.reply {
        Some(reply) if failure.status != EnhancedStatus::permanent(4, 7) => reply.to_string(),
        _ => {
            let code = if failure.status.class() == StatusClass::Permanent { 550 } else { 451 };
            format!("{code} {} {}", failure.status, failure.text)
        }
    }
}

/// `mx.example.com [192.0.2.1]:25, in clear text`: the name and the address.
fn host(label: &str) -> (String, Option<std::net::IpAddr>) {
    let Some((name, rest)) = label.split_once('[') else { return (label.to_owned(), None) };
    (name.trim().to_owned(), rest.split_once(']').and_then(|(address, _)| address.parse().ok()))
}

fn addresses<'a>(recipients: impl IntoIterator<Item = &'a Recipient>) -> Vec<String> {
    recipients.into_iter().map(|recipient| recipient.address.to_string()).collect()
}

fn field(header: &HeaderBlock<'_>, name: &str) -> Option<String> {
    let value = header.field(name)?.unfolded();
    Some(String::from_utf8_lossy(&value).chars().take(FIELD).collect())
}

/// What stands in the last angle brackets, or everything.
fn address(field: &str) -> &str {
    let inside = field.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or(field, |(address, _)| address).trim()
}
