//! What becomes of one recipient: a route, a wait, or a refusal.

use crate::attachment::domain_text;
use crate::connector::Connector;
use crate::delivery_type::DeliveryType;
use crate::prospect::Prospect;
use postroad_address_space::{Address, AddressSpace};

/// What becomes of one recipient: there is no fourth, so that it is exhaustive.
#[derive(Clone, Debug, PartialEq)]
pub enum Selection<'a> {
    /// A connector takes it.
    Route(Route<'a>),
    /// No connector takes this SMTP recipient now: it waits for a changed configuration, and nobody is told.
    Unreachable,
    /// No connector will take it: its sender is owed a report.
    Refused(Refusal),
}

impl<'a> Selection<'a> {
    /// The route, if there is one.
    pub fn route(&self) -> Option<&Route<'a>> {
        match self {
            Self::Route(route) => Some(route),
            Self::Unreachable | Self::Refused(_) => None,
        }
    }
}

/// The way of one recipient.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Route<'a> {
    /// The connector that was chosen.
    pub connector: &'a Connector,
    /// How it is delivered from here.
    pub delivery_type: DeliveryType,
    /// What the table worked out for the connector. Only looked at when asked: that may cost a cache miss.
    pub(crate) prospect: &'a Prospect,
    pub(crate) recipient: &'a Address,
    /// The place of the address space that decided, among the connector's.
    pub(crate) space: u32,
}

impl<'a> Route<'a> {
    /// The queue within the connector: smart-host list, recipient's domain (A-label, small letters), or address type.
    pub fn destination(&self) -> &'a str {
        let by_domain = matches!(self.connector, Connector::Send(_));
        match (self.prospect.queue.as_deref(), self.recipient) {
            (Some(queue), _) => queue,
            (None, Address::Smtp(mailbox)) if by_domain => domain_text(mailbox.domain()),
            (None, _) => self.recipient.address_type(),
        }
    }

    /// The nearest source server; `None`: this one.
    pub fn server(&self) -> Option<&'a str> {
        self.prospect.source_server(self.connector)
    }

    /// The closest of the connector's address spaces, the one that decided.
    pub fn address_space(&self) -> &'a AddressSpace {
        // The place is one of this very connector: the table wrote it down when it was built, and never changes.
        &self.connector.address_spaces()[self.space as usize]
    }
}

/// Why no connector will take a recipient. The recipient or the message is at fault, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// An address of a type other than SMTP that no connector takes: 5.1.2.
    #[error("no connector takes this address")]
    NoConnector,
    /// Connectors take the address, but none takes so much: 5.3.4.
    #[error(
        "the message has {size} bytes, and the largest that a connector for this address takes is {limit}"
    )]
    TooLarge {
        /// Bytes of the message.
        size: u64,
        /// The greatest limit among the connectors that would take the address.
        limit: u64,
    },
}

impl Refusal {
    /// The enhanced status code of the report (RFC 3463).
    pub fn status(&self) -> &'static str {
        match self {
            Self::NoConnector => "5.1.2",
            Self::TooLarge { .. } => "5.3.4",
        }
    }
}
