//! relay.toml as one typed value, and the way from its text to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use postroad_connector::{
    Connector, Contradictions, ForeignConnector, FrontEndProxy, RoutingTable, SenderPin, Topology,
};
use postroad_message_directory::DropDirectory;
use postroad_smtp_client::{self as smtp_client, SmtpClient, SmtpClientBuilder};
use postroad_smtp_protocol::client::Timeouts;
use postroad_smtp_server::{ReceiveConnector, ServerSettings};
use postroad_transport::{Settings, WatchedDirectory};

use crate::credential::Credential;
use crate::on_disk::Needed;
use crate::problem::{Problem, ProblemKind, Problems, Severity};
use crate::read;
use crate::sections::dns::Dns;
use crate::sections::pickup::Pickup;
use crate::sections::queue::Queue;
use crate::sections::replay::Replay;
use crate::sections::server::Server;
use crate::sections::tls::TrustAnchors;
use crate::sections::transport::Transport;

/// A relay.toml in which nothing is wrong, in the types of the crates that use it.
///
/// Made by [`Configuration::parse`] or [`Configuration::read`]: there is no half of one. Paths are whole: what was
/// relative in the text is joined with the folder of the file. No secret is in it; see [`Credential::load`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Configuration {
    /// `[server]`
    pub server: Server,
    /// `[topology]`, with this server's own name and site.
    pub topology: Topology,
    /// `[transport]`
    pub transport: Transport,
    /// `[queue]`
    pub queue: Queue,
    /// `[smtp_client]`
    pub smtp_client: Timeouts,
    /// `[tls]`
    pub trust_anchors: TrustAnchors,
    /// `[dns]`
    pub dns: Dns,
    /// `[[receive_connector]]`, in the order of the file.
    pub receive_connectors: Vec<ReceiveConnector>,
    /// `[[send_connector]]`, `[[foreign_connector]]` and `[[delivery_agent_connector]]`.
    pub connectors: Vec<Connector>,
    /// `[[sender]]`
    pub sender_pins: Vec<SenderPin>,
    /// `[frontend] proxies`
    pub frontend_proxies: Vec<FrontEndProxy>,
    /// `[pickup]`; without the section the directory is not watched.
    pub pickup: Option<Pickup>,
    /// `[replay]`; without the section the directory is not watched.
    pub replay: Option<Replay>,
    /// `[credentials.NAME]` by NAME.
    pub credentials: BTreeMap<String, Credential>,
    /// What is legal but most likely not meant, in the order of the file.
    pub warnings: Vec<Problem>,
    /// What this configuration needs on the disk, with the place that asks for it.
    pub(crate) needed: Vec<Needed>,
}

impl Configuration {
    /// Reads the text of a relay.toml; `file` is the name problems carry, and its folder is where relative paths begin.
    ///
    /// # Errors
    /// Every problem of the text, warnings among them, in the order of the file. At least one is an error.
    ///
    /// ```
    /// use std::path::Path;
    /// use postroad_configuration::Configuration;
    ///
    /// let text = "[server]\nfqdn = \"hub01.contoso.com\"\nsiet = \"Paris\"\n";
    /// let problems = Configuration::parse(text, Path::new("/etc/postroad/relay.toml")).unwrap_err();
    /// assert_eq!(
    ///     problems[0].to_string(),
    ///     "/etc/postroad/relay.toml:3:1: error: [server] siet: no such key; did you mean site?"
    /// );
    /// ```
    pub fn parse(text: &str, file: &Path) -> Result<Self, Problems> {
        read::parse(text, file)
    }

    /// Reads the file from the disk, then as [`Configuration::parse`].
    ///
    /// # Errors
    /// As [`Configuration::parse`]; a file that cannot be read, or is not UTF-8, is one problem of the whole file.
    pub fn read(file: &Path) -> Result<Self, Problems> {
        let whole_file = |message: String| {
            Problems(vec![Problem {
                file: file.display().to_string().into(),
                line: 0,
                column: 0,
                severity: Severity::Error,
                kind: ProblemKind::Unreadable,
                section: String::new(),
                key: String::new(),
                message,
                also_at: None,
            }])
        };
        let bytes = std::fs::read(file).map_err(|error| whole_file(format!("cannot be read: {error}")))?;
        let utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
        let text = String::from_utf8(bytes).map_err(|error| match utf16 {
            true => whole_file("must be UTF-8, and is UTF-16: save it anew as UTF-8".to_owned()),
            false => whole_file(format!("must be UTF-8; byte {} is not", error.utf8_error().valid_up_to())),
        })?;
        Self::parse(&text, file)
    }

    /// The connectors, the topology and the pinned senders as the table that chooses among them.
    ///
    /// # Errors
    /// None for a configuration as it was parsed: what contradicts itself was refused there. A changed one may have some.
    pub fn routing_table(&self) -> Result<RoutingTable, Contradictions> {
        RoutingTable::build(self.connectors.clone(), self.topology.clone(), self.sender_pins.clone())
    }

