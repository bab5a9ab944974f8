//! What a run was told up to some step, and whether a store keeps it.

use std::collections::BTreeMap;
use std::path::Path;

use postroad_message::Content;
use postroad_queue::{Listed, MessageId, QueueError, QueueStore, State};

use super::life::{self, Mail};
use super::trace::Step;
use crate::mail::{at, list, message};

#[derive(Clone, Default)]
pub(super) struct Promises {
    messages: BTreeMap<MessageId, Promised>,
    /// Those whose sources may come with them again.
    keyed: BTreeMap<usize, MessageId>,
    /// How many lines were heard.
    pub(super) heard: usize,
}

#[derive(Clone)]
struct Promised {
    content: Content,
    /// The run has begun to settle or remove it.
    leaving: bool,
    /// What became of it, once that was promised too.
    ended: Option<&'static str>,
}

impl Promises {
    pub(super) fn hear(&mut self, step: &Step) {
        let Step::Said(line) = step else { return };
        self.heard += 1;
        let words: Vec<&str> = line.split(' ').collect();
        let id = |text: &str| text.parse::<MessageId>().expect("an id");
        match words[..] {
            [word @ ("queued" | "keyed"), message, number] => {
                let number: usize = number.parse().expect("a number");
                if word == "keyed" {
                    self.keyed.insert(number, id(message));
                }
                let content = Mail::of(number).content();
                self.messages.insert(id(message), Promised { content, leaving: false, ended: None });
            }
            ["forgetting", number] => drop(self.keyed.remove(&number.parse().expect("a number"))),
            [word, message] => {
                // In a later life one may leave of which the earlier could not say any more that it was queued.
                let Some(promised) = self.messages.get_mut(&id(message)) else { return };
                promised.leaving = true;
                promised.ended = promised.ended.or_else(|| {
                    ["gone", "left", "stayed", "reported"].into_iter().find(|known| *known == word)
                });
            }
            _ => {}
        }
    }

    /// The store opens on it, has what was promised, nothing half, and takes more.
    pub(super) async fn are_kept(&self, path: &Path, start: bool, what: &str) {
        let store = life::try_open(path).unwrap_or_else(|error| panic!("{error:?} at {what}"));
        if start {
            store.start("Hub01", at(0)).await.expect("it starts");
        }
        let listed = list(&store).await;
        let aside = listed.iter().find(|listed| matches!(listed.state, State::SetAside { .. }));
        assert!(aside.is_none(), "corrupt: {aside:?} at {what}");
        for listed in &listed {
            assert!(listed.sender.is_some() && listed.recipients.len() == 1, "torn: {listed:?} at {what}");
        }
        // All questions first, and the last answer first: when it is there all are, and no thread is woken for each.
        let others = listed.iter().map(|listed| listed.message).filter(|id| !self.messages.contains_key(id));
        let asked: Vec<_> = others.map(|id| (id, store.content(id))).collect();
        let promised = self.messages.iter().map(|(id, promised)| (*id, promised, store.content(*id)));
        let promised: Vec<_> = promised.collect();
        let (mut waiting, mut reported) = (BTreeMap::new(), BTreeMap::new());
        for listed in &listed {
            *waiting.entry(listed.message).or_insert(0) += 1;
            if let Some(id) = reports(listed) {
                *reported.entry(id).or_insert(0) += 1;
            }
        }
        for (id, promised, content) in promised.into_iter().rev() {
            let of = |counts: &BTreeMap<MessageId, usize>| counts.get(&id).copied().unwrap_or(0);
            let (waits, reports) = (of(&waiting), of(&reported));
            let fits = match (promised.leaving, promised.ended) {
                (false, _) => (waits, reports) == (1, 0),
                // What a power failure undoes of that is delivered again.
                (true, Some("left")) => waits <= 1 && reports == 0,
                (true, Some("gone")) => (waits, reports) == (0, 0),
                (true, Some("stayed")) => (waits, reports) == (1, 1),
                (true, Some(_)) => (waits, reports) == (0, 1),
                (true, None) => {
                    (waits, reports) == (1, 0) || waits + reports <= 2 && (reports == 1 || waits == 0)
                }
            };
            assert!(fits, "{id} waits {waits} times with {reports} reports at {what}");
            let expected = match waits {
                1 => Ok(promised.content.clone()),
                _ => Err(QueueError::UnknownMessage { message: id }),
            };
            assert_eq!(content.await, expected, "{id} at {what}");
        }
        for (id, content) in asked.into_iter().rev() {
            let content = content.await;
            let is_there = content.as_ref().is_ok_and(|content| content.load().is_ok());
            assert!(is_there, "without content: {id}, {content:?} at {what}");
        }
        let again = |(number, id): (&usize, &MessageId)| (*id, store.enqueue(life::keyed(*number, b"again")));
        let again: Vec<_> = self.keyed.iter().map(again).collect();
        let new = store.enqueue(message("example.com", b"goes on")).await.expect("a store that takes more");
        for (id, again) in again {
            assert_eq!(again.await, Ok(id), "a source came again, and was not known at {what}");
        }
        assert!(!self.messages.contains_key(&new), "an id is never used twice: {what}");
        store.close();
    }
}

/// Which message this is the report of.
fn reports(listed: &Listed) -> Option<MessageId> {
    let to = listed.recipients.first()?.recipient.address.to_string().to_ascii_lowercase();
    to.strip_prefix("jane@")?.strip_suffix(".test")?.parse().ok()
}
