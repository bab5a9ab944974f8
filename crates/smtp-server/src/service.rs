//! What the connections of one receive connector share, and its parameters as a session understands them.

use std::sync::Arc;

use postroad_address_space::Mailbox;
use postroad_smtp_protocol::server::{Settings, SizeKeyword};
use postroad_smtp_protocol::transcript::{Conversation, Transcript};

use crate::client::Client;
use crate::content_room::ContentRoom;
use crate::message_rate::MessageRate;
use crate::parameters::{AuthMechanism, ProtocolLoggingLevel, ReceiveProtocol, SizeEnabled};
use crate::receive_connector::ReceiveConnector;
use crate::server_settings::ServerSettings;
use crate::submit::Submit;
use crate::tls::TlsMaterial;
use crate::verify::Verify;

/// What every connection of one receive connector shares.
pub(crate) struct Service {
    pub(crate) connector: ReceiveConnector,
    pub(crate) tls: TlsMaterial,
    pub(crate) settings: Arc<ServerSettings>,
    pub(crate) submit: Arc<dyn Submit>,
    pub(crate) verify: Arc<dyn Verify>,
    /// Messages begun by the minute.
    pub(crate) rate: Arc<MessageRate>,
    /// The content that all connections of the server hold.
    pub(crate) memory: Arc<ContentRoom>,
    /// What all of them handed on of messages that are not whole.
    pub(crate) unfinished: Arc<ContentRoom>,
}

/// Where what a client and we say is written down, if the connector wants that.
pub(crate) fn transcript(service: &Service, client: &Client) -> Transcript {
    let wanted = service.connector.protocol_logging_level == ProtocolLoggingLevel::Verbose;
    let conversation = || Conversation::new(&client.connector, client.session, client.local, client.peer);
    let log = service.settings.protocol_log.as_ref().filter(|_| wanted);
    log.map_or_else(Transcript::default, |log| Transcript::begin(Arc::clone(log), conversation()))
}

/// A receive connector's parameters as its sessions understand them.
pub(crate) fn session_settings(service: &Service) -> Settings {
    let connector = &service.connector;
    let fqdn = connector.fqdn.as_ref().unwrap_or(&service.settings.fqdn);
    let mut settings = Settings::new(fqdn.clone(), postmaster(service));
    settings.lmtp = connector.protocol == ReceiveProtocol::Lmtp;
    settings.banner.clone_from(&connector.banner);
    settings.pipelining = connector.pipelining_enabled;
    settings.size = match connector.size_enabled {
        SizeEnabled::Enabled => SizeKeyword::WithLimit,
        SizeEnabled::EnabledWithoutValue => SizeKeyword::Alone,
        SizeEnabled::Disabled => SizeKeyword::Absent,
    };
    settings.eight_bit_mime = connector.eight_bit_mime_enabled;
    settings.enhanced_status_codes = connector.enhanced_status_codes_enabled;
    settings.dsn = connector.delivery_status_notification_enabled;
    settings.chunking = connector.chunking_enabled;
    settings.binary_mime = connector.binary_mime_enabled;
    settings.starttls = connector.offers(AuthMechanism::Tls) && service.tls.is_some();
    settings.long_addresses = connector.long_addresses_enabled;
    settings.require_tls = connector.require_tls;
    settings.require_hello_name = connector.require_ehlo_domain;
    settings.refuse_bare_line_ends = connector.bare_linefeed_rejection_enabled;
    settings.limits.message_size = usize::try_from(connector.max_message_size).unwrap_or(usize::MAX);
    settings.limits.recipients = usize::try_from(connector.max_recipients_per_message).unwrap_or(usize::MAX);
    settings.limits.protocol_errors = connector.max_protocol_errors;
    settings.limits.logon_failures = connector.max_logon_failures;
    settings
}

/// Where `<postmaster>` goes: into the connector's own domain, if mail for that domain is ours to take.
fn postmaster(service: &Service) -> Mailbox {
    let domain = service.connector.default_domain.as_ref();
    domain
        .filter(|domain| service.settings.accepted_domains.contains(domain))
        .and_then(|domain| Mailbox::parse(&format!("postmaster@{domain}")).ok())
        .unwrap_or_else(|| service.settings.postmaster.clone())
}
