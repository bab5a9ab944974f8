//! Deliveries through an agent run side by side as far as the connector allows: none waits behind another in a batch.

use std::sync::Arc;
use std::time::Duration;

use postroad_connector::{Connector, DeliveryAgentConnector, RoutingTable, Topology};
use postroad_message::{Failure, Outcome};
use postroad_transport::agent::{AgentConnection, AgentMessage, Answer, DeliveryAgent};
use postroad_transport::{AgentDeliver, Delivers};
use tokio::sync::{Barrier, Semaphore};

use crate::support::{Relay, delivered, message, settings};

/// Takes no message before as many are handed over as the connector allows at a time.
#[derive(Clone)]
struct Together(Arc<Barrier>, Arc<Semaphore>);

impl DeliveryAgent for Together {
    fn open<'a>(
        &'a self,
        _: &'a DeliveryAgentConnector,
    ) -> Answer<'a, Result<Box<dyn AgentConnection>, Failure>> {
        let connection: Box<dyn AgentConnection> = Box::new(self.clone());
        Box::pin(std::future::ready(Ok(connection)))
    }
}

impl AgentConnection for Together {
    fn deliver<'a>(&'a mut self, message: AgentMessage<'a>) -> Answer<'a, Vec<Outcome>> {
        Box::pin(async move {
            if self.0.wait().await.is_leader() {
                self.1.add_permits(1);
            }
            vec![delivered(); message.envelope.recipients.len()]
        })
    }
}

/// By the clock of the wall: a paused one would leap over an agent's time while the queue is asked.
#[tokio::test]
async fn no_message_waits_behind_another_while_a_connection_is_free() {
    // More than one next hop gets otherwise.
    const AT_A_TIME: u8 = 30;
    let relay = Relay::new([]);
    let together = Together(Arc::new(Barrier::new(AT_A_TIME.into())), Arc::new(Semaphore::new(0)));
    let mut texts = DeliveryAgentConnector::new("Texts", vec!["MOBILE:*;1".parse().unwrap()], "together");
    texts.max_concurrent_connections = AT_A_TIME.into();
    let table = RoutingTable::build(vec![Connector::DeliveryAgent(texts)], Topology::new("Hub01"), vec![]);
    let agent = AgentDeliver::new().register("together", together.clone());
    let delivers = Delivers::new(relay.smtp.clone(), relay.drop.clone(), agent);
    relay.pipeline.put_in_force(settings(), table.unwrap(), delivers);
    // All of them are due when the first is claimed.
    for _ in 0..2 * AT_A_TIME {
        relay.pipeline.submit(message("erp@sender.test", &["MOBILE:1"])).await.unwrap();
    }
    relay.start().await;
    let twice = tokio::time::timeout(Duration::from_secs(60), together.1.acquire_many(2)).await;
    assert!(twice.is_ok(), "fewer than {AT_A_TIME} at a time");
}
