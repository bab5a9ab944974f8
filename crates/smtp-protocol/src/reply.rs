//! Replies of a server, as a client reads them: bounded, complete, and clean enough to show.

use std::fmt;

use postroad_message::{EnhancedStatus, RemoteReply, StatusClass};

/// How much of a reply is read before the peer is given up.
///
/// RFC 5321 section 4.5.3.1.5 allows 512 bytes a line; servers that cite their policy need more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplyLimits {
    /// Bytes in one line, CRLF included. 2048 unless set.
    pub line_length: usize,
    /// Lines in one reply. 100 unless set.
    pub lines: usize,
    /// Bytes in one reply, CRLFs included. 65536 unless set.
    pub total_length: usize,
}

impl Default for ReplyLimits {
    fn default() -> Self {
        Self { line_length: 2048, lines: 100, total_length: 65_536 }
    }
}

/// One whole reply: a code, and the text of each of its lines.
///
/// Text is clean: what was not UTF-8 is U+FFFD, what was a control character is `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    /// The three digits: 200 to 599.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The text of each line, code and separator removed. Never empty.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// What the first digit says.
    pub fn kind(&self) -> ReplyKind {
        match self.code / 100 {
            2 => ReplyKind::Success,
            3 => ReplyKind::Intermediate,
            4 => ReplyKind::Transient,
            _ => ReplyKind::Permanent,
        }
    }

    /// The enhanced status that the first line opens with (RFC 2034 section 4), where its class agrees with the code.
    pub fn enhanced(&self) -> Option<EnhancedStatus> {
        let word = self.lines.first()?.split(' ').next()?;
        let status: EnhancedStatus = word.parse().ok()?;
        let agrees = match self.kind() {
            ReplyKind::Success => status.class() == StatusClass::Success,
            ReplyKind::Intermediate => false,
            ReplyKind::Transient => status.class() == StatusClass::Transient,
            ReplyKind::Permanent => status.class() == StatusClass::Permanent,
        };
        agrees.then_some(status)
    }

    /// As outcomes and reports carry it.
    pub fn to_remote(&self) -> RemoteReply {
        RemoteReply::new(self.code, self.lines.clone())
    }
}

/// `250-first` ... `250 last`, joined by single spaces into one line.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        for line in &self.lines {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}

/// The first digit of a reply code (RFC 5321 section 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// 2yz
    Success,
    /// 3yz: go on.
    Intermediate,
    /// 4yz
    Transient,
    /// 5yz
    Permanent,
}

/// What came is not a reply. The connection is of no use any more; the mail may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The line does not open with 2yz to 5yz, or has neither space nor hyphen behind the code.
    #[error("the server's reply does not begin with a reply code")]
    NoCode,
    /// `250-` went on as `251 `.
    #[error("the server changed the code from {first} to {then} within one reply")]
    CodeChanged {
        /// The code of the first line.
        first: u16,
        /// The code that differs.
        then: u16,
    },
    /// A CR without LF or a LF without CR.
    #[error("the server's reply holds a line end that is not CRLF")]
    BareLineEnd,
    /// More than [`ReplyLimits::line_length`].
    #[error("the server sent a reply line of more than {0} bytes")]
    LineTooLong(usize),
    /// More than [`ReplyLimits::lines`].
    #[error("the server sent a reply of more than {0} lines")]
    TooManyLines(usize),
    /// More than [`ReplyLimits::total_length`].
    #[error("the server sent a reply of more than {0} bytes")]
    TooLong(usize),
}

/// Puts replies together from bytes that come in pieces of any size.
///
/// ```
/// use postroad_smtp_protocol::reply::ReplyReader;
/// let mut reader = ReplyReader::default();
/// assert_eq!(reader.read(b"250-mx.example.com\r\n250 SI"), Ok((26, None)));
/// let (used, reply) = reader.read(b"ZE\r\n354 ")?;
/// assert_eq!(used, 4);
/// assert_eq!(reply.map(|r| r.lines().to_vec()), Some(vec!["mx.example.com".into(), "SIZE".into()]));
/// # Ok::<(), postroad_smtp_protocol::reply::ReplyError>(())
/// ```
#[derive(Debug, Default)]
pub struct ReplyReader {
    limits: ReplyLimits,
    line: Vec<u8>,
    code: Option<u16>,
    /// The lines of this reply, and behind them emptied ones of an earlier reply.
    lines: Vec<String>,
    /// How many are this reply's.
    count: usize,
    total: usize,
}

