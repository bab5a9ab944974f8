//! The content of a message: header block, blank line, body, exactly as they will leave, in memory or only its head.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use crate::edits::Edits;
use crate::header::{HeaderBlock, HeaderEnd};
use crate::shape::Shape;

/// So much is read at a time where all of a content is looked at.
const PIECE: usize = 64 * 1024;

/// A line that goes on longer without a colon opens the body.
const LONGEST_NAME: usize = 64 * 1024;

/// The bytes between `DATA` and the final dot, unstuffed; shared, never changed.
///
/// A clone is a pointer. A change (a `Received` line put before it) makes a new content.
/// `Debug` shows the length only: message content is never logged.
///
/// Most contents are all in memory. A large one may have its [`head`](Self::head) there alone, and the [`rest`](Self::rest) in a
/// file or wherever a [`ContentSource`] reads: it is sent, written and looked at in pieces.
///
/// ```
/// # use std::sync::Arc;
/// use postroad_message::content::{Content, ContentSource, Rest};
/// use postroad_message::Shape;
///
/// struct Lines;
///
/// impl ContentSource for Lines {
///     fn read_at(&self, into: &mut [u8], offset: u64) -> std::io::Result<usize> {
///         let cycle = b"At four.\r\n".iter().cycle().skip((offset % 10) as usize);
///         into.iter_mut().zip(cycle).for_each(|(to, from)| *to = *from);
///         Ok(into.len())
///     }
/// }
///
/// let head = b"Subject: Tea\r\n\r\n".to_vec();
/// let rest = Rest { source: Arc::new(Lines), start: 0, length: 30, shape: Shape::of(b"At four.\r\n") };
/// let content = Content::with_rest(head, rest);
/// assert!(content.in_memory().is_none() && content.shape().is_whole_lines());
/// assert_eq!(content.len(), 46);
/// assert_eq!(content, Content::from(b"Subject: Tea\r\n\r\nAt four.\r\nAt four.\r\nAt four.\r\n".to_vec()));
/// ```
#[derive(Clone, Default)]
pub struct Content(Arc<Parts>);

#[derive(Default)]
struct Parts {
    head: Vec<u8>,
    rest: Option<Rest>,
    shape: OnceLock<Shape>,
}

/// Bytes that are not in memory. They never change, and can be read as long as anybody has this.
pub trait ContentSource: Any + Send + Sync {
    /// Reads from that offset on, as much as is to be had at once; nothing only at the end. It may block.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// What of a content follows its head.
#[derive(Clone)]
pub struct Rest {
    /// Who has it. Whoever made the source knows it again by its type.
    pub source: Arc<dyn ContentSource>,
    /// Where it starts there.
    pub start: u64,
    /// How long it is: what the source has beyond that is none of it.
    pub length: usize,
    /// Its shape, learnt while it was written or read through.
    pub shape: Shape,
}

impl Content {
    /// A content of which only the head is in memory: the header block at least, or all that [`HeaderBlock::scan`] would make
    /// of it.
    pub fn with_rest(head: Vec<u8>, rest: Rest) -> Self {
        let rest = (rest.length > 0).then_some(rest);
        Self(Arc::new(Parts { head, rest, shape: OnceLock::new() }))
    }

    /// The header block, and as much of the body as happens to be in memory.
    pub fn head(&self) -> &[u8] {
        &self.0.head
    }

    /// What follows the head, unless all is in memory.
    pub fn rest(&self) -> Option<&Rest> {
        self.0.rest.as_ref()
    }

    /// All bytes, if they are in memory.
    pub fn in_memory(&self) -> Option<&[u8]> {
        self.0.rest.is_none().then_some(&self.0.head)
    }

    /// All bytes: read into memory where they are not, which may block.
    ///
    /// # Errors
    ///
    /// The rest cannot be read.
    pub fn load(&self) -> io::Result<Cow<'_, [u8]>> {
        if let Some(bytes) = self.in_memory() {
            return Ok(Cow::Borrowed(bytes));
        }
        let mut bytes = vec![0; self.len()];
        self.read_exact_at(&mut bytes, 0)?;
        Ok(Cow::Owned(bytes))
    }

