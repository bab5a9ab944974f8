//! Everything that has a text is read from it by `FromStr` and `TryFrom` too, as `parse` reads it.

use std::str::FromStr;

use crate::{Address, AddressLiteral, AddressSpace, Domain, MailDomain, Mailbox, OrAddress, ParseError};

macro_rules! from_text {
    ($($type:ty),*) => {$(
        impl FromStr for $type {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                <$type>::parse(text)
            }
        }

        impl TryFrom<&str> for $type {
            type Error = ParseError;

            fn try_from(text: &str) -> Result<Self, ParseError> {
                <$type>::parse(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = ParseError;

            fn try_from(text: String) -> Result<Self, ParseError> {
                <$type>::parse(&text)
            }
        }
    )*};
}

from_text!(Address, AddressLiteral, AddressSpace, Domain, MailDomain, Mailbox, OrAddress);

#[cfg(test)]
mod tests {
    use super::*;

    fn domain_of(mailbox: impl TryInto<Mailbox, Error = ParseError>) -> Result<String, usize> {
        let mailbox = mailbox.try_into().map_err(|error| error.offset())?;
        Ok(mailbox.domain().name().map_or_else(String::new, |domain| domain.as_ref().to_owned()))
    }

    #[test]
    fn whoever_takes_a_mailbox_may_take_its_text() {
        assert_eq!(domain_of("jane@Contoso.com"), Ok("Contoso.com".to_owned()));
        assert_eq!(domain_of("jane@contoso.com".to_owned()), Ok("contoso.com".to_owned()));
        assert_eq!(domain_of("jane doe@contoso.com"), Err(4));
    }
}
