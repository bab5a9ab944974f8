//! A name of the table, which stands in its entry if it is short, so that a look-up finds name and value in one place.

const SHORT: usize = 19;

/// A domain in its comparable form.
#[derive(Clone, Copy)]
pub(super) struct Name {
    /// The name itself up to [`SHORT`] bytes; of a longer one, where it begins among the long names.
    bytes: [u8; SHORT],
    length: u8,
}

impl Name {
    /// Adds the name to the long ones if it is one.
    pub(super) fn new(name: &str, long: &mut Vec<u8>) -> Self {
        let mut bytes = [0; SHORT];
        if let Some(short) = bytes.get_mut(..name.len()) {
            short.copy_from_slice(name.as_bytes());
        } else {
            let [a, b, c, d] = u32::try_from(long.len()).unwrap_or(u32::MAX).to_le_bytes();
            bytes[..4].copy_from_slice(&[a, b, c, d]);
            long.extend_from_slice(name.as_bytes());
        }
        Self { bytes, length: u8::try_from(name.len()).unwrap_or(u8::MAX) }
    }

    #[inline]
    pub(super) fn is(&self, name: &[u8], long: &[u8]) -> bool {
        is_same(self.bytes(long), name)
    }

    #[inline]
    fn bytes<'a>(&'a self, long: &'a [u8]) -> &'a [u8] {
        let length = usize::from(self.length);
        if let Some(short) = self.bytes.get(..length) {
            return short;
        }
        let [a, b, c, d, ..] = self.bytes;
        let start = u32::from_le_bytes([a, b, c, d]) as usize;
        long.get(start..start + length).unwrap_or_default()
    }

    pub(super) fn text<'a>(&'a self, long: &'a [u8]) -> &'a str {
        std::str::from_utf8(self.bytes(long)).unwrap_or_default()
    }
}

/// Compares names of usual length without a call.
#[inline]
fn is_same(left: &[u8], right: &[u8]) -> bool {
    match (left.first_chunk::<8>(), right.first_chunk::<8>()) {
        _ if left.len() != right.len() => false,
        (Some(first), Some(also)) if left.len() <= 16 => {
            first == also && left.last_chunk::<8>() == right.last_chunk::<8>()
        }
        (Some(first), Some(also)) if left.len() <= 24 => {
            let middle = |name: &[u8]| name.get(8..).and_then(|rest| rest.first_chunk::<8>().copied());
            first == also
                && middle(left) == middle(right)
                && left.last_chunk::<8>() == right.last_chunk::<8>()
        }
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_if_every_byte_is() {
        let name: Vec<u8> = (0..40).collect();
        for length in 0..name.len() {
            let name = &name[..length];
            assert!(is_same(name, name));
            for at in 0..length {
                let mut other = name.to_vec();
                other[at] ^= 0x80;
                assert!(!is_same(name, &other), "{length} {at}");
            }
            assert!(!is_same(name, &[name, &[0]].concat()));
        }
    }

    #[test]
    fn short_and_long_names_come_back() {
        let mut long = Vec::new();
        let texts = ["a", &"b".repeat(SHORT), &"c".repeat(SHORT + 1), &"d".repeat(255)];
        let names = texts.map(|text| Name::new(text, &mut long));
        assert_eq!(names.each_ref().map(|name| name.text(&long)), texts);
    }
}
