//! Floods, lines without an end, and every way to write nearly the end of content.

use postroad_message::EnhancedStatus;
use postroad_message::line_end::are_crlf;
use postroad_smtp_protocol::server::{Input, Refusal, Session, Settings};

use crate::server_dialogue::{Dialogue, Play, unescaped};

#[test]
fn what_a_message_is_made_of_is_no_idle_command() {
    let mut settings = Settings::new("mail.contoso.com", "admin@contoso.com".parse().expect("a mailbox"));
    settings.limits.recipients = 5000;
    let mut play = Play::new(Session::new(settings));
    play.send(b"HELO a\r\nMAIL FROM:<joe@contoso.com>\r\n");
    (0..5000).for_each(|number| play.send(format!("RCPT TO:<u{number}@contoso.com>\r\n").as_bytes()));
    let chunk = format!("BDAT 512\r\n{}\r\n", "x".repeat(510));
    (0..5000).for_each(|_| play.send(chunk.as_bytes()));
    play.send(b"BDAT 0 LAST\r\n");
    let [(envelope, content)] = play.messages.as_slice() else { panic!("{}", play.messages.len()) };
    assert_eq!((envelope.recipients.len(), content.len()), (5000, 5000 * 512));
    assert!(!play.closed);
}

#[test]
fn recipients_refused_and_chunks_of_nearly_nothing_are_idle_commands() {
    for line in ["RCPT TO:<bob@elsewhere.net>\r\n", "BDAT 0\r\n", "BDAT 1\r\nx"] {
        let mut play = Play::new(Dialogue::default().server());
        play.send(FIRST.as_bytes());
        line.as_bytes().repeat(1001).chunks(4096).for_each(|piece| play.send(piece));
        assert!(play.closed, "{line:?}");
    }
}

#[test]
fn lines_that_are_no_commands_end_where_any_number_of_errors_is_borne() {
    let long = format!("NOOP {}\r\n", "x".repeat(13_000));
    for line in ["XYZZY\r\n", "TURN\r\n", "NOOP \0\r\n", "MAIL FROM\r\n", "\r\n", long.as_str()] {
        let mut settings = Settings::new("mail.contoso.com", "admin@contoso.com".parse().expect("a mailbox"));
        settings.limits.protocol_errors = None;
        let mut play = Play::new(Session::new(settings));
        (0..1000).for_each(|_| play.send(line.as_bytes()));
        assert!(!play.closed, "{line:?}");
        play.send(line.as_bytes());
        assert!(play.closed && play.replies.ends_with(b"421 4.7.0 Too many commands without a message\r\n"));
    }
}

#[test]
fn chunks_held_between_two_commands_are_counted_and_let_go() {
    for last in ["", " LAST"] {
        let mut play = Play::new(Dialogue::default().server());
        play.send(FIRST.as_bytes());
        for (piece, held) in [("BDAT 3\r\nx\r\n", 3), ("BDAT 4", 3), ("\r\nyy", 5), ("\r\n", 7)] {
            play.send(piece.as_bytes());
            assert_eq!(play.session.content_held(), held, "{piece:?}");
        }
        play.replies.clear();
        let no_room = Refusal::transient(3, 1, "There is no room for content now");
        play.session.handle(Input::RefuseContent(no_room));
        assert_eq!(play.session.content_held(), 0);
        play.send(format!("BDAT 6{last}\r\nQUIT\r\nBDAT 0\r\n").as_bytes());
        assert_eq!(play.session.content_held(), 0);
        play.send(FIRST.replace("HELO a", "NOOP").as_bytes());
        play.send(b"BDAT 3 LAST\r\nz\r\n");
        let text = String::from_utf8_lossy(&play.replies).into_owned();
        let codes: Vec<&str> = text.lines().map(|line| &line[..9]).collect();
        let due = ["452 4.3.1", "503 5.5.1", "250 2.0.0", "250 2.1.0", "250 2.1.5", "250 2.6.0"];
        assert_eq!(codes, due);
        assert!(matches!(play.messages.as_slice(), [(_, content)] if content == b"z\r\n"), "{text}");
    }
}

