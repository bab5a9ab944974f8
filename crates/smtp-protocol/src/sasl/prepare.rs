//! SASLprep (RFC 4013): one spelling for names and passwords that look alike.

use std::borrow::Cow;

use super::secret::Secret;

/// A name as it is compared and sent: by SASLprep, so that `Ä` in one character and in two is one name.
///
/// What SASLprep refuses (a control character, a character younger than Unicode 3.2 such as an emoji, mixed writing
/// directions) is taken as it stands, as PostgreSQL does: whoever has such a name can log on all the same.
pub fn prepare_name(name: &str) -> Cow<'_, str> {
    stringprep::saslprep(name).unwrap_or(Cow::Borrowed(name))
}

/// A password as it is hashed; see [`prepare_name`]. Bytes that are not UTF-8 are taken as they stand too.
pub fn prepare_password(password: &[u8]) -> Secret {
    let prepared = std::str::from_utf8(password).ok().and_then(|text| stringprep::saslprep(text).ok());
    match prepared {
        Some(Cow::Owned(text)) => Secret::new(text),
        Some(Cow::Borrowed(text)) => Secret::new(text),
        None => Secret::new(password),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_4013() {
        for (name, prepared, why) in [
            ("I\u{ad}X", "IX", "SOFT HYPHEN mapped to nothing"),
            ("user", "user", "no transformation"),
            ("USER", "USER", "case preserved, will not match #2"),
            ("\u{aa}", "a", "output is NFKC, input in ISO 8859-1"),
            ("\u{2168}", "IX", "output is NFKC, will match #1"),
            ("\u{7}", "\u{7}", "prohibited: taken as it stands"),
            ("\u{627}1", "\u{627}1", "bidirectional check: taken as it stands"),
            ("a\u{308}", "\u{e4}", "two characters for one"),
            ("\u{1f600}", "\u{1f600}", "unassigned in Unicode 3.2: taken as it stands"),
        ] {
            assert_eq!(prepare_name(name), prepared, "{why}");
            assert_eq!(prepare_password(name.as_bytes()).expose(), prepared.as_bytes(), "{why}");
        }
        assert_eq!(prepare_password(b"p\xff").expose(), b"p\xff");
    }
}
