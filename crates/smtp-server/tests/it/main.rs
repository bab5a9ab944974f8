//! Servers on loopback ports of their own, spoken to as an application would.

mod house;
mod scenarios;
mod stopping;
mod tls;
