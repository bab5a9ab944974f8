//! `<address> KEY=VALUE ...`: what X-Sender and X-Receiver hold, read and written.

use std::fmt::Write;

use postroad_message::xtext;
use postroad_message::{Body, Notify, OriginalRecipient, Return};

use crate::badmail::BadmailReason;
use crate::fields::printable;
use crate::injected::Strictness;

/// Splits a value into the address and the text behind it.
///
/// The address is what the first `<...>` holds, `>` inside quotes aside; without brackets it is the first word.
pub(crate) fn split_address(value: &str) -> Option<(&str, &str)> {
    let value = value.trim();
    if let Some(rest) = value.strip_prefix('<') {
        return rest
            .split_at_checked(closing_bracket(rest)?)
            .map(|(address, rest)| (address, rest.get(1..).unwrap_or("")));
    }
    let end = value.find([' ', '\t']).unwrap_or(value.len());
    let (address, rest) = value.split_at(end);
    let address = address.trim_end_matches(';');
    (!address.is_empty()).then_some((address, rest))
}

fn closing_bracket(text: &str) -> Option<usize> {
    if !text.starts_with('"') {
        return text.find('>');
    }
    let (mut escaped, mut quoted) = (false, false);
    text.char_indices().find_map(|(at, character)| {
        match character {
            _ if std::mem::take(&mut escaped) => (),
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => return Some(at),
            _ => (),
        }
        None
    })
}

/// `key[=value]` parted by blanks; a `;` behind one is passed over, as Exchange's export writes it.
fn parameters(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    text.split_ascii_whitespace().map(|word| word.trim_end_matches(';')).filter(|word| !word.is_empty()).map(
        |word| match word.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (word, None),
        },
    )
}

/// What X-Sender may say behind the address.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct SenderParameters {
    pub(crate) body: Body,
    pub(crate) ret: Option<Return>,
    pub(crate) envelope_id: Option<String>,
    pub(crate) auth: Option<String>,
    pub(crate) smtputf8: bool,
    pub(crate) require_tls: bool,
}

impl SenderParameters {
    pub(crate) fn read(text: &str, strictness: Strictness) -> Result<Self, BadmailReason> {
        let mut read = Self::default();
        for (key, value) in parameters(text) {
            let bad = || invalid(key, value);
            match (key.to_ascii_uppercase().as_str(), value) {
                ("BODY", Some(value)) => read.body = body(value).ok_or_else(bad)?,
                ("RET", Some(value)) => read.ret = Some(ret(value).ok_or_else(bad)?),
                ("ENVID", Some(value)) => read.envelope_id = Some(xtext::decode(value).map_err(|_| bad())?),
                ("AUTH", Some(value)) => read.auth = Some(xtext::decode(value).map_err(|_| bad())?),
                ("SMTPUTF8", None) => read.smtputf8 = true,
                ("REQUIRETLS", None) => read.require_tls = true,
                ("SIZE", Some(_)) => (),
                _ => strictness.tolerate(bad)?,
            }
        }
        Ok(read)
    }

    pub(crate) fn write(&self, out: &mut Vec<String>) {
        match self.body {
            Body::SevenBit => (),
            Body::EightBitMime => out.push("BODY=8BITMIME".to_owned()),
            Body::BinaryMime => out.push("BODY=BINARYMIME".to_owned()),
        }
        match self.ret {
            None => (),
            Some(Return::Full) => out.push("RET=FULL".to_owned()),
            Some(Return::Headers) => out.push("RET=HDRS".to_owned()),
        }
        out.extend(self.envelope_id.as_ref().map(|id| format!("ENVID={}", encoded(id))));
        out.extend(self.auth.as_ref().map(|auth| format!("AUTH={}", encoded(auth))));
        out.extend(self.smtputf8.then(|| "SMTPUTF8".to_owned()));
        out.extend(self.require_tls.then(|| "REQUIRETLS".to_owned()));
    }
}

/// What X-Receiver may say behind the address.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct ReceiverParameters {
    pub(crate) notify: Option<Notify>,
    pub(crate) original: Option<OriginalRecipient>,
}

impl ReceiverParameters {
    pub(crate) fn read(text: &str, strictness: Strictness) -> Result<Self, BadmailReason> {
        let mut read = Self::default();
        for (key, value) in parameters(text) {
            let bad = || invalid(key, value);
            match (key.to_ascii_uppercase().as_str(), value) {
                ("NOTIFY", Some(value)) => read.notify = Some(notify(value, strictness).ok_or_else(bad)?),
                ("ORCPT", Some(value)) => read.original = Some(original(value).ok_or_else(bad)?),
                // Exchange's own notes on one recipient, in base64; they mean nothing to anyone else.
                ("X-EXTENDEDPROPS" | "X-EXTENDEDMESSAGEPROPS", _) => (),
                _ => strictness.tolerate(bad)?,
            }
        }
        Ok(read)
    }

