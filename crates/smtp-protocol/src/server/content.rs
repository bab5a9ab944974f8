//! DATA and BDAT: content by its final dot, and content by count.

use postroad_message::{Body, EnhancedStatus, Envelope};

use crate::data::Decoder;
use crate::server::accepted::Accepted;
use crate::server::chunks::Chunks;
use crate::server::event::Event;
use crate::server::reply_line::ReplyLine;
use crate::server::session::Session;
use crate::server::state::{Chunk, Dropped, Question, State};
use crate::server::transaction::Transaction;
use crate::server::verdict::{Refusal, Verdict};

/// Content this many times larger than the limit is not read to its end.
const PATIENCE: u64 = 2;
/// A chunk of fewer octets is mostly its command: thirty million of one octet would be a message within its size.
const WORTH_A_COMMAND: u64 = 512;

/// A large content need not be held: its owner may take out what has come whenever the session wants to
/// [receive](crate::server::Output::Receive), and keep it elsewhere.
impl Session {
    /// The envelope of the transaction under way; once content is, nobody is added to it.
    pub fn envelope(&self) -> Option<&Envelope> {
        self.transaction.as_ref().map(Transaction::envelope)
    }

    /// What may be [taken](Self::take_content) of the content under way: as [`Event::Message`] would give it. Of a BINARYMIME message
    /// that is nothing until its header is whole.
    pub fn content(&self) -> &[u8] {
        match &self.state {
            State::Data(decoder, _) => decoder.held(),
            _ => self.transaction.as_ref().and_then(Transaction::chunks).map_or(&[], Chunks::ready),
        }
    }

    /// Takes [`content`](Self::content) out. It goes before what comes later, and counts as if it were held.
    pub fn take_content(&mut self) -> Vec<u8> {
        match &mut self.state {
            State::Data(decoder, _) => decoder.take(),
            _ => self.transaction.as_mut().map(Transaction::take_chunks).unwrap_or_default(),
        }
    }

    /// How many bytes of the content under way were taken. 0 as soon as it is sure that no message will come of it (it is refused,
    /// too large, given up by the client): then what was taken is to be thrown away, at any rate before the next is taken.
    pub fn content_taken(&self) -> u64 {
        let refuse_bare = self.settings.refuse_bare_line_ends;
        match &self.state {
            State::Data(_, Some(_)) => 0,
            State::Data(decoder, None) if decoder.too_large() => 0,
            State::Data(decoder, None) if decoder.bare_line_ends() && refuse_bare => 0,
            State::Data(decoder, None) => decoder.taken(),
            State::Ask(Event::Message { taken, .. }, _) => *taken,
            _ => self.transaction.as_ref().and_then(Transaction::chunks).map_or(0, |chunks| chunks.taken()),
        }
    }

    /// Bytes of content held so far: chunks between their commands too, and a message until [`poll`](Self::poll) gives it out.
    pub fn content_held(&self) -> usize {
        match &self.state {
            State::Data(decoder, _) => decoder.held().len(),
            State::Ask(Event::Message { content, .. }, _) => content.len(),
            _ => self.transaction.as_ref().and_then(Transaction::chunks).map_or(0, Chunks::held),
        }
    }

    pub(super) fn data(&mut self) {
        match &self.transaction {
            None => self.out_of_order("Send MAIL first"),
            Some(transaction) if transaction.has_chunks() => {
                self.out_of_order("Content came by BDAT already")
            }
            Some(transaction) if transaction.envelope().recipients.is_empty() => {
                // RFC 2033 section 4.2 wants 503 where SMTP has 554.
                let code = if self.settings.lmtp { 503 } else { 554 };
                self.reply(code, EnhancedStatus::permanent(5, 1), "No valid recipients");
            }
            // RFC 3030 section 3
            Some(transaction) if transaction.envelope().body == Body::BinaryMime => {
                self.out_of_order("BINARYMIME content comes by BDAT only");
            }
            Some(_) => self.ask(Event::ContentStart, Question::DataStart),
        }
    }

    pub(super) fn start_data(&mut self) {
        self.write(&ReplyLine::new(354, None, "Start mail input; end with <CRLF>.<CRLF>"));
        let decoder = Decoder::new(self.settings.bare_line_ends(), self.settings.limits.message_size);
        self.state = State::Data(decoder, None);
    }

    /// Reads on; false when more must come.
    pub(super) fn continue_data(&mut self, mut decoder: Decoder, refusal: Option<Refusal>) -> bool {
        let progress = decoder.decode(self.buffer.rest());
        self.buffer.consume(progress.used);
        if decoder.bare_line_ends() && self.settings.refuse_bare_line_ends {
            decoder.discard();
        }
        let endless = (self.settings.limits.message_size as u64).saturating_mul(PATIENCE);
        if progress.ended {
            self.end_data(decoder, refusal);
        } else if decoder.total() > endless {
            self.refuse_message(self.recipients().unwrap_or(1), &too_large().closing());
        } else {
            self.state = State::Data(decoder, refusal);
            return false;
        }
        true
    }

