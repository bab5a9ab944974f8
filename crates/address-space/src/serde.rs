//! Everything that has a text is serialised as that text, and read by the strict reader of that text.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Address, AddressLiteral, AddressSpace, AddressSpaceMap, Domain, MailDomain, Mailbox, OrAddress};

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

/// A list of pairs, space and value.
impl<T: Serialize> Serialize for AddressSpaceMap<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// Spaces are read strictly: one with wildcards of Exchange 5.5 is written as it prints, but only
/// [`AddressSpace::parse_with`] reads it.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for AddressSpaceMap<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<(AddressSpace, T)>::deserialize(deserializer)?.into_iter().collect())
    }
}

as_text!(Address, AddressLiteral, AddressSpace, Domain, MailDomain, Mailbox, OrAddress);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_goes_there_and_back() {
        let text = r#"[["SMTP:Contoso.com;5",1],["SMTP:Contoso.com;7",2],["SMTP:*;1",3],["FAX:+1*;1",4]]"#;
        let map: AddressSpaceMap<u8> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&map).unwrap(), text);
    }

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