    /// Names, domains and bounds that all receive connectors share.
    pub fn server_settings(&self) -> ServerSettings {
        let Self { server, transport, .. } = self;
        let domains = server.accepted_domains.clone();
        let mut settings = ServerSettings::new(server.fqdn.as_str(), domains, server.postmaster.clone());
        settings.max_connection_rate_per_minute = transport.max_connection_rate_per_minute;
        settings.max_content_in_memory = transport.max_content_in_memory;
        settings.tls_receive_domain_secure_list.clone_from(&transport.tls_receive_domain_secure_list);
        settings
    }

    /// What the pipeline goes by, in its own words.
    pub fn transport_settings(&self) -> Settings {
        let Self { server, transport, .. } = self;
        let (fqdn, domain) = (server.fqdn.clone(), server.default_domain().clone());
        let mut settings = Settings::new(&server.name, fqdn, domain, server.postmaster.clone());
        if !server.accepted_domains.is_empty() {
            settings.accepted_domains.clone_from(&server.accepted_domains);
        }
        settings.retry_schedule = transport.retry_schedule.clone();
        settings.timers = transport.timers;
        settings.concurrency = transport.concurrency;
        settings.frontend_proxies.clone_from(&self.frontend_proxies);
        settings.queue_folder = Some(server.data_directory.clone());
        settings.minimum_free_space = self.queue.minimum_free_space;
        settings.minimum_free_memory = self.queue.minimum_free_memory;
        settings.dsn_wording = transport.dsn_wording;
        settings.poison_threshold = transport.poison_threshold;
        settings.max_idle_time_before_resubmit = transport.max_idle_time_before_resubmit;
        settings
    }

    /// The directory into which a foreign connector writes: below `root_drop_directory_path`, or else below
    /// `data_directory`, unless it is absolute itself.
    pub fn drop_directory(&self, connector: &ForeignConnector) -> PathBuf {
        let root = self.server.root_drop_directory_path.as_deref().unwrap_or(&self.server.data_directory);
        root.join(connector.drop_directory())
    }

    /// The Drop directory of each foreign connector, by the connector's name, with its quota.
    pub fn drop_directories(&self) -> BTreeMap<String, DropDirectory> {
        let foreign = self.connectors.iter().filter_map(|connector| match connector {
            Connector::Foreign(foreign) => Some(foreign),
            _ => None,
        });
        let directory = |connector: &ForeignConnector| {
            DropDirectory::new(self.drop_directory(connector)).quota(connector.drop_directory_quota)
        };
        foreign.map(|connector| (connector.name.clone(), directory(connector))).collect()
    }

    /// The SMTP client that mail leaves by; whoever builds it may give it a protocol log.
    pub fn client_builder(&self) -> SmtpClientBuilder {
        let anchors = match &self.trust_anchors {
            TrustAnchors::File(file) => smtp_client::TrustAnchors::PemFile(file.clone()),
            TrustAnchors::System => smtp_client::TrustAnchors::System,
        };
        let listeners =
            self.receive_connectors.iter().flat_map(|connector| connector.bindings.iter().copied());
        SmtpClient::builder()
            .name_servers(self.dns.servers.iter().copied())
            .allow_loopback_mx(self.dns.allow_loopback_mx)
            .own_listeners(listeners)
            .own_names([self.server.fqdn.to_string()])
            .timeouts(self.smtp_client)
            .trust_anchors(anchors)
    }

    /// The directories in use: `Pickup`, `Replay` and `Badmail`, which the relay makes, and each `Drop`, which it does not.
    pub fn directories(&self) -> Vec<(&'static str, PathBuf)> {
        let pickup = self.pickup.iter().map(|pickup| ("Pickup", &pickup.path));
        let replay = self.replay.iter().map(|replay| ("Replay", &replay.path));
        let badmail =
            self.pickup.iter().filter_map(|pickup| Some(("Badmail", pickup.badmail_directory.as_ref()?)));
        let ours = pickup.chain(replay).chain(badmail).map(|(kind, path)| (kind, path.clone()));
        let drops = self.drop_directories();
        ours.chain(drops.values().map(|drop| ("Drop", drop.path().to_owned()))).collect()
    }

    /// Pickup and Replay as the transport watches them.
    pub fn watched_directories(&self) -> Vec<WatchedDirectory> {
        let domain = self.server.default_domain();
        let pickup = self.pickup.iter().map(|pickup| {
            WatchedDirectory::pickup(&pickup.path, pickup.rules(domain))
                .badmail(pickup.badmail())
                .every(pickup.poll_interval)
                .at_most(pickup.max_messages_per_minute)
        });
        let replay = self.replay.iter().map(|replay| {
            WatchedDirectory::replay(&replay.path, replay.rules(domain))
                .every(replay.poll_interval)
                .at_most(replay.max_messages_per_minute)
        });
        pickup.chain(replay).collect()
    }

    /// The login a connector names in `authentication_credential`.
    pub fn credential(&self, name: &str) -> Option<&Credential> {
        self.credentials.get(name)
    }
}
