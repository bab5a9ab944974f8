//! The SMTP door: what a receive connector accepted gets its `Received` line and goes into the queue.

use postroad_message::trace::{Protocol, Received, Source};
use postroad_message::{Content, Edits, EnhancedStatus, Envelope, HeaderBlock, ReversePath, firewall};
use postroad_queue::{ContentDraft, MessageId, QueueError};
use postroad_smtp_server::{BoxFuture, Client, IncomingMessage, Refusal, Submit};

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
            let edits = self.trace(client, &envelope, &HeaderBlock::scan(content.head()), id);
            // The content as it came is not kept beside it.
            self.take(client, envelope, content.edited(&edits), id).await
        })
    }

    fn large_content(&self) -> Option<usize> {
        self.shared.store.large_content()
    }

    fn begin_message<'a>(
        &'a self,
        client: &'a Client,
        envelope: &'a Envelope,
        header: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Box<dyn IncomingMessage>>, Refusal>> {
        // A door that has closed since MAIL closes for what has not begun. What has may use half of what is kept free.
        if self.shared.is_short_of_room(header.len() as u64) {
            return Box::pin(std::future::ready(Err(no_room())));
        }
        let id = self.shared.name_ahead();
        let traced = self.trace(client, envelope, &HeaderBlock::scan(header), id).apply(header);
        let draft = self.shared.store.draft(traced);
        let message = draft.map(|draft| LargeMessage { pipeline: self.clone(), draft, id });
        let message = message.map(|message| Box::new(message) as Box<dyn IncomingMessage>);
        Box::pin(std::future::ready(Ok(message)))
    }

    /// As much as would be free: so they never take more than half of what there is for all, and where half as much again as the floor is
    /// free without them no door closes for them.
    fn room_for_unfinished(&self) -> u64 {
        self.shared.room_under_way()
    }
}

/// A message that comes in pieces, and lies in the queue's folder from the first on.
struct LargeMessage {
    pipeline: Pipeline,
    draft: Box<dyn ContentDraft>,
    id: MessageId,
}

impl IncomingMessage for LargeMessage {
    fn write(&mut self, bytes: Vec<u8>) -> BoxFuture<'_, Result<(), Refusal>> {
        let written = self.draft.write(bytes);
        Box::pin(async move {
            written.await.map_err(|error| {
                tracing::warn!(%error, "a large message is not accepted");
                refusal(&error.into())
            })
        })
    }

    fn finish<'a>(
        self: Box<Self>,
        client: &'a Client,
        envelope: Envelope,
        rest: Vec<u8>,
    ) -> BoxFuture<'a, Result<String, Refusal>> {
        Box::pin(async move {
            let Self { pipeline, draft, id } = *self;
            match draft.finish(rest).await {
                Ok(content) => pipeline.take(client, envelope, content, id).await,
                Err(error) => Err(not_accepted(client, &error.into())),
            }
        })
    }
}

impl Pipeline {
    /// Routes and queues what a client brought; the 250 has its name.
    async fn take(
        &self,
        client: &Client,
        envelope: Envelope,
        content: Content,
        id: MessageId,
    ) -> Result<String, Refusal> {
        // No time-out of ours: one that struck while the queue commits would refuse what is delivered all the same.
        // Hops were counted by the receive connector, against its own MaxHopCount.
        let mut submission = Submission::new(envelope, content, "smtp");
        submission.id = Some(id);
        submission.client = Some(Box::new(client.clone()));
        let queued = self.route_and_enqueue(submission).await;
        queued.map(|submitted| submitted.id.to_string()).map_err(|error| not_accepted(client, &error))
    }

    /// This hop's `Received` line comes in, and the organisation's fields go: no stranger may bring those.
    fn trace(&self, client: &Client, envelope: &Envelope, header: &HeaderBlock<'_>, id: MessageId) -> Edits {
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
        let id = id.to_string();
        let hop = Received::new(source, by, self.shared.world.now()).id(&id).recipient(only);
        let mut edits = Edits::of(header);
        edits.merge(firewall::organization(header));
        edits.prepend(hop.to_string());
        edits
    }
}

fn no_room() -> Refusal {
    Refusal::transient(3, 1, "insufficient system storage; try again later")
}

fn not_accepted(client: &Client, error: &SubmitError) -> Refusal {
    tracing::warn!(client = %client.peer, %error, "not accepted");
    refusal(error)
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
