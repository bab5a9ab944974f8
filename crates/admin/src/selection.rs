//! Which mail an administrator means: ids, or conditions in the manner of `Get-Message -Filter`.

use std::time::Duration;

use postroad_message::{NextHop, Timestamp};
use postroad_queue::{Filter, MessageId, QueueStore, StateKind};

use crate::error::AdminError;

/// The mail that an action is about: what fits every field that is set. Nothing set means everything.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Selection {
    /// These messages; empty: any.
    pub messages: Vec<MessageId>,
    /// In this queue: `connector -> destination`, or the destination alone whatever the connector. ASCII case aside.
    pub next_hop: Option<String>,
    /// In every queue of this connector.
    pub connector: Option<String>,
    /// From this mailbox; `<>` for reports.
    pub sender: Option<String>,
    /// With this recipient.
    pub recipient: Option<String>,
    /// In this state.
    pub state: Option<StateKind>,
    /// In the queue for so long at least.
    pub older_than: Option<Duration>,
}

impl Selection {
    /// Whether it picks everything.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// The store's filters that together pick what this picks, each delivery once.
    ///
    /// # Errors
    ///
    /// [`AdminError::NoSuchQueue`] where `next_hop` names none that has mail or is suspended; [`AdminError::Queue`].
    pub async fn filters(&self, store: &dyn QueueStore, now: Timestamp) -> Result<Vec<Filter>, AdminError> {
        let mut all = Filter::all();
        all.connector.clone_from(&self.connector);
        all.sender.clone_from(&self.sender);
        all.recipient.clone_from(&self.recipient);
        all.state = self.state;
        all.received_before = self.older_than.map(|age| before(now, age));
        let mut filters = vec![all];
        if self.next_hop.is_some() {
            let queues = self.queues(store, now).await?;
            filters = each(&filters, &queues, |filter, queue| filter.next_hop = Some(queue.clone()));
        }
        if !self.messages.is_empty() {
            let mut messages = self.messages.clone();
            messages.sort_unstable();
            messages.dedup();
            filters = each(&filters, &messages, |filter, message| filter.message = Some(*message));
        }
        Ok(filters)
    }

    /// The queues that `next_hop` and `connector` name.
    ///
    /// # Errors
    ///
    /// As for [`filters`](Self::filters).
    pub async fn queues(&self, store: &dyn QueueStore, now: Timestamp) -> Result<Vec<NextHop>, AdminError> {
        let queues = store.queues(now).await?.into_iter().map(|summary| summary.next_hop);
        let found: Vec<NextHop> = queues.filter(|queue| self.names(queue)).collect();
        match &self.next_hop {
            Some(name) if found.is_empty() => Err(AdminError::NoSuchQueue { name: name.clone() }),
            _ => Ok(found),
        }
    }

    pub(crate) fn names(&self, queue: &NextHop) -> bool {
        let is = |name: &String| {
            name.eq_ignore_ascii_case(&queue.destination) || name.eq_ignore_ascii_case(&queue.to_string())
        };
        self.next_hop.as_ref().is_none_or(is)
            && self.connector.as_ref().is_none_or(|connector| **connector == *queue.connector)
    }
}

fn each<T>(filters: &[Filter], values: &[T], set: impl Fn(&mut Filter, &T)) -> Vec<Filter> {
    let both = filters.iter().flat_map(|filter| values.iter().map(move |value| (filter, value)));
    both.map(|(filter, value)| {
        let mut filter = filter.clone();
        set(&mut filter, value);
        filter
    })
    .collect()
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    let millis = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_millis(now.as_unix_millis().saturating_sub(millis))
}
