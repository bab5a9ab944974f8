//! One field of a row, and how text from outside is made safe to look at.

use std::borrow::Cow;

/// What stands in one field.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Value {
    /// Nothing.
    #[default]
    Empty,
    /// A word of ours, written as it is.
    Word(&'static str),
    /// Text, perhaps a stranger's.
    Text(String),
    /// Several texts.
    List(Vec<String>),
    /// A count.
    Number(u64),
}

impl Value {
    /// The text, or nothing where it is empty.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() { Self::Empty } else { Self::Text(text) }
    }

    /// The texts, or nothing where there are none.
    pub fn list(texts: Vec<String>) -> Self {
        if texts.is_empty() { Self::Empty } else { Self::List(texts) }
    }
}

/// The text without anything that ends a line, hides or turns what follows.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_invisible(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown_and_the_rest_is_left() {
        for (text, shown) in [
            ("Tea at four, Zoë? \\o/", "Tea at four, Zoë? \\o/"),
            ("one\r\ntwo\t\u{1b}[31m", "one\\r\\ntwo\\t\\u{1b}[31m"),
            ("invoice\u{202e}fdp.exe\u{2028}", "invoice\\u{202e}fdp.exe\\u{2028}"),
            ("\0\u{85}\u{7f}", "\\u{0}\\u{85}\\u{7f}"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }
}
