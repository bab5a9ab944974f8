//! Deliveries that tests give to a way out themselves, without a relay around it.

use std::collections::BTreeMap;

use postroad_address_space::Domain;
use postroad_connector::{Connector, ForeignConnector};
use postroad_message::{Content, Outcome};
use postroad_message_directory::DropDirectory;
use postroad_queue::{DeliveryId, MessageId};
use postroad_transport::{Deliver, DropDeliver, Job, Submission};

use crate::support::message;

/// Which message it is.
pub(crate) const MESSAGE: MessageId = MessageId::from_u64(7);

/// A message for one queue of a connector.
pub(crate) struct Delivery {
    connector: Connector,
    queue: &'static str,
    submission: Submission,
}

impl Delivery {
    pub(crate) fn new(
        connector: impl Into<Connector>,
        queue: &'static str,
        from: &str,
        to: &[&str],
        content: impl Into<Content>,
    ) -> Self {
        let mut submission = message(from, to);
        submission.content = content.into();
        Self { connector: connector.into(), queue, submission }
    }

    /// For the fax gateway, from nobody.
    pub(crate) fn fax(number: u64, content: impl Into<Content>) -> Self {
        let connector = ForeignConnector::new("Fax", vec!["FAX:*;1".parse().unwrap()]);
        Self::new(connector, "Fax", "<>", &[&format!("FAX:{number}")], content)
    }

    /// As the delivery of that number.
    pub(crate) fn job(&self, delivery: u64) -> Job<'_> {
        let Submission { envelope, content, .. } = &self.submission;
        Job::new(&self.connector, self.queue, envelope, content, MESSAGE, DeliveryId::from_u64(delivery))
    }

    pub(crate) async fn by(&self, way_out: &impl Deliver) -> Vec<Outcome> {
        way_out.deliver(self.job(1)).await
    }
}

pub(crate) fn contoso() -> Domain {
    Domain::parse("contoso.com").unwrap()
}

/// Writes faxes into this directory.
pub(crate) fn gateway(directory: DropDirectory) -> DropDeliver {
    DropDeliver::new(BTreeMap::from([("Fax".to_owned(), directory)]), contoso())
}
