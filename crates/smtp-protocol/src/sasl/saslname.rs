//! `saslname` (RFC 5801 section 4, RFC 5802 section 7): a name with its commas and equals signs written otherwise.

/// Writes `=2C` and `=3D`.
pub(crate) fn encode(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// Reads them; `None` where the name is empty, or has a comma, a NUL or any other equals sign.
pub(crate) fn decode(text: &str) -> Option<String> {
    if text.is_empty() || text.contains([',', '\0']) {
        return None;
    }
    let mut parts = text.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (sign, rest) = part.split_at_checked(2)?;
        name.push(match sign {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        name.push_str(rest);
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (name, written) in
            [("user", "user"), ("a,b", "a=2Cb"), ("=,=", "=3D=2C=3D"), ("=2C", "=3D2C"), ("\u{e4}", "\u{e4}")]
        {
            assert_eq!(encode(name), written);
            assert_eq!(decode(written).as_deref(), Some(name));
        }
        for broken in ["", "a,b", "a=", "a=2", "a=2c", "a=41", "a\0b", "=\u{e4}"] {
            assert_eq!(decode(broken), None, "{broken:?}");
        }
    }
}
