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
    pub(super) fn bytes<'a>(&'a self, long: &'a [u8]) -> &'a [u8] {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_names_come_back() {
        let mut long = Vec::new();
        let texts = ["a", &"b".repeat(SHORT), &"c".repeat(SHORT + 1), &"d".repeat(255)];
        let names = texts.map(|text| Name::new(text, &mut long));
        assert_eq!(names.each_ref().map(|name| name.text(&long)), texts);
    }
}
