//! A list of connectors and directories, as `Get-SendConnector` and `Get-ForeignConnector` of Exchange show them.

use std::io::{self, Write};
use std::path::Path;

use postroad_connector::Connector;
use serde::Serialize;

use crate::table::shown;

/// One connector; no secret is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConnectorRow {
    /// `send`, `foreign` or `delivery-agent`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `Name`.
    pub name: String,
    /// `Enabled`.
    pub enabled: bool,
    /// `Usage`, of a Send connector.
    pub usage: Option<&'static str>,
    /// `AddressSpaces`, with their costs.
    pub address_spaces: Vec<String>,
    /// When the smart hosts of a Send connector are used: `always`, `dns-first`, or `none` for MX hosts only.
    pub smart_host_type: Option<&'static str>,
    /// `SmartHosts`.
    pub smart_hosts: Vec<String>,
    /// `Port`, of a Send connector.
    pub port: Option<u16>,
    /// `SmartHostAuthMechanism`.
    pub smart_host_auth_mechanism: Option<&'static str>,
    /// The name of the credential.
    pub authentication_credential: Option<String>,
    /// `FrontendProxyEnabled`, of a Send connector.
    pub frontend_proxy_enabled: Option<bool>,
    /// Who may use it, where not everybody may.
    pub senders: Vec<String>,
    /// Where a Foreign connector writes: the whole path.
    pub drop_directory: Option<String>,
    /// The agent of a Delivery Agent connector.
    pub delivery_protocol: Option<String>,
    /// Where that agent delivers: its endpoint, or the program it runs.
    pub endpoint: Option<String>,
    /// `SourceTransportServers`; empty: this server.
    pub source_transport_servers: Vec<String>,
    /// `IsScopedConnector`.
    pub is_scoped_connector: bool,
    /// `MaxMessageSize` in bytes; `None`: unlimited.
    pub max_message_size: Option<u64>,
}

/// One directory in which mail comes or stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DirectoryRow {
    /// `Pickup`, `Replay`, `Badmail` or `Drop`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The whole path.
    pub path: String,
}

impl ConnectorRow {
    /// The row of a connector; a Foreign one writes into `drop_directory`, or tells what it has itself.
    pub fn new(connector: &Connector, drop_directory: Option<&Path>) -> Self {
        let mut row = Self {
            kind: "",
            name: connector.name().to_owned(),
            enabled: connector.enabled(),
            usage: None,
            address_spaces: texts(connector.address_spaces()),
            smart_host_type: None,
            smart_hosts: Vec::new(),
            port: None,
            smart_host_auth_mechanism: None,
            authentication_credential: None,
            frontend_proxy_enabled: None,
            senders: texts(connector.senders()),
            drop_directory: None,
            delivery_protocol: None,
            endpoint: None,
            source_transport_servers: connector.source_transport_servers().to_vec(),
            is_scoped_connector: connector.is_scoped_connector(),
            max_message_size: connector.max_message_size(),
        };
        match connector {
            Connector::Send(send) => {
                row.kind = "send";
                row.usage = Some(send.usage.as_str());
                row.smart_host_type = Some(send.smart_host_use().as_str());
                row.smart_hosts = texts(&send.smart_hosts);
                row.port = Some(send.port);
                row.smart_host_auth_mechanism = Some(send.smart_host_auth_mechanism.as_str());
                row.frontend_proxy_enabled = Some(send.frontend_proxy_enabled);
                row.authentication_credential.clone_from(&send.authentication_credential);
            }
            Connector::Foreign(foreign) => {
                row.kind = "foreign";
                let whole = drop_directory.map(|path| path.display().to_string());
                row.drop_directory = Some(whole.unwrap_or_else(|| foreign.drop_directory().to_owned()));
            }
            Connector::DeliveryAgent(agent) => {
                row.kind = "delivery-agent";
                row.delivery_protocol = Some(agent.delivery_protocol.clone());
                row.endpoint = agent.endpoint.clone().or_else(|| agent.command.first().cloned());
            }
        }
        row
    }

    /// What stands beside each other in a list for a person.
    fn lines(&self) -> Vec<(&'static str, String)> {
        let kind = match self.kind {
            "send" => format!("Send connector, {}", self.usage.unwrap_or_default()),
            "foreign" => "Foreign connector".to_owned(),
            _ => "Delivery Agent connector".to_owned(),
        };
        let disabled = if self.enabled { "" } else { ", disabled" };
        let scoped = if self.is_scoped_connector { ", scoped" } else { "" };
        let servers = match self.source_transport_servers.as_slice() {
            [] => "this one".to_owned(),
            servers => servers.join(", "),
        };
        let mut lines = vec![
            ("type", format!("{kind}{disabled}")),
            ("address spaces", self.address_spaces.join(", ")),
            ("delivers to", self.delivers_to()),
        ];
        if let Some(mechanism) = self.smart_host_auth_mechanism.filter(|mechanism| *mechanism != "none") {
            let credential = self.authentication_credential.as_ref();
            lines.push((
                "login",
                credential.map_or(mechanism.to_owned(), |name| format!("{mechanism}, as {name}")),
            ));
        }
        if !self.senders.is_empty() {
            lines.push(("senders", self.senders.join(", ")));
        }
        lines.push(("source servers", format!("{servers}{scoped}")));
        let size = self.max_message_size.map_or("unlimited".to_owned(), |bytes| format!("{bytes} bytes"));
        lines.push(("message size", size));
        lines
    }

    fn delivers_to(&self) -> String {
        if let Some(protocol) = &self.delivery_protocol {
            let endpoint = self.endpoint.as_ref().map(|endpoint| format!(" {endpoint}"));
            return format!("{protocol}{}", endpoint.unwrap_or_default());
        }
        if let Some(directory) = &self.drop_directory {
            return directory.clone();
        }
        let hosts = match (self.smart_host_type, self.smart_hosts.join(", ")) {
            (Some("always"), hosts) => hosts,
            (Some("dns-first"), hosts) => format!("MX hosts, else {hosts}"),
            _ => "MX hosts".to_owned(),
        };
        let through =
            if self.frontend_proxy_enabled == Some(true) { ", through the front-end proxies" } else { "" };
        self.port.map(|port| format!("{hosts}, port {port}{through}")).unwrap_or_default()
    }
}

impl DirectoryRow {
    /// The row of a directory that is `Pickup`, `Replay`, `Badmail` or `Drop`.
    pub fn new(kind: &'static str, path: &Path) -> Self {
        Self { kind, path: path.display().to_string() }
    }
}

/// Writes the connectors and then the directories: for a person, or as a JSON object each on a line.
///
/// # Errors
///
/// Those of `output`.
pub fn list(
    connectors: &[ConnectorRow],
    directories: &[DirectoryRow],
    json: bool,
    output: &mut impl Write,
) -> io::Result<()> {
    if json {
        for connector in connectors {
            serde_json::to_writer(&mut *output, connector)?;
            writeln!(output)?;
        }
        for directory in directories {
            serde_json::to_writer(&mut *output, directory)?;
            writeln!(output)?;
        }
        return output.flush();
    }
    for connector in connectors {
        writeln!(output, "{}", shown(&connector.name))?;
        for (what, text) in connector.lines() {
            writeln!(output, "    {what:<14}  {}", shown(&text))?;
        }
        writeln!(output)?;
    }
    for directory in directories {
        writeln!(output, "{:<8} {}", directory.kind, shown(&directory.path))?;
    }
    output.flush()
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}
