//! What the pipeline is told once, when it is built.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use postroad_address_space::{Domain, Mailbox};
use postroad_connector::FrontEndProxy;
use postroad_dsn::Wording;
use postroad_queue::{Concurrency, MessageTimers, RetrySchedule};

use crate::dial::Names;

/// Names, timers and limits of one relay.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Who holds leases in the queue: one name for each running relay on one queue.
    pub server: String,
    /// In EHLO, in `Received` and as the reporting host of a DSN.
    pub fqdn: Domain,
    /// The first is the default: encapsulated addresses and Message-IDs are made in it. Never empty.
    pub accepted_domains: Vec<Domain>,
    /// Through which connectors with `frontend_proxy_enabled` leave. Without one their mail waits. None.
    pub frontend_proxies: Vec<FrontEndProxy>,
    /// From whom reports come.
    pub postmaster: Mailbox,
    /// How a next hop that cannot be reached is tried again.
    pub retry_schedule: RetrySchedule,
    /// Retry, expiry and delay notice of one message.
    pub timers: MessageTimers,
    /// How many deliveries run at the same time.
    pub concurrency: Concurrency,
    /// How reports are worded; in Exchange's an expired message is 4.4.7.
    pub dsn_wording: Wording,
    /// After how many crashes a message is set aside (`PoisonThreshold`), 2 unless set. A panic counts for the message
    /// that was worked on; the end of the whole process for all that were in flight, but for its first time.
    pub poison_threshold: u32,
    /// How long a next hop fails without a success before its mail is routed anew (`MaxIdleTimeBeforeResubmit`), 12 hours
    /// unless set.
    pub max_idle_time_before_resubmit: Duration,
    /// A folder on the queue's disk; `None`, as it is unless set: the room there is not looked at.
    pub queue_folder: Option<PathBuf>,
    /// Bytes that are to stay free there: with less, the doors begin nothing more; large messages that have begun to come may use
    /// half of it. 500 MiB unless set, as in Exchange.
    pub minimum_free_space: u64,
    /// Bytes of memory that are to stay free, of the machine or of the control group (version 2) that we run in: with less,
    /// the doors begin nothing more. 64 MiB unless set; 0 looks only at whether a message fits.
    pub minimum_free_memory: u64,
    /// How many `Received` fields a message may have before it is taken for a loop (`MaxHopCount`).
    pub max_hop_count: NonZeroU16,
    /// How long a delivery stays lent to us after we were last heard of; it is renewed for as long as the work lasts.
    pub lease: Duration,
    /// How long a shutdown waits for what is in flight.
    pub shutdown_grace: Duration,
}

impl Settings {
    /// Exchange's defaults for a relay of this name.
    ///
    /// `default_domain` is the first accepted domain.
    pub fn new(server: impl Into<String>, fqdn: Domain, default_domain: Domain, postmaster: Mailbox) -> Self {
        Self {
            server: server.into(),
            fqdn,
            accepted_domains: vec![default_domain],
            frontend_proxies: Vec::new(),
            postmaster,
            retry_schedule: RetrySchedule::default(),
            timers: MessageTimers::default(),
            concurrency: Concurrency::default(),
            dsn_wording: Wording::Plain,
            poison_threshold: 2,
            queue_folder: None,
            minimum_free_space: 500 * 1024 * 1024,
            minimum_free_memory: 64 * 1024 * 1024,
            max_idle_time_before_resubmit: Duration::from_secs(12 * 60 * 60),
            max_hop_count: NonZeroU16::new(30).unwrap_or(NonZeroU16::MIN),
            lease: Duration::from_secs(2 * 60 * 60),
            shutdown_grace: Duration::from_secs(30),
        }
    }

    /// What an SMTP client is told of them.
    pub fn names(&self) -> Names {
        let mut names = Names::new(self.fqdn.clone(), self.default_domain().clone());
        names.accepted_domains.clone_from(&self.accepted_domains);
        names.frontend_proxies.clone_from(&self.frontend_proxies);
        names
    }

    /// The domain that encapsulated addresses and Message-IDs are made in.
    pub fn default_domain(&self) -> &Domain {
        self.accepted_domains.first().unwrap_or(&self.fqdn)
    }
}
