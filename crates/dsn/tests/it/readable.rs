//! What another parser sees in a report.

use mail_parser::{MessageParser, MimeHeaders, PartType};
use postroad_dsn::{RecipientReport, Report};
use postroad_message::{
    Body, DeliverBy, EnhancedStatus, Envelope, HeaderBlock, Outcome, Priority, Return, ReversePath, WhenLate,
};

use super::*;

const SMALL: &[u8] = b"Subject: Tea\r\n\r\nAt four.\r\n";
const EIGHT_BIT: &[u8] = "Subject: Tee\r\n\r\nUm vier, Grüße\r\n".as_bytes();

fn jane() -> Vec<RecipientReport> {
    vec![failed("jane@fabrikam.com", &refused(550, EnhancedStatus::permanent(1, 1), "no"))]
}

/// Content type and raw text of each of the three parts.
fn parts(content: &Content) -> Vec<(String, String)> {
    let message = MessageParser::default().parse(content.in_memory().unwrap()).unwrap();
    let outer = message.content_type().unwrap();
    assert_eq!((outer.ctype(), outer.subtype()), ("multipart", Some("report")));
    assert_eq!(outer.attribute("report-type"), Some("delivery-status"));
    assert_eq!(message.parts.len(), 4, "the frame and three parts");
    let part = |part: &mail_parser::MessagePart<'_>| {
        let kind = part.content_type().unwrap();
        let text = match &part.body {
            PartType::Text(text) => text.to_string(),
            PartType::Binary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            PartType::Message(message) => String::from_utf8_lossy(message.raw_message()).into_owned(),
            other => panic!("{other:?}"),
        };
        (format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()), text)
    };
    message.parts.iter().skip(1).map(part).collect()
}

fn third(
    envelope: &Envelope,
    original: &[u8],
    set: impl FnOnce(&mut Report<'_>),
) -> ((String, String), Envelope, Content) {
    let (to, content) = written(envelope, original, &jane(), set).unwrap();
    (parts(&content).remove(2), to, content)
}

#[test]
fn three_parts_and_fields_a_parser_finds() {
    let (to, content) = written(&sender("app@contoso.com"), SMALL, &jane(), |_| ()).unwrap();
    assert!(to.reverse_path.is_null());
    let found = parts(&content);
    let kinds: Vec<_> = found.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["text/plain", "message/delivery-status", "message/rfc822"]);
    let (_, status) = &found[1];
    let mut groups = status.split("\r\n\r\n");
    assert!(groups.next().unwrap().starts_with("Reporting-MTA: dns;hub01.contoso.com\r\n"), "{status}");
    let group = groups.next().unwrap();
    let fields = HeaderBlock::scan(group.as_bytes());
    for (name, value) in [
        ("Final-Recipient", "rfc822;jane@fabrikam.com"),
        ("Action", "failed"),
        ("Status", "5.1.1"),
        ("Remote-MTA", "dns;mx.fabrikam.com"),
        ("Diagnostic-Code", "smtp;550 no"),
    ] {
        assert_eq!(fields.field(name).unwrap().unfolded().as_ref(), value.as_bytes());
    }
    assert_eq!(found[2].1, String::from_utf8_lossy(SMALL));
}

#[test]
fn how_much_comes_back() {
    let (whole, headers) = ("message/rfc822", "text/rfc822-headers");
    for (ret, original, above, kind) in [
        (None, SMALL, 1000, whole),
        (Some(Return::Full), SMALL, 1000, whole),
        (Some(Return::Headers), SMALL, 1000, headers),
        (None, SMALL, 10, headers),
        (Some(Return::Full), SMALL, 10, headers),
        (None, EIGHT_BIT, 1000, headers),
        (Some(Return::Full), EIGHT_BIT, 1000, whole),
    ] {
        let mut envelope = sender("app@contoso.com");
        envelope.ret = ret;
        let ((found, text), to, content) =
            third(&envelope, original, |report| report.headers_only_above = above);
        assert_eq!(found, kind, "{ret:?} {above}");
        assert_eq!(to.body == Body::EightBitMime, content.shape().has_8bit());
        assert_eq!(content.shape().has_8bit(), kind == whole && original == EIGHT_BIT);
        if kind == headers {
            assert!(
                text.starts_with("Subject: ") && !text.contains("vier") && !text.contains("four"),
                "{text}"
            );
        }
    }
}

