//! The part of a report that a person reads.

use std::fmt::Write;

use postroad_message::HeaderBlock;

use crate::clean::{Letters, ascii};
use crate::owed::Action;
use crate::recipient::RecipientReport;
use crate::report::{Report, Wording};

/// A person reads no more; all of them come back in the third part.
const MOST_FIELDS_SHOWN: usize = 100;

/// The first words of the subject and of the text.
pub(crate) fn heading(action: Action) -> (&'static str, &'static str) {
    match action {
        Action::Failed => ("Undeliverable", "Your message did not reach some or all of these recipients:"),
        Action::Delayed => (
            "Delivery delayed",
            "Your message has not reached these recipients yet. You need not send it again:",
        ),
        Action::Relayed => (
            "Relayed",
            "Your message went on to a system that may send no further reports about these recipients:",
        ),
        Action::Expanded => ("Expanded", "Your message was sent on to the members of these lists:"),
        Action::Delivered => ("Delivered", "Your message was delivered to these recipients:"),
    }
}

/// Plain text, CRLF lines.
pub(crate) fn text(report: &Report<'_>, letters: Letters) -> String {
    let mut text = String::with_capacity(1024);
    let mut actions: Vec<_> = report.recipients.iter().map(|recipient| recipient.action).collect();
    actions.sort_unstable();
    actions.dedup();
    for action in actions.into_iter().rev() {
        let (_, opening) = heading(action);
        line(&mut text, opening);
        line(&mut text, "");
        for recipient in report.recipients.iter().filter(|recipient| recipient.action == action) {
            line(&mut text, &format!("  {}", recipient.shown_address(letters)));
            line(&mut text, &format!("    {}", letters.clean(&recipient.text, 600)));
        }
        line(&mut text, "");
    }
    if let Some(until) = report.retry_until.filter(|_| report.has(Action::Delayed)) {
        line(&mut text, &format!("We go on trying until {}.", until.to_rfc5322()));
        line(&mut text, "");
    }
    if report.wording == Wording::Exchange {
        diagnostics(&mut text, report, letters);
    }
    text
}

/// The section that help desks ask for: generating server, each recipient with what was said, the original's header.
fn diagnostics(text: &mut String, report: &Report<'_>, letters: Letters) {
    line(text, "Diagnostic information for administrators:");
    line(text, "");
    line(text, &format!("Generating server: {}", ascii(report.reporting_mta, 255)));
    line(text, "");
    for recipient in report.recipients {
        diagnostic(text, recipient, letters);
    }
    line(text, "Original message headers:");
    line(text, "");
    for field in HeaderBlock::scan(report.content.head()).fields().take(MOST_FIELDS_SHOWN) {
        let value = field.unfolded();
        line(
            text,
            &format!("{}: {}", ascii(field.name(), 80), letters.clean(&String::from_utf8_lossy(&value), 800)),
        );
    }
}

fn diagnostic(text: &mut String, recipient: &RecipientReport, letters: Letters) {
    line(text, &recipient.shown_address(letters));
    let status = recipient.written_status(Wording::Exchange);
    let host = recipient.host.as_deref().map(|host| format!("Remote server: {} - ", ascii(host, 255)));
    let said = match &recipient.reply {
        Some(reply) => letters.clean(&reply.to_string(), 600),
        None => letters.clean(&recipient.text, 600),
    };
    line(text, &format!("{}{status} - {said}", host.unwrap_or_default()));
    line(text, "");
}

fn line(text: &mut String, words: &str) {
    // Writing into a String cannot fail.
    let _ = write!(text, "{words}\r\n");
}
