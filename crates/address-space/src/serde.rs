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
