//! The sections in their order, then the checks that compare them.

use std::path::Path;

use postroad_address_space::Domain;
use postroad_connector::{Connector, SendConnector, SenderPin, Topology};
use postroad_smtp_server::ReceiveConnector;
use toml_span::Span;

use crate::configuration::Configuration;
use crate::credential::Credential;
use crate::on_disk;
use crate::problem::{ProblemKind, Problems, Severity};
use crate::reading::document::Document;
use crate::reading::fault::plain;
use crate::reading::gather::{Finding, Gather, Places};
use crate::reading::section::Section;
use crate::reading::source::Source;
use crate::references;
use crate::sections;
use crate::sections::server::Given;

/// What was written in repeated sections, each with its places, for the checks that compare them.
pub(crate) struct Written {
    pub(crate) server: Places,
    pub(crate) topology: Places,
    pub(crate) pickup: Places,
    pub(crate) replay: Places,
    pub(crate) tls: Places,
    pub(crate) receive_connectors: Vec<(ReceiveConnector, Places)>,
    pub(crate) connectors: Vec<(Connector, Places)>,
    pub(crate) sender_pins: Vec<(SenderPin, Places)>,
    pub(crate) credentials: Vec<(Credential, Places)>,
    /// Every NAME of a `[credentials.NAME]`, also of those that were refused.
    pub(crate) credential_names: Vec<String>,
}

pub(crate) fn parse(text: &str, file: &Path) -> Result<Configuration, Problems> {
    let name = file.display().to_string();
    let document = Document::new(text, &Source::new(&name, text));
    let mut gather = Gather::new(Source::new(&name, text), !document.faults.is_empty());
    for fault in &document.faults {
        gather.report(Finding {
            severity: Severity::Error,
            kind: fault.kind,
            section: "",
            key: "",
            span: fault.span,
            also: None,
            message: fault.message.clone(),
        });
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    match read(&document, folder, &mut gather) {
        Some((configuration, written)) if !gather.has_errors() => {
            references::warn(&configuration, &written, &mut gather);
            let needed = on_disk::needed(&configuration, &written, &gather);
            Ok(Configuration { needed, warnings: gather.finish(), ..configuration })
        }
        _ => Err(Problems(gather.finish())),
    }
}

/// What the document says; `None`, and an error, where that cannot be known.
fn read<'t>(
    document: &'t Document<'_>,
    folder: &Path,
    gather: &mut Gather<'t>,
) -> Option<(Configuration, Written)> {
    if !document.readable {
        return None;
    }
    let read = match toml_span::parse(&document.text) {
        Ok(value) => Section::open("", String::new(), Span::default(), &value, gather)
            .and_then(|root| sections(root, folder)),
        Err(_) => None,
    };
    match &read {
        Some((configuration, _)) if !gather.has_errors() => {
            // Every rule is checked with its place; one that is new to us is told all the same.
            for broken in configuration.routing_table().err().into_iter().flatten() {
                let message = plain(&broken.to_string());
                gather.error_at(&Places::default(), "", ProblemKind::Contradiction, message);
            }
        }
        // Nobody is refused without a word.
        None if !gather.has_errors() => {
            gather.error_at(&Places::default(), "", ProblemKind::Unreadable, "cannot be understood");
        }
        _ => {}
    }
    read
}

fn sections(mut root: Section<'_, '_>, folder: &Path) -> Option<(Configuration, Written)> {
    let (given, server_places) = match root.section("server") {
        Some(section) => sections::server::read(section, folder),
        None => (Given::nothing(folder), Places::default()),
    };
    let server = sections::server::complete(given)?;
    let data = server.data_directory.clone();
    let mut topology = Topology::new(server.name.clone());
    topology.site = server.site.clone();
    let topology_places =
        root.section("topology").map(|section| sections::topology::read(section, &mut topology));
    let transport = root.section("transport").map(sections::transport::read).unwrap_or_default();
    let queue = root.section("queue").map(|section| sections::queue::read(section, folder, &data));
    let smtp_client = root.section("smtp_client").map(sections::smtp_client::read).unwrap_or_default();
    let (trust_anchors, tls) =
        root.section("tls").map(|section| sections::tls::read(section, folder)).unwrap_or_default();
    let dns = root.section("dns").map(sections::dns::read).unwrap_or_default();
    let receive_connectors =
        root.sections("receive_connector", |section| sections::receive_connector::read(section, folder));
    let connectors = connectors(&mut root, &server.accepted_domains, folder);
    let sender_pins = root.sections("sender", sections::sender::read);
    let pickup = root.section("pickup").map(|section| sections::pickup::read(section, folder, &data));
    let replay = root.section("replay").map(|section| sections::replay::read(section, folder, &data));
    let mut credential_names = Vec::new();
    let credentials = root.named_sections("credentials", |name, section| {
        credential_names.push(name.to_owned());
        sections::credentials::read(name, section, folder)
    });
    let frontend_proxies = root.section("frontend").map(sections::frontend::read).unwrap_or_default();
    refused_sections(&mut root, folder);

    let (pickup, pickup_places) = pickup.unwrap_or_default();
    let (replay, replay_places) = replay.unwrap_or_default();
    let written = Written {
        server: server_places,
        topology: topology_places.unwrap_or_default(),
        pickup: pickup_places,
        replay: replay_places,
        tls,
        receive_connectors,
        connectors,
        sender_pins,
        credentials,
        credential_names,
    };
    let configuration = Configuration {
        queue: queue.unwrap_or_else(|| sections::queue::default(&data)),
        server,
        topology,
        transport,
        smtp_client,
        trust_anchors,
        dns,
        receive_connectors: values(&written.receive_connectors),
        connectors: values(&written.connectors),
        sender_pins: values(&written.sender_pins),
        frontend_proxies,
        pickup,
        replay,
        credentials: values(&written.credentials)
            .into_iter()
            .map(|c: Credential| (c.name.clone(), c))
            .collect(),
        warnings: Vec::new(),
        needed: Vec::new(),
    };
    references::check(&configuration, &written, root.gather());
    root.close();
    Some((configuration, written))
}

fn connectors(
    root: &mut Section<'_, '_>,
    accepted_domains: &[Domain],
    folder: &Path,
) -> Vec<(Connector, Places)> {
    let send = root.sections("send_connector", |section| {
        Some(sections::send_connector::read(section, accepted_domains, folder))
    });
    let foreign =
        root.sections("foreign_connector", |section| Some(sections::foreign_connector::read(section)));
    let agents = root.sections("delivery_agent_connector", |section| {
        Some(sections::delivery_agent_connector::read(section, folder))
    });
    let send =
        send.into_iter().map(|(connector, places): (SendConnector, _)| (Connector::Send(connector), places));
    let foreign = foreign.into_iter().map(|(connector, places)| (Connector::Foreign(connector), places));
    let agents = agents.into_iter().map(|(connector, places)| (Connector::DeliveryAgent(connector), places));
    send.chain(foreign).chain(agents).collect()
}

/// Sections of which nothing is available yet: checked, and refused by their presence or their values.
fn refused_sections(root: &mut Section<'_, '_>, folder: &Path) {
    if let Some(section) = root.section("metrics") {
        sections::metrics::read(section);
    }
    if let Some(section) = root.section("admin") {
        sections::admin::read(section, folder);
    }
}

fn values<T: Clone>(written: &[(T, Places)]) -> Vec<T> {
    written.iter().map(|(value, _)| value.clone()).collect()
}
