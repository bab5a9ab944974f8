//! Clauses about contents that come in pieces, for stores that take such.

use postroad_message::Content;

use super::{Breach, Clause, at, message};
use crate::error::QueueError;
use crate::item::NewMessage;
use crate::listing::Filter;
use crate::store::QueueStore;

pub(super) async fn check(
    open: &impl AsyncFn(&'static str) -> Result<Box<dyn QueueStore>, Breach>,
) -> Result<(), Breach> {
    let store = open("open").await?;
    let other = open("a second handle").await?;
    what_comes_in_pieces_comes_out_whole(&*store).await?;
    what_is_not_queued_is_not_there(&*store).await?;
    one_content_may_be_queued_twice(&*store, &*other).await
}

const HEAD: &[u8] = b"Subject: contract\r\n\r\n";

/// A content in pieces of which the last is what [`ContentDraft::finish`](crate::ContentDraft::finish) gets; `None` where the store takes none.
async fn drafted(clause: &Clause<'_>, pieces: &[&[u8]]) -> Result<Option<Content>, Breach> {
    let draft = clause.store.draft(HEAD.to_vec());
    clause.that(
        draft.is_some() == clause.store.large_content().is_some(),
        "a store that takes contents in pieces says from how many bytes on",
    )?;
    let (Some(mut draft), [pieces @ .., rest]) = (draft, pieces) else { return Ok(None) };
    for piece in pieces {
        clause.ok(draft.write(piece.to_vec()).await)?;
    }
    Ok(Some(clause.ok(draft.finish(rest.to_vec()).await)?))
}

fn with(content: &Content) -> Result<NewMessage, Breach> {
    Ok(NewMessage { content: content.clone(), ..message(&[("a", &["jane@example.com"])])? })
}

async fn what_comes_in_pieces_comes_out_whole(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("what comes in pieces comes out whole", store);
    let long = b"0123456789abcdef\0\xff\r\n".repeat(50_000);
    for pieces in [&[&b""[..]][..], &[b"a"], &[b"\r", b"", b"\n.\r", b"\n"], &[&long, b"x", &long, b""]] {
        let whole = Content::from([HEAD, &pieces.concat()].concat());
        let Some(content) = drafted(&clause, pieces).await? else { return Ok(()) };
        clause.that(content == whole, "the content is what was written")?;
        clause.that(content.shape() == whole.shape(), "and has its shape")?;
        let id = clause.ok(store.enqueue(with(&content)?).await)?;
        clause.that(clause.ok(store.content(id).await)? == whole, "so has the message")?;
        clause.that(content == whole, "who had the content before still has it")?;
        let listed = clause.list().await?;
        clause.that(
            listed.iter().all(|listed| listed.size == whole.len() as u64),
            "its size is that of all of it",
        )?;
        clause.clear().await?;
        let gone = store.content(id).await == Err(QueueError::UnknownMessage { message: id });
        clause.that(gone, "it goes with its message")?;
    }
    Ok(())
}

async fn what_is_not_queued_is_not_there(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("a draft that is not queued is not there", store);
    let Some(mut draft) = store.draft(HEAD.to_vec()) else { return Ok(()) };
    clause.ok(draft.write(b"a".to_vec()).await)?;
    drop(draft.write(b"b".to_vec()));
    drop(draft);
    drop(drafted(&clause, &[b"a", b"b"]).await?);
    clause.that(clause.list().await?.is_empty(), "nothing of it is listed")
}

async fn one_content_may_be_queued_twice(
    store: &dyn QueueStore,
    other: &dyn QueueStore,
) -> Result<(), Breach> {
    let clause = Clause::new("a content in pieces may be queued again", store);
    let Some(content) = drafted(&clause, &[b"a\r\n", b"b\r\n"]).await? else { return Ok(()) };
    let changed = content.clone().after(b"Received: here\r\n".to_vec());
    let ids = clause.ok(store.enqueue_all(vec![with(&content)?, with(&content)?, with(&changed)?]).await)?;
    let [first, rest @ ..] = ids.as_slice() else { return Ok(()) };
    let again = clause.ok(other.enqueue(with(&content)?).await)?;
    clause.ok(store.remove(Filter::message(*first), at(0)).await)?;
    for (id, content) in rest.iter().zip([&content, &changed]).chain([(&again, &content)]) {
        clause.that(
            clause.ok(store.content(*id).await)? == *content,
            "each message has a content of its own",
        )?;
    }
    clause.clear().await
}
