//! A session played through in memory, every verdict a yes: what tests and fuzzers compare.

use postroad_message::Envelope;

use crate::server::session::{Event, Input, Output, Session};
use crate::server::settings::Settings;
use crate::server::verdict::Verdict;

/// What has come of a session.
#[derive(Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rehearsal {
    /// Everything the server said.
    pub replies: Vec<u8>,
    /// Every message it took.
    pub messages: Vec<(Envelope, Vec<u8>)>,
    /// Whether it hung up, or began a handshake, before the pieces were at their end.
    pub ended: bool,
}

/// Plays the pieces against a session with these settings. A session that starts TLS ends here.
///
/// ```
/// use postroad_smtp_protocol::server::{Settings, rehearsal::rehearse};
/// let settings = || Settings::new("mail.contoso.com", "postmaster@contoso.com".parse().expect("a mailbox"));
/// let wire = b"HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<jane@contoso.com>\r\nDATA\r\n.\r\nQUIT\r\n";
/// assert_eq!(rehearse(settings(), [wire.as_slice()]), rehearse(settings(), wire.chunks(1)));
/// ```
pub fn rehearse<'a>(settings: Settings, pieces: impl IntoIterator<Item = &'a [u8]>) -> Rehearsal {
    let mut session = Session::new(settings);
    let mut found = Rehearsal::default();
    let mut pieces = pieces.into_iter();
    loop {
        match session.poll() {
            Output::Transmit { bytes, .. } => found.replies.extend(bytes),
            Output::Event(Event::Message { envelope, content }) => {
                found.messages.push((envelope, content));
                session.handle(Input::Verdict(Verdict::Accept));
            }
            Output::Event(_) => session.handle(Input::Verdict(Verdict::Accept)),
            Output::Receive => match pieces.next() {
                Some(piece) => session.handle(Input::Received(piece)),
                None => return found,
            },
            Output::StartTls | Output::Close | Output::AwaitVerdict => {
                found.ended = true;
                return found;
            }
        }
    }
}
