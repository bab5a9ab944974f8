//! Delivers for Delivery Agent connectors: the agents by protocol, and the connections that each connector has to its own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postroad_connector::{Connector, DeliveryAgentConnector};
use postroad_message::{EnhancedStatus, Failure, Fault, Outcome, Phase, Scope};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::agent::{AgentConnection, AgentMessage, Answer, DeliveryAgent};
use crate::deliver::{Deliver, Job};

/// How long a connection may take to open.
const OPEN: Duration = Duration::from_secs(5 * 60);
/// How long an agent may take for one message.
const MESSAGE: Duration = Duration::from_secs(60 * 60);
/// How long an agent may take for its leave.
const CLOSE: Duration = Duration::from_secs(5);
/// How long a connection waits for the next message.
const IDLE: Duration = Duration::from_secs(30);

/// Hands mail to the agent that is registered for its connector's `delivery_protocol`.
#[derive(Default)]
pub struct AgentDeliver {
    agents: BTreeMap<String, Arc<dyn DeliveryAgent>>,
    connectors: Mutex<BTreeMap<String, Arc<Connections>>>,
}

impl fmt::Debug for AgentDeliver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentDeliver").field("protocols", &self.agents.keys()).finish_non_exhaustive()
    }
}

impl AgentDeliver {
    /// Without an agent: all mail waits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers the agent of a protocol, such as `lmtp`, whatever its letter case; one that was there goes.
    #[must_use]
    pub fn register(mut self, protocol: &str, agent: impl DeliveryAgent) -> Self {
        self.agents.insert(protocol.to_ascii_lowercase(), Arc::new(agent));
        self
    }

    fn connections(&self, connector: &DeliveryAgentConnector) -> Arc<Connections> {
        let mut connectors = self.connectors.lock().unwrap_or_else(PoisonError::into_inner);
        let known = connectors.entry(connector.name.clone());
        Arc::clone(known.or_insert_with(|| Arc::new(Connections::new(connector.max_concurrent_connections))))
    }

    async fn hand_over(&self, job: Job<'_>) -> Result<Vec<Outcome>, Failure> {
        let Connector::DeliveryAgent(connector) = job.connector else {
            let text = format!("connector {:?} has no delivery agent", job.connector.name());
            return Err(misconfigured(text));
        };
        let agent = self.agents.get(&connector.delivery_protocol.to_ascii_lowercase());
        let agent = agent.ok_or_else(|| {
            misconfigured(format!("no agent speaks delivery_protocol {:?}", connector.delivery_protocol))
        })?;
        let connections = self.connections(connector);
        let _right = connections.rights.acquire().await.map_err(|_| broken("the agent is gone"))?;
        let message = AgentMessage::new(job.destination, job.envelope, job.content, job.message);
        let (mut held, is_reused) = match connections.take() {
            Some(held) => (held, true),
            None => (open(agent.as_ref(), connector).await?, false),
        };
        let mut outcomes = held.deliver(message).await;
        if is_reused && nobody_was_heard(&outcomes) {
            // It had ended meanwhile, which says nothing of the agent.
            held = open(agent.as_ref(), connector).await?;
            outcomes = held.deliver(message).await;
        }
        connections.put_back(held, connector.max_messages_per_connection);
        Ok(outcomes)
    }
}

impl Deliver for AgentDeliver {
    fn deliver<'a>(&'a self, job: Job<'a>) -> Answer<'a, Vec<Outcome>> {
        Box::pin(async move {
            let everyone = |failure| vec![Outcome::Deferred(failure); job.envelope.recipients.len()];
            self.hand_over(job).await.unwrap_or_else(everyone)
        })
    }
}

/// The connections of one connector. In use and idle together they never are more than there are rights: a new one is
/// opened only by who holds a right and finds none idle.
struct Connections {
    rights: Semaphore,
    idle: Mutex<Vec<Held>>,
}

impl Connections {
    fn new(most: u32) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        Self { rights: Semaphore::new(most), idle: Mutex::default() }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Held>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that waits for the shortest time, if it is still of use.
    fn take(&self) -> Option<Held> {
        let mut idle = self.idle();
        while let Some(mut held) = idle.pop() {
            if held.connection.is_usable() {
                return Some(held);
            }
        }
        None
    }

    fn put_back(self: &Arc<Self>, mut held: Held, most: u32) {
        if held.is_broken {
            return;
        }
        if held.messages >= most || !held.connection.is_usable() {
            tokio::spawn(held.leave());
            return;
        }
        held.since = Instant::now();
        self.idle().push(held);
        let connections = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(IDLE).await;
            let Some(connections) = connections.upgrade() else { return };
            let now = Instant::now();
            let is_old = |held: &mut Held| now.duration_since(held.since) >= IDLE;
            let old: Vec<Held> = connections.idle().extract_if(.., is_old).collect();
            for held in old {
                held.leave().await;
            }
        });
    }
}

/// A connection, and what it has carried.
struct Held {
    connection: Box<dyn AgentConnection>,
    messages: u32,
    since: Instant,
    is_broken: bool,
}

impl Held {
    async fn deliver(&mut self, message: AgentMessage<'_>) -> Vec<Outcome> {
        self.messages += 1;
        let recipients = message.envelope.recipients.len();
        let Ok(mut outcomes) = timeout(MESSAGE, self.connection.deliver(message)).await else {
            self.is_broken = true;
            let failure = broken("the agent gave no answer in time, and may have taken the message");
            return vec![Outcome::Ambiguous(failure); recipients];
        };
        outcomes.truncate(recipients);
        outcomes.iter_mut().for_each(let_wait_what_is_ours);
        outcomes.resize_with(recipients, || Outcome::Deferred(unanswered()));
        outcomes
    }

    async fn leave(mut self) {
        // Dropped in any case.
        let _ = timeout(CLOSE, self.connection.close()).await;
    }
}

async fn open(agent: &dyn DeliveryAgent, connector: &DeliveryAgentConnector) -> Result<Held, Failure> {
    match timeout(OPEN, agent.open(connector)).await {
        Ok(Ok(connection)) => Ok(Held { connection, messages: 0, since: Instant::now(), is_broken: false }),
        // Whatever the agent calls it: all mail waits.
        Ok(Err(mut failure)) => {
            failure.scope = Scope::NextHop;
            Err(failure)
        }
        Err(_) => Err(broken("the agent did not open a connection in time")),
    }
}

/// A local fault is never permanent.
fn let_wait_what_is_ours(outcome: &mut Outcome) {
    if let Outcome::Failed(failure) = outcome
        && matches!(failure.fault, Fault::Local | Fault::Configuration)
    {
        *outcome = Outcome::Deferred(failure.clone());
    }
}

/// Whether all that came back is that the connection is of no use.
fn nobody_was_heard(outcomes: &[Outcome]) -> bool {
    let lost = |failure: &Failure| failure.scope == Scope::NextHop && failure.fault == Fault::Remote;
    outcomes.iter().all(|outcome| matches!(outcome, Outcome::Deferred(failure) if lost(failure)))
}

fn unanswered() -> Failure {
    let text = "the agent gave this recipient no answer";
    Failure::new(EnhancedStatus::transient(3, 0), Fault::Remote, Scope::Recipient, Phase::Agent, text)
}

fn broken(text: &str) -> Failure {
    Failure::new(EnhancedStatus::transient(4, 2), Fault::Remote, Scope::NextHop, Phase::Agent, text)
}

fn misconfigured(text: String) -> Failure {
    Failure::new(EnhancedStatus::transient(3, 5), Fault::Configuration, Scope::NextHop, Phase::Agent, text)
}
