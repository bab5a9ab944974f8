//! The way out that a pipeline was not given: its mail waits, and says why.

use std::future::Future;
use std::pin::Pin;

use postroad_message::{EnhancedStatus, Failure, Fault, Outcome, Phase, Scope};

use crate::deliver::{Deliver, Job};

/// Stands where nobody delivers.
pub(super) struct NoWayOut;

impl Deliver for NoWayOut {
    fn deliver<'a>(&'a self, job: Job<'a>) -> Pin<Box<dyn Future<Output = Vec<Outcome>> + Send + 'a>> {
        let text =
            format!("the pipeline was given nobody who delivers for connector {:?}", job.connector.name());
        let status = EnhancedStatus::transient(3, 5);
        let failure = Failure::new(status, Fault::Configuration, Scope::NextHop, Phase::Routing, text);
        let outcomes = vec![Outcome::Deferred(failure); job.envelope.recipients.len()];
        Box::pin(std::future::ready(outcomes))
    }
}
