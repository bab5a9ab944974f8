//! Rows as JSON, one object a line, with the names of the CSV fields.

use postroad_message::Timestamp;

use crate::layout::Layout;
use crate::value::Value;

/// So many rows are missing where this line stands.
pub(crate) fn lost(layout: &Layout, at: Timestamp, count: u64) -> String {
    format!("{{\"{}\":\"{at}\",\"lost\":{count}}}\n", layout.fields.first().unwrap_or(&"date-time"))
}

/// One row; empty fields are left out.
pub(crate) fn row(layout: &Layout, at: Timestamp, values: &[Value]) -> String {
    let mut line = format!("{{\"{}\":\"{at}\"", layout.fields.first().unwrap_or(&"date-time"));
    for (field, value) in layout.fields.iter().skip(1).zip(values) {
        let value = match value {
            Value::Empty => continue,
            Value::Word(word) => serde_json::Value::from(*word),
            Value::Text(text) => serde_json::Value::from(text.as_str()),
            Value::List(texts) => serde_json::Value::from(texts.clone()),
            Value::Number(number) => serde_json::Value::from(*number),
        };
        line.push_str(&format!(",\"{field}\":{value}"));
    }
    line.push_str("}\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_object_on_one_line() {
        let layout =
            Layout { prefix: "X", log_type: "X", version: "1", fields: &["date-time", "a", "b", "c", "d"] };
        let hostile = "\"},\r\n{\"a\":\"\u{2028}=1".to_owned();
        let list = Value::List(vec!["x;y".into(), "z".into()]);
        let line = row(
            &layout,
            Timestamp::from_unix_millis(0),
            &[Value::Text(hostile.clone()), Value::Empty, list, Value::Number(3)],
        );
        assert_eq!(line.matches('\n').count(), 1);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["a"], hostile);
        assert_eq!((read.get("b"), &read["c"][0], &read["d"]), (None, &"x;y".into(), &3.into()));
        assert_eq!(read["date-time"], "1970-01-01T00:00:00.000Z");
    }
}