#[test]
fn a_refusal_that_ends_the_session_ends_it_behind_a_chunk_too() {
    for (before, last) in
        [("BDAT 6\r\nQU", ""), ("BDAT 6 LAST\r\nQU", ""), ("BDAT 3\r\nx\r\n", "BDAT 6\r\nQU")]
    {
        let mut play = Play::new(Dialogue::default().server());
        play.send(FIRST.as_bytes());
        play.send(before.as_bytes());
        play.replies.clear();
        let no_room = Refusal::transient(3, 1, "There is no room for content now");
        play.session.handle(Input::RefuseContent(no_room.closing()));
        play.send(last.as_bytes());
        assert!(!play.closed, "{before:?}");
        play.send(b"IT\r\nNOOP\r\n");
        assert_eq!(play.replies, b"452 4.3.1 There is no room for content now\r\n", "{before:?}");
        assert!(play.closed, "{before:?}");
    }
}

#[test]
fn a_token_that_will_not_do_is_a_failed_logon_whatever_the_client_says_to_it() {
    let long = ["A".repeat(12_289), "A".repeat(60_000)];
    for last_word in ["*", "AQ==", "", "!!!!", &long[0], &long[1]] {
        for guess in [
            "AUTH XOAUTH2 dXNlcj1qYW5lAWF1dGg9QmVhcmVyIHN0YWxlAQE=\r\n",
            "AUTH xoauth2\r\ndXNlcj1qYW5lAWF1dGg9QmVhcmVyIHN0YWxlAQE=\r\n",
            "AUTH OAUTHBEARER bixhPWphbmUsAWF1dGg9QmVhcmVyIHN0YWxlAQE=\r\n",
        ] {
            let mut play = Play::new(Dialogue::with(&["logon-by"]).server());
            play.send(b"HELO a\r\n");
            for tries in 0..3 {
                assert!(!play.closed, "{guess:?} {last_word:?}: {tries}");
                play.send(format!("{guess}{last_word}\r\n").as_bytes());
            }
            let text = String::from_utf8_lossy(&play.replies).into_owned();
            assert!(
                play.closed && text.ends_with("421 4.7.0 Too many failed logons, closing the connection\r\n"),
                "{text}"
            );
        }
    }
}

/// The session has no clock; its owner's ends it. Wherever a slow client has got to, nothing of it counts.
#[test]
fn a_client_that_is_too_slow_is_told_and_has_sent_nothing() {
    let said = "HELO a\r\nAUTH PLAIN\r\n*\r\nMAIL FROM:<joe@contoso.com>\r\nRCPT TO:<jane@contoso.com>\r\n\
                BDAT 3\r\nx\r\nRSET\r\nMAIL FROM:<joe@contoso.com>\r\nRCPT TO:<jane@contoso.com>\r\nDATA\r\none\r\n.\r";
    for end in 0..=said.len() {
        let mut play = Play::new(Dialogue::with(&["logon"]).server());
        said.as_bytes()[..end].chunks(1).for_each(|byte| play.send(byte));
        let too_slow = Refusal::new(421, EnhancedStatus::transient(4, 2), "Timeout waiting for client input");
        play.session.handle(Input::End(too_slow));
        play.send(b"\n.\r\nNOOP\r\n");
        let text = String::from_utf8_lossy(&play.replies).into_owned();
        assert!(text.ends_with("\r\n421 4.4.2 Timeout waiting for client input\r\n"), "{end}: {text}");
        assert!(play.closed && play.messages.is_empty(), "{end}");
    }
}

#[test]
fn a_command_one_byte_too_long_is_passed_over_whole() {
    for (length, answer) in
        [(2048, "250 2.0.0 "), (2049, "500 5.5.2 "), (12_290, "500 5.5.2 "), (60_000, "500 5.5.2 ")]
    {
        let mut play = Play::new(Dialogue::default().server());
        play.send(format!("{:1$}\r\nQUIT\r\n", "NOOP", length - 2).as_bytes());
        let text = String::from_utf8_lossy(&play.replies).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines.len() == 3 && lines[1].starts_with(answer) && lines[2].starts_with("221 "),
            "{length}: {text}"
        );
    }
}

#[test]
fn a_response_to_a_challenge_has_its_length_too() {
    for (length, answer) in [(12_288, "501 5.5.2 "), (12_289, "500 5.5."), (60_000, "500 5.5.")] {
        let mut play = Play::new(Dialogue::with(&["logon"]).server());
        play.send(b"HELO a\r\nAUTH PLAIN\r\n");
        play.send(&[&b"A".repeat(length)[..], b"\r\nNOOP\r\n"].concat());
        let text = String::from_utf8_lossy(&play.replies).into_owned();
        let last = text.lines().rev().nth(1).unwrap_or_default();
        assert!(last.starts_with(answer), "{length}: {text}");
        assert!(text.ends_with("250 2.0.0 OK\r\n"), "{length}: {text}");
    }
}

