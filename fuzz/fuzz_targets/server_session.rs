//! However the client's bytes are cut into packets, and whenever content is taken out, the server says and takes the same, and every message is CRLF to its end,
//! or, where it was declared binary, to the end of its header.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postroad_message::line_end::are_crlf;
use postroad_message::{Body, Envelope, HeaderBlock};
use postroad_smtp_protocol::server::{LogonOffer, Settings, rehearsal::rehearse_taking};

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (cut, how, wire) = input;
    let set = |bit: u8| how & (1 << bit) != 0;
    let settings = || {
        let mut settings =
            Settings::new("mail.contoso.com", "postmaster@contoso.com".parse().expect("a mailbox"));
        settings.logon = Some(LogonOffer::basic(false));
        settings.refuse_bare_line_ends = !set(0);
        settings.lmtp = set(1);
        settings.xclient = set(2);
        if set(3) {
            settings.limits.messages = Some(2);
            settings.limits.recipient_domains = Some(1);
        }
        settings.limits.message_size = 4096;
        settings
    };
    let whole = rehearse_taking(settings(), [(wire, false)]);
    // Some of the bytes decide, so that the fuzzer finds out what to change.
    let pieces = wire.chunks(usize::from(cut).max(1)).map(|piece| (piece, set(4) && piece[0] & 1 != 0));
    assert_eq!(whole, rehearse_taking(settings(), pieces));
    assert!(whole.messages.iter().all(|(envelope, content)| is_sound(envelope, content)));
});

fn is_sound(envelope: &Envelope, content: &[u8]) -> bool {
    let lines = match envelope.body {
        Body::BinaryMime => &content[..HeaderBlock::scan(content).fields_end()],
        _ => content,
    };
    !envelope.recipients.is_empty() && are_crlf(lines)
}
