//! Where accepted mail goes: the embedder's side of a receive connector.

use std::future::Future;
use std::pin::Pin;

use postroad_message::{Content, Envelope, Recipient, ReversePath};
pub use postroad_smtp_protocol::server::Refusal;

use crate::client::Client;

/// A future in a box, so that traits with one can be objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Takes messages, and may refuse whatever leads to one. The server has checked sizes, syntax and the right to relay before it
/// asks; only [`accept_message`](Self::accept_message) must be written.
///
/// A refusal is said to the client as it is: transient where the fault is ours. One that is
/// [closing](Refusal::closing) ends the session.
pub trait Submit: Send + Sync {
    /// Whether this client is served at all. Called before the greeting; a refusal takes its place and ends the session. Where
    /// a front hands its session on by XCLIENT, it is asked again, for the client that is named.
    ///
    /// With implicit TLS this is before the handshake.
    fn accept_client<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<(), Refusal>> {
        let _ = client;
        yes()
    }

    /// Whether this EHLO or HELO will do; the name is in `client`. Called again after STARTTLS.
    fn accept_hello<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<(), Refusal>> {
        let _ = client;
        yes()
    }

    /// Whether a message from this sender may begin: the moment to say that there is no room, too. `size` is what the client
    /// declared, in bytes.
    fn accept_sender<'a>(
        &'a self,
        client: &'a Client,
        reverse_path: &'a ReversePath,
        size: Option<u64>,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        let _ = (client, reverse_path, size);
        yes()
    }

    /// Whether this recipient will do. Called once for each RCPT, so it should be quick.
    fn accept_recipient<'a>(
        &'a self,
        client: &'a Client,
        reverse_path: &'a ReversePath,
        recipient: &'a Recipient,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        let _ = (client, reverse_path, recipient);
        yes()
    }

    /// Takes the message over and names it.
    ///
    /// `Ok` promises that it is durable: the 250 follows at once, and the client forgets the message. A local fault (no room, a
    /// store that is down) is a transient refusal. The future may be dropped when the server must stop; a message that was
    /// durable by then may come a second time.
    ///
    /// `envelope.require_tls` was promised to be kept on the whole way (RFC 8689). Where `envelope.body` is `BinaryMime` the content
    /// is lines in its header only, and may go on by BDAT to hosts with BINARYMIME alone.
    fn accept_message<'a>(
        &'a self,
        client: &'a Client,
        envelope: Envelope,
        content: Content,
    ) -> BoxFuture<'a, Result<String, Refusal>>;
}

fn yes<'a>() -> BoxFuture<'a, Result<(), Refusal>> {
    Box::pin(std::future::ready(Ok(())))
}
