//! An explanation as lines for a terminal.

use std::fmt;

use crate::explanation::{Costs, Explanation, Reason};
use crate::reach::Proximity;
use crate::selection::Selection;

/// The decision, then one line for each connector.
impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.selection {
            Selection::Route(route) => {
                write!(f, "{}: {} -> {}", self.recipient, route.connector.name(), route.destination())?;
                write!(f, " ({}", route.delivery_type.as_str())?;
                match route.server() {
                    Some(server) => write!(f, ", by way of {server})")?,
                    None => f.write_str(")")?,
                }
            }
            Selection::Unreachable => {
                write!(f, "{}: unreachable, waits until a connector takes it", self.recipient)?;
            }
            Selection::Refused(refusal) => {
                write!(f, "{}: refused, {} {refusal}", self.recipient, refusal.status())?;
            }
        }
        for candidate in &self.candidates {
            let mark = if matches!(candidate.reason, Reason::Chosen { .. }) { '*' } else { ' ' };
            write!(f, "\n {mark} {}: {}", candidate.connector.name(), candidate.reason)?;
        }
        Ok(())
    }
}

/// `dearer: SMTP:*;5 costs 15 (10 links + 5 space), the chosen one 1 (0 links + 1 space)`
impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen { address_space, cost, .. } => write!(f, "chosen: {address_space}, costs {cost}"),
            Self::TooLarge { limit, size, address_space } => {
                write!(f, "too large: takes {limit} bytes, the message has {size}")?;
                match address_space {
                    Some(_) => Ok(()),
                    None => f.write_str("; none of its spaces matches either"),
                }
            }
            Self::Disabled => f.write_str("disabled"),
            Self::OutOfScope { source_transport_servers } => {
                write!(f, "out of scope: for the sites of {} only", source_transport_servers.join(", "))
            }
            Self::NotAttached { tier: None, .. } => f.write_str("not attached to this sender"),
            Self::NotAttached { .. } => {
                f.write_str("not attached to this sender as closely as the chosen one")
            }
            Self::NoMatchingSpace => f.write_str("no matching space"),
            Self::NoSourceServerInReach { source_transport_servers } => {
                write!(f, "no source server in reach: {}", source_transport_servers.join(", "))
            }
            Self::LessClose { address_space, winning_address_space } => {
                write!(f, "less close: {address_space}, the chosen one {winning_address_space}")
            }
            Self::Dearer { address_space, cost, winning_cost } => {
                write!(f, "dearer: {address_space} costs {cost}, the chosen one {winning_cost}")
            }
            Self::Farther { proximity, winning_proximity } => {
                write!(f, "farther: {proximity}, the chosen one {winning_proximity}")
            }
            Self::LaterName { winner } => write!(f, "later name: equal in all to {winner}"),
        }
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.total, self.site_links) {
            (Some(total), Some(links)) => {
                write!(f, "{total} ({links} site links + {} space)", self.address_space)
            }
            _ => write!(f, "more than any (no site links lead there; {} space)", self.address_space),
        }
    }
}

impl fmt::Display for Proximity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LocalServer => "this server",
            Self::SameSite => "same site",
            Self::RemoteSite => "another site",
        })
    }
}
