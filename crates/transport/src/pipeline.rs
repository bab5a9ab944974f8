//! The pipeline: a message goes in by one door, is routed, and is durable before the door closes behind it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use postroad_connector::RoutingTable;
use postroad_message::{Content, Envelope, Failure, NextHop, Outcome, Recipient};
use postroad_queue::{Filter, Listed, MessageId, QueueError, QueueStore};
use postroad_smtp_server::Client;
use tokio::sync::Notify;
use tokio::task::JoinError;
use tracing::Instrument as _;

use crate::deliver::Delivers;
use crate::intake::Intake;
use crate::observe::Observe;
use crate::poison::Trials;
use crate::pressure::Pressure;
use crate::settings::Settings;
use crate::world::World;

/// One relay's pipeline; a clone is a handle to the same one.
#[derive(Clone)]
pub struct Pipeline {
    pub(crate) shared: Arc<Shared>,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("server", &self.shared.in_force().settings.server)
            .finish_non_exhaustive()
    }
}

/// What a configuration decides, replaced as a whole: nothing ever works with half of two.
pub(crate) struct InForce {
    pub(crate) settings: Settings,
    pub(crate) table: Arc<RoutingTable>,
    pub(crate) delivers: Delivers,
}

/// What every part of the pipeline works with.
pub(crate) struct Shared {
    pub(crate) in_force: ArcSwap<InForce>,
    /// Rung when another configuration is in force.
    pub(crate) changed: Notify,
    pub(crate) store: Arc<dyn QueueStore>,
    pub(crate) observer: Arc<dyn Observe>,
    pub(crate) world: Arc<dyn World>,
    /// Tells apart messages that are named ahead within a millisecond.
    pub(crate) named_ahead: AtomicU32,
    /// The messages that are suspected of having crashed us.
    pub(crate) trials: Trials,
    /// What is known of the room on the queue's disk and in memory.
    pub(crate) pressure: Pressure,
}

/// A message as a door hands it in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Submission {
    /// From whom and to whom.
    pub envelope: Envelope,
    /// The id it shall have in the queue, where its content names it; `None`: the queue makes one.
    pub id: Option<MessageId>,
    /// Header, blank line, body, with CRLF line ends; exactly what will be sent.
    pub content: Content,
    /// Which door: `smtp`, `pickup`, `replay`, `send`.
    pub source: &'static str,
    /// What the door knows it by, where it could come with it twice.
    pub source_key: Option<String>,
    /// Whether the door wants to know what became of each recipient: see [`Pipeline::results`].
    pub watched: bool,
    /// Recipients that are no addresses, as the source wrote them; the sender hears of them.
    pub rejected: Vec<String>,
    /// Who brought it, where it came by SMTP: for [`Observe::queued`].
    pub client: Option<Box<Client>>,
}

impl Submission {
    /// A submission that cannot come twice.
    pub fn new(envelope: Envelope, content: Content, source: &'static str) -> Self {
        Self {
            envelope,
            id: None,
            content,
            source,
            source_key: None,
            watched: false,
            rejected: Vec::new(),
            client: None,
        }
    }

    /// Keeps each recipient's final outcome after it has left the queue, until [`Pipeline::forget_results`] or the
    /// relay's next start.
    #[must_use]
    pub fn watched(self) -> Self {
        Self { watched: true, ..self }
    }
}

/// A message that is in the queue, durably.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Submitted {
    /// Its id, for the log and the reply; that of the report where every recipient was refused.
    pub id: MessageId,
    /// Where each recipient waits.
    pub deliveries: Vec<(NextHop, Vec<Recipient>)>,
    /// Recipients that no connector takes; their report is in the queue with the message.
    pub refused: Vec<(Recipient, Failure)>,
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The envelope names nobody.
    #[error("a message needs at least one recipient")]
    NoRecipient,
    /// More `Received` fields than a message collects on an honest way.
    #[error("hop count exceeded: {hops} Received fields, possible mail loop")]
    Loop {
        /// How many there are.
        hops: usize,
    },
    /// Nobody takes it and there is nobody to tell.
    #[error("no connector takes any of its recipients, and a report is never answered with a report")]
    Undeliverable,
    /// A file that is no message and has no sender to be told.
    #[error("{0}")]
    BadFile(String),
    /// The queue's disk or the memory is nearly full.
    #[error("the queue's disk or the memory is nearly full: make room")]
    NoRoom,
    /// The queue could not take it.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl SubmitError {
    /// Whether the same message may be taken later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Queue(error) => error.is_transient(),
            Self::NoRoom => true,
            Self::NoRecipient | Self::Loop { .. } | Self::Undeliverable | Self::BadFile(_) => false,
        }
    }
}

impl Pipeline {
    /// The names, timers and limits in force.
    pub fn settings(&self) -> Settings {
        self.shared.in_force().settings.clone()
    }

    /// The routing table in force.
    pub fn routing_table(&self) -> Arc<RoutingTable> {
        Arc::clone(&self.shared.in_force().table)
    }

