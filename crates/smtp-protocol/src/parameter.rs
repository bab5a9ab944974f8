//! The parameters of MAIL and RCPT: SIZE, BODY, SMTPUTF8, RET, ENVID, NOTIFY, ORCPT, AUTH, REQUIRETLS.

use postroad_message::{Body, Notify, OriginalRecipient, Return};

use crate::path::LONGEST_ADDRESS;
use crate::xtext;

/// Which parameters a server has offered; one that was not offered is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offered {
    /// `SIZE` (RFC 1870)
    pub size: bool,
    /// `8BITMIME` (RFC 6152)
    pub eight_bit_mime: bool,
    /// `BINARYMIME` (RFC 3030)
    pub binary_mime: bool,
    /// `SMTPUTF8` (RFC 6531)
    pub smtputf8: bool,
    /// `DSN` (RFC 3461)
    pub dsn: bool,
    /// `AUTH` (RFC 4954)
    pub auth: bool,
    /// `REQUIRETLS` (RFC 8689)
    pub require_tls: bool,
    /// `XLONGADDR`: an original recipient may be as long as a recipient.
    pub long_addresses: bool,
}

impl Offered {
    /// All of them but BINARYMIME, and REQUIRETLS, which is not offered in clear text.
    pub const ALL_TEXT: Self = Self {
        size: true,
        eight_bit_mime: true,
        binary_mime: false,
        smtputf8: true,
        dsn: true,
        auth: true,
        require_tls: false,
        long_addresses: false,
    };
}

/// What a MAIL command asks for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MailParameters {
    /// `SIZE`: what the client thinks the content has, in bytes.
    pub size: Option<u64>,
    /// `BODY`.
    pub body: Body,
    /// `SMTPUTF8`.
    pub smtputf8: bool,
    /// `RET`.
    pub ret: Option<Return>,
    /// `ENVID`, decoded.
    pub envelope_id: Option<String>,
    /// `REQUIRETLS`.
    pub require_tls: bool,
}

/// What a RCPT command asks for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RecipientParameters {
    /// `NOTIFY`.
    pub notify: Option<Notify>,
    /// `ORCPT`, decoded.
    pub original: Option<OriginalRecipient>,
}

/// Why a parameter is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// Nobody knows it, or it was not offered: 555.
    #[error("a parameter is not recognised or not offered")]
    Unknown,
    /// Known, and wrong: 501.
    #[error("the value of {0} is malformed")]
    Malformed(&'static str),
    /// Given twice: 501.
    #[error("{0} is given twice")]
    Twice(&'static str),
    /// A size that no message has: 552.
    #[error("the declared size is too large")]
    TooLarge,
}

/// `Mail-parameters = esmtp-param *(SP esmtp-param)` (RFC 5321 section 4.1.2), of MAIL.
///
/// # Errors
/// What is not offered, malformed or given twice, with the reply that it gets.
pub fn mail(text: &str, offered: Offered) -> Result<MailParameters, ParameterError> {
    let mut found = MailParameters::default();
    let mut seen = Seen::default();
    for (keyword, value) in parameters(text) {
        match keyword.to_ascii_uppercase().as_str() {
            "SIZE" if offered.size => {
                seen.once("SIZE")?;
                found.size = Some(size(value)?);
            }
            "BODY" if offered.eight_bit_mime || offered.binary_mime => {
                seen.once("BODY")?;
                found.body = body(value, offered)?;
            }
            "SMTPUTF8" if offered.smtputf8 => {
                seen.once("SMTPUTF8")?;
                found.smtputf8 = value.is_none() || Err(ParameterError::Malformed("SMTPUTF8"))?;
            }
            "RET" if offered.dsn => {
                seen.once("RET")?;
                found.ret = Some(ret(value)?);
            }
            "ENVID" if offered.dsn => {
                seen.once("ENVID")?;
                found.envelope_id = Some(envelope_id(value)?);
            }
            "REQUIRETLS" if offered.require_tls => {
                seen.once("REQUIRETLS")?;
                found.require_tls = value.is_none() || Err(ParameterError::Malformed("REQUIRETLS"))?;
            }
            "AUTH" if offered.auth => {
                seen.once("AUTH")?;
                // Who first submitted it, as the client says. We vouch for nobody: checked, and not passed on.
                value
                    .filter(|text| !text.is_empty() && (*text == "<>" || xtext::decode(text).is_ok()))
                    .ok_or(ParameterError::Malformed("AUTH"))?;
            }
            _ => return Err(ParameterError::Unknown),
        }
    }
    Ok(found)
}

/// `Rcpt-parameters = esmtp-param *(SP esmtp-param)` (RFC 5321 section 4.1.2), of RCPT.
///
/// # Errors
/// As of [`mail`].
pub fn recipient(text: &str, offered: Offered) -> Result<RecipientParameters, ParameterError> {
    let mut found = RecipientParameters::default();
    let mut seen = Seen::default();
    for (keyword, value) in parameters(text) {
        match keyword.to_ascii_uppercase().as_str() {
            "NOTIFY" if offered.dsn => {
                seen.once("NOTIFY")?;
                found.notify = Some(notify(value)?);
            }
            "ORCPT" if offered.dsn => {
                seen.once("ORCPT")?;
                found.original = Some(original(value, offered)?);
            }
            _ => return Err(ParameterError::Unknown),
        }
    }
    Ok(found)
}

/// `esmtp-param = esmtp-keyword ["=" esmtp-value]`
fn parameters(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    text.split(' ').filter(|word| !word.is_empty()).map(|word| match word.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (word, None),
    })
}

