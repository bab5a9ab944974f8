//! Text that stays printable ASCII without `+` and `=` on the wire (RFC 3461 section 4).

use std::fmt::Write;

/// The text is not xtext: a byte outside `!` to `~`, a `=`, or a `+` without two hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not xtext: byte {offset} (RFC 3461 section 4)")]
pub struct InvalidXtext {
    /// The byte where it went wrong.
    pub offset: usize,
}

/// `xtext = *( xchar / hexchar )`, `hexchar = "+" 2(%x30-39 / %x41-46)`; lower-case digits are read too.
///
/// The decoded bytes must be UTF-8; control characters are kept, so whoever writes the text encodes it again.
///
/// # Errors
///
/// A byte that may not stand there, a `+` without two digits, or bytes that are no UTF-8.
pub fn decode(text: &str) -> Result<String, InvalidXtext> {
    let mut decoded = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut offset = 0;
    while let Some(&byte) = bytes.get(offset) {
        match byte {
            b'+' => {
                let pair = bytes.get(offset + 1).zip(bytes.get(offset + 2));
                let digits = pair.and_then(|(high, low)| Some(hex(*high)? * 16 + hex(*low)?));
                decoded.push(digits.ok_or(InvalidXtext { offset })?);
                offset += 3;
                continue;
            }
            b'=' => return Err(InvalidXtext { offset }),
            b'!'..=b'~' | 0x80.. => decoded.push(byte),
            _ => return Err(InvalidXtext { offset }),
        }
        offset += 1;
    }
    String::from_utf8(decoded).map_err(|error| InvalidXtext { offset: error.utf8_error().valid_up_to() })
}

/// Writes text as xtext; every byte that is not a plain `xchar` becomes `+HH`.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'+' | b'=' => push_hex(&mut encoded, byte),
            b'!'..=b'~' => encoded.push(char::from(byte)),
            _ => push_hex(&mut encoded, byte),
        }
    }
    encoded
}

fn push_hex(encoded: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(encoded, "+{byte:02X}");
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_writes() {
        for (plain, wire) in [
            ("jane@contoso.com", "jane@contoso.com"),
            ("a+b=c", "a+2Bb+3Dc"),
            ("a\r\nRCPT", "a+0D+0ARCPT"),
            ("a b", "a+20b"),
            ("é", "+C3+A9"),
        ] {
            assert_eq!(encode(plain), wire);
            assert_eq!(decode(wire).as_deref(), Ok(plain));
        }
        assert_eq!(decode("+c3+a9").as_deref(), Ok("é"));
    }

    #[test]
    fn refuses_by_the_byte() {
        for (wire, offset) in
            [("a=b", 1), ("a+", 1), ("a+2", 1), ("a+2G", 1), ("a b", 1), ("+FF", 0), ("ab\r", 2)]
        {
            assert_eq!(decode(wire), Err(InvalidXtext { offset }), "{wire:?}");
        }
    }

    proptest! {
        #[test]
        fn there_and_back(text in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
            let wire = encode(&text);
            prop_assert!(wire.bytes().all(|b| (b'!'..=b'~').contains(&b) && b != b'='));
            prop_assert_eq!(decode(&wire), Ok(text));
        }
    }
}
