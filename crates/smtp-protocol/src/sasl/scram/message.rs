//! SCRAM's four messages, there and back (RFC 5802 section 7).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::saslname;
use super::nonce::is_nonce;

/// The message is not of its form, or asks for an extension (`m=`) that nobody has defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SCRAM message (RFC 5802 section 7)")]
pub(crate) struct NotScram;

/// `gs2-cbind-flag`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flag<'a> {
    /// `n`: the client has no channel binding.
    None,
    /// `y`: it has, and takes the server for one that has not.
    NotOffered,
    /// `p=`: it is bound by the type of that name.
    Bound(&'a str),
}

/// `client-first-message = gs2-header client-first-message-bare`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientFirst<'a> {
    /// What it says about channel binding.
    pub(crate) flag: Flag<'a>,
    /// Whom it acts as; empty when it is itself.
    pub(crate) authorization_identity: String,
    /// Who it is, as it wrote it.
    pub(crate) username: String,
    /// Its part of the nonce.
    pub(crate) nonce: &'a str,
    /// `gs2-header`, as it stands.
    pub(crate) header: &'a str,
    /// `client-first-message-bare`, as it stands.
    pub(crate) bare: &'a str,
}

impl<'a> ClientFirst<'a> {
    /// Reads one. Extensions that need not be understood are passed over.
    pub(crate) fn decode(message: &'a [u8]) -> Result<Self, NotScram> {
        let text = text(message)?;
        let (flag, rest) = text.split_once(',').ok_or(NotScram)?;
        let flag = match flag {
            "n" => Flag::None,
            "y" => Flag::NotOffered,
            other => Flag::Bound(other.strip_prefix("p=").filter(|name| is_binding(name)).ok_or(NotScram)?),
        };
        let (identity, bare) = rest.split_once(',').ok_or(NotScram)?;
        let authorization_identity = match identity.strip_prefix("a=") {
            // Nobody's name, against the grammar: GNU SASL says so where it was told an empty one.
            Some("") => String::new(),
            Some(name) => saslname::decode(name).ok_or(NotScram)?,
            None if identity.is_empty() => String::new(),
            None => return Err(NotScram),
        };
        let header = text.strip_suffix(bare).ok_or(NotScram)?;
        let mut attributes = bare.split(',');
        let username = saslname::decode(attribute(attributes.next(), "n=")?).ok_or(NotScram)?;
        let nonce = attribute(attributes.next(), "r=")?;
        if !is_nonce(nonce) || !attributes.all(is_extension) {
            return Err(NotScram);
        }
        Ok(Self { flag, authorization_identity, username, nonce, header, bare })
    }
}

/// `server-first-message = nonce "," salt "," iteration-count`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerFirst<'a> {
    /// Both parts.
    pub(crate) nonce: &'a str,
    /// What the password was hashed with.
    pub(crate) salt: Vec<u8>,
    /// How often.
    pub(crate) iterations: u32,
}

impl<'a> ServerFirst<'a> {
    /// Reads one.
    pub(crate) fn decode(message: &'a [u8]) -> Result<Self, NotScram> {
        let mut attributes = text(message)?.split(',');
        let nonce = attribute(attributes.next(), "r=")?;
        let salt = base64(attribute(attributes.next(), "s=")?)?;
        let digits = attribute(attributes.next(), "i=")?;
        let is_count = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        let fits = is_nonce(nonce) && !salt.is_empty() && is_count && attributes.all(is_extension);
        match digits.parse() {
            Ok(iterations) if fits => Ok(Self { nonce, salt, iterations }),
            _ => Err(NotScram),
        }
    }

    /// Writes it.
    pub(crate) fn encode(&self) -> String {
        format!("r={},s={},i={}", self.nonce, STANDARD.encode(&self.salt), self.iterations)
    }
}

/// `client-final-message = client-final-message-without-proof "," proof`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientFinal<'a> {
    /// `cbind-input`: the header once more, and what it is bound by.
    pub(crate) binding: Vec<u8>,
    /// Both parts.
    pub(crate) nonce: &'a str,
    /// `client-final-message-without-proof`, as it stands.
    pub(crate) without_proof: &'a str,
    /// `ClientProof`
    pub(crate) proof: Vec<u8>,
}

impl<'a> ClientFinal<'a> {
    /// Reads one.
    pub(crate) fn decode(message: &'a [u8]) -> Result<Self, NotScram> {
        let (without_proof, proof) = text(message)?.rsplit_once(",p=").ok_or(NotScram)?;
        let mut attributes = without_proof.split(',');
        let binding = base64(attribute(attributes.next(), "c=")?)?;
        let nonce = attribute(attributes.next(), "r=")?;
        if !is_nonce(nonce) || !attributes.all(is_extension) {
            return Err(NotScram);
        }
        Ok(Self { binding, nonce, without_proof, proof: base64(proof)? })
    }
}

/// `channel-binding "," nonce`: what both sides sign beside the first two messages.
pub(crate) fn without_proof(binding: &[u8], nonce: &str) -> String {
    format!("c={},r={nonce}", STANDARD.encode(binding))
}

/// `server-final-message = (server-error / verifier)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServerFinal<'a> {
    /// `v=`: the server's signature.
    Signature(Vec<u8>),
    /// `e=`: why it refuses.
    Error(&'a str),
}

