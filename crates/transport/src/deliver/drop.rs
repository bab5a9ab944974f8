//! Delivers for Foreign connectors: one file in the connector's Drop directory for the gateway to fetch.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use postroad_address_space::Domain;
use postroad_connector::Connector;
use postroad_message::{EnhancedStatus, Failure, Fault, Outcome, Phase, Receipt, Scope};
use postroad_message_directory::{DropDirectory, drop};

use crate::deliver::{Deliver, Job};
use crate::world::World;

/// Writes files: whole, synced, and only then visible under their name.
pub struct DropDeliver {
    directories: BTreeMap<String, DropDirectory>,
    rules: drop::Rules,
    world: Arc<dyn World>,
}

impl DropDeliver {
    /// `directories` by the name of their connector; addresses of other types than SMTP are written as IMCEA
    /// addresses in `domain`.
    pub fn new(directories: BTreeMap<String, DropDirectory>, domain: Domain, world: Arc<dyn World>) -> Self {
        Self { directories, rules: drop::Rules::new(domain), world }
    }

    async fn write(&self, job: Job<'_>) -> Result<Outcome, Failure> {
        let Connector::Foreign(connector) = job.connector else {
            return Err(misplaced(job.connector.name()));
        };
        let directory = self.directories.get(job.connector.name()).cloned();
        let directory = directory.ok_or_else(|| misplaced(job.connector.name()))?;
        let file = drop::encode(job.envelope, job.content, &self.rules)
            .map_err(|error| unwritable(&error.to_string()))?;
        let unique = self.world.random().to_be_bytes();
        let written = tokio::task::spawn_blocking(move || directory.write(unique, &file)).await;
        let path = match written {
            Ok(Ok(path)) => path,
            Ok(Err(error)) => return Err(error.failure()),
            Err(_) => return Err(local("the file could not be written")),
        };
        let receipt = Receipt { host: path.display().to_string(), reply: None, tls: None };
        // The gateway behind the directory sends no reports that we could pass on.
        Ok(if connector.relay_dsn_required { Outcome::Relayed(receipt) } else { Outcome::Delivered(receipt) })
    }
}

impl Deliver for DropDeliver {
    fn deliver<'a>(&'a self, job: Job<'a>) -> Pin<Box<dyn Future<Output = Vec<Outcome>> + Send + 'a>> {
        Box::pin(async move {
            let outcome = self.write(job).await.unwrap_or_else(|failure| {
                if failure.status.class() == postroad_message::StatusClass::Permanent {
                    Outcome::Failed(failure)
                } else {
                    Outcome::Deferred(failure)
                }
            });
            vec![outcome; job.envelope.recipients.len()]
        })
    }
}

/// The message cannot be put into the format, whatever the directory.
fn unwritable(why: &str) -> Failure {
    Failure::new(EnhancedStatus::permanent(6, 0), Fault::Message, Scope::Message, Phase::File, why)
}

fn misplaced(connector: &str) -> Failure {
    let text = format!("connector {connector:?} has no Drop directory");
    Failure::new(EnhancedStatus::transient(3, 5), Fault::Configuration, Scope::NextHop, Phase::File, text)
}

fn local(why: &str) -> Failure {
    Failure::new(EnhancedStatus::transient(3, 0), Fault::Local, Scope::NextHop, Phase::File, why)
}
