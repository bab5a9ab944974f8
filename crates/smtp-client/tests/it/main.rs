//! The client against servers that behave in every way but the right one, on loopback.

mod allocations;
mod authenticator;
mod client_certificates;
mod delivery;
mod dns_first;
mod faults;
mod hostile;
#[cfg(feature = "hickory")]
mod name_service;
mod pool;
mod pretend;
mod stored;
mod tls;
mod ways;
