//! The words that a receive connector's parameters take, kebab-case as in relay.toml.

use std::fmt;
use std::str::FromStr;

/// The text is none of the words that the parameter takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of: {}", expected.join(", "))]
#[non_exhaustive]
pub struct UnknownKeyword {
    /// Every word that the parameter takes.
    pub expected: &'static [&'static str],
}

/// One enum, its words, and the way there and back.
macro_rules! keywords {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Every word, in the order of the variants.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word of this variant.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownKeyword;

            fn from_str(text: &str) -> Result<Self, UnknownKeyword> {
                match text { $($word => Ok(Self::$variant),)+ _ => Err(UnknownKeyword { expected: Self::WORDS }) }
            }
        }
    };
}

keywords! {
    /// `AuthMechanism`: by what a client may prove who it is.
    AuthMechanism {
        /// Nothing is offered; must stand alone.
        None = "none",
        /// STARTTLS.
        Tls = "tls",
        /// NTLM, Kerberos.
        Integrated = "integrated",
        /// AUTH PLAIN and LOGIN.
        BasicAuth = "basic-auth",
        /// AUTH PLAIN and LOGIN inside TLS only; needs `basic-auth` and `tls`.
        BasicAuthRequireTls = "basic-auth-require-tls",
        /// Exchange's own.
        ExchangeServer = "exchange-server",
        /// The link is trusted by other means, such as IPsec: whoever may connect may relay.
        ExternalAuthoritative = "external-authoritative",
    }
}

keywords! {
    /// `PermissionGroups`: who may submit here.
    PermissionGroup {
        /// Nobody but the addresses in `relay_ip_ranges`.
        None = "none",
        /// Anybody, to accepted domains only.
        AnonymousUsers = "anonymous-users",
        /// Whoever logged on, to anywhere.
        ExchangeUsers = "exchange-users",
        /// Servers on a link that is `external-authoritative`.
        ExchangeServers = "exchange-servers",
        /// Exchange 2003 and older.
        ExchangeLegacyServers = "exchange-legacy-servers",
        /// Partner organisations.
        Partners = "partners",
        /// Set by hand on each right.
        Custom = "custom",
    }
}

keywords! {
    /// Relay's `relay_ip_ranges_mode`: IIS's two ways to read the Relay list.
    RelayIpRangesMode {
        /// Only the listed addresses relay without logging on.
        Only = "only",
        /// All but the listed addresses do: an open relay.
        AllExcept = "all-except",
    }
}

keywords! {
    /// Relay's `protocol`: what is spoken on the bindings.
    ReceiveProtocol {
        /// RFC 5321.
        Smtp = "smtp",
        /// RFC 2033: LHLO, and after the content a reply for each recipient. Never on port 25.
        Lmtp = "lmtp",
    }
}

keywords! {
    /// `TransportRole`.
    TransportRole {
        /// Mail goes into this server's queue.
        HubTransport = "hub-transport",
        /// Where clients connect. Exchange hands their sessions to another service; here it is the same one.
        FrontendTransport = "frontend-transport",
    }
}

keywords! {
    /// `SizeEnabled`: how EHLO tells `SIZE` (RFC 1870).
    SizeEnabled {
        /// With the limit.
        Enabled = "enabled",
        /// Not at all.
        Disabled = "disabled",
        /// The keyword alone.
        EnabledWithoutValue = "enabled-without-value",
    }
}

keywords! {
    /// `MessageRateSource`: what `message_rate_limit` counts by.
    MessageRateSource {
        /// No counting.
        None = "none",
        /// By client address.
        IpAddress = "ip-address",
        /// By reverse-path.
        User = "user",
        /// By both.
        All = "all",
    }
}

keywords! {
    /// Relay's `tls_minimum_version`.
    TlsMinimumVersion {
        /// TLS 1.2 and 1.3: what the .NET and SQL Server of the last ten years speak.
        Tls12 = "1.2",
        /// TLS 1.3 alone.
        Tls13 = "1.3",
    }
}

keywords! {
    /// Relay's `tls_client_certificates`: whether clients are asked for a certificate.
    TlsClientCertificates {
        /// Not asked for.
        None = "none",
        /// Asked for; who shows none, or one that is not believed, is served all the same.
        Request = "request",
        /// Without one that is believed there is no TLS.
        Require = "require",
    }
}

keywords! {
    /// `ExtendedProtectionPolicy` of integrated authentication.
    ExtendedProtectionPolicy {
        /// No channel binding.
        None = "none",
        /// Where the client can.
        Allow = "allow",
        /// Always.
        Require = "require",
    }
}

keywords! {
    /// `ProtocolLoggingLevel`.
    ProtocolLoggingLevel {
        /// No protocol log.
        None = "none",
        /// Every command and reply, secrets struck out.
        Verbose = "verbose",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_leads_back_to_itself() {
        for word in AuthMechanism::WORDS {
            assert_eq!(word.parse::<AuthMechanism>().map(AuthMechanism::as_str), Ok(*word));
        }
        assert_eq!("basic-auth-require-tls".parse(), Ok(AuthMechanism::BasicAuthRequireTls));
        let refused = "BasicAuth".parse::<AuthMechanism>().unwrap_err();
        assert!(refused.to_string().contains("basic-auth, basic-auth-require-tls"), "{refused}");
    }
}
