//! What a protocol log is told of whole sessions, on both sides: everything but the secrets and the content.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use postroad_message::{Content, Envelope, Recipient, ReversePath, Timestamp};
use postroad_smtp_protocol::client::{self, Authentication, Transaction};
use postroad_smtp_protocol::sasl::{Credential, Secret};
use postroad_smtp_protocol::server::{self, LogonOffer, Verdict};
use postroad_smtp_protocol::transcript::{Conversation, Entry, ProtocolLog, Transcript};

#[derive(Debug, Default)]
struct Lines(Mutex<Vec<String>>);

impl ProtocolLog for Lines {
    fn record(&self, _: &Conversation, sequence: u64, entry: Entry<'_>) {
        let mut lines = self.0.lock().expect("a lock");
        assert_eq!(sequence, lines.len() as u64, "no number is left out");
        lines.push(format!("{} {} {}", entry.mark(), entry.data(), entry.context()).trim_end().to_owned());
    }
}

fn transcript(lines: &Arc<Lines>) -> Transcript {
    let (local, remote) =
        ("192.0.2.1:25".parse().expect("an address"), "192.0.2.2:4711".parse().expect("an address"));
    Transcript::begin(lines.clone(), Conversation::new("Default", 7, local, remote))
}

/// What a server session that was told this writes down, whose content is taken out while it comes.
fn heard(wire: &str) -> String {
    let lines = Arc::new(Lines::default());
    let mut settings = server::Settings::new("hub01", "postmaster@contoso.com".parse().expect("an address"));
    settings.logon = Some(LogonOffer::basic(false));
    let mut session = server::Session::new(settings);
    session.transcribe(transcript(&lines));
    let mut unheard = wire.as_bytes().chunks(64);
    loop {
        match session.poll() {
            server::Output::Event(_) => session.handle(server::Input::Verdict(Verdict::Accept)),
            server::Output::Receive => match unheard.next() {
                Some(bytes) => {
                    session.take_content();
                    session.handle(server::Input::Received(bytes));
                }
                None => break,
            },
            server::Output::Close => break,
            _ => {}
        }
    }
    drop(session);
    let lines = lines.0.lock().expect("a lock");
    let keywords = |line: &&String| !line.starts_with("> 250-") && !line.contains("> 250 DSN");
    lines.iter().filter(keywords).map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_server_writes_down_commands_and_replies_and_counts_the_content() {
    let wire = "EHLO app\r\nMAIL FROM:<joe@contoso.com>\r\nRCPT TO:<jane@contoso.com>\r\nDATA\r\nSubject: pay rise\r\n\r\n\
                RCPT TO:<not a command>\r\n.\r\nQUIT\r\n";
    let written = heard(wire);
    for line in [
        "+\n> 220 hub01 ESMTP postroad\n< EHLO app\n",
        "< MAIL FROM:<joe@contoso.com>\n> 250 2.1.0 Sender OK\n< RCPT TO:<jane@contoso.com>\n",
        "< DATA\n> 354 Start mail input; end with <CRLF>.<CRLF>\n* content of 46 bytes\n> 250 2.6.0 Queued\n< QUIT\n",
    ] {
        assert!(written.contains(line), "{line}\nis not in\n{written}");
    }
    assert!(written.ends_with("> 221 2.0.0 Closing the connection\n-\n"), "{written}");
    assert!(!written.contains("pay rise") && !written.contains("not a command"), "content:\n{written}");
}

#[test]
fn no_password_is_written_down_whatever_a_client_does_with_it() {
    // joe, secret; and \0joe\0secret
    let (name, password, plain) = ("am9l", "c2VjcmV0", "AGpvZQBzZWNyZXQ=");
    for logon in [
        format!("AUTH PLAIN {plain}\r\n"),
        format!("AUTH PLAIN\r\n{plain}\r\n"),
        format!("AUTH LOGIN\r\n{name}\r\n{password}\r\n"),
        format!("AUTH LOGIN {name}\r\n{password}\r\n"),
        format!("AUTH {plain}\r\n"),
        format!("AUTH\t{plain}\r\n"),
        format!("AUTH  PLAIN  {plain}\r\n"),
        format!("AUTH XOAUTH2 {plain}\r\n"),
        format!("AUTH OAUTHBEARER\r\n{plain}\r\n"),
        format!("AUTH SCRAM-SHA-256-PLUS {plain}\r\n{password}\r\n"),
        // Refused, and it goes on all the same.
        format!("AUTH NTLM {plain}\r\n{name}\r\n{password}\r\n"),
        format!("AUTH LOGIN\r\n*\r\n{name}\r\n{password}\r\n"),
        format!("AUTH LOGIN\r\nsecret\r\n{password}\r\n{plain}\r\n"),
        format!("{plain}\r\nsecret\r\n"),
        format!("NOOP {plain}\r\nVRFY {plain}\r\nEHLO app {plain}\r\nHELP {plain}\r\nQUIT {plain}\r\n"),
    ] {
        let written = heard(&format!("EHLO app\r\n{logon}QUIT\r\n"));
        for secret in [name, password, plain, "secret", "dXNlcm5hbWU6"] {
            assert!(!written.contains(secret), "{secret} of\n{logon}stands in\n{written}");
        }
    }
}

/// What a client session writes down that has a message for a server which answers each line so.
#[expect(clippy::disallowed_methods, reason = "an Instant can't be made without the clock")]
fn told(answer: impl Fn(&[u8]) -> &'static [u8]) -> String {
    let lines = Arc::new(Lines::default());
    let now = Instant::now();
    let mut settings = client::Settings::new("hub01.contoso.com".parse().expect("an address"), "mx");
    let mut authentication = Authentication::new(Credential::new("joe", Secret::new("secret")));
    authentication.clear_text_allowed = true;
    settings.authentication = Some(authentication);
    let mut session = client::Session::new(settings, None, now);
    session.transcribe(transcript(&lines));
    let mut server = b"220 mx\r\n".to_vec();
    loop {
        match session.poll() {
            client::Output::Transmit { bytes, .. } => {
                for line in bytes.split_inclusive(|&byte| byte == b'\n') {
                    server.extend_from_slice(answer(line));
                }
                let written = bytes.len();
                session.handle(now, client::Input::Transmitted(written));
            }
            client::Output::Wait(_) => {
                session.handle(now, client::Input::Received(&std::mem::take(&mut server)))
            }
            client::Output::Event(client::Event::Ready) if lines.0.lock().expect("a lock").len() < 15 => {
                let to = vec![Recipient::new("jane@contoso.com".parse().expect("an address"))];
                let envelope = Envelope::new(ReversePath::Null, to);
                let content = Content::from(b"Subject: pay rise\r\n\r\n".to_vec());
                session.send(
                    now,
                    Transaction::new(
                        &envelope,
                        &envelope.recipients,
                        &content,
                        None,
                        Timestamp::from_unix_millis(0),
                    ),
                );
            }
            client::Output::Event(client::Event::Ready) => session.quit(now),
            client::Output::Event(_) => {}
            client::Output::Closed => break,
            client::Output::StartTls => panic!("no TLS was offered"),
            _ => {}
        }
    }
    drop(session);
    let lines = lines.0.lock().expect("a lock");
    lines.join("\n")
}

/// A server that asks for a name and a password, and takes everything.
fn agrees(line: &[u8]) -> &'static [u8] {
    match line {
        b"DATA\r\n" => b"354 go on\r\n",
        [b'E', ..] => b"250-mx\r\n250 AUTH LOGIN\r\n",
        b"AUTH LOGIN\r\n" => b"334 VXNlcm5hbWU6\r\n",
        b"am9l\r\n" => b"334 UGFzc3dvcmQ6\r\n",
        b"c2VjcmV0\r\n" => b"235 2.7.0 welcome\r\n",
        b"QUIT\r\n" => b"221 bye\r\n",
        [b'M' | b'R' | b'.', ..] => b"250 2.0.0 fine\r\n",
        _ => b"",
    }
}

#[test]
fn a_client_writes_down_both_sides_and_no_password() {
    let struck = "<authentication information>";
    let expected = format!(
        "+\n< 220 mx\n> EHLO hub01.contoso.com\n< 250-mx\n< 250 AUTH LOGIN\n> AUTH LOGIN\n< 334 {struck}\n> {struck}\n\
         < 334 {struck}\n> {struck}\n< 235 2.7.0 welcome\n> MAIL FROM:<>\n< 250 2.0.0 fine\n\
         > RCPT TO:<jane@contoso.com>\n< 250 2.0.0 fine\n> DATA\n< 354 go on\n* content of 21 bytes\n\
         < 250 2.0.0 fine\n> QUIT\n< 221 bye\n-"
    );
    assert_eq!(told(agrees), expected);
}

#[test]
fn a_server_that_repeats_a_password_does_not_get_it_into_the_log() {
    let written = told(|line| match line {
        b"c2VjcmV0\r\n" => b"535-5.7.8 joe, your password\r\n535 5.7.8 \"secret\" is wrong\r\n",
        line => agrees(line),
    });
    assert!(written.contains("< 535 <authentication information>"), "{written}");
    assert!(!written.contains("secret"), "{written}");
}