/// Room for so many lines is kept for the next reply.
const KEPT_LINES: usize = 4;

impl ReplyReader {
    /// A reader with its own limits.
    pub fn new(limits: ReplyLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Whether no part of a reply is held.
    pub fn is_between_replies(&self) -> bool {
        self.total == 0
    }

    /// Takes a reply back that was read, so that the next one needs no memory of its own.
    pub fn recycle(&mut self, reply: Reply) {
        if self.count == 0 {
            self.lines = reply.lines;
            self.lines.truncate(KEPT_LINES);
            self.lines.iter_mut().for_each(String::clear);
        }
    }

    /// Takes bytes up to the end of one reply: how many were used, and the reply if it is whole.
    ///
    /// # Errors
    /// What is no reply, or more than the limits allow. The reader is spent then.
    pub fn read(&mut self, input: &[u8]) -> Result<(usize, Option<Reply>), ReplyError> {
        let mut used = 0;
        while used < input.len() {
            let rest = input.get(used..).unwrap_or_default();
            let Some(at) = memchr::memchr(b'\n', rest) else {
                self.measure(rest.len())?;
                self.line.extend_from_slice(rest);
                return Ok((input.len(), None));
            };
            let part = rest.get(..=at).unwrap_or_default();
            self.measure(part.len())?;
            used += part.len();
            let reply = if self.line.is_empty() {
                self.end_line(part)?
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(part);
                let reply = self.end_line(&line)?;
                line.clear();
                self.line = line;
                reply
            };
            if reply.is_some() {
                return Ok((used, reply));
            }
        }
        Ok((used, None))
    }

    /// So many bytes more of this line and this reply.
    fn measure(&mut self, more: usize) -> Result<(), ReplyError> {
        self.total += more;
        if self.line.len() + more > self.limits.line_length {
            return Err(ReplyError::LineTooLong(self.limits.line_length));
        }
        if self.total > self.limits.total_length {
            return Err(ReplyError::TooLong(self.limits.total_length));
        }
        Ok(())
    }

    /// One line with the LF that ends it.
    fn end_line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        // The first CR has to be the one before that LF.
        let text = match (memchr::memchr(b'\r', line), line) {
            (Some(at), [text @ .., _, _]) if at == text.len() => text,
            _ => return Err(ReplyError::BareLineEnd),
        };
        let (code, last, text) = reply_line(text).ok_or(ReplyError::NoCode)?;
        match self.code {
            Some(first) if first != code => return Err(ReplyError::CodeChanged { first, then: code }),
            _ => self.code = Some(code),
        }
        if self.count >= self.limits.lines {
            return Err(ReplyError::TooManyLines(self.limits.lines));
        }
        let clean = match self.lines.get_mut(self.count) {
            Some(emptied) => emptied,
            None => self.lines.push_mut(String::new()),
        };
        write_clean(text, clean);
        self.count += 1;
        if !last {
            return Ok(None);
        }
        self.lines.truncate(self.count);
        (self.code, self.count, self.total) = (None, 0, 0);
        Ok(Some(Reply { code, lines: std::mem::take(&mut self.lines) }))
    }
}