    fn end_data(&mut self, decoder: Decoder, refusal: Option<Refusal>) {
        let taken = decoder.taken();
        let content = decoder.finish();
        let Some(transaction) = self.transaction.take() else { return };
        let recipients = transaction.accepted();
        if let Some(refusal) = refusal {
            self.refuse_message(recipients, &refusal);
        } else if content.bare_line_ends && self.settings.refuse_bare_line_ends {
            self.refuse_bare_line_ends(recipients);
        } else if content.too_large {
            self.refuse_message(recipients, &too_large());
        } else {
            let (envelope, accepted, _) = transaction.finish();
            self.message(envelope, accepted, content.bytes, taken);
        }
    }

    /// Whoever has not logged on is hung up on: what comes next may be somebody else's.
    fn refuse_bare_line_ends(&mut self, recipients: usize) {
        let refusal =
            Refusal::permanent(5, 2, "Lines must end with CR LF: a CR or LF stands alone in the content");
        self.refuse_message(recipients, &if self.user.is_some() { refusal } else { refusal.closing() });
    }

    fn message(&mut self, envelope: Envelope, accepted: Accepted, content: Vec<u8>, taken: u64) {
        self.transcript.note_with(|| format!("content of {} bytes", taken + content.len() as u64));
        let places = accepted.into_places();
        self.ask(Event::Message { envelope, content, taken }, Question::Message { places });
    }

    /// How many replies the end of content has: one, or in LMTP one for each RCPT (RFC 2033 sections 4.2 and 4.3).
    fn replies(&self, recipients: usize) -> usize {
        if self.settings.lmtp { recipients } else { 1 }
    }

    fn refuse_message(&mut self, recipients: usize, refusal: &Refusal) {
        for _ in 1..self.replies(recipients) {
            self.write(refusal.line());
        }
        self.refuse(refusal);
    }

    pub(super) fn message_judged(&mut self, places: &[usize], verdict: Verdict) {
        self.transaction = None;
        self.idle_commands = 0;
        let yes = match &verdict {
            Verdict::Queued(id) => format!("Queued as {id}"),
            _ => "Queued".to_owned(),
        };
        match verdict {
            Verdict::Refuse(refusal) => self.refuse_message(places.len(), &refusal),
            Verdict::Each(answers) => self.each_judged(places, answers),
            Verdict::Accept | Verdict::AcceptAs(_) | Verdict::Queued(_) => {
                for _ in 0..self.replies(places.len()) {
                    self.reply(250, EnhancedStatus::success(6, 0), &yes);
                }
            }
            // These answer a logon. Nobody has said that the message is durable.
            Verdict::Challenge(_) | Verdict::LoggedOn(_) => {
                let refusal = Refusal::transient(3, 0, "Nobody said what became of the message");
                self.refuse_message(places.len(), &refusal);
            }
        }
    }

    /// See [`Verdict::Each`].
    fn each_judged(&mut self, places: &[usize], answers: Vec<Result<(), Refusal>>) {
        let missing = Err(Refusal::transient(3, 0, "Nobody said what became of this recipient"));
        let mut answers = places.iter().map(|&place| answers.get(place).unwrap_or(&missing).clone());
        if !self.settings.lmtp {
            let no = answers.find_map(Result::err);
            return self.message_judged(places, no.map_or(Verdict::Accept, Verdict::Refuse));
        }
        let mut closes = false;
        for answer in answers {
            match answer {
                Ok(()) => self.reply(250, EnhancedStatus::success(6, 0), "Queued"),
                Err(refusal) => {
                    self.write(refusal.line());
                    closes |= refusal.closes();
                }
            }
        }
        if closes {
            self.close();
        }
    }

    pub(super) fn refuse_content(&mut self, refusal: Refusal) {
        match &mut self.state {
            State::Data(decoder, refused) => {
                decoder.discard();
                *refused = Some(refusal);
            }
            State::Chunk(chunk) => {
                if let Some(transaction) = self.transaction.take().filter(|_| !chunk.last) {
                    let recipients = transaction.accepted();
                    self.dropped = Some(Dropped { recipients, untold: None });
                }
                chunk.refused.get_or_insert(refusal);
            }
            State::Command if self.transaction.as_ref().is_some_and(Transaction::has_chunks) => {
                let recipients = self.recipients().unwrap_or(0);
                self.transaction = None;
                self.dropped = Some(Dropped { recipients, untold: Some(refusal) });
            }
            _ => {}
        }
    }

