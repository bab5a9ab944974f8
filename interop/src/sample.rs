//! Messages that careless programs damage, and the comparison that notices it.

/// A message with a name that says what is hard about it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What is hard about it.
    pub name: &'static str,
    /// The content, with CRLF line ends, not dot-stuffed.
    pub content: Vec<u8>,
}

impl Sample {
    /// A message that is hard in no way.
    pub fn plain() -> Self {
        Self::new("plain", b"Good morning.\r\n")
    }

    /// Every hard message.
    pub fn all() -> Vec<Self> {
        let longest_line = [&[b'x'; 998][..], b"\r\n"].concat();
        let longest_line_of_dots = [&[b'.'; 998][..], b"\r\n"].concat();
        let mut samples = vec![
            Self::plain(),
            Self::new("dots at line starts", b".\r\n..\r\n...\r\n.hidden\r\nno dot\r\n.\r\n"),
            Self::new("a last line that is a dot", b"text\r\n\r\n.\r\n"),
            Self::new("8-bit UTF-8", "Grüße, 你好\r\n".as_bytes()),
            Self::new("8-bit that is no UTF-8", b"Gr\xfc\xdfe \x80\xfe\xff\xa0\r\n"),
            Self::new("lines of 998 octets", &longest_line.repeat(3)),
            Self::new("lines of 998 dots", &longest_line_of_dots.repeat(3)),
            Self::new("an empty body", b""),
            Self::new("blank lines at both ends", b"\r\n\r\ntext\r\n\r\n\r\n"),
            Self::new("blanks and tabs at line ends", b"text \r\n\t\r\n \r\nFrom here to there\r\n"),
            Self::new(
                "a body that looks like a dialogue",
                b"QUIT\r\n.QUIT\r\nRCPT TO:<x@y.test>\r\n250 Ok\r\n",
            ),
            Self::new("two megabytes", &b"0123456789 abcdefghij .\r\n.and a dot\r\n".repeat(58_000)),
        ];
        samples.push(Self {
            name: "a header in odd shapes",
            content: b"From: joe@contoso.com\r\nTo: jane@contoso.com\r\nSubject:no blank after the colon\r\n\
                       X-Folded: one\r\n\ttwo\r\n   three \r\nX-Empty:\r\nx-lower-case: yes\r\n\
                       Date: Fri, 20 Nov 2026 10:00:00 +0100 (a comment)\r\n\
                       Message-ID: <odd@contoso.com>\r\n\r\ntext\r\n"
                .to_vec(),
        });
        samples
    }

    fn new(name: &'static str, body: &[u8]) -> Self {
        let header = format!(
            "From: Joe <joe@contoso.com>\r\nTo: Jane <jane@contoso.com>\r\nSubject: {name}\r\n\
             Date: Fri, 20 Nov 2026 10:00:00 +0100\r\nMessage-ID: <{}@contoso.com>\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
            name.replace(' ', "-")
        );
        Self { name, content: [header.as_bytes(), body].concat() }
    }

    /// Asserts that `arrived` is this message to the byte, below nothing but trace fields that hosts add on top.
    ///
    /// Line ends may be CRLF, or LF throughout as in a Maildir.
    pub fn assert_arrived_in(&self, arrived: &[u8]) {
        let sent = if arrived.windows(2).any(|pair| pair == b"\r\n") {
            self.content.clone()
        } else {
            with_line_feeds(&self.content)
        };
        let Some(added) = arrived.strip_suffix(sent.as_slice()) else {
            panic!("{:?} did not arrive as sent:\n{}", self.name, arrived.escape_ascii());
        };
        let added = String::from_utf8_lossy(added);
        for line in added.lines().filter(|line| !line.starts_with([' ', '\t'])) {
            let name = line.split(':').next().unwrap_or_default();
            let is_trace = TRACE.iter().any(|trace| trace.eq_ignore_ascii_case(name));
            assert!(is_trace, "{:?} got a line that is no trace field: {line:?}", self.name);
        }
    }
}

/// What a host on the way, or the one that delivers, may write above a message: RFC 5321 section 4.4, Postfix's own
/// fields, and the envelope in front of a Drop file.
const TRACE: &[&str] = &[
    "Received",
    "Return-Path",
    "X-Original-To",
    "Delivered-To",
    "X-Sender",
    "X-Receiver",
    "X-CreatedBy",
    "X-HeloDomain",
    "X-Source",
    "X-SourceIPAddress",
    "X-EndOfInjectedXHeaders",
];

fn with_line_feeds(content: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(content.len());
    for line in content.split_inclusive(|&byte| byte == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(text) => {
                lines.extend_from_slice(text);
                lines.push(b'\n');
            }
            None => lines.extend_from_slice(line),
        }
    }
    lines
}
