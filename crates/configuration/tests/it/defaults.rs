//! What a key that is not written means: the figures of Exchange, one row each.

use std::path::Path;
use std::time::Duration;

use postroad_configuration::{Configuration, DnsValidation, TrustAnchors};
use postroad_connector::{Connector, SmartHostAuthMechanism};
use postroad_message_directory::Dialect;
use postroad_queue::RetrySchedule;
use postroad_smtp_server::{MessageRateSource, TlsClientCertificates, TlsMinimumVersion};

const SMALLEST: &str = r#"
[server]
fqdn = "hub01.contoso.com"
[[receive_connector]]
name = "In"
relay_ip_ranges = ["127.0.0.1"]
[[send_connector]]
name = "Out"
address_spaces = ["*"]
[[foreign_connector]]
name = "Fax"
address_spaces = ["FAX:*"]
[pickup]
[replay]
"#;

/// One row for each default: its name in relay.toml, what the configuration holds, what the reference says.
macro_rules! rows {
    ($($name:literal: $found:expr => $expected:expr;)+) => {
        $(assert_eq!($found, $expected, $name);)+
    };
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

fn smallest() -> Configuration {
    Configuration::parse(SMALLEST, Path::new("/etc/relay.toml")).unwrap()
}

#[test]
fn of_the_server_and_its_directories() {
    let relay = smallest();
    let (pickup, replay) = (relay.pickup.unwrap(), relay.replay.unwrap());
    rows! {
        "name": relay.server.name => "hub01";
        "data_directory": relay.server.data_directory => Path::new("/etc/relay-data");
        "postmaster": relay.server.postmaster.to_string() => "postmaster@hub01.contoso.com";
        "logs": relay.server.logs => postroad_tracking::LogsSettings::default();
        "minimum_free_space": relay.queue.minimum_free_space => 500 * 1024 * 1024;
        "minimum_free_memory": relay.queue.minimum_free_memory => 64 * 1024 * 1024;
        "trust_anchors": relay.trust_anchors => TrustAnchors::System;
        "dns servers": relay.dns.servers => [];
        "dns validation": relay.dns.validation => DnsValidation::Off;
        "allow_loopback_mx": relay.dns.allow_loopback_mx => false;
        "pickup path": pickup.path => Path::new("/etc/relay-data/Pickup");
        "pickup dialect": pickup.dialect => Dialect::Exchange;
        "pickup poll_interval": pickup.poll_interval => Duration::from_secs(5);
        "pickup max_messages_per_minute": pickup.max_messages_per_minute => 100;
        "pickup max_header_size": pickup.max_header_size => 65_536;
        "pickup max_recipients_per_message": pickup.max_recipients_per_message => 100;
        "pickup badmail_directory": pickup.badmail_directory => None;
        "pickup max_badmail_folder_size": pickup.max_badmail_folder_size => None;
        "replay path": replay.path => Path::new("/etc/relay-data/Replay");
        "replay poll_interval": replay.poll_interval => Duration::from_secs(5);
        "replay max_messages_per_minute": replay.max_messages_per_minute => 100;
        "replay trusted_created_by": replay.trusted_created_by => "MSExchange15";
    }
}

#[test]
fn of_the_timers() {
    let relay = smallest();
    let RetrySchedule::Exchange(phases) = relay.transport.retry_schedule else { panic!() };
    let timers = relay.transport.timers;
    rows! {
        "queue_glitch_retry_count": phases.glitch_retry_count => 4;
        "queue_glitch_retry_interval": phases.glitch_retry_interval => minutes(1);
        "transient_failure_retry_count": phases.transient_failure_retry_count => 6;
        "transient_failure_retry_interval": phases.transient_failure_retry_interval => minutes(5);
        "outbound_connection_failure_retry_interval": phases.outbound_connection_failure_retry_interval => minutes(10);
        "poison_threshold": relay.transport.poison_threshold => 2;
        "max_idle_time_before_resubmit": relay.transport.max_idle_time_before_resubmit => minutes(12 * 60);
        "message_retry_interval": timers.message_retry_interval => minutes(15);
        "message_expiration_timeout": timers.message_expiration_timeout => minutes(2 * 24 * 60);
        "delay_notification_timeout": timers.delay_notification_timeout => minutes(4 * 60);
        "max_outbound_connections": relay.transport.concurrency.total.get() => 1_000;
        "max_per_domain_outbound_connections": relay.transport.concurrency.per_next_hop.get() => 20;
        "max_connection_rate_per_minute": relay.transport.max_connection_rate_per_minute => Some(1_200);
        "max_content_in_memory": relay.transport.max_content_in_memory => 512 << 20;
        "tls_receive_domain_secure_list": relay.transport.tls_receive_domain_secure_list => [];
        "connect_timeout": relay.smtp_client.connect => Duration::from_secs(30);
        "greeting_timeout": relay.smtp_client.greeting => minutes(5);
        "command_timeout": relay.smtp_client.command => minutes(5);
        "data_start_timeout": relay.smtp_client.data_start => minutes(2);
        "data_block_timeout": relay.smtp_client.data_block => minutes(3);
        "final_dot_timeout": relay.smtp_client.final_dot => minutes(10);
        "transaction_timeout": relay.smtp_client.transaction => minutes(60);
    }
}

#[test]
fn of_a_receive_connector() {
    let connector = smallest().receive_connectors.remove(0);
    let ranges: Vec<String> = connector.remote_ip_ranges.iter().map(ToString::to_string).collect();
    rows! {
        "bindings": connector.bindings => ["0.0.0.0:25".parse().unwrap()];
        "remote_ip_ranges": ranges => ["0.0.0.0/0", "::/0"];
        "permission_groups": connector.permission_groups => [];
        "protocol": connector.protocol => postroad_smtp_server::ReceiveProtocol::Smtp;
        "proxy_protocol_ip_ranges": connector.proxy_protocol_ip_ranges => [];
        "xclient_ip_ranges": connector.xclient_ip_ranges => [];
        "require_tls": connector.require_tls => false;
        "require_ehlo_domain": connector.require_ehlo_domain => false;
        "banner": connector.banner => None;
        "max_message_size": connector.max_message_size => 36 << 20;
        "max_header_size": connector.max_header_size => 256 << 10;
        "max_recipients_per_message": connector.max_recipients_per_message => 200;
        "max_hop_count": connector.max_hop_count => 30;
        "max_local_hop_count": connector.max_local_hop_count => 8;
        "max_inbound_connection": connector.max_inbound_connection => Some(5_000);
        "max_inbound_connection_per_source": connector.max_inbound_connection_per_source => Some(20);
        "max_inbound_connection_percentage_per_source": connector.max_inbound_connection_percentage_per_source => 2;
        "connection_timeout": connector.connection_timeout => minutes(10);
        "connection_inactivity_timeout": connector.connection_inactivity_timeout => minutes(5);
        "max_protocol_errors": connector.max_protocol_errors => Some(5);
        "max_logon_failures": connector.max_logon_failures => 3;
        "message_rate_limit": connector.message_rate_limit => None;
        "message_rate_source": connector.message_rate_source => MessageRateSource::IpAddress;
        "implicit_tls_bindings": connector.implicit_tls_bindings => [];
        "tls_certificates": connector.tls_certificates => [];
        "tls_minimum_version": connector.tls_minimum_version => TlsMinimumVersion::Tls12;
        "tls_client_certificates": connector.tls_client_certificates => TlsClientCertificates::None;
        "tls_client_ca_file": connector.tls_client_ca_file => None;
        "domain_secure_enabled": connector.domain_secure_enabled => false;
        "tarpit_interval": connector.tarpit_interval => Duration::from_secs(5);
        "auth_tarpit_interval": connector.auth_tarpit_interval => Duration::from_secs(5);
        "pipelining_enabled": connector.pipelining_enabled => true;
        "chunking_enabled": connector.chunking_enabled => true;
        "binary_mime_enabled": connector.binary_mime_enabled => true;
        "eight_bit_mime_enabled": connector.eight_bit_mime_enabled => true;
        "delivery_status_notification_enabled": connector.delivery_status_notification_enabled => true;
        "enhanced_status_codes_enabled": connector.enhanced_status_codes_enabled => true;
        "long_addresses_enabled": connector.long_addresses_enabled => false;
        "orar_enabled": connector.orar_enabled => false;
        // Stricter than Exchange, and the only one.
        "bare_linefeed_rejection_enabled": connector.bare_linefeed_rejection_enabled => true;
        "reject_reserved_top_level_recipient_domains": connector.reject_reserved_top_level_recipient_domains => false;
        "reject_single_label_recipient_domains": connector.reject_single_label_recipient_domains => false;
    }
}

#[test]
fn of_the_connectors() {
    let relay = smallest();
    let [Connector::Send(send), Connector::Foreign(foreign)] = relay.connectors.as_slice() else { panic!() };
    rows! {
        "enabled": send.enabled => true;
        "is_scoped_connector": send.is_scoped_connector => false;
        "source_transport_servers": send.source_transport_servers.len() => 0;
        "dns_routing_enabled": send.routes_by_dns() => true;
        "smart_host_auth_mechanism": send.smart_host_auth_mechanism => SmartHostAuthMechanism::None;
        "port": send.port => 25;
        "fqdn": send.fqdn => None;
        "force_helo": send.force_helo => false;
        "eight_bit_content": send.eight_bit_content => postroad_connector::EightBitContent::ConvertUnlessSigned;
        "require_tls": send.require_tls => false;
        "ignore_starttls": send.ignore_starttls => false;
        "tls_auth_level": send.tls_auth_level => None;
        "tls_domain": send.tls_domain => None;
        "tls_certificate": send.tls_certificate => None;
        "tls_key": send.tls_key => None;
        "max_message_size": send.max_message_size => Some(36_700_160);
        "connection_inactivity_timeout": send.connection_inactivity_timeout => minutes(10);
        "smtp_max_messages_per_connection": send.smtp_max_messages_per_connection => 20;
        "frontend_proxy_enabled": send.frontend_proxy_enabled => false;
        "foreign enabled": foreign.enabled => true;
        "foreign max_message_size": foreign.max_message_size => None;
        "drop_directory": relay.drop_directory(foreign) => Path::new("/etc/relay-data/Fax");
        "drop_directory_quota": foreign.drop_directory_quota => None;
        "relay_dsn_required": foreign.relay_dsn_required => false;
    }
}

#[test]
fn of_a_log_whose_path_is_given() {
    let text = "[server]\nmessage_tracking_log_path = \"log\"\nsend_protocol_log_path = \"/var/log/send\"\n\
                message_tracking_log_format = \"json\"\nsend_protocol_log_max_age = \"0s\"\n\
                message_tracking_log_subject_logging_enabled = false\n";
    let logs = Configuration::parse(text, Path::new("/etc/relay.toml")).unwrap().server.logs;
    let (tracking, send) = (logs.message_tracking.unwrap(), logs.send_protocol.unwrap());
    rows! {
        "message_tracking_log_path": tracking.directory => Path::new("/etc/log");
        "message_tracking_log_max_file_size": tracking.max_file_size => Some(10 << 20);
        "message_tracking_log_max_directory_size": tracking.max_directory_size => Some(1000 << 20);
        "message_tracking_log_max_age": tracking.max_age => minutes(30 * 24 * 60);
        "message_tracking_log_format": tracking.format => postroad_tracking::Format::Json;
        "message_tracking_log_subject_logging_enabled": logs.subjects => false;
        "send_protocol_log_path": send.directory => Path::new("/var/log/send");
        "send_protocol_log_max_directory_size": send.max_directory_size => Some(250 << 20);
        "send_protocol_log_max_age": send.max_age => Duration::ZERO;
        "receive_protocol_log_path": logs.receive_protocol => None;
    }
}
