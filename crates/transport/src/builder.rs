//! A pipeline put together from what its embedder has.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use arc_swap::ArcSwap;
use postroad_connector::RoutingTable;
use postroad_queue::QueueStore;
use tokio::sync::Notify;

use crate::deliver::{Deliver, Delivers};
use crate::observe::{NobodyWatches, Observe};
use crate::pipeline::{InForce, Pipeline, Shared};
use crate::poison::Trials;
use crate::pressure::Pressure;
use crate::settings::Settings;
use crate::world::{SystemWorld, World};

/// What a [`Pipeline`] is made of, so far.
#[must_use = "nothing is there before it is built"]
pub struct PipelineBuilder {
    settings: Settings,
    table: RoutingTable,
    store: Arc<dyn QueueStore>,
    delivers: Delivers,
    observer: Arc<dyn Observe>,
    world: Arc<dyn World>,
}

impl Pipeline {
    /// Begins a pipeline with what each needs. Give it the ways out that its routing table has: mail for another waits, and says why.
    pub fn builder(settings: Settings, table: RoutingTable, store: Arc<dyn QueueStore>) -> PipelineBuilder {
        let (observer, world) = (Arc::new(NobodyWatches), Arc::new(SystemWorld));
        PipelineBuilder { settings, table, store, delivers: Delivers::default(), observer, world }
    }
}

impl PipelineBuilder {
    /// Who delivers for Send connectors, and to the other servers of an organisation: [`SmtpDeliver`](crate::SmtpDeliver).
    pub fn smtp(mut self, smtp: impl Deliver) -> Self {
        self.delivers.smtp = Arc::new(smtp);
        self
    }

    /// Who delivers for Foreign connectors: [`DropDeliver`](crate::DropDeliver).
    pub fn drop(mut self, drop: impl Deliver) -> Self {
        self.delivers.drop = Arc::new(drop);
        self
    }

    /// Who delivers for Delivery Agent connectors: [`AgentDeliver`](crate::AgentDeliver).
    pub fn agent(mut self, agent: impl Deliver) -> Self {
        self.delivers.agent = Arc::new(agent);
        self
    }

    /// All of these at once.
    pub fn delivers(mut self, delivers: Delivers) -> Self {
        self.delivers = delivers;
        self
    }

    /// Who is told of every step, instead of nobody; a pair of observers is one.
    pub fn observer(mut self, observer: impl Observe) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// Another clock and chance than the system's.
    pub fn world(mut self, world: impl World) -> Self {
        self.world = Arc::new(world);
        self
    }

    /// Joins the parts; nothing runs yet. [`Pipeline::recover_and_run`] delivers.
    pub fn build(self) -> Pipeline {
        let Self { settings, table, store, delivers, observer, world } = self;
        let in_force = ArcSwap::from_pointee(InForce { settings, table: Arc::new(table), delivers });
        let (changed, trials, pressure) = (Notify::new(), Trials::default(), Pressure::default());
        // Another process on this queue begins elsewhere.
        let named_ahead = AtomicU32::new((world.random() & u128::from(u32::MAX)) as u32);
        let shared = Shared { in_force, changed, store, observer, world, named_ahead, trials, pressure };
        Pipeline { shared: Arc::new(shared) }
    }
}

impl fmt::Debug for PipelineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineBuilder").field("server", &self.settings.server).finish_non_exhaustive()
    }
}
