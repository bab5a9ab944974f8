//! relay.toml to typed values: every error at once, each with its line, its column and what would be right.
//!
//! ```
//! use std::path::Path;
//! use postroad_configuration::Configuration;
//!
//! let text = r#"
//!     [server]
//!     fqdn = "hub01.contoso.com"
//!
//!     [[send_connector]]
//!     name = "Internet"
//!     address_spaces = ["*"]
//! "#;
//! let relay = Configuration::parse(text, Path::new("relay.toml"))?;
//! assert_eq!(relay.connectors[0].name(), "Internet");
//! assert_eq!(relay.server.name, "hub01");
//! # Ok::<(), postroad_configuration::Problems>(())
//! ```
//!
//! A configuration is whole or not at all. What is wrong is told all at once, in the order of the file, as a
//! postmaster reads it:
//!
//! ```
//! # use std::path::Path;
//! # use postroad_configuration::Configuration;
//! let text = r#"[server]
//! fqdn = "hub01.contoso.com"
//!
//! [[send_connector]]
//! name = "Smart host"
//! address_spaces = ["*"]
//! smarthosts = ["smtp-relay.example.com"]
//! port = 70000
//! require_tls = true
//! ignore_starttls = true
//! "#;
//! let problems = Configuration::parse(text, Path::new("relay.toml")).unwrap_err();
//! assert_eq!(problems.to_string(), "\
//! relay.toml:7:1: error: [[send_connector]] smarthosts: no such key; did you mean smart_hosts?
//! relay.toml:8:8: error: [[send_connector]] port: must be 0 to 65535, not 70000
//! relay.toml:10:1: error: [[send_connector]] ignore_starttls: require_tls and ignore_starttls are both true: \
//! nothing could ever be sent; set one to false (see 9:1)");
//! ```
//!
//! # What a relay.toml says
//!
//! Keys are Exchange's parameter names in snake_case, with Exchange's defaults and ranges; every section may be left
//! out. What stands in no section, a section or a key that is not known, and a key written twice are refused.
//!
//! | section | what it says | type |
//! |---|---|---|
//! | `[server]` | who this relay is (`name`, `fqdn`, `site`), our domains (`accepted_domains`, `postmaster`), where it keeps its things (`data_directory`, `root_drop_directory_path`) | [`Server`] |
//! | `[topology]` | other `servers` and their sites, their `addresses`, `site_links` and their cost | [`Topology`](postroad_connector::Topology) |
//! | `[transport]` | retries, delay notice, expiry, connections at once, poison, wording of reports; or `retry_intervals`, IIS's way | [`Transport`] |
//! | `[queue]` | `store = "sqlite"`: where accepted mail waits; `minimum_free_space` on its disk, `minimum_free_memory` | [`Queue`] |
//! | `[smtp_client]` | how long each phase of an outgoing session may take | [`Timeouts`](postroad_smtp_protocol::client::Timeouts) |
//! | `[tls]` | `trust_anchors`: `"system"` or a PEM file | [`TrustAnchors`] |
//! | `[dns]` | `servers` to ask, `validation`, `allow_loopback_mx` | [`Dns`] |
//! | `[[receive_connector]]` | where mail comes in, who may connect, who may relay | [`ReceiveConnector`](postroad_smtp_server::ReceiveConnector) |
//! | `[[send_connector]]` | mail that leaves by SMTP, to smart hosts or by MX | [`SendConnector`](postroad_connector::SendConnector) |
//! | `[[foreign_connector]]` | mail that leaves as files in a Drop directory | [`ForeignConnector`](postroad_connector::ForeignConnector) |
//! | `[[delivery_agent_connector]]` | mail handed to a mailbox server by LMTP, or to a program | [`DeliveryAgentConnector`](postroad_connector::DeliveryAgentConnector) |
//! | `[[sender]]` | pins an `address` to a `send_connector`, or to `"platform-default"` | [`SenderPin`](postroad_connector::SenderPin) |
//! | `[pickup]` | the directory of new messages; without the section it is not watched | [`Pickup`] |
//! | `[replay]` | the directory of exported messages; without the section it is not watched | [`Replay`] |
//! | `[credentials.NAME]` | `username`, and one of `password_file`, `password_env` and `token_file` (OAuth) | [`Credential`] |
//! | `[frontend]` | `proxies`, through which connectors with `frontend_proxy_enabled` leave | [`Configuration::frontend_proxies`] |
//! | `[metrics]`, `[admin]` | not available yet | |
//!
//! # IIS's ways, and Edge's
//!
//! | there | in relay.toml, in a `[[send_connector]]` | |
//! |---|---|---|
//! | IIS: SmartHostType 0, 1, 2 | `smart_host_type = "none"`, `"dns-first"`, `"always"` | when `smart_hosts` are used; default `"always"` where there are any. `"dns-first"`: MX hosts first, on the same `port`; the smart hosts only when DNS for the recipient's domain fails |
//! | IIS: a remote domain's route | another `[[send_connector]]` with `address_spaces = ["fabrikam.com"]` | overrides the smart host of `"*"`, because it is closer |
//! | IIS: masquerade domain | `masquerade_domain = "contoso.com"` | stands in MAIL FROM instead of the `accepted_domains`, on the first hop only |
//! | Edge: `--` | `address_spaces = ["--"]`, `["SMTP:--;5"]` | every one of `[server] accepted_domains`, as if it were written out |
//!
//! # Values
//!
//! - **Spans** are a whole number and `ms`, `s`, `m`, `h` or `d` (`"15m"`), or `[d.]hh:mm:ss` (`"1.00:00:00"`): [`parse_span`].
//! - **Sizes** are bytes as a number, or a text with `B`, `KB`, `MB`, `GB` or `TB`, powers of 1024, exact to the byte:
//!   [`parse_size`]. Where a limit may be none it is `"unlimited"`.
//! - **Enumerated values** are kebab-case: `"basic-auth-require-tls"`.
//! - **Paths** that are relative begin at the folder of relay.toml. `drop_directory` begins at
//!   `root_drop_directory_path`, or else at `data_directory`: [`Configuration::drop_directory`].
//! - **An empty text** means *not given* where a key may be absent: `message_tracking_log_path = ""`.
//!
//! # Errors, warnings, and what is not available yet
//!
//! What is refused is refused by [`Problems`], an error that prints one a line. A [`Problem`] knows its file, line, column, section and key, and says what would be right; where two parameters
//! contradict it tells both places. A line that is no TOML is told and left out, so that the next mistake is told too.
//! A key whose part of the relay is not built yet is checked like the others; a value that asks for that part is
//! refused with the words "not available yet", its default is taken.
//! Warnings are in [`Configuration::warnings`]; what is missing on the disk is told by [`Configuration::check_disk`].
//!
//! # Secrets
//!
//! A connector names its credential; `[credentials.NAME]` says where the secret is kept; [`Credential::load`] reads it
//! when it is needed. No secret is ever in a [`Configuration`], in its `Debug` or in a [`Problem`].

mod configuration;
mod credential;
mod file_watch;
mod not_available_yet;
mod on_disk;
mod opened;
mod problem;
mod read;
mod reading;
mod references;
mod reloads;
mod safe_default;
mod sections;

pub use configuration::Configuration;
pub use credential::{Credential, CredentialError, SecretSource};
pub use opened::{OpenError, Opened};
pub use problem::{Place, Problem, ProblemKind, Problems, Severity};
pub use reading::quantity::{QuantityError, parse_size, parse_span};
pub use reloads::Reloads;
pub use sections::dns::{Dns, DnsValidation};
pub use sections::pickup::Pickup;
pub use sections::queue::{Queue, QueueStore};
pub use sections::replay::Replay;
pub use sections::server::Server;
pub use sections::tls::TrustAnchors;
pub use sections::transport::Transport;