#[test]
fn content_beyond_the_limit_is_read_to_its_end_or_hung_up_on() {
    let dialogue = Dialogue::with(&["small"]);
    for (lines, closed) in [(50, false), (150, false), (5000, true)] {
        let mut play = Play::new(dialogue.server());
        play.send(b"HELO a\r\nMAIL FROM:<> SIZE=10\r\nRCPT TO:<jane@contoso.com>\r\nDATA\r\n");
        for _ in 0..lines {
            play.send(b"12345678\r\n");
            assert!(play.session.content_held() <= 1000);
        }
        play.send(b".\r\n");
        let text = String::from_utf8_lossy(&play.replies).into_owned();
        assert_eq!(play.messages.len(), usize::from(lines == 50), "{text}");
        assert_eq!(text.contains("\r\n552 5.3.4 "), lines > 100, "{text}");
        assert_eq!(play.closed, closed);
    }
}

const FIRST: &str = "HELO a\r\nMAIL FROM:<joe@contoso.com>\r\nRCPT TO:<jane@contoso.com>\r\n";
const SECOND: &str = "MAIL FROM:<evil@contoso.com>\r\nRCPT TO:<jane@contoso.com>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil\r\n.\r\n";

#[test]
fn nothing_but_crlf_dot_crlf_ends_content() {
    let rows: Vec<Vec<&str>> = include_str!("../ends_of_data.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert!(rows.len() > 25, "only {} rows", rows.len());
    for row in rows {
        let [bytes, strict, normalised, ..] = row.as_slice() else { panic!("{row:?}") };
        for (settings, expected) in [
            (&[][..], *strict),
            (&["lmtp"], *strict),
            (&["make-crlf"], *normalised),
            (&["make-crlf", "lmtp"], *normalised),
        ] {
            for cut in [1, 2, 3, 5, usize::MAX] {
                judge_end(&unescaped(bytes), settings, expected, cut);
            }
        }
        by_count(&unescaped(bytes), *strict == "content");
    }
}

fn judge_end(bytes: &[u8], settings: &[&str], expected: &str, cut: usize) {
    let what = format!("{:?} {settings:?} cut by {cut}", String::from_utf8_lossy(bytes));
    let mut play = Play::new(Dialogue::with(settings).server());
    let first = if settings.contains(&"lmtp") { FIRST.replace("HELO", "LHLO") } else { FIRST.to_owned() };
    let wire = [first.as_bytes(), b"DATA\r\nSubject: first\r\n\r\none", bytes, SECOND.as_bytes()].concat();
    wire.chunks(cut).for_each(|piece| play.send(piece));
    let evil = |content: &[u8]| content.windows(8).any(|part| part == b"smuggled");
    match expected {
        "refused" => {
            assert_eq!(play.messages, [], "{what}");
            assert!(play.closed && String::from_utf8_lossy(&play.replies).contains("550 5.5.2 "), "{what}");
        }
        "content" => {
            let [(_, content)] = play.messages.as_slice() else { panic!("{what}: {:?}", play.messages) };
            assert!(evil(content) && are_crlf(content) && !play.closed, "{what}");
        }
        // For everybody: the first message ends where any reader sees it end.
        "ends" => assert!(
            play.messages.iter().all(|(_, content)| are_crlf(content)) && !play.messages.is_empty(),
            "{what}"
        ),
        other => panic!("{other}?"),
    }
}

/// Content that came by count: its length says where it ends, and nothing in it does.
fn by_count(bytes: &[u8], taken: bool) {
    let content = [b"Subject: first\r\n\r\none", bytes, SECOND.as_bytes()].concat();
    let mut play = Play::new(Dialogue::with(&[]).server());
    play.send(FIRST.as_bytes());
    play.send(format!("BDAT {} LAST\r\n", content.len()).as_bytes());
    play.send(&content);
    assert_eq!(play.messages.len(), usize::from(taken && are_crlf(&content)), "{bytes:?}");
    assert!(play.messages.iter().all(|(_, taken)| *taken == content), "{bytes:?}");
}
