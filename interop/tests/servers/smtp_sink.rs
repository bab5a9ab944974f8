//! Postfix's smtp-sink with its switches for faults: what each of them makes of a message, and what is sent after all.

use postroad_interop::{Sample, Scratch, SmtpSink};
use postroad_message::{Envelope, Notify, Outcome, Recipient, ReversePath};
use postroad_smtp_client::SmtpClient;

use crate::client::{Client, at};

/// Switches of smtp-sink, and what becomes of a message to two recipients: `-f` refuses for good, `-r` for now, `-q` hangs up,
/// `-Q` says 421 and hangs up. What refuses a smart host's greeting or EHLO fails nobody, and what hangs up behind the dot may
/// have taken the message.
const FAULTS: &[(&str, &str)] = &[
    ("", "delivered"),
    ("-f CONNECT", "deferred 4.3.0 in greeting"),
    ("-f EHLO", "delivered"),
    ("-f EHLO,HELO", "deferred 4.3.0 in EHLO"),
    ("-f MAIL", "failed 5.3.0 in MAIL FROM"),
    ("-f RCPT", "failed 5.3.0 in RCPT TO"),
    ("-f DATA", "failed 5.3.0 in DATA"),
    ("-f .", "failed 5.3.0 in final dot"),
    ("-r CONNECT", "deferred 4.3.0 in greeting"),
    ("-r EHLO", "deferred 4.3.0 in EHLO"),
    ("-r EHLO,HELO", "deferred 4.3.0 in EHLO"),
    ("-r MAIL", "deferred 4.3.0 in MAIL FROM"),
    ("-r RCPT", "deferred 4.3.0 in RCPT TO"),
    ("-r DATA", "deferred 4.3.0 in DATA"),
    ("-r .", "deferred 4.3.0 in final dot"),
    ("-q CONNECT", "deferred 4.4.2 in greeting"),
    ("-q EHLO", "deferred 4.4.2 in EHLO"),
    ("-q MAIL", "deferred 4.4.2 in MAIL FROM"),
    ("-q RCPT", "deferred 4.4.2 in RCPT TO"),
    ("-q DATA", "deferred 4.4.2 in DATA"),
    ("-q .", "ambiguous 4.4.2 in final dot"),
    ("-q QUIT", "delivered"),
    ("-Q CONNECT", "deferred 4.0.0 in greeting"),
    ("-Q EHLO", "deferred 4.0.0 in EHLO"),
    ("-Q MAIL", "deferred 4.0.0 in MAIL FROM"),
    ("-Q RCPT", "deferred 4.0.0 in RCPT TO"),
    ("-Q DATA", "deferred 4.0.0 in DATA"),
    ("-Q .", "deferred 4.0.0 in final dot"),
    ("-Q QUIT", "delivered"),
];

