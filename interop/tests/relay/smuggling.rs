//! One message in is one message out, whatever its content pretends: through us into a gullible Postfix, and the other way.

use std::fs;
use std::net::SocketAddr;

use postroad_interop::{Application, Postfix, Scratch, Sink, mailbox, patience};

use crate::configuration::{EVERYTHING_TO_DROP, House, everything_to};

/// Bare line ends are refused, as by default; or each becomes CRLF, as Exchange does.
const REFUSING: &str = "relay_ip_ranges = [\"127.0.0.1\"]";
const MENDING: &str = "relay_ip_ranges = [\"127.0.0.1\"]\nbare_linefeed_rejection_enabled = false";

#[test]
#[ignore = "needs root and Debian's postfix; .ci/run runs it"]
fn what_we_refuse_or_take_by_data_is_one_message_at_postfix_and_behind_it() {
    for (judge, all_taken) in [(REFUSING, false), (MENDING, true)] {
        let road = Road::out_through_postfix(judge);
        let ends = ends();
        let taken = ends.iter().filter(|end| by_data(road.house.listener, end)).count();
        if all_taken {
            assert_eq!(taken, ends.len());
        } else {
            // Those without a bare CR or LF: NULs, blanks and doubled dots around a dot.
            let bare = |end: &&Vec<u8>| without_crlf(end).iter().any(|byte| b"\r\n".contains(byte));
            assert_eq!(taken, ends.iter().filter(|end| !bare(end)).count());
        }
        road.assert_messages(taken);
    }
}

#[test]
#[ignore = "needs root and Debian's postfix; .ci/run runs it"]
fn what_comes_by_length_is_one_message_at_postfix_and_behind_it() {
    for judge in [REFUSING, MENDING] {
        let road = Road::out_through_postfix(judge);
        // Here no dot ends anything, so that the true end of DATA is content too.
        let mut ends = ends();
        ends.extend([b"\r\n.\r\n".to_vec(), b".\r\n".to_vec(), b"\r\n.".to_vec()]);
        let taken = ends.iter().filter(|end| by_chunks(road.house.listener, end)).count();
        assert!(taken >= 3, "a dot is content in a chunk");
        road.assert_messages(taken);
    }
}

#[test]
#[ignore = "needs root and Debian's postfix; .ci/run runs it"]
fn what_comes_as_a_file_is_one_message_at_postfix_and_behind_it() {
    let road = Road::out_through_postfix(REFUSING);
    let mut ends = ends();
    ends.push(b"\r\n.\r\n".to_vec());
    let pickup = road.house.scratch.path().join("Pickup");
    for (number, end) in ends.iter().enumerate() {
        road.house.scratch.write(&format!("Pickup/{number}.new"), content(end));
        fs::rename(pickup.join(format!("{number}.new")), pickup.join(format!("{number}.eml")))
            .expect("rename into place");
    }
    patience::until("an empty Pickup", || {
        mailbox::files(&pickup)
            .iter()
            .all(|file| file.extension().is_some_and(|it| it == "bad"))
            .then_some(())
    });
    road.assert_messages(ends.len() - mailbox::files(&pickup).len());
}

#[test]
#[ignore = "needs root and Debian's postfix; .ci/run runs it"]
fn what_a_gullible_postfix_passes_on_is_as_many_messages_here() {
    for judge in [REFUSING, MENDING] {
        let house = House::in_scratch_with(Scratch::new(), judge, EVERYTHING_TO_DROP);
        house.scratch.folder("Drop");
        let relay = house.start();
        let postfix = Postfix::passing_on_to(&house.scratch, house.listener);
        for end in ends() {
            // Postfix may well see two messages here; whatever it saw, we must see as much.
            by_data(postfix.address(), &end);
        }
        postfix.wait_until_empty(ends().len());
        let log = postfix.log();
        assert!(log.contains("from=<evil@contoso.com>"), "Postfix was not gullible:\n{log}");
        assert!(judge == REFUSING || !log.contains("status=bounced"), "{log}");
        // Each was answered for itself; those that were refused came again, as reports about them.
        let sent = log.matches("status=sent (250 2.6.0 Queued").count();
        let refused = log.matches("status=bounced (").count();
        assert_eq!(sent + refused, log.lines().filter(|line| line.ends_with(": removed")).count(), "{log}");
        let queued = |line: &&str| line.contains("\"queued\"") && line.contains("\"source\":\"smtp\"");
        assert_eq!(relay.log().lines().filter(queued).count(), sent, "{log}\n{}", relay.log());
        mailbox::wait_for(&house.drop_directory(), sent);
    }
}

