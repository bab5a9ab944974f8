//! The hash of a certificate that `tls-server-end-point` is (RFC 5929 section 4.1).

use hmac::digest::Digest;

/// Hashes the whole certificate by the hash of its own signature, SHA-256 in place of MD5 and SHA-1.
///
/// `None` where it is no certificate, or its signature names no single hash: Ed25519 has none, and RSASSA-PSS hides its
/// hash in parameters that are not read here.
pub(crate) fn certificate_hash(certificate: &[u8]) -> Option<Vec<u8>> {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    const ECDSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01];
    let algorithm = signature_algorithm(certificate)?;
    let (&last, family) = algorithm.split_last()?;
    match (family, last) {
        (RSA, 4 | 5 | 11) | (ECDSA, 2) => Some(sha2::Sha256::digest(certificate).to_vec()),
        (RSA, 12) | (ECDSA, 3) => Some(sha2::Sha384::digest(certificate).to_vec()),
        (RSA, 13) | (ECDSA, 4) => Some(sha2::Sha512::digest(certificate).to_vec()),
        _ if algorithm == ECDSA_SHA1 => Some(sha2::Sha256::digest(certificate).to_vec()),
        _ => None,
    }
}

/// `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm AlgorithmIdentifier, signatureValue }`, and
/// `AlgorithmIdentifier ::= SEQUENCE { algorithm OBJECT IDENTIFIER, parameters ANY OPTIONAL }` (RFC 5280 section 4.1):
/// the bytes of the object identifier.
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const OBJECT_IDENTIFIER: u8 = 0x06;
    let (certificate, _) = element(SEQUENCE, certificate)?;
    let (_, behind) = element(SEQUENCE, certificate)?;
    let (algorithm, _) = element(SEQUENCE, behind)?;
    Some(element(OBJECT_IDENTIFIER, algorithm)?.0)
}

/// One element of DER with that tag: its content, and what follows it.
fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.is_empty() || digits.len() > 4 {
            return None;
        }
        (digits.iter().fold(0, |sum, &digit| sum << 8 | usize::from(digit)), rest)
    };
    if found == tag { rest.split_at_checked(length) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frame of a certificate with that signature algorithm.
    fn certificate(algorithm: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, content: &[u8]| [&[tag, 0x82, 0, content.len() as u8][..], content].concat();
        let identifier = wrap(0x30, &[&[6, algorithm.len() as u8][..], algorithm, &[5, 0]].concat());
        wrap(0x30, &[wrap(0x30, b"to be signed"), identifier, vec![3, 1, 0]].concat())
    }

    #[test]
    fn the_hash_is_that_of_the_signature() {
        for (algorithm, length, name) in [
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5][..], Some(32), "sha1WithRSAEncryption"),
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11], Some(32), "sha256WithRSAEncryption"),
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13], Some(64), "sha512WithRSAEncryption"),
            (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1], Some(32), "ecdsa-with-SHA1"),
            (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2], Some(32), "ecdsa-with-SHA256"),
            (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3], Some(48), "ecdsa-with-SHA384"),
            (&[0x2b, 0x65, 0x70], None, "Ed25519"),
            (&[], None, "nothing"),
        ] {
            assert_eq!(certificate_hash(&certificate(algorithm)).map(|hash| hash.len()), length, "{name}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_none() {
        let whole = certificate(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]);
        for end in 0..whole.len() - 5 {
            assert_eq!(certificate_hash(&whole[..end]), None, "{end}");
        }
        assert_eq!(certificate_hash(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(certificate_hash(&[0x30, 0x80]), None);
    }
}
