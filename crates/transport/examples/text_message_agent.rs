//! An agent in forty lines: `MOBILE` addresses become text messages, printed here instead of sent.

use postroad_address_space::Address;
use postroad_connector::{Connector, DeliveryAgentConnector};
use postroad_message::{
    Content, EnhancedStatus, Envelope, Failure, Fault, Outcome, Phase, Recipient, ReversePath, Scope,
};
use postroad_queue::{DeliveryId, MessageId};
use postroad_transport::agent::{AgentConnection, AgentMessage, Answer, DeliveryAgent};
use postroad_transport::{AgentDeliver, Deliver as _, Job};

/// The text-message centre; a connection to it would be a socket.
struct Centre;

impl DeliveryAgent for Centre {
    fn open<'a>(
        &'a self,
        _: &'a DeliveryAgentConnector,
    ) -> Answer<'a, Result<Box<dyn AgentConnection>, Failure>> {
        Box::pin(async { Ok(Box::new(Self) as Box<dyn AgentConnection>) })
    }
}

impl AgentConnection for Centre {
    fn deliver<'a>(&'a mut self, message: AgentMessage<'a>) -> Answer<'a, Vec<Outcome>> {
        Box::pin(
            async move { message.envelope.recipients.iter().map(|to| text(to, message.content)).collect() },
        )
    }
}

/// One answer for each recipient: who is no number is told so.
fn text(to: &Recipient, content: &Content) -> Outcome {
    let Address::Other(number) = &to.address else {
        let status = EnhancedStatus::permanent(1, 3);
        return Outcome::Failed(Failure::new(
            status,
            Fault::Message,
            Scope::Recipient,
            Phase::Agent,
            "no number",
        ));
    };
    println!("to {}: {} bytes", number.value(), content.len());
    Outcome::Delivered(Default::default())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A pipeline is given this by `PipelineBuilder::agent`; here it is given one message by hand.
    let agents = AgentDeliver::new().register("MOBILE", Centre);
    let spaces = vec!["MOBILE:*;1".parse()?, "contoso.com".parse()?];
    let connector = Connector::DeliveryAgent(DeliveryAgentConnector::new("Texts", spaces, "MOBILE"));
    let to = ["MOBILE:+14255550100", "tim@contoso.com"].map(|to| Address::parse(to).map(Recipient::new));
    let envelope = Envelope::new(ReversePath::Null, to.into_iter().collect::<Result<_, _>>()?);
    let content = Content::from(b"Subject: Tea\r\n\r\nAt four.\r\n".to_vec());
    let (message, delivery) = (MessageId::from_u64(1), DeliveryId::from_u64(1));
    let job = Job::new(&connector, "MOBILE", &envelope, &content, message, delivery);
    let outcomes = agents.deliver(job).await;
    assert!(matches!(&outcomes[..], [Outcome::Delivered(_), Outcome::Failed(_)]), "{outcomes:?}");
    Ok(())
}

#[test]
fn it_answers_for_each_recipient() {
    main().unwrap();
}
