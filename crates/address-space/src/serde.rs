//! Everything that has a text is serialised as that text.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Address, AddressLiteral, AddressSpace, Domain, MailDomain, Mailbox, OrAddress};

macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <$type>::parse(&Cow::<str>::deserialize(deserializer)?).map_err(de::Error::custom)
            }
        }
    )*};
}

as_text!(Address, AddressLiteral, AddressSpace, Domain, MailDomain, Mailbox, OrAddress);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_go_there_and_back() {
        for text in ["jane@Contoso.com", "X400:C=US;A= ;S=Doe;", "FAX:+1 425"] {
            let address: Address = serde_json::from_value(text.into()).unwrap();
            assert_eq!(serde_json::to_value(&address).unwrap(), text);
        }
        let space: AddressSpace = serde_json::from_str("\"*.contoso.com\"").unwrap();
        assert_eq!(serde_json::to_string(&space).unwrap(), "\"SMTP:*.contoso.com;1\"");
        let refusal = serde_json::from_str::<Mailbox>("\"jane doe@contoso.com\"").unwrap_err();
        assert!(refusal.to_string().contains("at byte 4"), "{refusal}");
    }
}