#[derive(Default)]
struct Seen(Vec<&'static str>);

impl Seen {
    fn once(&mut self, keyword: &'static str) -> Result<(), ParameterError> {
        if self.0.contains(&keyword) {
            return Err(ParameterError::Twice(keyword));
        }
        self.0.push(keyword);
        Ok(())
    }
}

/// `size-value = 1*20DIGIT` (RFC 1870 section 4)
fn size(value: Option<&str>) -> Result<u64, ParameterError> {
    let digits = value.unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParameterError::Malformed("SIZE"));
    }
    digits.parse().map_err(|_| ParameterError::TooLarge)
}

/// `body-value = "7BIT" / "8BITMIME" / "BINARYMIME"` (RFC 6152 section 2, RFC 3030 section 3)
fn body(value: Option<&str>, offered: Offered) -> Result<Body, ParameterError> {
    match value.unwrap_or_default().to_ascii_uppercase().as_str() {
        "7BIT" => Ok(Body::SevenBit),
        "8BITMIME" if offered.eight_bit_mime => Ok(Body::EightBitMime),
        "BINARYMIME" if offered.binary_mime => Ok(Body::BinaryMime),
        "8BITMIME" | "BINARYMIME" => Err(ParameterError::Unknown),
        _ => Err(ParameterError::Malformed("BODY")),
    }
}

/// `ret-value = "FULL" / "HDRS"` (RFC 3461 section 4.3)
fn ret(value: Option<&str>) -> Result<Return, ParameterError> {
    match value.unwrap_or_default().to_ascii_uppercase().as_str() {
        "FULL" => Ok(Return::Full),
        "HDRS" => Ok(Return::Headers),
        _ => Err(ParameterError::Malformed("RET")),
    }
}

/// `envid-parameter = "ENVID=" xtext`, at most 100 characters (RFC 3461 section 4.4)
fn envelope_id(value: Option<&str>) -> Result<String, ParameterError> {
    let text = value.filter(|text| (1..=100).contains(&text.len()) && text.is_ascii());
    text.and_then(|text| xtext::decode(text).ok()).ok_or(ParameterError::Malformed("ENVID"))
}

/// `notify-esmtp-value = "NEVER" / 1#notify-list-element` (RFC 3461 section 4.1)
fn notify(value: Option<&str>) -> Result<Notify, ParameterError> {
    let value = value.unwrap_or_default();
    let mut wishes = Notify::default();
    if value.eq_ignore_ascii_case("NEVER") {
        return Ok(Notify::NEVER);
    }
    for word in value.split(',') {
        match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => wishes.success = true,
            "FAILURE" => wishes.failure = true,
            "DELAY" => wishes.delay = true,
            _ => return Err(ParameterError::Malformed("NOTIFY")),
        }
    }
    Ok(wishes)
}

/// Characters of an original recipient (RFC 3461 section 4.2).
pub(crate) const LONGEST_ORIGINAL: usize = 500;

