//! Rows as comma-separated values (RFC 4180): quoted where that is needed, and no formula for a spreadsheet.

use std::borrow::Cow;

use postroad_message::Timestamp;

use crate::layout::Layout;
use crate::value::{Value, visible};

/// The lines on top of a file.
pub(crate) fn head(layout: &Layout, at: Timestamp) -> String {
    let (version, log_type, fields) = (layout.version, layout.log_type, layout.fields.join(","));
    format!(
        "#Software: postroad\r\n#Version: {version}\r\n#Log-type: {log_type}\r\n#Date: {at}\r\n#Fields: {fields}\r\n"
    )
}

/// So many rows are missing where this line stands: like the lines on top, none that a reader takes for a row.
pub(crate) fn lost(count: u64) -> String {
    format!("#Lost: {count}\r\n")
}

/// One row: the moment, then a value for each field behind it.
///
/// ```text
/// record = field *( "," field ) CRLF
/// field  = *safe / DQUOTE *( safe / "," / ";" / 2DQUOTE ) DQUOTE
/// ```
pub(crate) fn row(at: Timestamp, values: &[Value]) -> String {
    let mut line = at.to_string();
    for value in values {
        line.push(',');
        match value {
            Value::Empty => {}
            Value::Word(word) => line.push_str(word),
            Value::Text(text) => quoted(&harmless(&visible(text)), &mut line),
            Value::List(texts) => {
                let entries: Vec<String> = texts.iter().map(|text| entry(text)).collect();
                quoted(&entries.join(";"), &mut line);
            }
            Value::Number(number) => line.push_str(&number.to_string()),
        }
    }
    line.push_str("\r\n");
    line
}

fn entry(text: &str) -> String {
    harmless(&visible(text)).replace(';', "\\u{3b}")
}

/// A cell that begins with one of these is a formula to a spreadsheet, which may run programs.
fn harmless(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@']) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

fn quoted(text: &str, line: &mut String) {
    if text.contains(['"', ',']) || text.starts_with(' ') || text.ends_with(' ') {
        line.push('"');
        line.push_str(&text.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AT: Timestamp = Timestamp::from_unix_millis(1_711_903_005_042);

    fn written(value: Value) -> String {
        let line = row(AT, &[value]);
        line.strip_prefix("2024-03-31T16:36:45.042Z,")
            .and_then(|rest| rest.strip_suffix("\r\n"))
            .unwrap()
            .into()
    }

    #[test]
    fn each_value_in_its_form() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (value, expected) in [
            (Value::Empty, ""),
            (Value::Word("+"), "+"),
            (Value::Number(4711), "4711"),
            (text("Tea at four"), "Tea at four"),
            (text("Tea, at four"), "\"Tea, at four\""),
            (text("say \"tea\""), "\"say \"\"tea\"\"\""),
            (text(" tea "), "\" tea \""),
            (text("=1+1"), "'=1+1"),
            (text("+1 (425) 555-0100"), "'+1 (425) 555-0100"),
            (text("-2"), "'-2"),
            (text("@SUM(A1,A2)"), "\"'@SUM(A1,A2)\""),
            (text("\t=1"), "\\t=1"),
            (text("a\r\n2024-03-31T00:00:00.000Z,forged"), "\"a\\r\\n2024-03-31T00:00:00.000Z,forged\""),
            (
                Value::List(vec!["a@b".into(), "\"x;y\"@b".into(), "=c@d".into()]),
                "\"a@b;\"\"x\\u{3b}y\"\"@b;'=c@d\"",
            ),
        ] {
            assert_eq!(written(value), expected);
        }
    }

    /// A reader of its own: nothing of the writer's.
    fn read_back(line: &str) -> Vec<String> {
        let (mut fields, mut field, mut chars) = (Vec::new(), String::new(), line.chars().peekable());
        let mut in_quotes = false;
        while let Some(c) = chars.next() {
            match c {
                '"' if in_quotes && chars.peek() == Some(&'"') => {
                    chars.next();
                    field.push('"');
                }
                '"' => in_quotes = !in_quotes,
                ',' if !in_quotes => fields.push(std::mem::take(&mut field)),
                c => field.push(c),
            }
        }
        fields.push(field);
        fields
    }

    proptest! {
        #[test]
        fn whatever_strangers_write_a_row_is_one_line_of_so_many_fields(texts in proptest::collection::vec("(?s).{0,40}|[,\"=\r\n;+@-]{0,12}", 1..8)) {
            let values: Vec<Value> = texts.iter().cloned().map(Value::Text).collect();
            let line = row(AT, &values);
            let body = line.strip_suffix("\r\n").unwrap();
            prop_assert!(!body.contains(|c: char| c.is_control()));
            let fields = read_back(body);
            prop_assert_eq!(fields.len(), texts.len() + 1);
            for (field, text) in fields.iter().skip(1).zip(&texts) {
                prop_assert!(!field.starts_with(['=', '+', '-', '@']));
                let shown = visible(text);
                prop_assert!(*field == shown || field.strip_prefix('\'') == Some(&shown), "{field:?} for {text:?}");
            }
        }

        #[test]
        fn an_entry_of_a_list_stays_one_entry(texts in proptest::collection::vec("[a-z;,\"= ]{1,12}", 1..6)) {
            let line = row(AT, &[Value::List(texts.clone())]);
            let fields = read_back(line.strip_suffix("\r\n").unwrap());
            prop_assert_eq!(fields[1].split(';').count(), texts.len());
        }
    }
}
