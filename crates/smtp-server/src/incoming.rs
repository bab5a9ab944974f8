//! A large message while it comes: out of the session piece by piece, into the hands of who takes it.

use postroad_message::content::header_block_within;
use postroad_message::{EnhancedStatus, Envelope};
use postroad_smtp_protocol::server::{Input, Refusal};

use crate::admission::Admitted;
use crate::connection::Connection;
use crate::content_check;
use crate::content_room::Held;
use crate::judgement::no_room;
use crate::submit::IncomingMessage;

/// So much is handed on at a time: a session holds no more than that and one read, while it waits for a disk.
const PIECE: usize = 64 * 1024;

/// Who takes the content under way, and when to ask next.
#[derive(Default)]
pub(crate) struct Incoming<'a> {
    taker: Option<Taker<'a>>,
    /// How many bytes must be held before anything is done; none where nothing is to be done.
    due: Option<usize>,
}

/// What was handed on counts for as long as it is neither whole nor thrown away.
struct Taker<'a> {
    message: Box<dyn IncomingMessage>,
    unfinished: Held<'a>,
}

impl Incoming<'_> {
    /// A message may come, which is large from so many bytes on. One that says so itself (`SIZE`) is begun with its first piece.
    pub(crate) fn expect(large: Option<usize>, declared: u64) -> Self {
        let due = |large: usize| if declared >= large as u64 { large.min(PIECE) } else { large };
        Self { taker: None, due: large.map(due) }
    }
}

/// How much of a message is held at most, which is large from so many bytes on.
pub(crate) fn most_held(large: usize) -> usize {
    large.saturating_add(PIECE)
}

impl<'a> Connection<'a> {
    /// Nothing is kept of what will be no message.
    pub(crate) fn forget_lost_content(&mut self) {
        if self.incoming.taker.is_some() && self.session.content_taken() == 0 {
            self.incoming = Incoming::default();
        }
    }

    pub(crate) fn has_content_to_hand_on(&self) -> bool {
        self.incoming.due.is_some_and(|due| self.session.content().len() >= due)
    }

    /// Hands on what has come. The client is not read from meanwhile: so it waits for the disk as we do.
    pub(crate) async fn hand_on(&mut self) {
        let handed =
            if self.incoming.taker.is_some() { self.hand_on_from(0).await } else { self.begin().await };
        if let Err(refusal) = handed {
            self.incoming = Incoming::default();
            self.session.handle(Input::RefuseContent(refusal));
        }
    }

    /// Judges the header, if all of it is there, and asks who takes the message.
    async fn begin(&mut self) -> Result<(), Refusal> {
        let (service, content) = (self.service, self.session.content());
        let header = content_check::header(&service.connector, content)?;
        let Some(body) = header_block_within(content) else {
            // Looked at seldom enough to cost no more than its size.
            self.incoming.due = Some(content.len().saturating_mul(2));
            return Ok(());
        };
        content_check::hops(&service.connector, self.fqdn(), &header)?;
        let Some(envelope) = self.session.envelope() else { return Ok(()) };
        let header = content.get(..body).unwrap_or_default();
        self.incoming.due = None;
        if let Some(message) = service.submit.begin_message(&self.client, envelope, header).await? {
            let source = self.admitted.as_ref().and_then(Admitted::source);
            let unfinished = Held::nothing(&service.unfinished, source);
            self.incoming = Incoming { taker: Some(Taker { message, unfinished }), due: Some(PIECE) };
            self.hand_on_from(body).await?;
        }
        Ok(())
    }

    async fn hand_on_from(&mut self, start: usize) -> Result<(), Refusal> {
        let mut piece = self.session.take_content();
        piece.drain(..start.min(piece.len()));
        let Some(taker) = self.incoming.taker.as_mut().filter(|_| !piece.is_empty()) else { return Ok(()) };
        let room = self.service.submit.room_for_unfinished();
        if !taker.unfinished.set(self.session.content_taken(), room) {
            return Err(no_room());
        }
        taker.message.write(piece).await
    }

    /// The message is whole with what is left of it.
    pub(crate) async fn finish(&mut self, envelope: Envelope, rest: Vec<u8>) -> Result<String, Refusal> {
        match std::mem::take(&mut self.incoming).taker {
            Some(Taker { message, unfinished: _counts }) => {
                message.finish(&self.client, envelope, rest).await
            }
            None => {
                Err(Refusal::new(451, EnhancedStatus::transient(3, 0), "What came of the message is lost"))
            }
        }
    }
}
