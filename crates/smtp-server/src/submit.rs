//! Where accepted mail goes: the embedder's side of a receive connector.

use std::future::Future;
use std::pin::Pin;

use postroad_message::{Content, Envelope, Recipient, ReversePath};
pub use postroad_smtp_protocol::server::Refusal;

use crate::client::Client;

/// A future in a box, so that traits with one can be objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Takes messages. The server has checked sizes, syntax and the right to relay before it asks.
pub trait Submit: Send + Sync {
    /// Whether this recipient will do. Called once for each RCPT, so it should be quick; the default takes everyone.
    ///
    /// A refusal is said to the client as it is: transient where the fault is ours.
    fn accept_recipient<'a>(
        &'a self,
        client: &'a Client,
        reverse_path: &'a ReversePath,
        recipient: &'a Recipient,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        let _ = (client, reverse_path, recipient);
        Box::pin(std::future::ready(Ok(())))
    }

    /// Takes the message over and names it.
    ///
    /// `Ok` promises that it is durable: the 250 follows at once, and the client forgets the message. A local fault (no room, a
    /// store that is down) is a transient refusal. The future may be dropped when the server must stop; a message that was
    /// durable by then may come a second time.
    fn accept_message<'a>(
        &'a self,
        client: &'a Client,
        envelope: Envelope,
        content: Content,
    ) -> BoxFuture<'a, Result<String, Refusal>>;
}
