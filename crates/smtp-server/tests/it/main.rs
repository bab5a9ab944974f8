//! Servers on loopback ports of their own, spoken to as an application would.

mod certificates;
#[cfg(unix)]
mod descriptors;
mod fronts;
mod house;
mod limits;
#[cfg(target_os = "linux")]
mod many;
mod scenarios;
mod stopping;
mod tls;
