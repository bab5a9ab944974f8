//! Clauses about what goes in: whole, once, all or nothing, and seen by others.

use postroad_message::{Body, DeliverBy, Notify, OriginalRecipient, Priority, Return, WhenLate};

use super::{Breach, Clause, at, hop, message, names};
use crate::error::QueueError;
use crate::item::{Claim, Settlement};
use crate::message_id::MessageId;
use crate::store::QueueStore;

pub(super) async fn check(
    open: &impl AsyncFn(&'static str) -> Result<Box<dyn QueueStore>, Breach>,
) -> Result<(), Breach> {
    let store = open("open").await?;
    comes_out_as_it_went_in(&*store).await?;
    all_or_nothing(&*store).await?;
    ids_sort_by_age(&*store).await?;
    a_door_may_name_its_message(&*store).await?;
    a_source_may_try_again(&*store).await?;
    a_source_may_try_again_with_one(&*store).await?;
    a_source_that_never_comes_again_is_forgotten(&*store).await?;
    let other = open("a second handle").await?;
    others_see_it(&*store, &*other).await
}

async fn comes_out_as_it_went_in(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("what comes out is what went in", store);
    let mut new = message(&[("a", &["jane@example.com", "bob@example.com"]), ("b", &["FAX:+1 425"])])?;
    new.envelope.ret = Some(Return::Headers);
    new.envelope.envelope_id = Some("QQ314159".to_owned());
    new.envelope.body = Body::EightBitMime;
    new.envelope.smtputf8 = true;
    new.envelope.require_tls = true;
    let mut deliver_by = DeliverBy::new(at(60), WhenLate::Return);
    deliver_by.trace = true;
    new.envelope.deliver_by = Some(deliver_by);
    new.envelope.priority = Priority::new(-9);
    if let Some(recipient) = new.deliveries.first_mut().and_then(|delivery| delivery.recipients.first_mut()) {
        recipient.notify = Some(Notify { success: true, failure: false, delay: true });
        recipient.original = Some(OriginalRecipient::new("rfc822", "a\r\n\"b\u{1F4EE}"));
    }
    let id = clause.ok(store.enqueue(new.clone()).await)?;
    for delivery in &new.deliveries {
        let lease = clause.claim_one(Claim::due(delivery.next_hop.clone(), 9, at(0), at(5))).await?;
        let mut envelope = new.envelope.clone();
        envelope.recipients = delivery.recipients.clone();
        clause.that(lease.message == id, "a lease names its message")?;
        clause.that(lease.next_hop == delivery.next_hop, "a lease names its next hop")?;
        clause.that(lease.envelope == envelope, "envelope and recipients are as they were")?;
        clause.that(lease.received_at == at(0) && lease.source == "contract", "so are time and source")?;
        clause.that(lease.size == new.content.len() as u64, "so is the size")?;
        clause.that(
            (lease.attempts, lease.crashes, lease.delay_notified) == (0, 0, false),
            "nothing was tried yet",
        )?;
        clause
            .that(lease.last_failures == vec![None; envelope.recipients.len()], "nothing has failed yet")?;
        clause.ok(store.release(lease, at(0)).await)?;
    }
    clause
        .that(clause.ok(store.content(id).await)? == new.content, "every byte of the content is as it was")?;
    let mut whole = new.envelope.clone();
    whole.recipients = new.deliveries.iter().flat_map(|delivery| delivery.recipients.clone()).collect();
    clause.that(clause.ok(store.envelope(id).await)? == whole, "the envelope can be had whole")?;
    let unknown = MessageId::from_u64(1);
    clause.that(
        store.envelope(unknown).await == Err(QueueError::UnknownMessage { message: unknown }),
        "one that is not there is unknown",
    )?;
    clause.that(
        store.content(unknown).await == Err(QueueError::UnknownMessage { message: unknown }),
        "a message that is not there is unknown",
    )?;
    clause.clear().await?;
    clause.that(
        store.content(id).await == Err(QueueError::UnknownMessage { message: id }),
        "content goes with the last delivery",
    )
}

async fn all_or_nothing(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("all of a group or nothing", store);
    let good = message(&[("a", &["jane@example.com"])])?;
    let nowhere = message(&[])?;
    let nobody = message(&[("a", &["jane@example.com"]), ("b", &[])])?;
    for bad in [nowhere, nobody] {
        let refused = store.enqueue_all(vec![good.clone(), bad]).await;
        clause
            .that(refused == Err(QueueError::NothingToDeliver), "a message that goes nowhere is refused")?;
    }
    clause.that(clause.list().await?.is_empty(), "nothing of a refused group is there")?;
    let ids = clause.ok(store.enqueue_all(vec![good.clone(), good]).await)?;
    clause.that(ids.len() == 2 && clause.list().await?.len() == 2, "all of an accepted one is")?;
    clause.clear().await
}

async fn ids_sort_by_age(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("ids sort by age and are never used twice", store);
    let mut ids = Vec::new();
    // The clock goes back for the third, and the fourth finds an empty store.
    for minutes in [0, 1, -5] {
        let mut new = message(&[("a", &["jane@example.com"])])?;
        new.received_at = at(minutes);
        ids.push(clause.ok(store.enqueue(new).await)?);
    }
    clause.clear().await?;
    ids.push(clause.ok(store.enqueue(message(&[("a", &["jane@example.com"])])?).await)?);
    clause
        .that(ids.is_sorted_by(|a, b| a < b), "a later message has a higher id, whatever the clock says")?;
    clause.clear().await
}

async fn a_door_may_name_its_message(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("a door may name its message before it is queued", store);
    let mut named = message(&[("a", &["jane@example.com"]), ("b", &["joe@contoso.com"])])?;
    named.id = Some(MessageId::ahead(named.received_at, 7));
    clause.that(Some(clause.ok(store.enqueue(named.clone()).await)?) == named.id, "it has that name")?;
    clause.that(store.enqueue(named.clone()).await.is_err(), "nobody else has it")?;
    let other = clause.ok(store.enqueue(message(&[("a", &["jane@example.com"])])?).await)?;
    clause.that(Some(other) != named.id, "nor one that the store names")?;
    clause.that(clause.list().await?.len() == 3, "what was refused is not there")?;
    clause.clear().await
}

async fn a_source_may_try_again(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("a source that was interrupted may try again", store);
    let mut keyed = message(&[("a", &["jane@example.com"])])?;
    keyed.source_key = Some("Pickup/mail.eml".to_owned());
    let group = vec![keyed, message(&[("b", &["joe@contoso.com"])])?];
    let first = clause.ok(store.enqueue_all(group.clone()).await)?;
    let second = clause.ok(store.enqueue_all(group.clone()).await)?;
    clause.that(first == second, "the earlier ids come back")?;
    clause.that(clause.list().await?.len() == 2, "nothing is queued twice")?;
    clause.clear().await?;
    let third = clause.ok(store.enqueue_all(group.clone()).await)?;
    clause.that(first == third && clause.list().await?.is_empty(), "nor after it was delivered")?;
    let forgotten = || vec!["Pickup/another.eml".to_owned(), "Pickup/mail.eml".to_owned()];
    let known = clause.ok(store.known_source_keys(forgotten()).await)?;
    clause.that(known == ["Pickup/mail.eml"], "one key is known, the other is not")?;
    clause.ok(store.forget_source_keys(forgotten()).await)?;
    clause.that(clause.ok(store.known_source_keys(forgotten()).await)?.is_empty(), "none when forgotten")?;
    let fourth = clause.ok(store.enqueue_all(group).await)?;
    clause.that(first != fourth && clause.list().await?.len() == 2, "a key that was forgotten is new")?;
    clause.ok(store.forget_source_keys(forgotten()).await)?;
    clause.ok(store.forget_source_keys(forgotten()).await)?;
    clause.clear().await
}

/// The same for a message that comes alone and is delivered before anybody looks.
async fn a_source_may_try_again_with_one(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("a source that was interrupted may try again with one message", store);
    let mut keyed = message(&[("a", &["jane@example.com"])])?;
    keyed.source_key = Some("Pickup/one.eml".to_owned());
    let first = clause.ok(store.enqueue(keyed.clone()).await)?;
    clause.that(clause.ok(store.enqueue(keyed.clone()).await)? == first, "the earlier id comes back")?;
    let lease = clause.claim_one(Claim::due(hop("a"), 2, at(0), at(5))).await?;
    clause.that(clause.ok(store.enqueue(keyed.clone()).await)? == first, "also when it is lent")?;
    clause.ok(store.settle(lease, Settlement::all_leave()).await)?;
    clause.that(clause.ok(store.enqueue(keyed.clone()).await)? == first, "and when it has left")?;
    clause.that(clause.list().await?.is_empty(), "nothing is queued twice")?;
    clause.that(clause.ok(store.enqueue(keyed.clone()).await)? == first, "whoever has looked meanwhile")?;
    let forgotten = || vec!["Pickup/one.eml".to_owned()];
    clause.that(clause.ok(store.known_source_keys(forgotten()).await)? == forgotten(), "its key is known")?;
    clause.ok(store.forget_source_keys(forgotten()).await)?;
    let second = clause.ok(store.enqueue(keyed.clone()).await)?;
    clause.that(first != second, "a key that was forgotten is new")?;
    clause.that(clause.list().await?.len() == 1, "and is queued")?;
    clause.that(clause.ok(store.enqueue(keyed.clone()).await)? == second, "once")?;
    clause.ok(store.forget_source_keys(forgotten()).await)?;
    let third = clause.ok(store.enqueue(keyed).await)?;
    clause.that(second != third, "and is forgotten again")?;
    clause.ok(store.forget_source_keys(forgotten()).await)?;
    clause.clear().await
}

async fn a_source_that_never_comes_again_is_forgotten(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("a source that never comes again is forgotten after thirty days", store);
    let keyed = |key: &str| {
        let mut keyed = message(&[("a", &["jane@example.com"])])?;
        keyed.source_key = Some(key.to_owned());
        Ok(keyed)
    };
    let known = async |key: &str| clause.ok(store.known_source_keys(vec![key.to_owned()]).await);
    let start = async |day: i64| {
        clause.ok(store.stop().await)?;
        clause.ok(store.start("contract", at(day * 24 * 60)).await)
    };
    let (gone, comes, asks) = ("Pickup/gone.eml", "Pickup/comes.eml", "Pickup/asks.eml");
    clause.ok(store.enqueue(keyed(gone)?).await)?;
    clause.ok(store.enqueue(keyed(asks)?).await)?;
    let first = clause.ok(store.enqueue(keyed(comes)?).await)?;
    for day in [100, 130, 160, 190] {
        start(day).await?;
        let again = clause.ok(store.enqueue(keyed(comes)?).await)?;
        clause.that(again == first, "not where it comes again within these")?;
        clause.that(known(asks).await? == [asks], "nor where it asks")?;
    }
    clause.that(known(gone).await?.is_empty(), "nobody came with it")?;
    start(191).await?;
    start(222).await?;
    let ended = [known(comes).await?, known(asks).await?].concat();
    clause.that(ended.is_empty(), "nobody comes with them any more")?;
    clause.clear().await
}

async fn others_see_it(store: &dyn QueueStore, other: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("a change is noticed, by this handle and by others", store);
    let (seen, seen_there) = (store.version(), other.version());
    clause.ok(store.enqueue(message(&[("a", &["jane@example.com"])])?).await)?;
    let now = clause.ok(store.changed(seen).await)?;
    clause.that(now != seen, "the version changes")?;
    Clause::new(clause.name, other).sees("a").await?;
    clause.ok(other.changed(seen_there).await)?;
    let due = clause.ok(other.due(at(0)).await)?;
    clause.that(due == [(hop("a"), at(0))], "what was queued is due, seen from anywhere")?;
    let lease = Clause::new(clause.name, other).claim_one(Claim::due(hop("a"), 1, at(0), at(5))).await?;
    clause.that(names(&lease) == ["jane@example.com"], "and can be claimed from anywhere")?;
    clause.ok(other.release(lease, at(0)).await)?;
    clause.clear().await
}
