//! OpenSMTPD, which offers TLS and breaks off the handshake: clear text where TLS is a wish, and nothing where it is required.

use postroad_interop::{OpenSmtpd, Sample, Scratch, Sink};
use postroad_message::{Outcome, Phase};
use postroad_smtp_client::{TlsPolicy, Verification};

use crate::client::{Client, at};

#[test]
#[ignore = "needs root and Debian's opensmtpd, unpacked; .ci/run runs it"]
fn tls_that_fails_is_done_without_only_where_that_is_allowed() {
    let sink = Sink::start();
    let server = OpenSmtpd::start(&Scratch::new(), sink.address());
    let client = Client::trusting(server.authority());
    let mut destination = at(server.address());
    let to = ["jane@fabrikam.com"];
    destination.tls = TlsPolicy::required(Verification::EncryptionOnly);
    let outcomes = client.deliver(&destination, "joe@contoso.com", &to, Sample::plain().content);
    for outcome in &outcomes {
        let Outcome::Deferred(failure) = outcome else { panic!("{outcome:?}\n{}", server.log()) };
        assert_eq!(failure.phase, Phase::StartTls, "{failure}");
    }
    assert!(!client.said().concat().contains("MAIL FROM"));

    destination.tls = TlsPolicy::Opportunistic;
    for (nth, sample) in Sample::all().into_iter().enumerate() {
        let outcomes = client.deliver(&destination, "joe@contoso.com", &to, sample.content.clone());
        for outcome in &outcomes {
            let Outcome::Delivered(receipt) = outcome else { panic!("{outcome:?}\n{}", server.log()) };
            assert_eq!(receipt.tls, None);
            assert!(receipt.host.ends_with("in clear text after a failed TLS handshake"), "{}", receipt.host);
        }
        // It is tried once, and not again for an hour.
        let tries = client.said().iter().filter(|line| *line == "> STARTTLS").count();
        assert_eq!(tries, usize::from(nth == 0), "{:?}", sample.name);
        sample.assert_arrived_in(&sink.wait_for(nth + 1).remove(nth).content);
    }
}
