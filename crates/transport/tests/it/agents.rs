//! Delivery agents: what the pipeline makes of answers, of silence, and of agents that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use postroad_connector::DeliveryAgentConnector;
use postroad_message::{EnhancedStatus, Failure, Fault, Outcome, Phase, Scope};
use postroad_transport::AgentDeliver;
use postroad_transport::agent::{AgentConnection, AgentMessage, Answer, DeliveryAgent};

use crate::by_hand::Delivery;
use crate::support::{delivered, host_is_down, no_such_user};

/// What a pretend agent does with its next messages.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    Takes,
    TakesHalf,
    Hangs,
    Panics,
    RefusesConnections,
    LosesOldConnections,
    BlamesItselfForGood,
}

#[derive(Default)]
struct Counts {
    opened: AtomicUsize,
    open: AtomicUsize,
    most: AtomicUsize,
    closed: AtomicUsize,
}

struct Pretend(Does, Arc<Counts>);

struct Connection {
    does: Does,
    counts: Arc<Counts>,
    messages: usize,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl DeliveryAgent for Pretend {
    fn open<'a>(
        &'a self,
        _: &'a DeliveryAgentConnector,
    ) -> Answer<'a, Result<Box<dyn AgentConnection>, Failure>> {
        Box::pin(async move {
            if self.0 == Does::RefusesConnections {
                let status = EnhancedStatus::permanent(7, 1);
                return Err(Failure::new(status, Fault::Remote, Scope::Message, Phase::Agent, "not you"));
            }
            self.1.opened.fetch_add(1, Ordering::Relaxed);
            let open = self.1.open.fetch_add(1, Ordering::Relaxed) + 1;
            self.1.most.fetch_max(open, Ordering::Relaxed);
            let connection = Connection { does: self.0, counts: Arc::clone(&self.1), messages: 0 };
            Ok(Box::new(connection) as Box<dyn AgentConnection>)
        })
    }
}

impl AgentConnection for Connection {
    fn deliver<'a>(&'a mut self, message: AgentMessage<'a>) -> Answer<'a, Vec<Outcome>> {
        Box::pin(async move {
            self.messages += 1;
            let recipients = message.envelope.recipients.len();
            tokio::time::sleep(Duration::from_secs(1)).await;
            match self.does {
                Does::TakesHalf => vec![delivered(); recipients / 2],
                Does::Hangs => std::future::pending().await,
                Does::Panics => panic!("an agent breaks off"),
                Does::LosesOldConnections if self.messages > 1 => vec![host_is_down(); recipients],
                Does::BlamesItselfForGood => {
                    let status = EnhancedStatus::permanent(3, 0);
                    let failure =
                        Failure::new(status, Fault::Local, Scope::Message, Phase::Agent, "disk full");
                    vec![Outcome::Failed(failure), no_such_user()]
                }
                _ => vec![delivered(); recipients + 1],
            }
        })
    }

    fn close<'a>(&'a mut self) -> Answer<'a, ()> {
        self.counts.closed.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(()))
    }
}

fn pretend(does: Does) -> (Arc<AgentDeliver>, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    (Arc::new(AgentDeliver::new().register("MOBILE", Pretend(does, counts.clone()))), counts)
}

fn connector(protocol: &str) -> DeliveryAgentConnector {
    DeliveryAgentConnector::new("Texts", vec!["MOBILE:*;1".parse().unwrap()], protocol)
}

async fn hand_over(agents: &AgentDeliver, connector: DeliveryAgentConnector, to: &[&str]) -> Vec<Outcome> {
    let content = b"Subject: Tea\r\n\r\nAt four.\r\n".to_vec();
    Delivery::new(connector, "MOBILE", "<>", to, content).by(agents).await
}

const TWO: [&str; 2] = ["MOBILE:1", "MOBILE:2"];

#[tokio::test(start_paused = true)]
async fn a_connection_carries_messages_up_to_its_limit_and_is_then_closed() {
    let (agents, counts) = pretend(Does::Takes);
    let mut texts = connector("mobile");
    texts.max_messages_per_connection = 3;
    for _ in 0..7 {
        // The answer too many is nobody's.
        assert_eq!(hand_over(&agents, texts.clone(), &TWO).await, [delivered(), delivered()]);
    }
    assert_eq!(counts.opened.load(Ordering::Relaxed), 3);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(counts.closed.load(Ordering::Relaxed), 3, "who waits for long is closed as well");
    assert_eq!(counts.open.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn no_more_connections_are_open_at_a_time_than_the_connector_allows() {
    let (agents, counts) = pretend(Does::Takes);
    let mut texts = connector("MOBILE");
    texts.max_concurrent_connections = 2;
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (agents, texts) = (agents.clone(), texts.clone());
        all.spawn(async move { hand_over(&agents, texts, &["MOBILE:1"]).await });
    }
    while let Some(outcomes) = all.join_next().await {
        assert_eq!(outcomes.unwrap(), [delivered()]);
    }
    assert_eq!(counts.most.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_recipient_without_an_answer_waits() {
    let (agents, _) = pretend(Does::TakesHalf);
    let outcomes = hand_over(&agents, connector("MOBILE"), &TWO).await;
    let [Outcome::Delivered(_), Outcome::Deferred(failure)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(failure.scope, Scope::Recipient);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_hangs_may_have_taken_the_message_and_holds_no_connection() {
    let (agents, counts) = pretend(Does::Hangs);
    let outcomes = hand_over(&agents, connector("MOBILE"), &TWO).await;
    assert!(matches!(&outcomes[..], [Outcome::Ambiguous(_), Outcome::Ambiguous(_)]), "{outcomes:?}");
    assert_eq!(counts.open.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_panics_or_is_dropped_gives_its_place_back() {
    for does in [Does::Panics, Does::Hangs] {
        let (agents, counts) = pretend(does);
        let mut texts = connector("MOBILE");
        texts.max_concurrent_connections = 1;
        for begun in 1..=3 {
            let (agents, texts) = (agents.clone(), texts.clone());
            let task = tokio::spawn(async move { hand_over(&agents, texts, &TWO).await });
            while counts.opened.load(Ordering::Relaxed) < begun {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            if does == Does::Hangs {
                task.abort();
            }
            assert!(task.await.is_err());
            assert_eq!(counts.open.load(Ordering::Relaxed), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_fails_the_next_hop_and_no_mail() {
    let (agents, _) = pretend(Does::RefusesConnections);
    let outcomes = hand_over(&agents, connector("MOBILE"), &["MOBILE:1"]).await;
    let [Outcome::Deferred(failure)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!((failure.scope, failure.text.as_str()), (Scope::NextHop, "not you"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ended_while_it_waited_costs_no_message() {
    let (agents, counts) = pretend(Does::LosesOldConnections);
    for _ in 0..3 {
        assert_eq!(hand_over(&agents, connector("MOBILE"), &["MOBILE:1"]).await, [delivered()]);
    }
    assert_eq!(counts.opened.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_our_own_fault_returns_no_mail() {
    let (agents, _) = pretend(Does::BlamesItselfForGood);
    let outcomes = hand_over(&agents, connector("MOBILE"), &TWO).await;
    assert!(matches!(&outcomes[..], [Outcome::Deferred(_), Outcome::Failed(_)]), "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn mail_for_a_protocol_that_no_agent_speaks_waits() {
    let (agents, _) = pretend(Does::Takes);
    let outcomes = hand_over(&agents, connector("X.400"), &["MOBILE:1"]).await;
    let [Outcome::Deferred(failure)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!((failure.fault, failure.scope), (Fault::Configuration, Scope::NextHop));
}
