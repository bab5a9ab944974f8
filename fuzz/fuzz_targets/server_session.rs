//! However the client's bytes are cut into packets, the server says and takes the same, and every message is CRLF to its end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postroad_message::line_end::are_crlf;
use postroad_smtp_protocol::server::{LogonOffer, Settings, rehearsal::rehearse};

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (cut, lenient, wire) = input;
    let settings = || {
        let mut settings =
            Settings::new("mail.contoso.com", "postmaster@contoso.com".parse().expect("a mailbox"));
        settings.logon = Some(LogonOffer::basic(false));
        settings.refuse_bare_line_ends = !lenient;
        settings.limits.message_size = 4096;
        settings
    };
    let whole = rehearse(settings(), [wire]);
    assert_eq!(whole, rehearse(settings(), wire.chunks(usize::from(cut).max(1))));
    assert!(
        whole.messages.iter().all(|(envelope, content)| !envelope.recipients.is_empty() && are_crlf(content))
    );
});
