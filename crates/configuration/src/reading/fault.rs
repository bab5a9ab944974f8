//! A fault found while one value was read: its bytes, its kind, and what would be right.

use toml_span::Span;

use crate::problem::ProblemKind;

/// What a value reader says of a value it cannot take.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) span: Span,
    pub(crate) kind: ProblemKind,
    pub(crate) message: String,
}

/// A value, or every fault found in it.
pub(crate) type Reading<T> = Result<T, Vec<Fault>>;

/// One fault, as a reading.
pub(crate) fn refuse<T>(span: Span, kind: ProblemKind, message: impl Into<String>) -> Reading<T> {
    Err(vec![Fault { span, kind, message: message.into() }])
}

/// What another crate says of a value, on one line: words stand bare in our messages, not between backticks.
pub(crate) fn plain(message: &str) -> String {
    let shown = message.split('`').enumerate().map(|(at, part)| match at % 2 {
        1 if part.contains(' ') => format!("\"{part}\""),
        _ => part.to_owned(),
    });
    shown.collect::<String>().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_bare_and_texts_in_quotes() {
        assert_eq!(
            plain("`banner` must start with `220 ` and\nend"),
            "banner must start with \"220 \" and end"
        );
    }
}
