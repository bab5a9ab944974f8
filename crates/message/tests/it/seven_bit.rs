//! A message in seven bits holds what it held, as another parser reads it.

use mail_parser::{MessageParser, MimeHeaders, PartType};
use postroad_message::line_end::with_crlf;
use postroad_message::seven_bit::{self, Signatures, Unconvertible};
use postroad_message::{Content, HeaderBlock, Shape};
use proptest::prelude::*;

use crate::content::stored;

fn to_seven_bit(content: &[u8], signatures: Signatures) -> Result<Vec<u8>, Unconvertible> {
    let converted =
        seven_bit::to_seven_bit(&Content::from(content.to_vec()), signatures).expect("it is in memory");
    converted.map(|converted| converted.load().expect("the original is in memory").into_owned())
}

/// Every part that is no container: its type, and its content decoded.
fn parts(content: &[u8]) -> Vec<(String, Vec<u8>)> {
    let message = MessageParser::default().parse(content).expect("a message");
    let mut found = Vec::new();
    for part in &message.parts {
        let kind = part.content_type().map_or("text/plain".to_owned(), |kind| {
            format!("{}/{}", kind.c_type, kind.c_subtype.as_deref().unwrap_or_default())
        });
        match &part.body {
            PartType::Text(text) | PartType::Html(text) => found.push((kind, text.as_bytes().to_vec())),
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) => found.push((kind, bytes.to_vec())),
            PartType::Message(inner) => found.extend(parts(inner.raw_message())),
            PartType::Multipart(_) => {}
        }
    }
    found
}

fn convert(content: &str) -> Result<String, Unconvertible> {
    let converted = to_seven_bit(content.replace('\n', "\r\n").as_bytes(), Signatures::Spare)?;
    Ok(String::from_utf8_lossy(&converted).replace("\r\n", "\n"))
}

#[test]
fn each_part_is_written_as_it_can_be() {
    let before = "From: a@b.test\nMIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n\
        Content-Type: multipart/mixed; boundary=\"x;y\"\n\nfür niemanden\n--x;y\n\nplain\n--x;y  \n\
        Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\nX-After: 1\n\n<p>ü</p>\n\n--x;y\n\
        Content-Type: message/rfc822\n\nSubject: inner\n\nä\n--x;y\nContent-Type: application/x\n\nö\n--x;y--\nnach\n";
    let after = "From: a@b.test\nMIME-Version: 1.0\nContent-Transfer-Encoding: 7bit\n\
        Content-Type: multipart/mixed; boundary=\"x;y\"\n\n--x;y\n\nplain\n--x;y\n\
        Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\nX-After: 1\n\n\
        <p>=C3=BC</p>\n\n--x;y\nContent-Type: message/rfc822\n\nSubject: inner\nMIME-Version: 1.0\n\
        Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n=C3=A4\n--x;y\n\
        Content-Type: application/x\nContent-Transfer-Encoding: base64\n\nw7Y=\n\n--x;y--\n";
    assert_eq!(convert(before).as_deref(), Ok(after));
}

#[test]
fn what_needs_no_change_gets_none() {
    for content in [
        "Subject: x\n\nplain\n",
        "Subject: gr\u{fc}n\nDKIM-Signature: v=1\n\nthe header alone has eight bits\n",
        "MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\nw7Y=\n",
        "\n\n",
        "",
    ] {
        assert_eq!(convert(content).as_deref(), Ok(content));
    }
}

#[test]
fn what_would_do_harm_is_refused() {
    use Unconvertible::{Encoding, Signed, Structure, TooManyParts};
    let signed = "Content-Type: multipart/signed; boundary=b\n\n--b\n\n\u{e4}\n--b\n\nx\n--b--\n";
    for (content, why) in [
        ("DKIM-Signature: v=1\n\n\u{e4}\n", Signed),
        ("ARC-Message-Signature: i=1\n\n\u{e4}\n", Signed),
        (signed, Signed),
        (&format!("Content-Type: message/rfc822\n\n{signed}"), Signed),
        ("Content-Type: multipart/mixed\n\n\u{e4}\n", Structure),
        ("Content-Type: multipart/mixed; boundary=b\n\n--b\n\n\u{e4}\n", Structure),
        ("Content-Type: text/plain\nContent-Type: text/html\n\n\u{e4}\n", Structure),
        ("Content-Type: message/partial; id=1\n\n\u{e4}\n", Structure),
        ("Content-Transfer-Encoding: base64\n\n\u{e4}\n", Encoding),
        ("Content-Transfer-Encoding: x-uuencode\n\n\u{e4}\n", Encoding),
        (
            "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n--b\n\n\u{e4}\n--b--\n",
            Encoding,
        ),
        (&"Content-Type: message/rfc822\n\n".repeat(60), TooManyParts),
    ] {
        let content = if content.is_ascii() { format!("{content}\n\n\u{e4}\n") } else { content.to_owned() };
        assert_eq!(convert(&content), Err(why), "{content}");
    }
}

