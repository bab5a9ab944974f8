//! `MessageRateLimit`: how many messages a minute a client address, a sender, or both may begin.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use postroad_message::ReversePath;
use tokio::time::Instant;

use crate::admission::OnceAMinute;
use crate::by_the_minute::ByTheMinute;
use crate::parameters::MessageRateSource;
use crate::receive_connector::ReceiveConnector;

/// The counts of one receive connector.
#[derive(Debug, Default)]
pub(crate) struct MessageRate(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    by_address: ByTheMinute<IpAddr>,
    by_sender: ByTheMinute<String>,
    told: OnceAMinute,
}

impl MessageRate {
    /// Counts a MAIL, or refuses it. The null reverse-path is nobody's: it counts by address only.
    pub(crate) fn admits(&self, connector: &ReceiveConnector, peer: IpAddr, sender: &ReversePath) -> bool {
        let Some(limit) = connector.message_rate_limit else { return true };
        let now = Instant::now();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let address = match connector.message_rate_source {
            MessageRateSource::IpAddress | MessageRateSource::All => {
                counts.by_address.admits(peer.to_canonical(), limit, now)
            }
            MessageRateSource::User | MessageRateSource::None => true,
        };
        let sender_admitted = match (connector.message_rate_source, sender) {
            (MessageRateSource::User | MessageRateSource::All, ReversePath::Mailbox(_)) => {
                counts.by_sender.admits(sender.to_string().to_lowercase(), limit, now)
            }
            _ => true,
        };
        if !(address && sender_admitted) && counts.told.is_due() {
            let connector = &connector.name;
            tracing::warn!(connector, %peer, from = %sender, "clients are sent away: more messages a minute than message_rate_limit");
        }
        address && sender_admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_counted_is_said_by_the_source() {
        let from = |text: &str| text.parse().map_or(ReversePath::Null, ReversePath::Mailbox);
        let admitted = |source, peer: &str, sender: &str| {
            let mut connector = ReceiveConnector::new("Default");
            connector.message_rate_limit = Some(1);
            connector.message_rate_source = source;
            let rate = MessageRate::default();
            assert!(rate.admits(&connector, "192.0.2.1".parse().unwrap(), &from("a@contoso.com")));
            rate.admits(&connector, peer.parse().unwrap(), &from(sender))
        };
        use MessageRateSource as S;
        for (source, peer, sender, expected) in [
            (S::IpAddress, "::ffff:192.0.2.1", "b@contoso.com", false),
            (S::IpAddress, "192.0.2.2", "a@contoso.com", true),
            (S::User, "192.0.2.2", "A@CONTOSO.com", false),
            (S::User, "192.0.2.1", "b@contoso.com", true),
            (S::User, "192.0.2.1", "", true),
            (S::All, "192.0.2.1", "b@contoso.com", false),
            (S::All, "192.0.2.2", "a@contoso.com", false),
            (S::All, "192.0.2.2", "b@contoso.com", true),
            (S::None, "192.0.2.1", "a@contoso.com", true),
        ] {
            assert_eq!(admitted(source, peer, sender), expected, "{source} {peer} {sender}");
        }
    }
}
