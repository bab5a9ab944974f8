//! Content that is taken out while it comes: it counts as a whole, and is known to be lost as soon as it is.

use postroad_smtp_protocol::server::{Input, Refusal};

use crate::server_dialogue::{Dialogue, Play};

const FIRST: &str = "HELO a\r\nMAIL FROM:<joe@contoso.com>\r\nRCPT TO:<jane@contoso.com>\r\n";

/// One that has said this, and whose content is taken out.
fn taking(settings: &[&str], said: &str) -> Play {
    let mut play = Play::new(Dialogue::with(settings).server());
    play.takes = true;
    play.send(FIRST.as_bytes());
    play.send(said.as_bytes());
    play
}

#[test]
fn a_whole_message_arrives_of_which_nothing_is_held() {
    for (begin, end) in [("DATA\r\n", ".\r\n"), ("BDAT 500000\r\n", "BDAT 0 LAST\r\n")] {
        let mut play = taking(&[], begin);
        for _ in 0..500 {
            play.send(&[&b"x".repeat(998)[..], b"\r\n"].concat());
            assert_eq!(play.session.content_held(), 0);
        }
        play.send(end.as_bytes());
        assert_eq!(play.messages[0].1.len(), 500_000);
    }
}

#[test]
fn what_was_taken_is_lost_as_soon_as_no_message_can_come_of_it() {
    let too_long = format!("{}\r\n", "x".repeat(999));
    let no_room = || Some(Refusal::transient(3, 1, "The disk is full"));
    // (case, what begins it, what is taken, what ends it, what refuses it then, the reply)
    for (case, begin, taken, end, refused, reply) in [
        ("too large", "DATA\r\n", "a\r\n", too_long.as_str(), None, "552 5.3.4"),
        ("a bare LF", "DATA\r\n", "a\r\n", "b\nc\r\n", None, "550 5.5.2"),
        ("a bare CR behind a piece", "DATA\r\n", "a\r\nb\r", "c\r\n", None, "550 5.5.2"),
        ("a full disk", "DATA\r\n", "a\r\n", "b\r\n", no_room(), "452 4.3.1"),
        ("a full disk, by count", "BDAT 9 LAST\r\n", "a\r\n", "b\r\n", no_room(), "452 4.3.1"),
        ("a bare LF by count", "BDAT 9 LAST\r\n", "a\r\n", "b\nc\r\n", None, "550 5.5.2"),
        ("a bare CR by count", "BDAT 9 LAST\r\n", "a\r\nb\r", "c\r\n", None, "550 5.5.2"),
        ("the chunk beyond the limit", "BDAT 3\r\n", "a\r\n", "BDAT 998 LAST\r\n", None, "552 5.3.4"),
        ("given up", "BDAT 3\r\n", "a\r\n", "RSET\r\nDATA\r\n", None, "503 5.5.1"),
        ("begun anew", "BDAT 3\r\n", "a\r\n", "HELO a\r\nDATA\r\n", None, "503 5.5.1"),
    ] {
        let mut play = taking(&["small"], begin);
        play.send(taken.as_bytes());
        assert!(play.session.content_taken() > 0, "{case}");
        play.send(end.as_bytes());
        if let Some(refusal) = refused {
            play.session.handle(Input::RefuseContent(refusal));
        }
        assert_eq!(play.session.content_taken(), 0, "{case}");
        for _ in 0..10 {
            play.send(&b"more\r\n".repeat(20));
            assert_eq!(play.session.content_held(), 0, "{case}: what is lost is not held");
        }
        play.send(b"\r\n.\r\n");
        let text = String::from_utf8_lossy(&play.replies).into_owned();
        assert!(text.contains(&format!("\r\n{reply} ")) && play.messages.is_empty(), "{case}: {text}");
    }
}

#[test]
fn a_binary_content_is_given_out_behind_its_header() {
    let mut play = Play::new(Dialogue::default().server());
    play.takes = true;
    play.send(b"EHLO a\r\nMAIL FROM:<joe@contoso.com> BODY=BINARYMIME\r\nRCPT TO:<jane@contoso.com>\r\nBDAT 20 LAST\r\n");
    for (piece, taken) in [("Subject:", 0), ("a\r\n\r", 0), ("\nb\n", 15), ("\0\n", 17)] {
        play.send(piece.as_bytes());
        assert_eq!(play.session.content_taken(), taken, "{piece:?}");
    }
    play.send(b"\r\n\r");
    assert_eq!(play.messages[0].1, b"Subject:a\r\n\r\nb\n\0\n\r\n\r");
}
