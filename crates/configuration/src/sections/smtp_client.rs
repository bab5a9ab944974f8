//! `[smtp_client]`: how long each phase of an outgoing session may take (RFC 5321 section 4.5.3.2).

use std::ops::RangeInclusive;
use std::time::Duration;

use postroad_smtp_protocol::client::Timeouts;

use crate::reading::section::Section;
use crate::reading::value::span;

const PHASE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(86_400);

pub(crate) fn read(mut section: Section<'_, '_>) -> Timeouts {
    let mut timeouts = Timeouts::default();
    section.set(&mut timeouts.connect, "connect_timeout", span(PHASE));
    section.set(&mut timeouts.greeting, "greeting_timeout", span(PHASE));
    section.set(&mut timeouts.command, "command_timeout", span(PHASE));
    section.set(&mut timeouts.data_start, "data_start_timeout", span(PHASE));
    section.set(&mut timeouts.data_block, "data_block_timeout", span(PHASE));
    section.set(&mut timeouts.final_dot, "final_dot_timeout", span(PHASE));
    section.set(&mut timeouts.transaction, "transaction_timeout", span(PHASE));
    section.close();
    timeouts
}
