//! Content for a host that takes seven bits only: the same message, its bodies written otherwise (RFC 6152 section 3).
//!
//! ```
//! use postroad_message::Content;
//! use postroad_message::seven_bit::{Signatures, Unconvertible, to_seven_bit};
//! let content = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße = 3\r\n";
//! assert_eq!(
//!     String::from_utf8_lossy(&to_seven_bit(&Content::from(content.as_bytes().to_vec()), Signatures::Spare)??.load()?),
//!     "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\
//!      \r\nGr=C3=BC=C3=9Fe =3D 3\r\n",
//! );
//! let signed = Content::from(format!("DKIM-Signature: v=1; b=x\r\n{content}").into_bytes());
//! assert_eq!(to_seven_bit(&signed, Signatures::Spare)?, Err(Unconvertible::Signed));
//! assert!(to_seven_bit(&signed, Signatures::Break)?.is_ok_and(|broken| !broken.shape().has_8bit()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | part | becomes |
//! |---|---|
//! | text without bytes above 127 | stays, byte for byte |
//! | `text/*` with such bytes | quoted-printable |
//! | anything else with such bytes, NUL or bare line ends | base64 |
//! | `multipart/*`, `message/rfc822` | the same, its parts converted; declared 7bit |
//! | a message that is no MIME | MIME, its charset told as UTF-8 if it is that, else as `unknown-8bit` (RFC 1428) |
//!
//! The result is a list of pieces, each of which is written when it is [read](crate::Content::read_exact_at): it takes some 32 bytes for each
//! 16 KiB of what is encoded, and for a part whose header changes some 250. What becomes no longer than 128 KiB is all in memory.
//!
//! What has more than 10,000 parts, more than 1,000 that would change, or more than 50 within each other, is not converted: parts cost more
//! than their bytes. Of what is larger than some MiB all is looked at for the ends of parts 16 times at most.
//!
//! Header fields stay as they are, bytes above 127 among them: no encoding could be undone by who does not expect it.

mod base64;
mod content_type;
mod convert;
mod plan;
mod quoted_printable;
mod wide;

pub use convert::{Signatures, Unconvertible, to_seven_bit};
