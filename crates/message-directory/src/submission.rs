//! What a file asks for, before it is stamped and enters the queue.

use std::net::IpAddr;

use postroad_address_space::Domain;
use postroad_message::line_end::{self, LineEnds};
use postroad_message::trace::{Received, Source};
use postroad_message::{Body, Content, Edits, Envelope, HeaderBlock, Timestamp, repair};

use crate::badmail::{Badmail, BadmailReason};

/// A file that was understood: its envelope, and the changes its header needs. Borrows the file's bytes.
///
/// Decoding has read the header only. [`into_message`](Self::into_message) reads the body, once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Submission<'a> {
    /// Who sends to whom. `body` and `smtputf8` are completed by [`into_message`](Self::into_message).
    pub envelope: Envelope,
    /// Recipients of a Pickup file that are no addresses: each is owed a failure report, 5.1.3.
    /// The texts are printable and at most 320 characters long.
    pub rejected: Vec<String>,
    /// Whence a Replay file says it came.
    pub origin: Origin,
    pub(crate) header: HeaderBlock<'a>,
    pub(crate) edits: Edits,
    pub(crate) kind: Kind,
}

/// What a Replay file tells of its first arrival.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Origin {
    /// `X-CreatedBy`
    pub created_by: Option<String>,
    /// `X-HeloDomain`
    pub hello_domain: Option<String>,
    /// `X-Source`, for example `SMTP:Default MBX-01`.
    pub source: Option<String>,
    /// `X-SourceIPAddress`, where it is an address.
    pub source_ip_address: Option<IpAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Pickup,
    Replay,
}

/// Where and when a file is taken in: what the `Received`, `Date` and `Message-ID` fields are made of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Arrival<'a> {
    /// This server's full name.
    pub server: &'a str,
    /// The default accepted domain: new Message-IDs are made in it.
    pub domain: &'a Domain,
    /// The moment of processing.
    pub at: Timestamp,
    /// Sixteen random bytes for a Message-ID, where the file [lacks](Submission::lacks_message_id) one.
    pub unique: [u8; 16],
}

impl<'a> Arrival<'a> {
    /// At that server, in that default domain, at that moment.
    pub fn new(server: &'a str, domain: &'a Domain, at: Timestamp, unique: [u8; 16]) -> Self {
        Self { server, domain, at, unique }
    }
}

impl Submission<'_> {
    /// Stamps the message and completes the envelope.
    ///
    /// * `Received` goes on top; a missing Date or Message-ID goes behind the last field.
    /// * Lines that end in LF or CR alone are ended by CRLF, as files written on Unix need; a last line gets its end.
    ///   This is the one place where a file's line ends are judged.
    /// * Bytes above 127 make the envelope `BODY=8BITMIME`, or SMTPUTF8 where an address needs it.
    ///
    /// # Errors
    ///
    /// [`BadmailReason::Nul`], and [`BadmailReason::BareCarriageReturn`] in the header: nothing else is wrong with a body.
    pub fn into_message(mut self, arrival: &Arrival<'_>) -> Result<(Envelope, Content), Badmail> {
        let original = self.header.content();
        let ends = LineEnds::judge(original);
        if let Some(offset) = ends.nul {
            return Err(self.refused(BadmailReason::Nul { offset }));
        }
        if let Some(offset) = self.header.bare_carriage_return().filter(|&at| !before_linefeed(original, at))
        {
            return Err(self.refused(BadmailReason::BareCarriageReturn { offset }));
        }
        let mut edits = self.edits.clone();
        edits.merge(repair::date(&self.header, arrival.at));
        edits.merge(repair::message_id(&self.header, arrival.unique, arrival.domain));
        edits.prepend(Received::new(self.source(), arrival.server, arrival.at).to_string());
        let mut content = edits.apply(original);
        if !ends.is_clean() || !content.ends_with(b"\r\n") {
            content = line_end::normalise(&content).into_owned();
        }
        let content = Content::from(content);
        if content.shape().has_8bit() && self.envelope.body == Body::SevenBit {
            self.envelope.body = Body::EightBitMime;
        }
        self.envelope.smtputf8 |= needs_smtputf8(&self.envelope);
        Ok((self.envelope, content))
    }

    /// Whether [`Arrival::unique`] is of use: it brings no Message-ID, or an empty one.
    pub fn lacks_message_id(&self) -> bool {
        self.header.named("Message-ID").all(|field| field.unfolded().is_empty())
    }

    /// No more `Received` fields than this will stand in the message: those of the file, and ours.
    pub fn most_hops(&self) -> usize {
        self.header.hop_count() + 1
    }

    /// Files of Pickup have a sender who can be told; those of Replay come from a machine.
    fn refused(&self, reason: BadmailReason) -> Badmail {
        match self.kind {
            Kind::Pickup => {
                let recipients = self.envelope.recipients.clone();
                Badmail::returned(reason, self.envelope.reverse_path.mailbox(), recipients)
            }
            Kind::Replay => Badmail::new(reason),
        }
    }

    fn source(&self) -> Source<'_> {
        match self.kind {
            Kind::Pickup => Source::Pickup,
            Kind::Replay => Source::Replay {
                hello: self.origin.hello_domain.as_deref(),
                peer: self.origin.source_ip_address.filter(|address| !address.is_unspecified()),
            },
        }
    }
}

/// `\r\r\n`, which text-mode writers make, is one clumsy line end and splits nothing.
fn before_linefeed(bytes: &[u8], at: usize) -> bool {
    bytes.get(at..).is_some_and(|rest| rest.iter().find(|&&byte| byte != b'\r') == Some(&b'\n'))
}

fn needs_smtputf8(envelope: &Envelope) -> bool {
    let recipients = envelope.recipients.iter().filter_map(|recipient| recipient.address.mailbox());
    recipients.chain(envelope.reverse_path.mailbox()).any(|mailbox| mailbox.needs_smtputf8())
}
