//! Base64 in lines (RFC 2045 section 6.8), for parts that are no text.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes that make a line of 76 characters.
pub(super) const LINE: usize = 57;

pub(super) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    for line in bytes.chunks(LINE) {
        for group in line.chunks(3) {
            let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for at in 0..4 {
                let sextet = (bits >> (18 - 6 * at)) & 0x3f;
                let letter = ALPHABET.get(usize::try_from(sextet).unwrap_or(0)).copied();
                out.push(if at > group.len() { b'=' } else { letter.unwrap_or(b'=') });
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_rfc_4648() {
        for (bytes, text) in
            [("", ""), ("f", "Zg==\r\n"), ("fo", "Zm8=\r\n"), ("foo", "Zm9v\r\n"), ("foobar", "Zm9vYmFy\r\n")]
        {
            let mut out = Vec::new();
            encode(bytes.as_bytes(), &mut out);
            assert_eq!(out, text.as_bytes());
        }
    }
}