    pub(crate) fn write(&self, out: &mut Vec<String>) {
        if let Some(notify) = self.notify {
            let wishes = [(notify.success, "SUCCESS"), (notify.failure, "FAILURE"), (notify.delay, "DELAY")];
            let words: Vec<_> =
                wishes.into_iter().filter(|(wanted, _)| *wanted).map(|(_, word)| word).collect();
            let mut text = String::from("NOTIFY=");
            text.push_str(if words.is_empty() { "NEVER" } else { "" });
            text.push_str(&words.join(","));
            out.push(text);
        }
        if let Some(original) = &self.original {
            let mut text = String::from("ORCPT=");
            // Writing into a String cannot fail.
            let _ = write!(text, "{};{}", original.address_type, encoded(&original.address));
            out.push(text);
        }
    }
}

/// As xtext, `;` encoded too: readers pass over one that ends a parameter.
fn encoded(text: &str) -> String {
    xtext::encode(text).replace(';', "+3B")
}

fn body(value: &str) -> Option<Body> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Some(Body::SevenBit),
        "8BITMIME" => Some(Body::EightBitMime),
        "BINARYMIME" => Some(Body::BinaryMime),
        _ => None,
    }
}

fn ret(value: &str) -> Option<Return> {
    match value.to_ascii_uppercase().as_str() {
        "FULL" => Some(Return::Full),
        "HDRS" => Some(Return::Headers),
        _ => None,
    }
}

/// `notify-esmtp-value = "NEVER" / 1#notify-list-element` (RFC 3461 section 4.1). NEVER beside others wins, or is refused.
fn notify(value: &str, strictness: Strictness) -> Option<Notify> {
    let (mut read, mut never, mut words) = (Notify::NEVER, false, 0);
    for word in value.split(',').filter(|word| !word.is_empty()) {
        words += 1;
        match word.to_ascii_uppercase().as_str() {
            "NEVER" => never = true,
            "SUCCESS" => read.success = true,
            "FAILURE" => read.failure = true,
            "DELAY" => read.delay = true,
            _ => return None,
        }
    }
    match (never, words) {
        (_, 0) => None,
        (true, 1) => Some(Notify::NEVER),
        (true, _) if strictness == Strictness::Strict => None,
        (true, _) => Some(Notify::NEVER),
        (false, _) => Some(read),
    }
}

/// `original-recipient-address = addr-type ";" xtext`; the type may be missing: Exchange's own example has it so.
fn original(value: &str) -> Option<OriginalRecipient> {
    let (address_type, address) = match value.split_once(';') {
        Some(typed) => typed,
        None if value.contains('@') => ("rfc822", value),
        None => return None,
    };
    let named = !address_type.is_empty()
        && address_type.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let address = xtext::decode(address).ok().filter(|address| named && !address.is_empty())?;
    Some(OriginalRecipient::new(address_type, address))
}

fn invalid(key: &str, value: Option<&str>) -> BadmailReason {
    let text = value.map_or_else(|| key.to_owned(), |value| format!("{key}={value}"));
    BadmailReason::InvalidParameter { text: printable(&text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_in_brackets_or_comes_first() {
        for (value, address, rest) in [
            ("<jane@contoso.com> RET=HDRS", "jane@contoso.com", " RET=HDRS"),
            ("<>", "", ""),
            ("jane@contoso.com", "jane@contoso.com", ""),
            (" jane@contoso.com;", "jane@contoso.com", ""),
            ("<\"a>b\"@contoso.com>x", "\"a>b\"@contoso.com", "x"),
            ("<\"a\\\">b\"@contoso.com>", "\"a\\\">b\"@contoso.com", ""),
            ("<FAX:+1 425>", "FAX:+1 425", ""),
        ] {
            assert_eq!(split_address(value), Some((address, rest)), "{value:?}");
        }
        assert_eq!(split_address("<open"), None);
        assert_eq!(split_address(""), None);
    }

    #[test]
    fn receiver_parameters_as_exported_and_as_documented() {
        let text = " ORCPT=rfc822;peter@example.com NOTIFY=NEVER; X-ExtendedProps=DwA1AAAA==";
        let read = ReceiverParameters::read(text, Strictness::Strict).unwrap();
        assert_eq!(read.notify, Some(Notify::NEVER));
        assert_eq!(
            read.original.as_ref().map(|original| original.address.as_str()),
            Some("peter@example.com")
        );
        let bare =
            ReceiverParameters::read("notify=DELAY,failure ORcpt=mary@contoso.com", Strictness::Strict)
                .unwrap();
        assert_eq!(bare.notify, Some(Notify { success: false, failure: true, delay: true }));
        assert_eq!(bare.original.map(|original| original.address_type), Some("rfc822".to_owned()));
    }

    #[test]
    fn the_lenient_reading_passes_over_what_the_strict_one_refuses() {
        for text in ["NOTIFY=NEVER,DELAY", "HOLDFOR=3"] {
            assert!(ReceiverParameters::read(text, Strictness::Strict).is_err(), "{text}");
            assert!(ReceiverParameters::read(text, Strictness::Lenient).is_ok(), "{text}");
        }
        for text in ["NOTIFY=", "NOTIFY=SOON", "ORCPT=rfc822;", "ORCPT=rfc822;a+G1", "ORCPT=r\u{e9};a"] {
            assert!(ReceiverParameters::read(text, Strictness::Lenient).is_err(), "{text}");
        }
        assert!(SenderParameters::read("RET=SOME", Strictness::Lenient).is_err());
    }
}