/// `Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF` (RFC 5321 section 4.2),
/// one line of it without its CRLF: code, whether it is the last, text.
///
/// The second digit may be 6 to 9: there are servers that send 571 and 577.
fn reply_line(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    let [hundreds @ b'2'..=b'5', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = *digits else { return None };
    let code = u16::from(hundreds - b'0') * 100 + u16::from(tens - b'0') * 10 + u16::from(ones - b'0');
    match rest.split_first() {
        None => Some((code, true, rest)),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

fn write_clean(text: &[u8], clean: &mut String) {
    // Nearly always, and many times quicker than to look at each character.
    if text.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
        && let Ok(text) = str::from_utf8(text)
    {
        return clean.push_str(text);
    }
    clean.extend(String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { '?' } else { c }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(input: &[u8]) -> Result<Option<Reply>, ReplyError> {
        ReplyReader::default().read(input).map(|(_, reply)| reply)
    }

    #[test]
    fn keeps_every_line_of_a_reply() {
        let reply =
            one(b"550-5.7.1 go away\r\n550-\r\n550 see http://x.test\r\n").ok().flatten().expect("whole");
        assert_eq!(reply.code(), 550);
        assert_eq!(reply.lines(), ["5.7.1 go away", "", "see http://x.test"]);
        assert_eq!(reply.enhanced(), Some(EnhancedStatus::permanent(7, 1)));
        assert_eq!(reply.to_string(), "550 5.7.1 go away  see http://x.test");
    }

    #[test]
    fn a_code_alone_is_a_reply_and_half_a_line_is_none() {
        assert_eq!(one(b"250\r\n").ok().flatten().map(|r| r.code()), Some(250));
        for half in [&b"25"[..], b"250 ok", b"250 ok\r", b"250-x\r\n"] {
            assert_eq!(one(half), Ok(None), "{half:?}");
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        let cases: [(&[u8], ReplyError); 9] = [
            (b"699 what\r\n", ReplyError::NoCode),
            (b"199 what\r\n", ReplyError::NoCode),
            (b"OK sure\r\n", ReplyError::NoCode),
            (b"25\r\n", ReplyError::NoCode),
            (b"250_ok\r\n", ReplyError::NoCode),
            (b"\r\n", ReplyError::NoCode),
            (b"250 ok\n", ReplyError::BareLineEnd),
            (b"250 o\rk\r\n", ReplyError::BareLineEnd),
            (b"250-a\r\n251 b\r\n", ReplyError::CodeChanged { first: 250, then: 251 }),
        ];
        for (input, error) in cases {
            assert_eq!(one(input), Err(error), "{}", String::from_utf8_lossy(input));
        }
    }

    #[test]
    fn endless_replies_end() {
        let mut reader = ReplyReader::default();
        let lines = std::iter::repeat_with(|| reader.read(b"250-again\r\n")).position(|read| read.is_err());
        assert_eq!(lines, Some(100));
        let mut reader = ReplyReader::default();
        let bytes = std::iter::repeat_with(|| reader.read(b"2")).position(|read| read.is_err());
        assert_eq!(bytes, Some(2048));
        let mut reader = ReplyReader::default();
        let long = [b"250-", &[b'x'; 1990][..], b"\r\n"].concat();
        let error = std::iter::repeat_with(|| reader.read(&long)).find_map(Result::err);
        assert_eq!(error, Some(ReplyError::TooLong(65_536)));
    }

    #[test]
    fn control_characters_never_reach_a_log() {
        let reply = one(b"550 \x1b[31mred\0 \xff\x7f X: y\r\n").ok().flatten().expect("whole");
        assert_eq!(reply.lines(), ["?[31mred? \u{fffd}? X: y"]);
    }

    #[test]
    fn an_enhanced_status_of_another_class_is_not_believed() {
        assert_eq!(one(b"450 5.1.1 no\r\n").ok().flatten().and_then(|r| r.enhanced()), None);
        assert_eq!(
            one(b"450 4.1.1 no\r\n").ok().flatten().and_then(|r| r.enhanced()),
            Some(EnhancedStatus::transient(1, 1))
        );
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_are_cut(input in "(250[- ][a-z]{0,9}\r\n|[0-9]{1,4}|\r|\n|x){0,12}", cut in 1usize..7) {
            let gather = |size: usize| {
                let mut reader = ReplyReader::default();
                let mut replies = Vec::new();
                for piece in input.as_bytes().chunks(size) {
                    let mut rest = piece;
                    while !rest.is_empty() {
                        match reader.read(rest) {
                            Ok((used, reply)) => { rest = &rest[used..]; replies.extend(reply); }
                            Err(error) => return (replies, Some(error)),
                        }
                    }
                }
                (replies, None)
            };
            prop_assert_eq!(gather(cut), gather(usize::MAX));
        }
    }
}
