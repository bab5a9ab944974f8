//! Enumerated parameters: one table gives each value its name, there and back.

/// Declares a fieldless enum whose values have kebab-case names.
///
/// Reading is forgiving about letter case and dashes, so that Exchange's own spelling
/// (`BasicAuthRequireTLS`) is understood too; writing is always kebab-case.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$value_meta:meta])* $value:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$value_meta])* $value,)+
        }

        impl $name {
            /// Every value's name, in the order of their declaration.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// The kebab-case name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::error::ParseError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $(if crate::named::same_name(text, $text) {
                    return Ok(Self::$value);
                })+
                Err(crate::error::ParseError::new(crate::error::Expected::OneOf(Self::NAMES), 0))
            }
        }

        crate::named::as_text!($name);
    };
}

/// Lets serde write a type as its `Display` and read it by its `FromStr`.
macro_rules! as_text {
    ($name:ident) => {
        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use {as_text, named};

/// Whether two names are the same but for letter case and dashes.
pub(crate) fn same_name(left: &str, right: &str) -> bool {
    let letters = |name: &str| {
        name.trim()
            .bytes()
            .filter(|byte| *byte != b'-')
            .map(|byte| byte.to_ascii_lowercase())
            .collect::<Vec<_>>()
    };
    letters(left) == letters(right)
}
