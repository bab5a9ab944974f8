//! Servers on loopback ports of their own, spoken to as an application would.

#[cfg(unix)]
mod descriptors;
mod house;
mod scenarios;
mod stopping;
mod tls;