#[test]
fn parts_are_gone_through_up_to_ten_thousand() {
    // One of them is the message itself.
    for (parts, expected) in [(9_998, Ok(())), (9_999, Err(Unconvertible::TooManyParts))] {
        let content = format!(
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n\u{e4}\n{}--b--\n",
            "--b\n\n\n".repeat(parts)
        );
        assert_eq!(convert(&content).map(|_| ()), expected, "{parts}");
    }
}

/// Each is remembered until the message is sent.
#[test]
fn parts_are_changed_up_to_a_thousand() {
    // One of them is the message itself.
    for (parts, expected) in [(999, Ok(())), (1_000, Err(Unconvertible::TooManyParts))] {
        let content = format!(
            "Content-Type: multipart/mixed; boundary=b\n\n{}--b--\n",
            "--b\n\n\u{e4}\n--b\n\nplain\n".repeat(parts)
        );
        assert_eq!(convert(&content).map(|_| ()), expected, "{parts}");
    }
}

#[test]
fn what_is_signed_is_converted_only_where_that_is_said_and_holds_what_it_held() {
    let parts_signed = "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\u{e4}\r\n--b\r\n\
                        Content-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n";
    let header_signed =
        "DKIM-Signature: v=1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\u{e4}\r\n".to_owned();
    for content in [header_signed, format!("MIME-Version: 1.0\r\n{parts_signed}")] {
        let spared = to_seven_bit(content.as_bytes(), Signatures::Spare);
        assert_eq!(spared, Err(Unconvertible::Signed), "{content}");
        let broken = to_seven_bit(content.as_bytes(), Signatures::Break).expect("converted");
        assert!(broken.is_ascii());
        assert_eq!(parts(&broken), parts(content.as_bytes()), "{content}");
    }
}

#[test]
fn binary_text_keeps_every_byte() {
    for (kind, body, encoded) in [
        ("text/plain; charset=utf-16", "\u{e4}\0\r\0\n\0", "w6QADQAKAA=="),
        ("text/html; charset=utf-8", "\u{e4}\nb\r", "w6QKYg0="),
        // Seven bits, and yet no lines.
        ("application/x", "a\nb\rc", "YQpiDWM="),
    ] {
        let write = |encoding: &str, body: &str| {
            format!(
                "Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}\r\n--b--\r\n"
            )
        };
        let head = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n\u{e4}\r\n--b\r\n";
        let converted =
            to_seven_bit((head.to_owned() + &write("binary", body)).as_bytes(), Signatures::Spare)
                .expect("converted");
        let converted = String::from_utf8(converted).expect("ASCII");
        let wanted = write("base64", &format!("{encoded}\r\n"));
        assert!(converted.ends_with(&wanted), "{kind}: {converted}");
    }
    let lines = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: binary\n\n\u{e4}\n";
    let wanted = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\
        MIME-Version: 1.0\n\n=C3=A4\n";
    assert_eq!(convert(lines).as_deref(), Ok(wanted));
}

#[test]
fn a_part_of_a_digest_is_a_message() {
    let before = "MIME-Version: 1.0\nContent-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: inner\n\n\u{e4}\n\
        --b\nContent-Type: text/plain; charset=utf-8\n\n\u{e4}\n--b--\n";
    let after = "MIME-Version: 1.0\nContent-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: inner\n\
        MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n\
        =C3=A4\n--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n\
        =C3=A4\n--b--\n";
    assert_eq!(convert(before).as_deref(), Ok(after));
}

#[test]
fn quoted_printable_that_is_not_quite_that_is_mended() {
    let content = "Content-Transfer-Encoding: quoted-printable\n\na=3D\u{e4}\n";
    assert_eq!(
        convert(content).as_deref(),
        Ok("Content-Transfer-Encoding: quoted-printable\n\na=3D=C3=A4\n")
    );
}