    /// Fills `into` with what stands from that offset on. It may block where not all of it is in memory.
    ///
    /// # Errors
    ///
    /// The rest cannot be read, or so many bytes are not there.
    pub fn read_exact_at(&self, mut into: &mut [u8], mut offset: usize) -> io::Result<()> {
        while !into.is_empty() {
            let count = match self.read_at(into, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?.min(into.len()),
            };
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            into = into.get_mut(count..).unwrap_or_default();
            offset += count;
        }
        Ok(())
    }

    fn read_at(&self, into: &mut [u8], offset: usize) -> io::Result<usize> {
        let Parts { head, rest, .. } = &*self.0;
        if let Some(from @ [_, ..]) = head.get(offset..) {
            let count = from.len().min(into.len());
            into.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            return Ok(count);
        }
        let Some(rest) = rest else { return Ok(0) };
        let within = offset - head.len();
        let count = into.len().min(rest.length.saturating_sub(within));
        rest.source.read_at(into.get_mut(..count).unwrap_or_default(), rest.start + within as u64)
    }

    /// Shows all of it, from its first byte to its last, in pieces where it is not in memory. It may block.
    ///
    /// # Errors
    ///
    /// What `see` returns; the rest cannot be read.
    pub fn pieces(&self, mut see: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        see(self.head())?;
        let mut at = self.head().len();
        let mut piece = vec![0; PIECE.min(self.len() - at)];
        while at < self.len() {
            piece.truncate(self.len() - at);
            self.read_exact_at(&mut piece, at)?;
            see(&piece)?;
            at += piece.len();
        }
        Ok(())
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.head.len() + self.0.rest.as_ref().map_or(0, |rest| rest.length)
    }

    /// Whether there is not one byte: legal in SMTP (a lone dot right after 354).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What decides how it may leave: found once, for all who have this content.
    pub fn shape(&self) -> Shape {
        *self.0.shape.get_or_init(|| {
            let head = Shape::of(&self.0.head);
            self.0.rest.as_ref().map_or(head, |rest| head.then(rest.shape))
        })
    }

    /// These bytes, and the content behind them.
    #[must_use]
    pub fn after(self, mut before: Vec<u8>) -> Self {
        before.extend_from_slice(self.head());
        Self(Arc::new(Parts { head: before, rest: self.0.rest.clone(), shape: OnceLock::new() }))
    }

    /// The content with changes to its header block, which was scanned in its [`head`](Self::head). It is not copied but for
    /// its head, and that only where somebody else has it or there is no room in it.
    #[must_use]
    pub fn edited(self, edits: &Edits) -> Self {
        if edits.is_empty() {
            return self;
        }
        let (head, rest) = match Arc::try_unwrap(self.0) {
            Ok(parts) => (edits.apply_to(parts.head), parts.rest),
            Err(shared) => (edits.apply(&shared.head), shared.rest.clone()),
        };
        Self(Arc::new(Parts { head, rest, shape: OnceLock::new() }))
    }
}

/// How many bytes at the start of a content are its header block, where that is known of these first bytes of it already. A line
/// that is no field yet after 64 KiB is none.
pub fn header_block_within(start: &[u8]) -> Option<usize> {
    let header = HeaderBlock::scan(start);
    let after = start.get(header.body_start()..).unwrap_or_default();
    match header.end() {
        HeaderEnd::BlankLine => Some(header.body_start()),
        HeaderEnd::NotAField => {
            (after.len() > LONGEST_NAME || after.contains(&b'\n')).then_some(header.body_start())
        }
        HeaderEnd::EndOfInput => None,
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Parts { head: bytes, rest: None, shape: OnceLock::new() }))
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl<const LENGTH: usize> From<&[u8; LENGTH]> for Content {
    fn from(bytes: &[u8; LENGTH]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

/// Two contents are equal where their bytes are, wherever these lie: comparing may read them, and what can't be read is equal
/// to itself alone.
impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        if Arc::ptr_eq(&self.0, &other.0) {
            return true;
        }
        if let (Some(one), Some(another)) = (self.in_memory(), other.in_memory()) {
            return one == another;
        }
        if self.len() != other.len() {
            return false;
        }
        let (mut at, mut beside) = (0, Vec::new());
        let compared = self.pieces(|piece| {
            beside.resize(piece.len(), 0);
            other.read_exact_at(&mut beside, at)?;
            at += piece.len();
            if beside == piece { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
        });
        compared.is_ok()
    }
}

impl Eq for Content {}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.len())
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rest({} bytes from {})", self.length, self.start)
    }
}
