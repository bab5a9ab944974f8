//! The SASL exchanges that AUTH carries, both sides.
