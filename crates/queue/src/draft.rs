//! A large content on its way into a store, in pieces.

use postroad_message::Content;

use crate::store::BoxFuture;

/// A content that comes in pieces, and lies in its store instead of in memory from the first of them on.
///
/// Nothing of it is seen, and nothing stays: not when it is dropped in the middle, when a call fails or is dropped, or when the
/// process dies; nor when it was finished and no message was queued with it. What is left of it by then is removed, at the next
/// [`start`](crate::QueueStore::start) at the latest.
pub trait ContentDraft: Send {
    /// Adds these bytes. The future is ready when the next may come: whoever brings more waits for the disk, and holds one piece.
    ///
    /// Fails with [`QueueError::DiskFull`](crate::QueueError::DiskFull) or [`Io`](crate::QueueError::Io); from then on nothing can be added.
    fn write(&mut self, piece: Vec<u8>) -> BoxFuture<'_, ()>;

    /// Ends it with these bytes, and gives the whole: its first bytes, those that [`draft`](crate::QueueStore::draft) was given, in
    /// memory, and the rest where it lies, for whoever has this content or a clone.
    ///
    /// It has reached the disk, synced. The store that made it queues it as it lies, once, where it was not changed; everywhere else
    /// it is a content as any other, which is copied.
    fn finish(self: Box<Self>, rest: Vec<u8>) -> BoxFuture<'static, Content>;
}
