//! Content for a host that takes seven bits only: the same message, its bodies written otherwise (RFC 6152 section 3).
//!
//! ```
//! use postroad_message::seven_bit::{Signatures, Unconvertible, to_seven_bit};
//! let content = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße = 3\r\n";
//! assert_eq!(
//!     String::from_utf8_lossy(&to_seven_bit(content.as_bytes(), Signatures::Spare)?),
//!     "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\
//!      \r\nGr=C3=BC=C3=9Fe =3D 3\r\n",
//! );
//! let signed = format!("DKIM-Signature: v=1; b=x\r\n{content}");
//! assert_eq!(to_seven_bit(signed.as_bytes(), Signatures::Spare), Err(Unconvertible::Signed));
//! assert!(to_seven_bit(signed.as_bytes(), Signatures::Break).is_ok_and(|broken| broken.is_ascii()));
//! # Ok::<(), Unconvertible>(())
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
//! What has more than 10,000 parts, or more than 50 within each other, is not converted: parts cost more than their bytes. Of what is larger
//! than some MiB all is looked at for the ends of parts 16 times at most.
//!
//! Header fields stay as they are, bytes above 127 among them: no encoding could be undone by who does not expect it.

mod base64;
mod content_type;
mod convert;
mod quoted_printable;
mod wide;

pub use convert::{Signatures, Unconvertible, to_seven_bit};