#[test]
fn what_comes_back_is_labelled_as_what_it_is() {
    let long = [b"Subject: ", &[b'x'; 2_000][..], b"\r\n\r\n", &[b'y'; 999][..], b"\r\n"].concat();
    let fits = [b"Subject: x\r\n\r\n", &[b'y'; 998][..], b"\r\n"].concat();
    let utf8 = "Subject: Bücher\r\n\r\nGrüße\r\n".as_bytes();
    // (original, SMTPUTF8, RET=FULL, BODY=BINARYMIME) and what comes back
    for (original, smtputf8, full, binary, kind) in [
        (&fits[..], false, true, false, "message/rfc822"),
        (&fits[..], false, true, true, "text/rfc822-headers"),
        (&long[..], false, true, false, "text/rfc822-headers"),
        (utf8, false, true, false, "message/rfc822"),
        (utf8, false, false, false, "text/rfc822-headers"),
        (utf8, true, true, false, "message/global"),
        (utf8, true, false, false, "message/global-headers"),
        (&fits[..], true, true, false, "message/rfc822"),
    ] {
        let mut envelope = sender("app@contoso.com");
        envelope.ret = full.then_some(Return::Full);
        envelope.smtputf8 = smtputf8;
        envelope.body = if binary { Body::BinaryMime } else { Body::EightBitMime };
        let (to, content) = written(&envelope, original, &jane(), |_| ()).unwrap();
        let text = String::from_utf8_lossy(content.in_memory().unwrap()).into_owned();
        assert!(text.contains(&format!("Content-Type: {kind}\r\n")), "{kind}: {text}");
        let international = kind.starts_with("message/global");
        let status = if international { "message/global-delivery-status" } else { "message/delivery-status" };
        assert!(text.contains(&format!("Content-Type: {status}\r\n")), "{text}");
        assert_eq!(to.smtputf8, international, "{kind}");
        assert_eq!(to.body == Body::EightBitMime, content.shape().has_8bit(), "{kind}");
        assert!(text.split("\r\n").all(|line| line.len() <= 998), "{kind}");
    }
}

#[test]
fn a_success_never_brings_the_body_back() {
    let mut envelope = sender("app@contoso.com");
    envelope.ret = Some(Return::Full);
    let fax = RecipientReport::new(Action::Relayed, &recipient("FAX:1"), &relayed());
    let (_, content) = written(&envelope, SMALL, &[fax], |_| ()).unwrap();
    assert_eq!(parts(&content)[2].0, "text/rfc822-headers");
}

#[test]
fn a_report_is_protected_as_its_original_was_to_be() {
    let mut envelope = sender("app@contoso.com");
    assert!(!written(&envelope, SMALL, &jane(), |_| ()).unwrap().0.require_tls);
    envelope.require_tls = true;
    assert!(written(&envelope, SMALL, &jane(), |_| ()).unwrap().0.require_tls);
}

#[test]
fn a_report_names_the_deadline_and_is_as_urgent_as_its_original() {
    let mut envelope = sender("app@contoso.com");
    let (plain, content) = written(&envelope, SMALL, &jane(), |_| ()).unwrap();
    assert!(plain.priority.is_none() && !parts(&content)[1].1.contains("Deliver-By-Date"));
    envelope.priority = Priority::new(4);
    let deadline = Timestamp::from_unix_millis(1_711_903_005_000);
    envelope.deliver_by = Some(DeliverBy::new(deadline, WhenLate::Return));
    let (report, content) = written(&envelope, SMALL, &jane(), |_| ()).unwrap();
    assert_eq!((report.priority, report.deliver_by), (envelope.priority, None));
    let line = "\r\nDeliver-By-Date: Sun, 31 Mar 2024 16:36:45 +0000\r\n";
    assert!(parts(&content)[1].1.contains(line), "{}", parts(&content)[1].1);
}

#[test]
fn no_report_for_a_report_and_none_about_nobody() {
    let null = Envelope::new(ReversePath::Null, Vec::new());
    assert!(written(&null, SMALL, &jane(), |_| ()).is_none());
    assert!(written(&sender("app@contoso.com"), SMALL, &[], |_| ()).is_none());
}

#[test]
fn plain_wording_has_digit_and_action_agree() {
    let expired = [failed("jane@fabrikam.com", &Outcome::Failed(expired()))];
    let (_, content) = written(&sender("app@contoso.com"), SMALL, &expired, |_| ()).unwrap();
    assert!(parts(&content)[1].1.contains("\r\nStatus: 5.4.7\r\n"));
}

#[test]
fn a_file_that_was_refused_is_told_of_for_each_recipient() {
    let limit = "101 recipients, 100 are allowed";
    let about = [RecipientReport::refused(&recipient("FAX:1"), EnhancedStatus::permanent(5, 3), limit)];
    // A file as it was found: no blank line, LF line ends, a NUL.
    let (_, content) =
        written(&sender("app@contoso.com"), b"To: a\nFrom: b\n\nx\0y\n", &about, |_| ()).unwrap();
    let found = parts(&content);
    assert!(
        found[1].1.contains("Final-Recipient: fax;1\r\nAction: failed\r\nStatus: 5.5.3\r\n"),
        "{}",
        found[1].1
    );
    assert_eq!(found[2].1, "To: a\r\nFrom: b\r\n\r\nx?y\r\n");
}