    /// Routes a message and puts it into the queue. When this is ready with `Ok` the message is on the disk,
    /// and so is the report for recipients that no connector will take.
    ///
    /// Must be called within a tokio runtime. Dropped before it is ready, it leaves open whether the message is queued; where it is, the
    /// [`Observe`]r is told so all the same.
    ///
    /// # Errors
    ///
    /// Nothing of the message is in the queue: see [`SubmitError`], and [`QueueError::Io`] for the one exception.
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, SubmitError> {
        self.shared.admit(&submission.content)?;
        self.route_and_enqueue(submission).await
    }

    /// [`Pipeline::submit`] for a door that has counted the hops itself.
    pub(crate) async fn route_and_enqueue(&self, submission: Submission) -> Result<Submitted, SubmitError> {
        let (messages, intake) = if submission.content.in_memory().is_some() {
            Intake::plan(&self.shared, submission)?
        } else {
            // Who is refused gets the content back, which has to be read then.
            let shared = Arc::clone(&self.shared);
            joined(tokio::task::spawn_blocking(move || Intake::plan(&shared, submission)).await)??
        };
        let shared = Arc::clone(&self.shared);
        // A task of its own: whoever waits for it may go, a web request say, and those who watch hear of it all the same.
        let queued = async move {
            let ids = shared.store.enqueue_all(messages).await?;
            intake.queued(&shared, &ids)
        };
        joined(tokio::spawn(queued.in_current_span()).await)?
    }
}

impl Pipeline {
    /// What waits, as the queue lists it.
    ///
    /// # Errors
    ///
    /// The queue cannot be read.
    pub async fn list(&self, filter: Filter) -> Result<Vec<Listed>, QueueError> {
        self.shared.store.list(filter, self.shared.world.now()).await
    }

    /// What became of the recipients of a [watched](Submission::watched) message that have left the queue, in the
    /// order in which they left. Who was refused at submission never was in it: see [`Submitted::refused`].
    ///
    /// # Errors
    ///
    /// The queue, or one of the results, cannot be read.
    pub async fn results(&self, message: MessageId) -> Result<Vec<(Recipient, Outcome)>, QueueError> {
        self.shared.store.results(message).await
    }

    /// Ends the watching: forgets the results of a message, and keeps none of who leaves later.
    ///
    /// # Errors
    ///
    /// The queue cannot be written.
    pub async fn forget_results(&self, message: MessageId) -> Result<(), QueueError> {
        self.shared.store.forget_results(message).await
    }
}

impl Shared {
    /// The configuration as it is now; hold it for one piece of work, so that all of that is of one kind.
    pub(crate) fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// Another configuration from now on.
    pub(crate) fn replace(&self, in_force: InForce) {
        self.in_force.store(Arc::new(in_force));
        self.changed.notify_one();
    }

    /// When a delivery that is new at this next hop is tried: at once, but the unreachable wait for a changed
    /// configuration until they expire.
    pub(crate) fn first_due(
        &self,
        next_hop: &NextHop,
        received_at: postroad_message::Timestamp,
        now: postroad_message::Timestamp,
    ) -> postroad_message::Timestamp {
        if next_hop.is_unreachable() { self.in_force().settings.timers.expires_at(received_at) } else { now }
    }

    /// The id of a message that is not queued yet.
    pub(crate) fn name_ahead(&self) -> MessageId {
        MessageId::ahead(self.world.now(), self.named_ahead.fetch_add(1, Ordering::Relaxed))
    }

    /// Refuses what has come too often, or finds no room.
    pub(crate) fn admit(&self, content: &Content) -> Result<(), SubmitError> {
        self.admit_with(usize::MAX, content)
    }

    /// The same for who knows that there are no more hops than this: if these are few enough nobody counts them.
    pub(crate) fn admit_with(&self, most_hops: usize, content: &Content) -> Result<(), SubmitError> {
        let allowed = usize::from(self.in_force().settings.max_hop_count.get());
        if most_hops > allowed {
            let hops = postroad_message::HeaderBlock::scan(content.head()).hop_count();
            if hops > allowed {
                return Err(SubmitError::Loop { hops });
            }
        }
        if self.is_short_of_room(size(content)) { Err(SubmitError::NoRoom) } else { Ok(()) }
    }
}

/// What a task of ours gave. Its panic is that of whoever waits for it; where the runtime has ended nothing is queued any more.
pub(crate) fn joined<T>(ended: Result<T, JoinError>) -> Result<T, QueueError> {
    match ended {
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        ended => ended.map_err(|_| QueueError::Closed),
    }
}

/// Length of a content, as routing and the queue count it.
pub(crate) fn size(content: &Content) -> u64 {
    u64::try_from(content.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use crate::{AgentDeliver, Delivers, Doors, DropDeliver, Lmtp, Pipe, PipelineBuilder, SmtpDeliver};

    use super::*;

    #[test]
    fn an_embedder_can_keep_what_is_his_share_it_and_show_it() {
        fn holds<T: fmt::Debug + Send + Sync + 'static>() {}
        holds::<(Pipeline, PipelineBuilder, Delivers, Doors, Submission, Submitted)>();
        holds::<(SmtpDeliver, DropDeliver, AgentDeliver, Lmtp, Pipe)>();
    }
}
