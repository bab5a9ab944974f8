//! Who is named twice in one transaction gets one copy, and each RCPT has its reply.

use crate::server_dialogue::{Dialogue, Play};

fn recipients(commands: &[&str]) -> Vec<String> {
    let mut play = Play::new(Dialogue::default().server());
    play.send(b"EHLO a\r\nMAIL FROM:<joe@contoso.com>\r\n");
    commands.iter().for_each(|command| play.send(format!("RCPT TO:{command}\r\n").as_bytes()));
    play.replies.clear();
    play.send(b"DATA\r\nx\r\n.\r\n");
    let replies = String::from_utf8_lossy(&play.replies).into_owned();
    assert!(replies.starts_with("354 ") && replies.matches("250 2.6.0 ").count() == 1, "{replies}");
    let [(envelope, _)] = play.messages.as_slice() else { panic!("{}", play.messages.len()) };
    envelope.recipients.iter().map(|recipient| recipient.address.to_string()).collect()
}

#[test]
fn one_copy_for_the_same_wishes_and_two_for_others() {
    for (commands, expected) in [
        (vec!["<jane@contoso.com>", "<joe@contoso.com>", "<jane@CONTOSO.COM>", "<jane@contoso.com>"], 2),
        // A local part is its host's to read.
        (vec!["<jane@contoso.com>", "<Jane@contoso.com>"], 2),
        // RFC 3461 sections 4.1 and 4.2: he who asked for reports gets his own.
        (vec!["<jane@contoso.com>", "<jane@contoso.com> NOTIFY=NEVER", "<jane@contoso.com> NOTIFY=NEVER"], 2),
        (vec!["<jane@contoso.com> ORCPT=rfc822;a@b.test", "<jane@contoso.com> ORCPT=rfc822;b@b.test"], 2),
        (vec!["<jane@contoso.com> NOTIFY=FAILURE,DELAY", "<jane@contoso.com> NOTIFY=DELAY,FAILURE"], 1),
    ] {
        assert_eq!(recipients(&commands).len(), expected, "{commands:?}");
    }
}

#[test]
fn lmtp_answers_each_rcpt_by_its_recipient() {
    let mut play = Play::new(Dialogue::with(&["lmtp"]).server());
    play.send(b"LHLO a\r\nMAIL FROM:<joe@contoso.com>\r\n");
    for name in ["full", "jane", "full", "joe", "jane"] {
        play.send(format!("RCPT TO:<{name}@contoso.com>\r\n").as_bytes());
    }
    play.send(b"DATA\r\n");
    play.replies.clear();
    play.send(b"x\r\n.\r\n");
    let replies = String::from_utf8_lossy(&play.replies).into_owned();
    let codes: Vec<&str> = replies.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["452", "250", "452", "250", "250"]);
    assert_eq!(play.messages[0].0.recipients.len(), 3);
}

#[test]
fn naming_one_again_and_again_is_limited_like_naming_many() {
    let mut play = Play::new(Dialogue::default().server());
    play.send(b"EHLO a\r\nMAIL FROM:<joe@contoso.com>\r\n");
    play.replies.clear();
    (0..201).for_each(|_| play.send(b"RCPT TO:<jane@contoso.com>\r\n"));
    let replies = String::from_utf8_lossy(&play.replies).into_owned();
    assert_eq!(replies.matches("250 2.1.5 ").count(), 200);
    assert!(replies.lines().last().is_some_and(|line| line.starts_with("452 4.5.3 ")), "{replies}");
}
