//! Delivery agents: whoever takes mail for a Delivery Agent connector and answers for each recipient.
//!
//! An agent is registered with [`AgentDeliver`](crate::AgentDeliver) under the `delivery_protocol` that connectors name.
//! [`Lmtp`] hands mail to a mailbox server, [`Pipe`] to a program; `examples/text_message_agent.rs` is one in forty lines.

pub mod contract;
pub mod lmtp;
pub mod pipe;
mod pipe_arguments;
mod pipe_process;
mod pipe_status;
mod pipe_user;

pub use contract::{AgentConnection, AgentMessage, Answer, DeliveryAgent};
pub use lmtp::Lmtp;
pub use pipe::Pipe;
