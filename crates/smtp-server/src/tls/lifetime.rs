//! Until when a certificate is valid, which rustls tells of the other side's only.

use std::path::Path;

use postroad_message::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::tls::certificate_name::element;
use crate::tls::material::TlsMaterial;

impl TlsMaterial {
    /// The end of the lifetime (`notAfter`) of the first certificate in a PEM file; `None` where none can be read. Reads the file, which
    /// blocks.
    pub fn valid_until(certificate: &Path) -> Option<Timestamp> {
        let pem = std::fs::read(certificate).ok()?;
        not_after(&CertificateDer::pem_slice_iter(&pem).next()?.ok()?)
    }
}

/// `TBSCertificate ::= SEQUENCE { [0] version, serialNumber, signature, issuer, validity SEQUENCE { notBefore, notAfter }, ... }`
/// (RFC 5280 section 4.1), of which the version may be left out.
fn not_after(mut certificate: &[u8]) -> Option<Timestamp> {
    const VERSION: u8 = 0xa0;
    let (_, mut signed) = element(&mut certificate)?;
    let (_, mut fields) = element(&mut signed)?;
    let (first, _) = element(&mut fields)?;
    let before_validity = if first == VERSION { 3 } else { 2 };
    for _ in 0..before_validity {
        element(&mut fields)?;
    }
    let (_, mut validity) = element(&mut fields)?;
    element(&mut validity)?;
    let (tag, end) = element(&mut validity)?;
    moment(tag, end)
}

/// `YYMMDDHHMMSSZ`, years from 1950 to 2049, or `YYYYMMDDHHMMSSZ` (RFC 5280 section 4.1.2.5).
fn moment(tag: u8, text: &[u8]) -> Option<Timestamp> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let digits = std::str::from_utf8(text.strip_suffix(b"Z")?).ok()?;
    match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let century = if digits < "5" { "20" } else { "19" };
            Timestamp::from_compact(&format!("{century}{digits}"))
        }
        (GENERALIZED_TIME, 14) => Timestamp::from_compact(digits),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_end_is_read_in_both_of_its_forms() {
        let table = [
            (1970, 1, 1, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (2024, 2, 29, "Thu, 29 Feb 2024 00:00:00 +0000"),
            (2049, 12, 31, "Fri, 31 Dec 2049 00:00:00 +0000"),
            (2050, 1, 1, "Sat, 01 Jan 2050 00:00:00 +0000"),
            (2100, 3, 1, "Mon, 01 Mar 2100 00:00:00 +0000"),
        ];
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cert.pem");
        for (year, month, day, end) in table {
            let mut params = CertificateParams::new(vec!["mail.contoso.com".to_owned()]).unwrap();
            params.not_before = date_time_ymd(1960, 1, 1);
            params.not_after = date_time_ymd(year, month, day);
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            std::fs::write(&file, certificate.pem()).unwrap();
            assert_eq!(TlsMaterial::valid_until(&file).map(Timestamp::to_rfc5322).as_deref(), Some(end));
            let der = certificate.der();
            for length in 0..der.len() {
                assert_eq!(not_after(&der[..length]), None, "cut to {length}");
            }
        }
        std::fs::write(&file, "x").unwrap();
        assert_eq!(TlsMaterial::valid_until(&file), None);
    }

    #[test]
    fn texts_that_are_no_time_are_none() {
        for (tag, text) in [
            (0x17, "240101000000"),
            (0x17, "24010100000Z"),
            (0x17, "2401010000+0Z"),
            (0x18, "240101000000Z"),
            (0x13, "240101000000Z"),
        ] {
            assert_eq!(moment(tag, text.as_bytes()), None, "{text}");
        }
    }
}