/// So many multiparts within each other, around a text of so many bytes.
fn nested(depth: usize, size: usize) -> String {
    let mut part = format!("Content-Type: text/plain; charset=utf-8\r\n\r\n\u{e4}{}", "x".repeat(size));
    for level in 0..depth {
        part = format!(
            "Content-Type: multipart/mixed; boundary=b{level}-\r\n\r\n--b{level}-\r\n{part}\r\n--b{level}---"
        );
    }
    format!("MIME-Version: 1.0\r\n{part}\r\n")
}

#[test]
fn a_large_message_is_searched_for_boundaries_sixteen_times_at_most() {
    for (depth, size, ends) in [
        (16, 4 << 20, Ok(())),
        (17, 4 << 20, Err(Unconvertible::TooManyParts)),
        (49, 4 << 20, Err(Unconvertible::TooManyParts)),
        (49, 1 << 20, Ok(())),
        (50, 1, Err(Unconvertible::TooManyParts)),
    ] {
        let converted = to_seven_bit(nested(depth, size).as_bytes(), Signatures::Spare);
        assert_eq!(converted.map(|_| ()), ends, "{depth} levels around {size} bytes");
    }
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Binary(Vec<u8>),
    Attached(Box<Part>),
    Several(Vec<Part>),
}

fn part() -> impl Strategy<Value = Part> {
    let text = "([ -~\u{e4}\u{20ac}\t=.-]{0,90}\r\n){0,4}[a-z\u{fc} ]{0,4}".prop_map(Part::Text);
    let binary = prop::collection::vec(any::<u8>(), 1..80).prop_map(Part::Binary);
    let leaf = prop_oneof![3 => text, 1 => binary];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|part| Part::Attached(Box::new(part))),
            prop::collection::vec(inner, 1..4).prop_map(Part::Several),
        ]
    })
}

