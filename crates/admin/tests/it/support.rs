//! A pipeline with mail that waits: two recipients of one message at two next hops, and a report.

use std::sync::Arc;

use postroad_address_space::{Address, Domain, Mailbox};
use postroad_admin::{AdminError, Command, Ending, Order, Progress, Selection, carry_out};
use postroad_connector::{Connector, ForeignConnector, RoutingTable, SendConnector, Topology};
use postroad_message::{Content, Envelope, Recipient, ReversePath, Timestamp};
use postroad_queue::{MessageId, SqliteStore};
use postroad_transport::{Pipeline, Settings, Submission, SystemWorld, World};
use tempfile::TempDir;

pub(crate) struct Queue {
    pub(crate) folder: TempDir,
    pub(crate) pipeline: Pipeline,
    /// To jane@fabrikam.com through the smart host and to a fax.
    pub(crate) letter: MessageId,
    /// From nobody, to app@contoso.com.
    pub(crate) report: MessageId,
}

impl Queue {
    pub(crate) async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let settings = Settings::new(
            "Hub01",
            Domain::parse("hub01.contoso.com").unwrap(),
            Domain::parse("contoso.com").unwrap(),
            Mailbox::parse("postmaster@contoso.com").unwrap(),
        );
        let store = Arc::new(SqliteStore::open(folder.path().join("queue.db")).unwrap());
        // Nothing is delivered in these tests.
        let pipeline = Pipeline::builder(settings, table("Provider"), store).build();
        let letter = submit(&pipeline, "<joe@contoso.com>", &["jane@fabrikam.com", "FAX:+1 425"]).await;
        let report = submit(&pipeline, "<>", &["app@contoso.com"]).await;
        Self { folder, pipeline, letter, report }
    }

    /// Carries out one command; gives how it ended and what it printed.
    pub(crate) async fn run(&self, command: Command, selection: Selection) -> (Ending, String) {
        self.try_run(command, selection, false).await.unwrap()
    }

    pub(crate) async fn json(&self, command: Command, selection: Selection) -> Vec<serde_json::Value> {
        let (_, text) = self.try_run(command, selection, true).await.unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) async fn try_run(
        &self,
        command: Command,
        selection: Selection,
        json: bool,
    ) -> Result<(Ending, String), AdminError> {
        let mut output = Vec::new();
        let mut order = Order::new(command);
        (order.selection, order.json) = (selection, json);
        let ending = carry_out(&self.pipeline, &order, now(), &mut output, &mut Progress::silent()).await?;
        Ok((ending, String::from_utf8(output).unwrap()))
    }

    /// What waits: recipient, queue and status of each delivery.
    pub(crate) async fn waiting(&self) -> Vec<(String, String, String)> {
        let rows = self.json(Command::Messages, Selection::default()).await;
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        rows.iter()
            .map(|row| (text(&row["recipients"][0]["address"]), text(&row["queue"]), text(&row["status"])))
            .collect()
    }
}

pub(crate) fn now() -> Timestamp {
    SystemWorld.now()
}

/// Everything through a smart host by a connector of this name, faxes to a gateway.
pub(crate) fn table(provider: &str) -> RoutingTable {
    let mut send = SendConnector::new(provider, vec!["SMTP:*;1".parse().unwrap()]);
    send.smart_hosts = vec!["[192.0.2.1]".parse().unwrap()];
    let fax = ForeignConnector::new("Fax", vec!["FAX:*;1".parse().unwrap()]);
    let connectors = vec![Connector::Send(send), Connector::Foreign(fax)];
    RoutingTable::build(connectors, Topology::new("Hub01"), vec![]).unwrap()
}

async fn submit(pipeline: &Pipeline, from: &str, to: &[&str]) -> MessageId {
    let recipients = to.iter().map(|to| Recipient::new(Address::parse(to).unwrap())).collect();
    let envelope = Envelope::new(ReversePath::try_from(from.to_owned()).unwrap(), recipients);
    let content = Content::from(b"Subject: Tea\r\n\r\nAt four.\r\n".to_vec());
    pipeline.submit(Submission::new(envelope, content, "smtp")).await.unwrap().id
}