/// `original-recipient-address = addr-type ";" xtext`
fn original(value: Option<&str>, offered: Offered) -> Result<OriginalRecipient, ParameterError> {
    const MALFORMED: ParameterError = ParameterError::Malformed("ORCPT");
    let text = value.ok_or(MALFORMED)?;
    let (address_type, address) = text.split_once(';').ok_or(MALFORMED)?;
    let is_atom = !address_type.is_empty()
        && address_type.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let address = xtext::decode(address).map_err(|_| MALFORMED)?;
    let fits = text.len() <= LONGEST_ORIGINAL || (offered.long_addresses && address.len() <= LONGEST_ADDRESS);
    if !is_atom || address.is_empty() || !fits {
        return Err(MALFORMED);
    }
    Ok(OriginalRecipient::new(address_type, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_mail(text: &str) -> Result<MailParameters, ParameterError> {
        mail(text, Offered::ALL_TEXT)
    }

    fn of_recipient(text: &str) -> Result<RecipientParameters, ParameterError> {
        recipient(text, Offered::ALL_TEXT)
    }

    #[test]
    fn reads_everything_that_mail_may_ask() {
        let read =
            of_mail("SIZE=1000 BODY=8bitmime SMTPUTF8 RET=HDRS ENVID=QQ+2B314159 AUTH=e+3Dmc2@example.com");
        let expected = MailParameters {
            size: Some(1000),
            body: Body::EightBitMime,
            smtputf8: true,
            ret: Some(Return::Headers),
            envelope_id: Some("QQ+314159".into()),
            require_tls: false,
        };
        assert_eq!(read, Ok(expected));
        assert_eq!(of_mail("AUTH=<>"), Ok(MailParameters::default()));
    }

    #[test]
    fn sizes_that_lie_about_their_form_are_refused() {
        use ParameterError::{Malformed, TooLarge};
        for (text, error) in [
            ("SIZE=abc", Malformed("SIZE")),
            ("SIZE=-1", Malformed("SIZE")),
            ("SIZE=+1", Malformed("SIZE")),
            ("SIZE=", Malformed("SIZE")),
            ("SIZE", Malformed("SIZE")),
            ("SIZE=18446744073709551617", TooLarge),
            ("SIZE=100000000000000000000", TooLarge),
        ] {
            assert_eq!(of_mail(text), Err(error), "{text}");
        }
    }

    #[test]
    fn what_is_unknown_twice_or_malformed_is_refused() {
        use ParameterError::{Malformed, Twice, Unknown};
        for (text, error) in [
            ("SIZE=1 SIZE=2", Twice("SIZE")),
            ("X=1", Unknown),
            ("=1", Unknown),
            ("BODY=BINARYMIME", Unknown),
            ("REQUIRETLS", Unknown),
            ("BODY=9BIT", Malformed("BODY")),
            ("SMTPUTF8=1", Malformed("SMTPUTF8")),
            ("RET=ALL", Malformed("RET")),
            ("ENVID=a=b", Malformed("ENVID")),
            ("ENVID=", Malformed("ENVID")),
            ("NOTIFY=NEVER", Unknown),
        ] {
            assert_eq!(of_mail(text), Err(error), "{text}");
        }
        for (text, error) in [
            ("NOTIFY=", Malformed("NOTIFY")),
            ("NOTIFY=NEVER,SUCCESS", Malformed("NOTIFY")),
            ("ORCPT=rfc822", Malformed("ORCPT")),
            ("ORCPT=;a", Malformed("ORCPT")),
            ("ORCPT=rfc822;", Malformed("ORCPT")),
            ("SIZE=1", Unknown),
        ] {
            assert_eq!(of_recipient(text), Err(error), "{text}");
        }
    }

    #[test]
    fn what_is_offered_beside_is_taken() {
        let offered = Offered { binary_mime: true, require_tls: true, ..Offered::ALL_TEXT };
        let read = mail("BODY=BinaryMIME requiretls", offered).expect("reads");
        assert_eq!((read.body, read.require_tls), (Body::BinaryMime, true));
        assert_eq!(mail("REQUIRETLS=1", offered), Err(ParameterError::Malformed("REQUIRETLS")));
        assert_eq!(mail("REQUIRETLS REQUIRETLS", offered), Err(ParameterError::Twice("REQUIRETLS")));
    }

    #[test]
    fn reads_everything_that_rcpt_may_ask() {
        let read = of_recipient("NOTIFY=success,DELAY ORCPT=rfc822;Bob+2Bx@example.com").expect("reads");
        assert_eq!(read.notify, Some(Notify { success: true, failure: false, delay: true }));
        assert_eq!(
            read.original.map(|o| (o.address_type, o.address)),
            Some(("rfc822".into(), "Bob+x@example.com".into()))
        );
        assert_eq!(of_recipient("NOTIFY=never").map(|r| r.notify), Ok(Some(Notify::NEVER)));
    }

    #[test]
    fn an_original_recipient_is_as_long_as_an_address_where_long_addresses_are_offered() {
        let long = Offered { long_addresses: true, ..Offered::ALL_TEXT };
        let of = |address: String, offered| recipient(&format!("ORCPT=x400;{address}"), offered).is_ok();
        // Five for `x400;`; a character that is encoded counts as the three it is written with, but for a long address.
        for (address, usual, where_long) in [
            ("x".repeat(495), true, true),
            ("x".repeat(496), false, true),
            ("+2B".repeat(1860), false, true),
            ("x".repeat(1861), false, false),
        ] {
            assert_eq!((of(address.clone(), Offered::ALL_TEXT), of(address, long)), (usual, where_long));
        }
    }
}
