//! A session played through in memory, every verdict a yes, every password the right one: what tests and fuzzers compare.

use postroad_message::{EnhancedStatus, Envelope};

use crate::sasl::{
    ChannelBindings, Hash, Mechanism, Nonce, Refused, ScramVerifier, Secret, ServerExchange, ServerStep,
};
use crate::server::event::{Event, Input, Output};
use crate::server::session::Session;
use crate::server::settings::Settings;
use crate::server::verdict::{Refusal, Verdict};

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
    rehearse_taking(settings, pieces.into_iter().map(|piece| (piece, false)))
}

/// The same by an owner who takes the content out before those pieces that say so.
///
/// # Panics
/// Where the session counts what was taken otherwise than its owner.
pub fn rehearse_taking<'a>(
    settings: Settings,
    pieces: impl IntoIterator<Item = (&'a [u8], bool)>,
) -> Rehearsal {
    let mut session = Session::new(settings);
    let mut found = Rehearsal::default();
    let mut pieces = pieces.into_iter();
    let (mut logon, mut taken) = (None, Vec::new());
    loop {
        if session.content_taken() == 0 {
            taken.clear();
        }
        assert_eq!(session.content_taken(), taken.len() as u64, "what was taken is counted");
        match session.poll() {
            Output::Transmit { bytes, .. } => found.replies.extend(bytes),
            Output::Event(Event::Message { envelope, content, taken: before }) => {
                assert_eq!(before, taken.len() as u64, "what was taken belongs to this message");
                found.messages.push((envelope, [std::mem::take(&mut taken), content].concat()));
                session.handle(Input::Verdict(Verdict::Accept));
            }
            Output::Event(Event::Logon { mechanism, response }) => {
                let mechanism = mechanism.parse().unwrap_or(Mechanism::Plain);
                let nonce = Nonce::from_random([0; 18]);
                let exchange =
                    logon.insert(ServerExchange::new(mechanism, nonce, ChannelBindings::none(), false));
                session.handle(Input::Verdict(answer(exchange, response)));
            }
            Output::Event(Event::LogonResponse { response }) => {
                let verdict = logon.as_mut().map_or(Verdict::Accept, |logon| answer(logon, Some(response)));
                session.handle(Input::Verdict(verdict));
            }
            Output::Event(_) => session.handle(Input::Verdict(Verdict::Accept)),
            Output::Receive => match pieces.next() {
                Some((piece, take)) => {
                    if take {
                        taken.extend(session.take_content());
                    }
                    session.handle(Input::Received(piece));
                }
                None => return found,
            },
            Output::StartTls | Output::Close | Output::AwaitVerdict => {
                found.ended = true;
                return found;
            }
        }
    }
}

fn answer(exchange: &mut ServerExchange, response: Option<Secret>) -> Verdict {
    let step = exchange.respond(response.as_ref().map(Secret::expose)).and_then(|step| match step {
        ServerStep::Fetch(_) => {
            exchange.verifier(ScramVerifier::decoy(Hash::Sha256, &Secret::new("key"), "", 4096))
        }
        step => Ok(step),
    });
    match step {
        Ok(ServerStep::Challenge(challenge)) => Verdict::Challenge(challenge.expose().to_vec()),
        Ok(ServerStep::Verify(credential)) => Verdict::LoggedOn(credential.username),
        Ok(ServerStep::Token(token)) => Verdict::LoggedOn(token.username),
        Ok(ServerStep::Certificate(name) | ServerStep::Accept(name)) => Verdict::LoggedOn(name),
        Err(Refused::Malformed) => {
            Verdict::Refuse(Refusal::new(501, EnhancedStatus::permanent(5, 2), "malformed"))
        }
        _ => Verdict::Refuse(Refusal::new(535, EnhancedStatus::permanent(7, 8), "no")),
    }
}
