//! One recipient and what the sender wants to hear about it (RFC 3461).

use postroad_address_space::Address;

/// One recipient of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Recipient {
    /// Who it is; an IMCEA address that we opened is here in its own type.
    pub address: Address,
    /// When to report (`NOTIFY`); `None` means that the sender did not say: failures only, delays at our choice.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub notify: Option<Notify>,
    /// The address the sender first wrote (`ORCPT`).
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub original: Option<OriginalRecipient>,
}

impl Recipient {
    /// A recipient whose sender expressed no wishes.
    pub fn new(address: Address) -> Self {
        Self { address, notify: None, original: None }
    }

    /// Whether a failure of this recipient is to be reported.
    pub fn wants_failure(&self) -> bool {
        self.notify.is_none_or(|notify| notify.failure)
    }

    /// Whether a delay of this recipient is to be reported.
    pub fn wants_delay(&self) -> bool {
        self.notify.is_none_or(|notify| notify.delay)
    }

    /// Whether a delivery, or a relaying beyond reports, of this recipient is to be reported.
    pub fn wants_success(&self) -> bool {
        self.notify.is_some_and(|notify| notify.success)
    }
}

/// `NOTIFY=NEVER` (all false) or any of `SUCCESS,FAILURE,DELAY` (RFC 3461 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Notify {
    /// Report success.
    pub success: bool,
    /// Report failure.
    pub failure: bool,
    /// Report delay.
    pub delay: bool,
}

impl Notify {
    /// `NOTIFY=NEVER`
    pub const NEVER: Self = Self { success: false, failure: false, delay: false };

    /// Whether nothing is ever to be reported.
    pub fn is_never(self) -> bool {
        self == Self::NEVER
    }
}

/// `original-recipient-address = addr-type ";" xtext` (RFC 3461 section 4.2), the xtext decoded.
///
/// It stays decoded in memory and is encoded again wherever it is written, so that no byte of it can
/// end a line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct OriginalRecipient {
    /// `rfc822`, `utf-8`, `x400` and so on, as written.
    pub address_type: String,
    /// The address in that type's own form.
    pub address: String,
}

impl OriginalRecipient {
    /// That address of that type.
    pub fn new(address_type: impl Into<String>, address: impl Into<String>) -> Self {
        Self { address_type: address_type.into(), address: address.into() }
    }
}