/// Our relay, a gullible Postfix behind it, and a sink behind that.
struct Road {
    house: House,
    _relay: postroad_interop::Relay,
    postfix: Postfix,
    sink: Sink,
}

impl Road {
    fn out_through_postfix(judge: &str) -> Self {
        let scratch = Scratch::new();
        let sink = Sink::start();
        let postfix = Postfix::passing_on_to(&scratch, sink.address());
        let house = House::in_scratch_with(scratch, judge, &everything_to(postfix.address()));
        let relay = house.start();
        Self { house, _relay: relay, postfix, sink }
    }

    /// Postfix took `count` messages, so did the sink, and each is whole.
    fn assert_messages(&self, count: usize) {
        assert_eq!(self.postfix.wait_until_empty(count), count, "{}", self.postfix.log());
        let taken = self.sink.wait_for(count);
        assert_eq!(taken.len(), count);
        for message in taken {
            // A file with a NUL is not sent, but reported to its sender.
            let is_report = message.reverse_path.starts_with("<>");
            let is_whole = String::from_utf8_lossy(&message.content).contains("\r\nsmuggled\r\n");
            assert!(is_report || is_whole, "{:?} was cut", message.content.escape_ascii().to_string());
            assert!(
                is_report || message.reverse_path.starts_with("<joe@contoso.com>"),
                "{}",
                message.reverse_path
            );
        }
    }
}

/// The table, unescaped.
fn ends() -> Vec<Vec<u8>> {
    let lines = include_str!("ends_of_data.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(unescaped).collect()
}

fn unescaped(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        bytes.push(match (character, (character == '\\').then(|| characters.next()).flatten()) {
            ('\\', Some('r')) => b'\r',
            ('\\', Some('n')) => b'\n',
            ('\\', Some('t')) => b'\t',
            ('\\', Some('0')) => 0,
            ('\\', Some('x')) => {
                let digits: String = characters.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).expect("two hexadecimal digits")
            }
            (character, None) if character.is_ascii() => character as u8,
            _ => panic!("no escape is {line:?}"),
        });
    }
    bytes
}

fn without_crlf(bytes: &[u8]) -> Vec<u8> {
    let text: String = bytes.iter().copied().map(char::from).collect();
    text.replace("\r\n", "").chars().map(|character| character as u8).collect()
}

/// A message in whose body stands `end`, with a whole transaction behind it.
fn content(end: &[u8]) -> Vec<u8> {
    [
        b"From: joe@contoso.com\r\nTo: jane@example.com\r\nSubject: two in one\r\n\r\nfirst",
        end,
        b"MAIL FROM:<evil@contoso.com>\r\nRCPT TO:<jane@example.com>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n",
    ]
    .concat()
}

/// Sends it by DATA as it is, undoubled dots and all; whether the first reply to it was 250.
fn by_data(server: SocketAddr, end: &[u8]) -> bool {
    let mut application = begun(server);
    assert!(application.say("DATA").expect("a reply").starts_with("354"));
    application.write(&[&content(end), &b".\r\nQUIT\r\n"[..]].concat()).expect("a peer that reads");
    taken(application)
}

/// Sends it by BDAT in one chunk.
fn by_chunks(server: SocketAddr, end: &[u8]) -> bool {
    let mut application = begun(server);
    let content = content(end);
    let chunk = [format!("BDAT {} LAST\r\n", content.len()).as_bytes(), &content, b"QUIT\r\n"].concat();
    application.write(&chunk).expect("a peer that reads");
    taken(application)
}

fn begun(server: SocketAddr) -> Application {
    let mut application = Application::connect(server).expect("a greeting");
    for command in ["MAIL FROM:<joe@contoso.com>", "RCPT TO:<jane@example.com>"] {
        assert!(application.say(command).expect("a reply").starts_with('2'));
    }
    application
}

/// Reads to the end of the connection; whether the first reply was 250.
fn taken(mut application: Application) -> bool {
    let first = application.reply().unwrap_or_default();
    while application.reply().is_ok_and(|reply| !reply.starts_with("221")) {}
    first.starts_with("250")
}
