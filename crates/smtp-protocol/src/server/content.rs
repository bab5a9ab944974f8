//! DATA and BDAT: content by its final dot, and content by count.

use postroad_message::{EnhancedStatus, Envelope};

use crate::data::Decoder;
use crate::server::reply_line::ReplyLine;
use crate::server::session::{Chunk, Event, Question, Session, State};
use crate::server::verdict::Refusal;

/// Content this many times larger than the limit is not read to its end.
const PATIENCE: u64 = 2;

impl Session {
    pub(super) fn data(&mut self) {
        match &self.transaction {
            None => self.out_of_order("Send MAIL first"),
            Some(transaction) if transaction.has_chunks() => {
                self.out_of_order("Content came by BDAT already")
            }
            Some(transaction) if transaction.envelope().recipients.is_empty() => {
                self.reply(554, EnhancedStatus::permanent(5, 1), "No valid recipients");
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
        let endless = (self.settings.limits.message_size as u64).saturating_mul(PATIENCE);
        if progress.ended {
            self.end_data(decoder, refusal);
        } else if decoder.total() > endless {
            self.refuse(&too_large().closing());
        } else {
            self.state = State::Data(decoder, refusal);
            return false;
        }
        true
    }

    fn end_data(&mut self, decoder: Decoder, refusal: Option<Refusal>) {
        let content = decoder.finish();
        let Some(transaction) = self.transaction.take() else { return };
        if let Some(refusal) = refusal {
            self.refuse(&refusal);
        } else if content.too_large {
            self.refuse(&too_large());
        } else if content.bare_line_ends && self.settings.refuse_bare_line_ends {
            self.refuse_bare_line_ends();
        } else {
            self.message(transaction.into_envelope(), content.bytes);
        }
    }

    /// Whoever has not logged on is hung up on: what comes next may be somebody else's.
    fn refuse_bare_line_ends(&mut self) {
        let refusal =
            Refusal::permanent(5, 2, "Lines must end with CR LF: a CR or LF stands alone in the content");
        self.refuse(&if self.user.is_some() { refusal } else { refusal.closing() });
    }

    fn message(&mut self, envelope: Envelope, content: Vec<u8>) {
        self.transcript.note_with(|| format!("content of {} bytes", content.len()));
        self.ask(Event::Message { envelope, content }, Question::Message);
    }

    pub(super) fn refuse_content(&mut self, refusal: Refusal) {
        match &mut self.state {
            State::Data(decoder, refused) => {
                decoder.discard();
                *refused = Some(refusal);
            }
            State::Chunk(chunk) => {
                self.transaction = None;
                chunk.refused.get_or_insert_with(|| refusal.line().clone());
            }
            _ => {}
        }
    }

    pub(super) fn chunk(&mut self, size: u64, last: bool) {
        let order = ReplyLine::new(503, Some(EnhancedStatus::permanent(5, 1)), "Send MAIL and RCPT first");
        let limit = self.settings.limits.message_size as u64;
        match &self.transaction {
            _ if !self.settings.chunking => {
                // Its octets would be taken for commands.
                self.reply(502, EnhancedStatus::permanent(5, 1), "BDAT is not offered");
                self.close();
            }
            None => self.eat_chunk(size, last, order),
            Some(transaction) if transaction.envelope().recipients.is_empty() => {
                self.eat_chunk(size, last, order)
            }
            Some(transaction) if size > limit.saturating_sub(transaction.chunks_held() as u64) => {
                self.eat_chunk(size, last, too_large().line().clone());
            }
            Some(transaction) if transaction.has_chunks() => self.start_chunk(size, last),
            Some(_) => self.ask(Event::ContentStart, Question::ChunkStart { size, last }),
        }
    }

    pub(super) fn start_chunk(&mut self, size: u64, last: bool) {
        if let Some(transaction) = &mut self.transaction {
            transaction.add_chunk(&[]);
        }
        self.state = State::Chunk(Chunk { remaining: size, size, last, refused: None });
    }

    /// Reads the octets, so that none of them is taken for a command, and says no at their end.
    pub(super) fn eat_chunk(&mut self, size: u64, last: bool, line: ReplyLine) {
        self.transaction = None;
        if line.code() == 503 {
            self.errors += 1;
        }
        let endless = (self.settings.limits.message_size as u64).saturating_mul(PATIENCE);
        let errors = self.settings.limits.protocol_errors.is_some_and(|most| self.errors > most);
        if size > endless || errors {
            self.write(&line);
            return self.close();
        }
        self.state = State::Chunk(Chunk { remaining: size, size, last, refused: Some(line) });
    }

    /// Reads on; false when more must come.
    pub(super) fn continue_chunk(&mut self, mut chunk: Chunk) -> bool {
        let held = self.buffer.rest();
        let count = usize::try_from(chunk.remaining).unwrap_or(usize::MAX).min(held.len());
        if let (None, Some(transaction)) = (&chunk.refused, &mut self.transaction) {
            transaction.add_chunk(held.get(..count).unwrap_or_default());
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
        if let Some(line) = &chunk.refused {
            return self.write(line);
        }
        if !chunk.last {
            let text = format!("{} octets received", chunk.size);
            return self.reply(250, EnhancedStatus::success(0, 0), &text);
        }
        let Some(transaction) = self.transaction.take() else { return };
        let (envelope, content, bare) = transaction.finish_chunks(!self.settings.refuse_bare_line_ends);
        if bare && self.settings.refuse_bare_line_ends {
            self.refuse_bare_line_ends();
        } else {
            self.message(envelope, content);
        }
    }
}

fn too_large() -> Refusal {
    Refusal::permanent(3, 4, "The message is larger than this server takes")
}
