//! Whatever a client says: how its bytes are cut into packets, and whether content is taken out while it comes, changes nothing.

use proptest::prelude::*;

use postroad_smtp_protocol::proxy::{Endpoints, Header, Reader};

use crate::server_dialogue::{Dialogue, Play};

/// Every part of the protocol and of the attacks on it, to be strung together in any order.
const PARTS: &[&str] = &[
    "EHLO a\r\n",
    "HELO a\r\n",
    "LHLO a\r\n",
    "STARTTLS\r\n",
    "XCLIENT ADDR=192.0.2.37 HELO=a\r\n",
    "XCLIENT LOGIN=jane\r\n",
    "PROXY TCP4 192.0.2.37 10.0.0.1 40000 25\r\n",
    "GET / HTTP/1.1\r\n",
    "MAIL FROM:<joe@contoso.com> BODY=BINARYMIME\r\n",
    "MAIL FROM:<joe@contoso.com> SIZE=1001\r\n",
    "RCPT TO:<full@contoso.com>\r\n",
    "BDAT 0 LAST\r\n",
    "BDAT 2001\r\n",
    "BDAT 18446744073709551615 LAST\r\n",
    "AUTH SCRAM-SHA-256 biwsbj1qYW5lLHI9YQ==\r\n",
    "AUTH PLAIN =\r\n",
    "MAIL FROM:<joe@contoso.com>\r\n",
    "MAIL FROM: joe@contoso.com\r\n",
    "RCPT TO:<jane@contoso.com>\r\n",
    "RCPT TO:<bob@elsewhere.net>\r\n",
    "DATA\r\n",
    "BDAT 6\r\n",
    "BDAT 3 LAST\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "QUIT\r\n",
    ".\r\n",
    ".",
    "\r\n",
    "\n",
    "\r",
    "x",
    "..\r\n",
    "AUTH PLAIN\r\n",
    "AUTH PLAIN AGphbmUAc2VjcmV0\r\n",
    "AUTH LOGIN\r\n",
    "amFuZQ==\r\n",
    "*\r\n",
    "\0",
    "Subject: a\r\n\r\nbody\r\n.\r\n",
    "Subject: a\r\n\r\nbody\n.\r\n",
    "BDAT 18\r\nSubject: a\r\n\r\nab\r",
    "BDAT 5 LAST\r\n\nab\r\n",
];

/// Says it in pieces of these sizes, round and round; a PROXY header is read as its owner would read it. Before some of the pieces
/// the content is taken out.
fn say(settings: &[&str], header: &[u8], wire: &[u8], cuts: &[(usize, bool)]) -> (Option<Header>, Play) {
    let mut play = Play::new(Dialogue::with(settings).server());
    let wire = [header, wire].concat();
    let (mut rest, mut reader, mut found) = (wire.as_slice(), Reader::default(), None);
    for &(cut, takes) in cuts.iter().cycle() {
        play.takes = takes;
        let awaited = !header.is_empty() && found.is_none();
        let most = if awaited { reader.wants() } else { usize::MAX };
        let (piece, after) = rest.split_at(cut.min(most).min(rest.len()));
        rest = after;
        match awaited {
            true => found = reader.read(piece).expect("a header"),
            false => play.send(piece),
        }
        if rest.is_empty() {
            break;
        }
    }
    (found, play)
}

proptest! {
    #[test]
    fn the_outcome_depends_neither_on_the_cuts_nor_on_whether_the_content_is_taken_out(
        parts in proptest::collection::vec(0..PARTS.len(), 0..24),
        cuts in proptest::collection::vec((1usize..40, any::<bool>()), 1..8),
        flags in any::<[bool; 6]>(),
        write in prop_oneof![Just(None), Just(Some(true)), Just(Some(false))],
    ) {
        let words = ["make-crlf", "lmtp", "xclient", "small", "limits", "logon"];
        let settings: Vec<&str> = words.into_iter().zip(flags).filter_map(|(word, set)| set.then_some(word)).collect();
        let hello = if settings.contains(&"lmtp") { "LHLO a\r\n" } else { "EHLO a\r\n" };
        let wire: Vec<u8> = [hello].into_iter().chain(parts.iter().map(|&part| PARTS[part])).flat_map(str::bytes).collect();
        let (source, destination) = ("192.0.2.37:40000".parse().unwrap(), "10.0.0.1:25".parse().unwrap());
        let endpoints = Header { endpoints: Some(Endpoints { source, destination }) };
        let mut header = Vec::new();
        match write {
            Some(true) => endpoints.write_v1(&mut header),
            Some(false) => endpoints.write_v2(&mut header),
            None => {}
        }
        let (_, whole) = say(&settings, &header, &wire, &[(usize::MAX, false)]);
        let (told, pieces) = say(&settings, &header, &wire, &cuts);
        prop_assert_eq!(told, write.map(|_| endpoints));
        prop_assert_eq!(String::from_utf8_lossy(&whole.replies), String::from_utf8_lossy(&pieces.replies));
        prop_assert_eq!(whole.messages, pieces.messages);
        prop_assert_eq!(whole.closed, pieces.closed);
    }
}
