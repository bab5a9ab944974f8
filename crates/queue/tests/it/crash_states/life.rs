//! The whole life of some messages: every promise is printed as soon as it is made.

use std::path::Path;

use postroad_message::Content;
use postroad_queue::{
    Claim, Filter, Kept, MessageId, NewMessage, QueueError, QueueStore, Settlement, SqliteOptions,
    SqliteStore,
};

use crate::dice::Dice;
use crate::mail::{at, body, hop, message, named};

/// Of each life.
pub(super) const MESSAGES: usize = 30;

/// What a message is, and what becomes of it: the same for the same number.
pub(super) struct Mail {
    number: usize,
    length: usize,
    /// It comes by the log, from a file.
    keyed: bool,
    /// If it is large.
    in_pieces: bool,
    forgotten: bool,
    /// With the one before it.
    together: bool,
    /// Another one leaves after it.
    one_leaves: bool,
    fate: Fate,
}

#[derive(Clone, Copy)]
enum Fate {
    Waits,
    Removed,
    Stays,
    Reported,
}

impl Mail {
    pub(super) fn of(number: usize) -> Self {
        let mut dice = Dice(number as u64);
        Self {
            number,
            // One in five is large enough for a file of its own.
            length: if dice.below(5) == 0 { LARGE + dice.below(1500) } else { dice.below(3000) },
            keyed: dice.below(3) > 0,
            in_pieces: dice.below(2) == 0,
            forgotten: dice.below(4) == 0,
            together: dice.below(3) == 0,
            one_leaves: dice.below(3) == 0,
            fate: [
                Fate::Waits,
                Fate::Waits,
                Fate::Waits,
                Fate::Removed,
                Fate::Stays,
                Fate::Stays,
                Fate::Reported,
                Fate::Reported,
            ][dice.below(8)],
        }
    }

    pub(super) fn content(&self) -> Content {
        Content::from(body(self.number, self.length))
    }

    /// As it would come by SMTP.
    pub(super) fn plain(&self) -> NewMessage {
        message("example.com", &body(self.number, self.length))
    }

    async fn message(&self, store: &SqliteStore) -> NewMessage {
        let mail = body(self.number, self.length);
        let mut message = if self.keyed { keyed(self.number, &mail) } else { self.plain() };
        if self.length >= LARGE && self.in_pieces {
            message.content = in_pieces(store, &mail).await;
        }
        message
    }
}

/// A large content that comes in pieces, behind one that is given up in the middle.
async fn in_pieces(store: &SqliteStore, content: &[u8]) -> Content {
    let begun = async || {
        let mut draft = store.draft(content[..10].to_vec()).expect("in pieces");
        draft.write(content[10..1000].to_vec()).await.expect("room");
        draft.write(content[1000..4000].to_vec()).await.expect("room");
        draft
    };
    drop(begun().await);
    begun().await.finish(content[4000..].to_vec()).await.expect("room")
}

/// A message as it comes from a file, once more perhaps.
pub(super) fn keyed(number: usize, mail: &[u8]) -> NewMessage {
    let mut message = named(number as u32, "example.com", mail);
    message.source_key = Some(format!("pickup:{number}"));
    message
}

const LARGE: usize = 4096;

/// A log of eight pages, so that a life has many checkpoints.
pub(super) fn try_open(path: &Path) -> Result<SqliteStore, QueueError> {
    let mut options = SqliteOptions::default();
    options.large_content = LARGE;
    options.log_size = 64 << 10;
    options.fresh_log = 32 << 10;
    SqliteStore::open_with(path, options)
}

pub(super) async fn live(path: &Path, life: usize) {
    let store = try_open(path).expect("the store opens");
    store.start("Hub01", at(0)).await.expect("it starts");
    println!("!started");
    let all: Vec<Mail> = (life * MESSAGES..(life + 1) * MESSAGES).map(Mail::of).collect();
    for group in all.chunk_by(|_, next| next.together) {
        // Sent at once: they share a commit, or a write.
        let mut messages = Vec::new();
        for mail in group {
            messages.push((mail, mail.message(&store).await));
        }
        let send = |(mail, message)| (mail, store.enqueue(message));
        let coming: Vec<_> = messages.into_iter().map(send).collect();
        let mut queued = Vec::new();
        for (mail, coming) in coming {
            let id = coming.await.expect("room");
            println!("!{} {id} {}", if mail.keyed { "keyed" } else { "queued" }, mail.number);
            queued.push((mail, id));
        }
        for (mail, id) in queued {
            befalls(&store, mail, id).await;
        }
    }
    if life % 2 == 1 {
        store.stop().await.expect("all moves");
        println!("!stopped");
    }
    store.close();
    println!("!closed");
}

async fn befalls(store: &SqliteStore, mail: &Mail, id: MessageId) {
    if mail.keyed && mail.forgotten {
        println!("!forgetting {}", mail.number);
        store.forget_source_keys(vec![format!("pickup:{}", mail.number)]).await.expect("forgotten");
    }
    if mail.one_leaves {
        let claim = Claim::due(hop("example.com"), 1, at(1), at(60));
        for lease in store.claim(claim).await.expect("lent").leases {
            let id = lease.message;
            println!("!leaving {id}");
            store.settle(lease, Settlement::all_leave()).await.expect("settled");
            println!("!left {id}");
        }
    }
    if matches!(mail.fate, Fate::Waits) {
        return;
    }
    println!("!leaving {id}");
    if matches!(mail.fate, Fate::Removed) {
        let removed = store.remove(Filter::message(id), at(0)).await.expect("removed");
        if removed.deliveries == 1 {
            println!("!gone {id}");
        }
        return;
    }
    let claim = Claim::message(id, at(1), at(60));
    let Some(lease) = store.claim(claim).await.expect("a claim").leases.pop() else { return };
    let (mut settlement, word) = match mail.fate {
        // It is not due for long, and its report lies beside it from now on.
        Fate::Stays => (Settlement::keep(vec![Kept::waiting(0, at(1000))]), "stayed"),
        _ => (Settlement::all_leave(), "reported"),
    };
    settlement.delay_notified = matches!(mail.fate, Fate::Stays);
    settlement.enqueue.push(report(id));
    store.settle(lease, settlement).await.expect("settled");
    println!("!{word} {id}");
}

fn report(id: MessageId) -> NewMessage {
    let mut report = message(&format!("{id}.test"), b"report");
    for delivery in &mut report.deliveries {
        delivery.next_hop = hop("report.test");
    }
    report
}
