//! Text from strangers in every place that has some.

use mail_parser::{MessageParser, MimeHeaders};
use postroad_dsn::Wording;
use postroad_message::{EnhancedStatus, HeaderBlock, OriginalRecipient};
use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn no_text_ends_a_line_or_adds_a_part(
        said in "(\r\n|--4f2adsn|Subject: owned|[\\x00-\\x7fé\u{2028}]){0,12}",
        envelope_id in "(\r\n|[ -~\\x00é]){0,30}",
        original in "(\r\n|[ -~\\x00é]){0,30}",
        subject in "[ -~\r\té]{0,60}",
        body in "(--4f2adsn(--)?|\r\n|[ -~\r\n]){0,10}",
        exchange in any::<bool>(),
    ) {
        let mut jane = recipient("jürgen@fabrikam.com");
        jane.original = Some(OriginalRecipient::new("rfc822", original));
        let outcome = refused(550, EnhancedStatus::permanent(1, 1), &said);
        let mut envelope = sender("app@contoso.com");
        envelope.envelope_id = Some(envelope_id);
        let content = format!("Subject: {subject}\r\nMessage-ID: {said}\r\n\r\n{body}");
        let about = [RecipientReport::new(Action::Failed, &jane, &outcome)];
        let (_, content) = written(&envelope, content.as_bytes(), &about, |report| {
            report.wording = if exchange { Wording::Exchange } else { Wording::Plain };
        }).unwrap();
        let bytes = content.in_memory().unwrap();
        prop_assert!(bytes.is_ascii());
        let text = String::from_utf8_lossy(bytes).replace("\r\n", "");
        prop_assert!(!text.contains(['\r', '\n', '\0']));
        // The header holds what we put there, and only that, in our order.
        let names: Vec<_> = HeaderBlock::scan(bytes).fields().map(|field| field.name().to_owned()).collect();
        let ours = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "In-Reply-To", "References", "MIME-Version", "Content-Type"];
        prop_assert!(names.iter().all(|name| ours.contains(&name.as_str())), "{:?}", names);
        let message = MessageParser::default().parse(bytes).unwrap();
        prop_assert_eq!(message.parts.len(), 4);
        prop_assert!(message.parts[2].content_type().is_some_and(|kind| kind.subtype() == Some("delivery-status")));
    }
}
