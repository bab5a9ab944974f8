//! What a session leaves to its caller because it may take its time: reading content that is not in memory, and finding out how it
//! is put into seven bits.

use std::fmt;
use std::io;

use postroad_message::Content;
use postroad_message::seven_bit::{Signatures, Unconvertible, to_seven_bit};

/// Work on a content: [`run`](Self::run) it where it may block, and bring what comes of it back.
pub struct ContentTask {
    content: Content,
    kind: Kind,
}

enum Kind {
    Read { offset: usize, buffer: Vec<u8> },
    Convert(Signatures),
}

/// What came of it: nothing goes on before the session has it.
#[must_use]
pub struct ContentResult(pub(super) io::Result<Done>);

pub(super) enum Done {
    Read { offset: usize, bytes: Vec<u8> },
    Converted(Result<Content, Unconvertible>),
}

impl ContentTask {
    /// Fills `buffer` from that offset on.
    pub(super) fn read(content: &Content, offset: usize, buffer: Vec<u8>) -> Self {
        Self { content: content.clone(), kind: Kind::Read { offset, buffer } }
    }

    pub(super) fn convert(content: &Content, signatures: Signatures) -> Self {
        Self { content: content.clone(), kind: Kind::Convert(signatures) }
    }

    /// Whether it takes all of a content into memory that is not there, until it is done: let few of these run at a time.
    pub fn takes_all(&self) -> bool {
        matches!(self.kind, Kind::Convert(_)) && self.content.in_memory().is_none()
    }

    /// Does it. It may read from a disk, and keep a processor busy.
    pub fn run(self) -> ContentResult {
        let Self { content, kind } = self;
        ContentResult(match kind {
            Kind::Read { offset, mut buffer } => {
                content.read_exact_at(&mut buffer, offset).map(|()| Done::Read { offset, bytes: buffer })
            }
            Kind::Convert(signatures) => to_seven_bit(&content, signatures).map(Done::Converted),
        })
    }
}

impl ContentResult {
    /// It could not be done: nobody could be found to do it, say, or it took too long.
    pub fn failed(error: io::Error) -> Self {
        Self(Err(error))
    }
}

impl fmt::Debug for ContentTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Read { offset, buffer } => write!(f, "Read({} bytes from {offset})", buffer.len()),
            Kind::Convert(_) => write!(f, "Convert({} bytes)", self.content.len()),
        }
    }
}

impl fmt::Debug for ContentResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(Done::Read { bytes, .. }) => write!(f, "Read({} bytes)", bytes.len()),
            Ok(Done::Converted(Ok(content))) => write!(f, "Converted({} bytes)", content.len()),
            Ok(Done::Converted(Err(why))) => write!(f, "Unconvertible({why})"),
            Err(error) => write!(f, "Failed({error})"),
        }
    }
}
