//! `AdvertiseClientSettings`: what somebody types into a mail program that is to send through a connector.

use std::fmt;

use crate::parameters::AuthMechanism;
use crate::receive_connector::ReceiveConnector;

/// One way in, in the words of mail programs. Its `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientSettings {
    /// The server's name, which its certificate is for.
    pub server: String,
    /// The port.
    pub port: u16,
    /// How TLS begins, if it does.
    pub encryption: Encryption,
    /// Whether it takes a name and a password.
    pub logon: bool,
}

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encryption {
    /// Not at all.
    None,
    /// By STARTTLS: what .NET and Database Mail call "SSL".
    StartTls,
    /// From the first byte: "SSL/TLS" of most mail programs; .NET and Database Mail cannot.
    Implicit,
}

impl ReceiveConnector {
    /// What a client needs to know, for each binding; `server` is the name of a server without a `fqdn` of the connector's own.
    pub fn client_settings(&self, server: &str) -> Vec<ClientSettings> {
        let server = self.fqdn.as_deref().unwrap_or(server);
        let starttls = self.offers(AuthMechanism::Tls) && self.tls_certificate.is_some();
        let clear = if starttls { Encryption::StartTls } else { Encryption::None };
        let usual = self.bindings.iter().map(|binding| (binding, clear));
        let implicit = self.implicit_tls_bindings.iter().map(|binding| (binding, Encryption::Implicit));
        usual
            .chain(implicit)
            .map(|(binding, encryption)| ClientSettings {
                server: server.to_owned(),
                port: binding.port(),
                encryption,
                logon: self.offers(AuthMechanism::BasicAuth),
            })
            .collect()
    }
}

impl fmt::Display for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encryption = match self.encryption {
            Encryption::None => "no encryption",
            Encryption::StartTls => "STARTTLS (\"SSL\" in Database Mail)",
            Encryption::Implicit => "SSL/TLS (not for Database Mail)",
        };
        let logon = if self.logon { "user name and password" } else { "no authentication" };
        write!(f, "server {}, port {}, {encryption}, {logon}", self.server, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_in_is_told_in_the_words_of_mail_programs() {
        let mut connector = ReceiveConnector::new("Applications");
        let told = |connector: &ReceiveConnector| -> Vec<String> {
            connector.client_settings("hub01.contoso.com").iter().map(ToString::to_string).collect()
        };
        assert_eq!(told(&connector), ["server hub01.contoso.com, port 25, no encryption, no authentication"]);
        connector.bindings = vec!["0.0.0.0:587".parse().unwrap()];
        connector.implicit_tls_bindings = vec!["0.0.0.0:465".parse().unwrap()];
        connector.fqdn = Some("mail.contoso.com".to_owned());
        connector.tls_certificate = Some("mail.pem".into());
        connector.auth_mechanism =
            vec![AuthMechanism::Tls, AuthMechanism::BasicAuth, AuthMechanism::BasicAuthRequireTls];
        assert_eq!(
            told(&connector),
            [
                "server mail.contoso.com, port 587, STARTTLS (\"SSL\" in Database Mail), user name and password",
                "server mail.contoso.com, port 465, SSL/TLS (not for Database Mail), user name and password",
            ]
        );
    }
}
