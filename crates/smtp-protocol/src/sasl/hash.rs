//! The hashes that mechanisms are made of: the only room that knows whose code computes them.

use hmac::digest::Digest;
use hmac::{Hmac, KeyInit, Mac};
use zeroize::Zeroizing;

/// The hash of a SCRAM mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Hash {
    /// SHA-1, 20 bytes: sound inside HMAC, and not offered by us
    Sha1,
    /// SHA-256, 32 bytes
    Sha256,
}

/// What a hash or an HMAC comes to; wiped when dropped.
pub(crate) type Digested = Zeroizing<Vec<u8>>;

impl Hash {
    /// `H(str)` of RFC 5802 section 2.2.
    pub(crate) fn digest(self, bytes: &[u8]) -> Digested {
        Zeroizing::new(match self {
            Self::Sha1 => sha1::Sha1::digest(bytes).to_vec(),
            Self::Sha256 => sha2::Sha256::digest(bytes).to_vec(),
        })
    }

    /// `HMAC(key, str)` of RFC 5802 section 2.2.
    pub(crate) fn hmac(self, key: &[u8], bytes: &[u8]) -> Digested {
        match self {
            Self::Sha1 => hmac_over::<Hmac<sha1::Sha1>>(key, bytes),
            Self::Sha256 => hmac_over::<Hmac<sha2::Sha256>>(key, bytes),
        }
    }

    /// `Hi(str, salt, i)` of RFC 5802 section 2.2, which is PBKDF2 with one block. Its time grows with `iterations`:
    /// a processor does some millions in a second.
    pub(crate) fn stretch(self, password: &[u8], salt: &[u8], iterations: u32) -> Digested {
        match self {
            Self::Sha1 => stretch_over::<Hmac<sha1::Sha1>>(password, salt, iterations),
            Self::Sha256 => stretch_over::<Hmac<sha2::Sha256>>(password, salt, iterations),
        }
    }

    /// Bytes of a digest.
    pub(crate) const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// `HMAC-MD5(key, str)` of CRAM-MD5 (RFC 2195).
pub(crate) fn hmac_md5(key: &[u8], bytes: &[u8]) -> Digested {
    hmac_over::<Hmac<md5::Md5>>(key, bytes)
}

/// An exclusive or of equally long digests.
pub(crate) fn xor(a: &[u8], b: &[u8]) -> Digested {
    Zeroizing::new(a.iter().zip(b).map(|(a, b)| a ^ b).collect())
}

/// Compares in a time that depends on the lengths only.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

fn keyed<M: KeyInit>(key: &[u8]) -> M {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length (RFC 2104)")]
    M::new_from_slice(key).expect("HMAC takes any key")
}

fn hmac_over<M: Mac + KeyInit>(key: &[u8], bytes: &[u8]) -> Digested {
    let mac = keyed::<M>(key).chain_update(bytes);
    Zeroizing::new(mac.finalize().into_bytes().to_vec())
}

fn stretch_over<M: Mac + KeyInit + Clone>(password: &[u8], salt: &[u8], iterations: u32) -> Digested {
    // Keyed once: each round starts from a copy of the two blocks that the password fills.
    let mac = keyed::<M>(password);
    let mut round = mac.clone().chain_update(salt).chain_update([0, 0, 0, 1]).finalize().into_bytes();
    let mut sum = Zeroizing::new(round.to_vec());
    for _ in 1..iterations {
        round = mac.clone().chain_update(&round).finalize().into_bytes();
        for (sum, byte) in sum.iter_mut().zip(&round) {
            *sum ^= byte;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn pbkdf2_as_rfc_6070_has_it() {
        let stretched =
            |password: &[u8], salt: &[u8], iterations| hex(&Hash::Sha1.stretch(password, salt, iterations));
        assert_eq!(stretched(b"password", b"salt", 1), "0c60c80f961f0e71f3a9b524af6012062fe037a6");
        assert_eq!(stretched(b"password", b"salt", 2), "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957");
        assert_eq!(stretched(b"password", b"salt", 4096), "4b007901b765489abead49d926f721d065a429c1");
    }

    #[test]
    fn pbkdf2_as_rfc_7914_has_it() {
        // The first 32 bytes of its 64: PBKDF2 makes them block by block.
        assert_eq!(
            hex(&Hash::Sha256.stretch(b"passwd", b"salt", 1)),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
        );
    }

    #[test]
    fn hmac_md5_as_rfc_2202_has_it() {
        assert_eq!(
            hex(&hmac_md5(b"Jefe", b"what do ya want for nothing?")),
            "750c783e6ab0b503eaa86e310a5db738"
        );
    }

    #[test]
    fn compares_by_value() {
        for (a, b, equal) in [("a", "a", true), ("a", "b", false), ("a", "ab", false), ("", "", true)] {
            assert_eq!(same(a.as_bytes(), b.as_bytes()), equal, "{a:?} {b:?}");
        }
    }
}