impl<'a> ServerFinal<'a> {
    /// Reads one.
    pub(crate) fn decode(message: &'a [u8]) -> Result<Self, NotScram> {
        let mut attributes = text(message)?.split(',');
        let first = attributes.next().ok_or(NotScram)?;
        if !attributes.all(is_extension) {
            return Err(NotScram);
        }
        match first.split_at_checked(2) {
            Some(("v=", signature)) => Ok(Self::Signature(base64(signature)?)),
            Some(("e=", error)) if is_nonce(error) => Ok(Self::Error(error)),
            _ => Err(NotScram),
        }
    }
}

fn text(message: &[u8]) -> Result<&str, NotScram> {
    std::str::from_utf8(message).map_err(|_| NotScram)
}

fn attribute<'a>(found: Option<&'a str>, name: &str) -> Result<&'a str, NotScram> {
    found.and_then(|found| found.strip_prefix(name)).ok_or(NotScram)
}

fn base64(text: &str) -> Result<Vec<u8>, NotScram> {
    STANDARD.decode(text).map_err(|_| NotScram)
}

/// `attr-val = ALPHA "=" value`, of which `m` must be understood.
fn is_extension(attribute: &str) -> bool {
    matches!(attribute.as_bytes(), [name, b'=', value, ..] if name.is_ascii_alphabetic() && *name != b'm' && *value != 0)
        && !attribute.contains('\0')
}

/// `cb-name = 1*(ALPHA / DIGIT / "." / "-")`
fn is_binding(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_first_in_all_its_forms() {
        for (message, flag, acts_as, user, header) in [
            ("n,,n=user,r=abc", Flag::None, "", "user", "n,,"),
            ("n,a=,n=user,r=abc", Flag::None, "", "user", "n,a=,"),
            ("y,,n=user,r=abc", Flag::NotOffered, "", "user", "y,,"),
            ("p=tls-exporter,,n=user,r=abc", Flag::Bound("tls-exporter"), "", "user", "p=tls-exporter,,"),
            ("n,a=b=2Cc,n=a=3Db,r=abc,x=new", Flag::None, "b,c", "a=b", "n,a=b=2Cc,"),
        ] {
            let Ok(read) = ClientFirst::decode(message.as_bytes()) else { panic!("{message} not decoded") };
            assert_eq!((read.flag, read.nonce, read.header), (flag, "abc", header), "{message}");
            assert_eq!((read.authorization_identity.as_str(), read.username.as_str()), (acts_as, user));
            assert_eq!([read.header, read.bare].concat(), message);
        }
        for broken in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=user",
            "n,,n=,r=abc",
            "n,,n=user,r=",
            "z,,n=user,r=abc",
            "p=,,n=user,r=abc",
            "p,,n=user,r=abc",
            "n,b,n=user,r=abc",
            "n,,m=x,n=user,r=abc",
            "n,,n=user,r=abc,m=x",
            "n,,n=us=er,r=abc",
            "n,,r=abc,n=user",
            "n,,n=user,r=a\u{e4}",
            "n,,n=user,r=a b",
            "n,,n=user,r=abc,",
            "p=a_b,,n=user,r=abc",
        ] {
            assert_eq!(ClientFirst::decode(broken.as_bytes()), Err(NotScram), "{broken:?}");
        }
        assert_eq!(ClientFirst::decode(b"n,,n=\xff,r=abc"), Err(NotScram));
    }

    #[test]
    fn server_first_there_and_back() {
        let message = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
        let Ok(read) = ServerFirst::decode(message.as_bytes()) else { panic!("not decoded") };
        assert_eq!((read.iterations, read.salt.len()), (4096, 12));
        assert_eq!(read.encode(), message);
        for broken in [
            "r=abc,s=QSXC",
            "r=abc,s=,i=4096",
            "r=abc,s=!,i=4096",
            "r=abc,s=QSXC,i=",
            "r=abc,s=QSXC,i=0",
            "r=abc,s=QSXC,i=-1",
            "r=abc,s=QSXC,i=+1",
            "r=abc,s=QSXC,i=04096",
            "r=abc,s=QSXC,i=4294967296",
            "m=x,r=abc,s=QSXC,i=4096",
            "r=abc,s=QSXC,i=4096,m=x",
            "r=,s=QSXC,i=4096",
            "e=other-error",
        ] {
            assert_eq!(ServerFirst::decode(broken.as_bytes()), Err(NotScram), "{broken:?}");
        }
    }

    #[test]
    fn client_final_keeps_what_is_signed() {
        let message = format!("{},x=new,p=dHpicA==", without_proof(b"n,,", "abc"));
        let Ok(read) = ClientFinal::decode(message.as_bytes()) else { panic!("not decoded") };
        assert_eq!(
            (read.binding.as_slice(), read.nonce, read.without_proof),
            (&b"n,,"[..], "abc", "c=biws,r=abc,x=new")
        );
        assert_eq!(read.proof, b"tzbp");
        for broken in
            ["", "c=biws,r=abc", "c=!,r=abc,p=dHpicA==", "r=abc,c=biws,p=dHpicA==", "c=biws,r=abc,p=?"]
        {
            assert_eq!(ClientFinal::decode(broken.as_bytes()), Err(NotScram), "{broken:?}");
        }
    }

    #[test]
    fn server_final_is_a_signature_or_an_error() {
        assert_eq!(ServerFinal::decode(b"v=dHpicA=="), Ok(ServerFinal::Signature(b"tzbp".to_vec())));
        assert_eq!(ServerFinal::decode(b"e=invalid-proof"), Ok(ServerFinal::Error("invalid-proof")));
        for broken in [&b""[..], b"v", b"v=!", b"e=", b"x=y", b"v=dHpicA==,m=x", "\u{e4}".as_bytes()] {
            assert_eq!(ServerFinal::decode(broken), Err(NotScram), "{broken:?}");
        }
    }
}
