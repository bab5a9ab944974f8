//! Sender attachment worked out: for one sender, the tier of each connector.

use std::cmp::Ordering;

use postroad_address_space::{MailDomain, Mailbox};

use crate::connector::Connector;
use crate::sender::{Sender, SenderAttachment, SenderPin};

/// What binds a sender to a connector; the least decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Tier {
    /// The sender is pinned to this connector, or is among its `senders` by address.
    Address,
    /// The sender's domain is among its `senders`.
    Domain,
    /// The connector is attached to nobody.
    PlatformDefault,
}

/// All attachments of a table, ordered for look-up.
#[derive(Debug)]
pub(crate) struct Attachments {
    /// By address, folded; each with its connectors.
    addresses: Vec<((String, String), Bound)>,
    /// By domain, folded; each with its connectors.
    domains: Vec<(String, Vec<u32>)>,
}

#[derive(Debug)]
enum Bound {
    Pinned(Option<u32>),
    Attached(Vec<u32>),
}

/// What binds one sender.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Binding<'a> {
    /// To the connectors attached to nobody.
    Nothing,
    /// To one connector alone.
    Pinned(u32),
    /// To these, before those attached to nobody.
    Attached { by_address: &'a [u32], by_domain: &'a [u32] },
}

impl Binding<'_> {
    /// The least tier that any connector can have for this sender.
    pub(crate) fn first_tier(&self) -> Tier {
        match self {
            Self::Nothing => Tier::PlatformDefault,
            Self::Attached { by_address: [], .. } => Tier::Domain,
            Self::Pinned(_) | Self::Attached { .. } => Tier::Address,
        }
    }

    /// The tier of a connector for this sender; `None`: it does not carry this sender's mail.
    pub(crate) fn tier(&self, connector: u32, attached: bool) -> Option<Tier> {
        let default = (!attached).then_some(Tier::PlatformDefault);
        match self {
            Self::Nothing => default,
            Self::Pinned(pinned) => (*pinned == connector).then_some(Tier::Address),
            Self::Attached { by_address, .. } if by_address.binary_search(&connector).is_ok() => {
                Some(Tier::Address)
            }
            Self::Attached { by_domain, .. } if by_domain.binary_search(&connector).is_ok() => {
                Some(Tier::Domain)
            }
            Self::Attached { .. } => default,
        }
    }
}

impl Attachments {
    /// Connectors are known by their place in the slice, which is in the order of their names.
    pub(crate) fn new(connectors: &[Connector], pins: &[SenderPin]) -> Self {
        let mut addresses: Vec<((String, String), Bound)> = Vec::new();
        let mut by_address: Vec<((String, String), u32)> = Vec::new();
        let mut by_domain: Vec<(String, u32)> = Vec::new();
        for (index, connector) in (0_u32..).zip(connectors) {
            for sender in connector.senders() {
                match sender {
                    SenderAttachment::Address(mailbox) => by_address.push((folded(mailbox), index)),
                    SenderAttachment::Domain(domain) => by_domain.push((domain.ascii().to_owned(), index)),
                }
            }
        }
        for pin in pins {
            let connector =
                pin.connector.as_ref().and_then(|name| u32::try_from(position(connectors, name)?).ok());
            addresses.push((folded(&pin.address), Bound::Pinned(connector)));
        }
        // Sorting is stable, so a pin stands before an attachment of the same address and is kept.
        addresses.extend(gathered(by_address).into_iter().map(|(key, found)| (key, Bound::Attached(found))));
        addresses.sort_by(|one, other| one.0.cmp(&other.0));
        addresses.dedup_by(|later, earlier| later.0 == earlier.0);
        Self { addresses, domains: gathered(by_domain) }
    }

    /// What binds this sender. Does not allocate.
    #[inline]
    pub(crate) fn binding(&self, sender: &Sender) -> Binding<'_> {
        let Sender::Mailbox(mailbox) = sender else { return Binding::Nothing };
        if self.addresses.is_empty() && self.domains.is_empty() {
            return Binding::Nothing;
        }
        let by_address = match self.address(mailbox) {
            Some(Bound::Pinned(None)) => return Binding::Nothing,
            Some(Bound::Pinned(Some(connector))) => return Binding::Pinned(*connector),
            Some(Bound::Attached(connectors)) => connectors.as_slice(),
            None => &[],
        };
        let by_domain = self.domain(mailbox);
        if by_address.is_empty() && by_domain.is_empty() {
            return Binding::Nothing;
        }
        Binding::Attached { by_address, by_domain }
    }

    fn address(&self, mailbox: &Mailbox) -> Option<&Bound> {
        let domain = domain_text(mailbox.domain());
        let at = self.addresses.binary_search_by(|((local, own), _)| {
            fold_compare(local, mailbox.local_part()).then_with(|| fold_compare(own, domain))
        });
        self.addresses.get(at.ok()?).map(|(_, bound)| bound)
    }

    fn domain(&self, mailbox: &Mailbox) -> &[u32] {
        let domain = domain_text(mailbox.domain());
        let at = self.domains.binary_search_by(|(own, _)| fold_compare(own, domain));
        at.ok().and_then(|at| self.domains.get(at)).map_or(&[], |(_, connectors)| connectors.as_slice())
    }
}

/// An address with letter case removed, in the order that [`fold_compare`] looks it up.
pub(crate) fn folded(mailbox: &Mailbox) -> (String, String) {
    (mailbox.local_part().to_ascii_lowercase(), domain_text(mailbox.domain()).to_ascii_lowercase())
}

/// The place of the connector of that name, among connectors in the order of their names; letter case does not count.
pub(crate) fn position(connectors: &[Connector], name: &str) -> Option<usize> {
    let name = name.to_lowercase();
    connectors.binary_search_by(|connector| connector.name().to_lowercase().cmp(&name)).ok()
}

/// A domain as it is compared: A-labels in small letters, or a literal.
pub(crate) fn domain_text(domain: &MailDomain) -> &str {
    match domain {
        MailDomain::Name(name) => name.ascii(),
        MailDomain::Literal(literal) => literal.as_str(),
    }
}

/// Compares a folded text with one that may not be folded.
fn fold_compare(folded: &str, text: &str) -> Ordering {
    folded.bytes().cmp(text.bytes().map(|byte| byte.to_ascii_lowercase()))
}

/// One entry for each key, with everything that was under it.
fn gathered<K: Ord>(mut pairs: Vec<(K, u32)>) -> Vec<(K, Vec<u32>)> {
    pairs.sort();
    let mut found: Vec<(K, Vec<u32>)> = Vec::new();
    for (key, connector) in pairs {
        match found.last_mut() {
            Some((last, connectors)) if *last == key => connectors.push(connector),
            _ => found.push((key, vec![connector])),
        }
    }
    found
}
