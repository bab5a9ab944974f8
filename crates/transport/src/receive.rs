//! The SMTP door: what a receive connector accepted gets its `Received` line and goes into the queue.

use postroad_message::trace::{Protocol, Received, Source};
use postroad_message::{Content, Edits, EnhancedStatus, Envelope, HeaderBlock, ReversePath, firewall};
use postroad_queue::QueueError;
use postroad_smtp_server::{BoxFuture, Client, Refusal, Submit};

use crate::pipeline::{Pipeline, Submission, SubmitError};

/// `250` follows [`Pipeline::submit`], never the other way round.
impl Submit for Pipeline {
    fn accept_sender<'a>(
        &'a self,
        _: &'a Client,
        _: &'a ReversePath,
        size: Option<u64>,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        let short = self.shared.is_short_of_room(size.unwrap_or(0));
        Box::pin(std::future::ready(if short { Err(no_room()) } else { Ok(()) }))
    }

    fn accept_message<'a>(
        &'a self,
        client: &'a Client,
        envelope: Envelope,
        content: Content,
    ) -> BoxFuture<'a, Result<String, Refusal>> {
        Box::pin(async move {
            // Named before it is queued, so that the name stands in its Received field.
            let id = self.shared.name_ahead();
            let content = self.with_trace(client, &envelope, content, &id.to_string());
            // No time-out of ours: one that struck while the queue commits would refuse what is delivered all the same.
            // Hops were counted by the receive connector, against its own MaxHopCount.
            let mut submission = Submission::new(envelope, content, "smtp");
            submission.id = Some(id);
            submission.client = Some(Box::new(client.clone()));
            match self.route_and_enqueue(submission).await {
                Ok(submitted) => Ok(submitted.id.to_string()),
                Err(error) => {
                    tracing::warn!(client = %client.peer, %error, "not accepted");
                    Err(refusal(&error))
                }
            }
        })
    }
}

impl Pipeline {
    /// The content with this hop's `Received` line, and without the organisation's fields: no stranger may bring those.
    fn with_trace(&self, client: &Client, envelope: &Envelope, content: Content, id: &str) -> Content {
        let header = HeaderBlock::scan(content.head());
        let mut protocol = match (client.lmtp, client.extended) {
            (true, _) => Protocol::lmtp(),
            (false, true) => Protocol::default(),
            (false, false) => Protocol::plain(),
        };
        if client.tls.is_some() {
            protocol = protocol.with_tls();
        }
        if client.user.is_some() {
            protocol = protocol.with_authentication();
        }
        if envelope.smtputf8 {
            protocol = protocol.with_utf8();
        }
        let hello = client.hello_name.as_deref().unwrap_or_default();
        let source = Source::smtp(hello, Some(client.peer.ip()), protocol).over(client.tls.as_ref());
        let settings = &self.shared.in_force().settings;
        let only = match envelope.recipients.as_slice() {
            [one] => one.address.mailbox(),
            _ => None,
        };
        let by = client.connector_fqdn.as_deref().unwrap_or(settings.fqdn.as_str());
        let hop = Received::new(source, by, self.shared.world.now()).id(id).recipient(only);
        let mut edits = Edits::of(&header);
        edits.merge(firewall::organization(&header));
        edits.prepend(hop.to_string());
        // The content as it came is not kept beside it.
        content.edited(&edits)
    }
}

fn no_room() -> Refusal {
    Refusal::transient(3, 1, "insufficient system storage; try again later")
}

/// A fault of ours is "not now", whatever it is.
fn refusal(error: &SubmitError) -> Refusal {
    match error {
        SubmitError::NoRoom | SubmitError::Queue(QueueError::DiskFull { .. }) => no_room(),
        SubmitError::Loop { .. } => {
            let status = EnhancedStatus::permanent(4, 6);
            Refusal::new(554, status, "Hop count exceeded - possible mail loop")
        }
        SubmitError::Undeliverable => Refusal::permanent(1, 2, "no connector takes any of the recipients"),
        SubmitError::NoRecipient | SubmitError::BadFile(_) => Refusal::permanent(5, 1, "no recipients"),
        SubmitError::Queue(_) => Refusal::transient(3, 0, "the queue cannot take it now; try again later"),
    }
}
