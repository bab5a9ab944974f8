//! Where accepted mail goes: the embedder's side of a receive connector.

use std::future::Future;
use std::pin::Pin;

use postroad_message::{Content, Envelope, Recipient, ReversePath};
pub use postroad_smtp_protocol::server::Refusal;

use crate::client::Client;

/// A large message while it comes: see [`Submit::begin_message`].
///
/// It is dropped before [`finish`](Self::finish) is called, or is ready, where there will be no message: the client has left or gave it
/// up, the content was refused, the server stops. Then nothing of it may stay.
pub trait IncomingMessage: Send {
    /// Takes the bytes that come next. The client is not listened to before it is ready: who waits for a disk here makes the client
    /// wait. What is refused is refused at the end of the content, and this is dropped.
    fn write(&mut self, bytes: Vec<u8>) -> BoxFuture<'_, Result<(), Refusal>>;

    /// The message is whole with these last bytes: takes it over and names it, and promises what
    /// [`accept_message`](Submit::accept_message) does.
    fn finish<'a>(
        self: Box<Self>,
        client: &'a Client,
        envelope: Envelope,
        rest: Vec<u8>,
    ) -> BoxFuture<'a, Result<String, Refusal>>;
}

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

    /// From how many bytes on a message is large: it is [begun](Self::begin_message) when so much of it has come. `None`, which is
    /// where nobody says otherwise: all messages are held in memory until they are whole.
    fn large_content(&self) -> Option<usize> {
        None
    }

    /// Begins to take a large message, of which no more has to be in memory then than one piece. `header` is its header block with
    /// the blank line, and was checked for size and hops; all that follows it is [written](IncomingMessage::write) next.
    ///
    /// `Ok(None)`: it stays in memory all the same, and [`accept_message`](Self::accept_message) gets it. A refusal is said at the end
    /// of the content, which is thrown away as it comes.
    fn begin_message<'a>(
        &'a self,
        client: &'a Client,
        envelope: &'a Envelope,
        header: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Box<dyn IncomingMessage>>, Refusal>> {
        let _ = (client, envelope, header);
        Box::pin(std::future::ready(Ok(None)))
    }

    /// How many bytes there is room for, at this moment, where messages that were [begun](Self::begin_message) lie until they are whole. All of them
    /// together take no more than that, and several of one source no more than they leave of it to the others: of a piece that would be more,
    /// the message is refused with 452 4.3.1, thrown away, and has made room for those beside it. Asked before each piece; any
    /// number, where nobody says otherwise.
    fn room_for_unfinished(&self) -> u64 {
        u64::MAX
    }
}

fn yes<'a>() -> BoxFuture<'a, Result<(), Refusal>> {
    Box::pin(std::future::ready(Ok(())))
}