#[test]
#[ignore = "needs root and Debian's postfix; .ci/run runs it"]
fn each_fault_is_told_for_what_it_is() {
    let mut wrong = String::new();
    for (switches, expected) in FAULTS {
        let told = told_of_both(switches, Sample::plain().content);
        if told != *expected {
            wrong += &format!("(\"{switches}\", \"{told}\"), expected {expected}\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
#[ignore = "needs root and Debian's postfix; .ci/run runs it"]
fn content_that_is_refused_before_it_came_has_failed() {
    // Whether the dot was out by then is a matter of who was faster.
    for content in [Sample::plain().content, b"0123456789 abcdefghij\r\n".repeat(400_000)] {
        let told = told_of_both("-A 0", content);
        let (outcome, phase) = told.split_once(" in ").expect("a phase");
        assert_eq!(outcome, "failed 5.0.0");
        assert!(["sending the content", "final dot"].contains(&phase), "{phase}");
    }
}

/// What both of two recipients are told behind a sink with these switches.
fn told_of_both(switches: &str, content: Vec<u8>) -> String {
    let switches: Vec<&str> = switches.split_whitespace().collect();
    let sink = SmtpSink::start(&Scratch::new(), &switches);
    let client = Client::made_by(SmtpClient::builder());
    let to = ["jane@fabrikam.com", "tim@fabrikam.com"];
    let outcomes = client.deliver(&at(sink.address()), "joe@contoso.com", &to, content);
    let [jane, tim] = outcomes.as_slice() else { panic!("{switches:?}: {outcomes:?}") };
    assert_eq!(told(jane), told(tim), "{switches:?}");
    told(jane)
}

/// A sink, and what was said to it: 8-bit content to somebody who wants to hear of success.
struct Said {
    sink: SmtpSink,
    outcome: Outcome,
    lines: Vec<String>,
}

fn say(switches: &[&str], content: Vec<u8>) -> Said {
    let sink = SmtpSink::start(&Scratch::new(), switches);
    let client = Client::made_by(SmtpClient::builder());
    let mut recipient = Recipient::new("jane@fabrikam.com".parse().expect("a recipient"));
    recipient.notify = Some(Notify { success: true, failure: true, delay: false });
    let from = ReversePath::Mailbox("joe@contoso.com".parse().expect("a sender"));
    let mut destination = at(sink.address());
    destination.lmtp = switches.contains(&"-L");
    let mut outcomes = client.deliver_as(&destination, &Envelope::new(from, vec![recipient]), content);
    Said { sink, outcome: outcomes.remove(0), lines: client.said() }
}

impl Said {
    fn holds(&self, part: &str) -> bool {
        self.lines.iter().any(|line| line.starts_with('>') && line.contains(part))
    }

    fn is_pipelined(&self) -> bool {
        let mail = self.lines.iter().position(|line| line.starts_with("> MAIL")).expect("MAIL");
        self.lines.get(mail + 1).is_some_and(|next| next.starts_with("> RCPT"))
    }
}

fn eight_bit() -> Sample {
    let mut samples = Sample::all().into_iter();
    samples.find(|sample| sample.name == "8-bit UTF-8").expect("this sample")
}

#[test]
#[ignore = "needs root and Debian's postfix; .ci/run runs it"]
fn what_is_not_offered_is_not_used() {
    for (switches, pipelined, dsn, eight_bit_mime) in [
        (&[][..], true, true, true),
        (&["-p"][..], false, true, true),
        (&["-N"][..], true, false, true),
        (&["-8"][..], true, true, false),
        (&["-e"][..], false, false, false),
        (&["-P"][..], false, false, false),
        (&["-L"][..], true, true, true),
    ] {
        let said = say(switches, eight_bit().content);
        let seen = (said.is_pipelined(), said.holds("NOTIFY="), said.holds("BODY=8BITMIME"));
        assert_eq!(seen, (pipelined, dsn, eight_bit_mime), "{switches:?}: {:#?}", said.lines);
        let told = matches!(&said.outcome, Outcome::Delivered(_));
        let relayed = matches!(&said.outcome, Outcome::Relayed(_));
        assert_eq!((told, relayed), (dsn, !dsn), "{switches:?}: {:?}", said.outcome);
        let taken = said.sink.taken();
        assert_eq!(taken.contains("Gr\u{fc}\u{df}e, "), eight_bit_mime, "{switches:?}: {taken}");
        assert_eq!(taken.contains("Gr=C3=BC=C3=9Fe,"), !eight_bit_mime, "{switches:?}: {taken}");
    }
}

#[test]
#[ignore = "needs root and Debian's postfix; .ci/run runs it"]
fn a_slow_server_with_a_small_window_gets_all_of_it() {
    let mut samples = Sample::all().into_iter();
    let sample = samples.find(|sample| sample.name == "two megabytes").expect("this sample");
    for switches in [&["-T", "1024"][..], &["-T", "4096", "-H", "1"], &["-w", "1"]] {
        let said = say(switches, sample.content.clone());
        assert!(matches!(said.outcome, Outcome::Delivered(_)), "{switches:?}: {:?}", said.outcome);
        let line = "0123456789 abcdefghij .\n";
        assert_eq!(said.sink.taken().matches(line).count(), 58_000, "{switches:?}");
    }
}

/// `deferred 4.3.0 in MAIL FROM`
fn told(outcome: &Outcome) -> String {
    let (what, failure) = match outcome {
        Outcome::Delivered(_) => return "delivered".to_owned(),
        Outcome::Deferred(failure) => ("deferred", failure),
        Outcome::Failed(failure) => ("failed", failure),
        Outcome::Ambiguous(failure) => ("ambiguous", failure),
        other => panic!("{other:?}"),
    };
    format!("{what} {} in {}", failure.status, failure.phase)
}
