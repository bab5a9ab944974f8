//! What of a Content-Type field says how a part is built.

/// `type "/" subtype *( ";" parameter )` (RFC 2045 section 5.1): the type in lower case, and where there is one the boundary.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct ContentType {
    pub(super) media_type: String,
    pub(super) boundary: Option<String>,
}

impl ContentType {
    /// Reads an unfolded value; what can't be read is no type, and so `text/plain`, as RFC 2045 section 5.2 advises.
    pub(super) fn parse(value: &[u8]) -> Self {
        let text = String::from_utf8_lossy(value);
        let mut parts = split_at_semicolons(&without_comments(&text)).into_iter();
        let media_type: String =
            parts.next().unwrap_or_default().split_whitespace().collect::<String>().to_ascii_lowercase();
        let boundary = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("boundary").then(|| unquoted(value.trim()))
        });
        let media_type = if media_type.contains('/') { media_type } else { "text/plain".to_owned() };
        Self { media_type, boundary: boundary.filter(|boundary| !boundary.is_empty()) }
    }
}

/// Comments in parentheses (RFC 5322 section 3.2.2) taken out, but not of quoted strings.
fn without_comments(text: &str) -> String {
    let (mut kept, mut depth, mut in_quotes) = (String::new(), 0_usize, false);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' if in_quotes || depth > 0 => {
                let escaped = characters.next();
                if depth == 0 {
                    kept.push('\\');
                    kept.extend(escaped);
                }
                continue;
            }
            '"' if depth == 0 => in_quotes = !in_quotes,
            '(' if !in_quotes => depth += 1,
            ')' if !in_quotes && depth > 0 => {
                depth -= 1;
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            kept.push(character);
        }
    }
    kept
}

fn split_at_semicolons(text: &str) -> Vec<String> {
    let (mut parts, mut in_quotes, mut escaped) = (vec![String::new()], false, false);
    for character in text.chars() {
        match character {
            ';' if !in_quotes => {
                parts.push(String::new());
                continue;
            }
            '"' if !escaped => in_quotes = !in_quotes,
            _ => {}
        }
        escaped = in_quotes && character == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    parts
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').map(|rest| rest.strip_suffix('"').unwrap_or(rest)) else {
        return value.split_whitespace().next().unwrap_or_default().to_owned();
    };
    let mut plain = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_mail_programs_write() {
        for (value, media_type, boundary) in [
            ("text/plain", "text/plain", None),
            ("Text/HTML; charset=\"utf-8\"", "text/html", None),
            ("multipart/mixed; boundary=abc", "multipart/mixed", Some("abc")),
            (
                "multipart / mixed (no; boundary=x) ; BOUNDARY = \"a;b\\\"c\" ; x=y",
                "multipart/mixed",
                Some("a;b\"c"),
            ),
            ("multipart/mixed; boundary=\"\"", "multipart/mixed", None),
            ("multipart/mixed; x=\"boundary=y\"; boundary=z", "multipart/mixed", Some("z")),
            ("garbage", "text/plain", None),
            ("", "text/plain", None),
        ] {
            let read = ContentType::parse(value.as_bytes());
            assert_eq!(
                (read.media_type.as_str(), read.boundary.as_deref()),
                (media_type, boundary),
                "{value}"
            );
        }
    }
}