    pub(super) fn chunk(&mut self, size: u64, last: bool) {
        let order = Refusal::new(503, EnhancedStatus::permanent(5, 1), "Send MAIL and RCPT first");
        let limit = self.settings.limits.message_size as u64;
        match &self.transaction {
            _ if !self.settings.chunking => {
                // Its octets would be taken for commands.
                self.reply(502, EnhancedStatus::permanent(5, 1), "BDAT is not offered");
                self.close();
            }
            None => {
                let untold = self.dropped.as_mut().and_then(|dropped| dropped.untold.take());
                self.eat_chunk(size, last, untold.unwrap_or(order));
            }
            Some(transaction) if transaction.envelope().recipients.is_empty() => {
                self.eat_chunk(size, last, order)
            }
            Some(transaction)
                if size > limit.saturating_sub(transaction.chunks().map_or(0, Chunks::octets)) =>
            {
                self.eat_chunk(size, last, too_large());
            }
            Some(transaction) if transaction.has_chunks() => self.start_chunk(size, last),
            Some(_) => self.ask(Event::ContentStart, Question::ChunkStart { size, last }),
        }
    }

    pub(super) fn start_chunk(&mut self, size: u64, last: bool) {
        self.add_chunk(0);
        let replies = self.chunk_replies(last);
        self.state = State::Chunk(Chunk { remaining: size, size, last, refused: None, replies });
    }

    /// Reads the octets, so that none of them is taken for a command, and says no at their end.
    pub(super) fn eat_chunk(&mut self, size: u64, last: bool, refusal: Refusal) {
        let replies = self.chunk_replies(last);
        let recipients = self.recipients().filter(|_| !last);
        self.transaction = None;
        self.dropped = recipients.map(|recipients| Dropped { recipients, untold: None });
        if refusal.line().code() == 503 {
            self.errors += 1;
        }
        let endless = (self.settings.limits.message_size as u64).saturating_mul(PATIENCE);
        if self.erred_too_often() {
            (0..replies).for_each(|_| self.write(refusal.line()));
            return self.give_up();
        }
        if size > endless {
            // Whoever is hung up on is told why, also where nobody waits for a reply.
            (0..replies.max(1)).for_each(|_| self.write(refusal.line()));
            return self.close();
        }
        self.state = State::Chunk(Chunk { remaining: size, size, last, refused: Some(refusal), replies });
    }

    /// The next `count` octets of the buffer.
    fn add_chunk(&mut self, count: usize) {
        let octets = self.buffer.rest().get(..count).unwrap_or_default();
        if let Some(transaction) = &mut self.transaction {
            transaction.add_chunk(octets, self.settings.bare_line_ends());
        }
    }

    /// How many replies this chunk has: the last may have none, where nobody was accepted, but not where there was no MAIL
    /// (RFC 3030 section 2).
    fn chunk_replies(&self, last: bool) -> usize {
        self.recipients().filter(|_| last).map_or(1, |recipients| self.replies(recipients))
    }

    /// How many were accepted in the transaction, also where it ended before its last chunk.
    fn recipients(&self) -> Option<usize> {
        let standing = self.transaction.as_ref().map(Transaction::accepted);
        standing.or_else(|| self.dropped.as_ref().map(|dropped| dropped.recipients))
    }

    /// Reads on; false when more must come.
    pub(super) fn continue_chunk(&mut self, mut chunk: Chunk) -> bool {
        let count = usize::try_from(chunk.remaining).unwrap_or(usize::MAX).min(self.buffer.rest().len());
        if chunk.refused.is_none() {
            self.add_chunk(count);
        }
        self.buffer.consume(count);
        chunk.remaining -= count as u64;
        if chunk.remaining > 0 {
            self.state = State::Chunk(chunk);
            return false;
        }
        self.end_chunk(chunk);
        true
    }

    fn end_chunk(&mut self, chunk: Chunk) {
        if let Some(refusal) = &chunk.refused {
            (0..chunk.replies).for_each(|_| self.write(refusal.line()));
            if refusal.closes() {
                self.close();
            }
            return;
        }
        if chunk.size >= WORTH_A_COMMAND {
            // The size of the message is its limit.
            self.idle_commands = self.idle_commands.saturating_sub(1);
        }
        if !chunk.last {
            let text = format!("{} octets received", chunk.size);
            return self.reply(250, EnhancedStatus::success(0, 0), &text);
        }
        let Some(transaction) = self.transaction.take() else { return };
        let (envelope, accepted, chunks) = transaction.finish();
        let taken = chunks.taken();
        match chunks.finish() {
            Some(content) => self.message(envelope, accepted, content, taken),
            None => self.refuse_bare_line_ends(accepted.len()),
        }
    }
}

fn too_large() -> Refusal {
    Refusal::permanent(3, 4, "The message is larger than this server takes")
}