fn write(part: &Part, depth: usize, out: &mut Vec<u8>) {
    match part {
        Part::Text(text) => {
            out.extend_from_slice(b"Content-Type: text/plain; charset=utf-8\r\n\r\n");
            out.extend_from_slice(text.as_bytes());
        }
        Part::Binary(bytes) => {
            out.extend_from_slice(
                b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n",
            );
            out.extend_from_slice(bytes);
        }
        Part::Attached(inner) => {
            out.extend_from_slice(
                b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\nMIME-Version: 1.0\r\n",
            );
            write(inner, depth, out);
        }
        Part::Several(parts) => {
            let head = format!("Content-Type: multipart/mixed; boundary=\"level {depth} =_\"\r\n\r\n");
            out.extend_from_slice(head.as_bytes());
            for part in parts {
                out.extend_from_slice(format!("--level {depth} =_\r\n").as_bytes());
                write(part, depth + 1, out);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(format!("--level {depth} =_--").as_bytes());
        }
    }
}

/// A message of each of the ways to write a part, so many lines long.
fn long(lines: usize) -> Vec<(&'static str, Vec<u8>)> {
    let text = "Content-Type: text/plain; charset=utf-8\r\n";
    let message = |header: &str, body: &str| {
        format!("Subject: x\r\nMIME-Version: 1.0\r\n{header}\r\n{body}\r\n").into_bytes()
    };
    let several = format!(
        "--b  \r\n{text}\r\n{}\r\n--b\r\n\r\n{}\r\n--b\n\r\n\u{e4}\r\n--b--",
        ".\u{e4}\r\n".repeat(lines),
        "plain\n".repeat(lines),
    );
    vec![
        ("lines", message(text, &"a line with \u{e4} in it.\r\n".repeat(lines))),
        ("mended lines", message(text, &".a line with \u{e4} in it\n\rx\r\r\n".repeat(lines))),
        ("one line", message(text, &".- \u{e4}\u{20ac}".repeat(2 * lines))),
        ("line ends", message(text, &format!("\u{e4}{}", "\r\n".repeat(8 * lines)))),
        ("binary", message("Content-Type: application/x\r\n", &"\u{e4}\r\n\n\0\r".repeat(3 * lines))),
        (
            "quoted-printable",
            message("Content-Transfer-Encoding: quoted-printable\r\n", &"=3D\u{e4}=\r\n".repeat(lines)),
        ),
        ("parts", message("Content-Type: multipart/mixed; boundary=b\r\n", &several)),
    ]
}

#[test]
fn what_is_long_is_written_whenever_it_is_read() {
    for (name, content) in long(20_000) {
        let stored = stored(&content, 100, 5000, usize::MAX);
        let written =
            seven_bit::to_seven_bit(&stored, Signatures::Spare).expect("it can be read").expect(name);
        let bytes = written.load().expect("it can be read").into_owned();
        assert!(written.in_memory().is_none(), "{name}");
        let header = HeaderBlock::scan(&bytes);
        assert_eq!(written.head(), &bytes[..header.body_start()], "{name}");
        assert_eq!(written.shape(), Shape::of(&bytes), "{name}");
        // On the way every line gets its end, but for those that are data.
        let mended = |content: &[u8]| if name == "binary" { content.to_vec() } else { with_crlf(content) };
        assert!(parts(&mended(&bytes)) == parts(&mended(&content)), "{name}");
        assert!(bytes.split(|&byte| byte == b'\n').all(|line| line.len() <= 77), "{name}");
        for length in [1, 997, 16 * 1024, 100_000] {
            for offset in (0..bytes.len() - length).step_by(100_003) {
                let mut some = vec![0; length];
                written.read_exact_at(&mut some, offset).expect("it can be read");
                assert!(some == bytes[offset..offset + length], "{name}: {length} bytes from {offset}");
            }
        }
        assert!(written.read_exact_at(&mut [0], bytes.len()).is_err(), "{name}");
    }
}

#[test]
fn what_is_converted_takes_no_more_memory_than_its_pieces() {
    for (name, content) in long(50_000) {
        let content = Content::from(content);
        let mut written = None;
        let counted = allocation_counter::measure(|| {
            written = seven_bit::to_seven_bit(&content, Signatures::Spare).expect("it is in memory").ok();
        });
        let length = written.map_or(0, |written| written.len());
        assert!(length > 300_000, "{name}: {length} bytes");
        assert!(counted.bytes_current < 8 << 10, "{name}: {} bytes for {length}", counted.bytes_current);
        assert!(counted.bytes_max < 300 << 10, "{name}: {} bytes for {length}", counted.bytes_max);
    }
}

#[test]
fn what_cannot_be_read_is_no_message_that_cannot_be_converted() {
    for (name, content) in long(20_000) {
        let torn = stored(&content, 100, usize::MAX, 100_000);
        assert!(seven_bit::to_seven_bit(&torn, Signatures::Spare).is_err(), "{name}");
    }
}

proptest! {
    #[test]
    fn another_parser_reads_the_same_in_it(part in part()) {
        let mut content = b"Subject: x\r\nMIME-Version: 1.0\r\n".to_vec();
        write(&part, 0, &mut content);
        content.extend_from_slice(b"\r\n");
        let converted = to_seven_bit(&content, Signatures::Spare).expect("nothing in the way");
        prop_assert!(converted.is_ascii() && !converted.contains(&0), "{}", String::from_utf8_lossy(&converted));
        prop_assert_eq!(parts(&converted), parts(&content), "{}", String::from_utf8_lossy(&converted));
        prop_assert_eq!(to_seven_bit(&converted, Signatures::Spare), Ok(converted.clone()));
        let longest = converted.split(|&byte| byte == b'\n').map(<[u8]>::len).max();
        prop_assert!(longest <= Some(998));
    }

    #[test]
    fn no_bytes_break_it(content in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = to_seven_bit(&content, Signatures::Spare);
    }

    #[test]
    fn no_structure_breaks_it(lines in prop::collection::vec(prop::sample::select(vec![
        "Content-Type: multipart/mixed; boundary=b", "Content-Type: message/rfc822", "Content-Transfer-Encoding: 8bit",
        "Content-Type: multipart/mixed; boundary=c", "", "--b", "--b--", "--c", "--c--", "\u{e4}", "x", " ",
    ]), 0..30)) {
        if let Ok(converted) = to_seven_bit(lines.join("\r\n").as_bytes(), Signatures::Spare) {
            let body = postroad_message::HeaderBlock::scan(&converted).body();
            // A header field within a part stays as it is.
            prop_assert!(body.is_ascii() || lines.iter().filter(|line| line.starts_with("Content")).count() > 0);
        }
    }
}
