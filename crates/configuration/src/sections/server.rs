//! `[server]`: who this relay is, and where it keeps its things.

use std::path::{Path, PathBuf};

use postroad_address_space::{Domain, MailDomain, Mailbox};
use postroad_tracking::LogsSettings;

use crate::reading::gather::Places;
use crate::reading::section::Section;
use crate::reading::value::{distinct, likely, name, or_empty, parsed, path};
use crate::sections::logs;

/// Who this relay is, and where it keeps its things.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Server {
    /// This server among `source_transport_servers`; the first label of `fqdn` unless given.
    pub name: String,
    /// EHLO name, Received, reports; the machine's own name unless given.
    pub fqdn: Domain,
    /// The site this server stands in.
    pub site: Option<String>,
    /// Queue, Pickup and Replay live here unless they are named.
    pub data_directory: PathBuf,
    /// Relative drop directories are below this one; `None`: below `data_directory`.
    pub root_drop_directory_path: Option<PathBuf>,
    /// Our domains; the first is the default one.
    pub accepted_domains: Vec<Domain>,
    /// Where mail for `<postmaster>` without a domain goes; `postmaster@` the default domain unless given.
    pub postmaster: Mailbox,
    /// Message tracking and protocol logs, each off unless its path is given.
    pub logs: LogsSettings,
}

impl Server {
    /// The first accepted domain; a relay that has none goes by its own name.
    pub fn default_domain(&self) -> &Domain {
        self.accepted_domains.first().unwrap_or(&self.fqdn)
    }
}

/// The folder of the data directory unless it is named.
const DATA_DIRECTORY: &str = "relay-data";

pub(crate) struct Given {
    name: Option<String>,
    fqdn: Option<Domain>,
    site: Option<String>,
    data_directory: PathBuf,
    root_drop_directory_path: Option<PathBuf>,
    accepted_domains: Vec<Domain>,
    postmaster: Option<Mailbox>,
    logs: LogsSettings,
}

impl Given {
    pub(crate) fn nothing(folder: &Path) -> Self {
        Self {
            name: None,
            fqdn: None,
            site: None,
            data_directory: folder.join(DATA_DIRECTORY),
            root_drop_directory_path: None,
            accepted_domains: Vec::new(),
            postmaster: None,
            logs: LogsSettings::default(),
        }
    }
}

/// Exchange's accepted domains may have a `*.` in front.
fn bare_domain(text: &str) -> Option<String> {
    if text.starts_with("*.") {
        return Some("an accepted domain has none below it: write each of them out".to_owned());
    }
    text.strip_prefix('@').map(|domain| format!("without the @: {domain:?}"))
}

pub(crate) fn read(mut section: Section<'_, '_>, folder: &Path) -> (Given, Places) {
    let mut given = Given::nothing(folder);
    given.name = section.get("name", name);
    given.fqdn = section.get("fqdn", parsed("a host name"));
    section.set(&mut given.site, "site", or_empty(name));
    section.set(&mut given.data_directory, "data_directory", path(folder));
    section.set(&mut given.root_drop_directory_path, "root_drop_directory_path", or_empty(path(folder)));
    section.set(
        &mut given.accepted_domains,
        "accepted_domains",
        distinct(likely(parsed("a domain"), bare_domain)),
    );
    given.postmaster = section.get("postmaster", parsed("an address"));
    given.logs = logs::read(&mut section, folder);
    let places = section.close();
    (given, places)
}

/// What is not given, from what is; the machine's own name at last.
pub(crate) fn complete(given: Given) -> Option<Server> {
    let fqdn = given.fqdn.or_else(machine_name).or_else(|| Domain::parse("localhost").ok())?;
    let default_domain = given.accepted_domains.first().unwrap_or(&fqdn).clone();
    let postmaster = match given.postmaster {
        Some(postmaster) => postmaster,
        None => Mailbox::new("postmaster", MailDomain::Name(default_domain)).ok()?,
    };
    let first_label = fqdn.as_str().split('.').next().unwrap_or_default().to_owned();
    Some(Server {
        name: given.name.unwrap_or(first_label),
        fqdn,
        site: given.site,
        data_directory: given.data_directory,
        root_drop_directory_path: given.root_drop_directory_path,
        accepted_domains: given.accepted_domains,
        postmaster,
        logs: given.logs,
    })
}

fn machine_name() -> Option<Domain> {
    Domain::parse(rustix::system::uname().nodename().to_str().ok()?).ok()
}
