//! `[transport]`: when to try again, when to give up, how much at once (spec 8.1).

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

use postroad_address_space::Domain;
use postroad_dsn::Wording;
use postroad_queue::{Concurrency, ExchangePhases, MessageTimers, RetrySchedule};
use toml_span::value::Value;

use crate::reading::fault::Reading;
use crate::reading::quantity::span_text;
use crate::reading::section::Section;
use crate::reading::value::{
    distinct, integer, list, map, not_empty, one_of, or_unlimited, parsed, size, span,
};

/// Every timer and limit of delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transport {
    /// The waits of a next hop that cannot be reached: Exchange's phases, or IIS's intervals.
    pub retry_schedule: RetrySchedule,
    /// The waits of a message that is refused for itself, its delay notice and its expiry.
    pub timers: MessageTimers,
    /// How many deliveries run at once, in all and for each next hop.
    pub concurrency: Concurrency,
    /// Connections a minute that all receive connectors take together; `None`: any number.
    pub max_connection_rate_per_minute: Option<u32>,
    /// Bytes of content that all sessions hold in memory at one moment.
    pub max_content_in_memory: u64,
    /// Sender domains that `domain_secure_enabled` speaks of.
    pub tls_receive_domain_secure_list: Vec<Domain>,
    /// How reports are worded.
    pub dsn_wording: Wording,
    /// After how many crashes a message is set aside.
    pub poison_threshold: u32,
    /// How long a next hop fails before its mail is routed anew.
    pub max_idle_time_before_resubmit: Duration,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            retry_schedule: RetrySchedule::default(),
            timers: MessageTimers::default(),
            concurrency: Concurrency::default(),
            max_connection_rate_per_minute: Some(1200),
            max_content_in_memory: 512 * MEGABYTE,
            tls_receive_domain_secure_list: Vec::new(),
            dsn_wording: Wording::Plain,
            poison_threshold: 2,
            max_idle_time_before_resubmit: DAY / 2,
        }
    }
}

const MEGABYTE: u64 = 1024 * 1024;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// A wait of nothing would spin; a queue does not remember longer than Exchange's longest expiry.
const WAIT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(90 * 86_400);

const PHASES: [&str; 5] = [
    "queue_glitch_retry_count",
    "queue_glitch_retry_interval",
    "transient_failure_retry_count",
    "transient_failure_retry_interval",
    "outbound_connection_failure_retry_interval",
];

pub(crate) fn read(mut section: Section<'_, '_>) -> Transport {
    let mut transport = Transport { retry_schedule: retry_schedule(&mut section), ..Transport::default() };
    let timers = &mut transport.timers;
    section.set(&mut timers.message_retry_interval, "message_retry_interval", span(WAIT));
    section.set(&mut timers.message_expiration_timeout, "message_expiration_timeout", span(WAIT));
    section.set(&mut timers.delay_notification_timeout, "delay_notification_timeout", span(WAIT));

    section.check("mailbox_delivery_queue_retry_interval", span(SECOND..=DAY));
    let idle = &mut transport.max_idle_time_before_resubmit;
    section.set(idle, "max_idle_time_before_resubmit", span(WAIT));
    section.check("queue_max_idle_time", span(WAIT));
    let rate = &mut transport.max_connection_rate_per_minute;
    section.set(rate, "max_connection_rate_per_minute", or_unlimited(integer(1..=2_147_483_647)));
    let memory = size(MEGABYTE..=1024 * 1024 * MEGABYTE);
    section.set(&mut transport.max_content_in_memory, "max_content_in_memory", memory);
    let secure = &mut transport.tls_receive_domain_secure_list;
    section.set(secure, "tls_receive_domain_secure_list", distinct(parsed("a domain")));
    let wording = one_of(&[("plain", Wording::Plain), ("exchange", Wording::Exchange)]);
    section.set(&mut transport.dsn_wording, "dsn_wording", wording);
    section.set(&mut transport.poison_threshold, "poison_threshold", integer::<u32>(1..=10));

    concurrency(&mut section, &mut transport.concurrency);
    delay_notice(&mut section, &transport);
    section.close();
    transport
}

fn retry_schedule(section: &mut Section<'_, '_>) -> RetrySchedule {
    let mut phases = ExchangePhases::default();
    section.set(&mut phases.glitch_retry_count, "queue_glitch_retry_count", integer(0..=15));
    section.set(&mut phases.glitch_retry_interval, "queue_glitch_retry_interval", span(WAIT));
    section.set(&mut phases.transient_failure_retry_count, "transient_failure_retry_count", integer(0..=15));
    section.set(&mut phases.transient_failure_retry_interval, "transient_failure_retry_interval", span(WAIT));
    let every = &mut phases.outbound_connection_failure_retry_interval;
    section.set(every, "outbound_connection_failure_retry_interval", span(WAIT));

    let Some(intervals) = section.get("retry_intervals", not_empty(list(span(WAIT)))) else {
        return RetrySchedule::Exchange(phases);
    };
    for key in PHASES.into_iter().filter(|key| section.places().has(key)).collect::<Vec<_>>() {
        section.warn(key, "is not used, because retry_intervals is written; delete one of the two");
    }
    RetrySchedule::IisIntervals(intervals)
}

fn concurrency(section: &mut Section<'_, '_>, concurrency: &mut Concurrency) {
    section.set(&mut concurrency.total, "max_outbound_connections", connections);
    let each = section.get("max_per_domain_outbound_connections", connections);
    match each {
        Some(each) if each > concurrency.total => {
            let message =
                format!("must not be above max_outbound_connections, which is {}", concurrency.total);
            section.contradiction("max_per_domain_outbound_connections", "max_outbound_connections", message);
        }
        Some(each) => concurrency.per_next_hop = each,
        None => concurrency.per_next_hop = concurrency.per_next_hop.min(concurrency.total),
    }
}

/// Exchange asks that the notice comes after the transient phase; sooner it tells of what may yet be a glitch.
fn delay_notice(section: &mut Section<'_, '_>, transport: &Transport) {
    let RetrySchedule::Exchange(phases) = &transport.retry_schedule else { return };
    let transient =
        phases.transient_failure_retry_interval.saturating_mul(phases.transient_failure_retry_count);
    let written =
        ["delay_notification_timeout", "transient_failure_retry_count", "transient_failure_retry_interval"];
    let notice = transport.timers.delay_notification_timeout;
    if notice <= transient && written.iter().any(|key| section.has(key)) {
        let message = format!(
            "{} is not longer than the transient phase, which lasts {}: senders are told of delays that may pass",
            span_text(notice),
            span_text(transient)
        );
        section.warn("delay_notification_timeout", message);
    }
}

fn connections(value: &Value<'_>) -> Reading<NonZeroUsize> {
    let number = or_unlimited(integer::<u32>(1..=2_147_483_647));
    map(number, |number| {
        number.map_or(NonZeroUsize::MAX, |number| {
            usize::try_from(number).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MAX)
        })
    })(value)
}
