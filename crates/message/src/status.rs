//! The enhanced status code `class.subject.detail` of RFC 3463.

use std::fmt;
use std::str::FromStr;

/// Whether an [`EnhancedStatus`] reports success, a passing failure or a lasting one (RFC 3463 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatusClass {
    /// `2.x.x`
    Success,
    /// `4.x.x`: the same message may succeed later.
    Transient,
    /// `5.x.x`: the same message will not succeed.
    Permanent,
}

/// `status-code = class "." subject "." detail` (RFC 3463 section 2).
///
/// ```
/// use postroad_message::{EnhancedStatus, StatusClass};
/// let status: EnhancedStatus = "5.1.2".parse()?;
/// assert_eq!(status.class(), StatusClass::Permanent);
/// assert_eq!(status.to_string(), "5.1.2");
/// # Ok::<(), postroad_message::InvalidStatus>(())
/// ```
///
/// What a server *did* is told by its reply code, not by this: Exchange's expired messages are `550 4.4.7`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnhancedStatus {
    class: StatusClass,
    subject: u16,
    detail: u16,
}

/// The text is not `2|4|5 "." 1*3DIGIT "." 1*3DIGIT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an enhanced status code: expected 2, 4 or 5, a dot, 0 to 999, a dot, 0 to 999 (RFC 3463)")]
pub struct InvalidStatus;

impl EnhancedStatus {
    /// `2.subject.detail`; a number above 999 is taken for 999.
    pub const fn success(subject: u16, detail: u16) -> Self {
        Self::new(StatusClass::Success, subject, detail)
    }

    /// `4.subject.detail`; a number above 999 is taken for 999.
    pub const fn transient(subject: u16, detail: u16) -> Self {
        Self::new(StatusClass::Transient, subject, detail)
    }

    /// `5.subject.detail`; a number above 999 is taken for 999.
    pub const fn permanent(subject: u16, detail: u16) -> Self {
        Self::new(StatusClass::Permanent, subject, detail)
    }

    /// Whatever it is made of, it can be read again.
    const fn new(class: StatusClass, subject: u16, detail: u16) -> Self {
        const MOST: u16 = 999;
        Self {
            class,
            subject: if subject > MOST { MOST } else { subject },
            detail: if detail > MOST { MOST } else { detail },
        }
    }

    /// The first digit.
    pub const fn class(self) -> StatusClass {
        self.class
    }

    /// The second number: 1 addressing, 2 mailbox, 3 system, 4 network and routing, 5 protocol, 6 content, 7 policy.
    pub const fn subject(self) -> u16 {
        self.subject
    }

    /// The third number.
    pub const fn detail(self) -> u16 {
        self.detail
    }
}

impl FromStr for EnhancedStatus {
    type Err = InvalidStatus;

    fn from_str(text: &str) -> Result<Self, InvalidStatus> {
        let mut parts = text.split('.');
        let class = match parts.next() {
            Some("2") => StatusClass::Success,
            Some("4") => StatusClass::Transient,
            Some("5") => StatusClass::Permanent,
            _ => return Err(InvalidStatus),
        };
        let subject = number(parts.next())?;
        let detail = number(parts.next())?;
        match parts.next() {
            None => Ok(Self { class, subject, detail }),
            Some(_) => Err(InvalidStatus),
        }
    }
}

fn number(part: Option<&str>) -> Result<u16, InvalidStatus> {
    match part {
        Some(digits) if (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map_err(|_| InvalidStatus)
        }
        _ => Err(InvalidStatus),
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.class {
            StatusClass::Success => 2,
            StatusClass::Transient => 4,
            StatusClass::Permanent => 5,
        };
        write!(f, "{class}.{}.{}", self.subject, self.detail)
    }
}

impl fmt::Debug for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for EnhancedStatus {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for EnhancedStatus {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_it_is_made_of_it_can_be_read_again() {
        let made = EnhancedStatus::permanent(5000, u16::MAX);
        assert_eq!(made.to_string(), "5.999.999");
        assert_eq!(made.to_string().parse(), Ok(made));
    }

    #[test]
    fn reads_what_it_prints_and_nothing_else() {
        for text in ["2.0.0", "4.4.7", "5.1.10", "5.999.999"] {
            assert_eq!(text.parse::<EnhancedStatus>().map(|s| s.to_string()), Ok(text.to_owned()));
        }
        for text in
            ["", "5", "5.1", "3.1.1", "5.1.1000", "5.1.1.1", "5..1", "5.1.-1", "5.1.1 ", " 5.1.1", "5.+1.1"]
        {
            assert_eq!(text.parse::<EnhancedStatus>(), Err(InvalidStatus), "{text:?}");
        }
    }
}
