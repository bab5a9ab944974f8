//! What a configuration needs on the disk and in the environment, looked for when somebody asks.

use std::path::{Path, PathBuf};

use postroad_connector::Connector;

use crate::configuration::Configuration;
use crate::problem::{Problem, ProblemKind, Severity};
use crate::read::Written;
use crate::reading::gather::{Finding, Gather, Places};
use crate::sections::tls::TrustAnchors;

/// One thing that must be there, and the problem to tell when it is not.
#[derive(Clone, Debug)]
pub(crate) struct Needed {
    what: What,
    /// Complete but for its message.
    problem: Problem,
}

#[derive(Clone, Debug)]
enum What {
    /// A directory that is never created for its owner.
    Directory(PathBuf),
    File(PathBuf),
    /// The secret of this credential.
    Secret(String),
}

impl Configuration {
    /// Looks for the directories, files and secrets this configuration names; reads secrets, and forgets them.
    ///
    /// A file without which the relay cannot start (certificate, key, credentials file, trust anchors) is an error;
    /// what only makes mail wait (a missing Drop directory, a missing password) is a warning.
    pub fn check_disk(&self) -> Vec<Problem> {
        let missing = self.needed.iter().filter_map(|needed| {
            let message = match &needed.what {
                What::Directory(path) => directory_fault(path)?,
                What::File(path) => file_fault(path)?,
                What::Secret(name) => self.credential(name)?.load().err()?.to_string(),
            };
            Some(Problem { message, ..needed.problem.clone() })
        });
        missing.collect()
    }
}

fn directory_fault(path: &Path) -> Option<String> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(format!("{} is no directory; mail for it waits", path.display())),
        Err(error) => {
            Some(format!("{}: {}; mail for it waits until you make it", path.display(), error.kind()))
        }
    }
}

fn file_fault(path: &Path) -> Option<String> {
    // A metadata call would not see a file we have no right to read.
    match std::fs::File::open(path).and_then(|file| file.metadata()) {
        Ok(found) if found.is_file() => None,
        Ok(_) => Some(format!("{} is no file", path.display())),
        Err(error) => Some(format!("cannot read {}: {}", path.display(), error.kind())),
    }
}

/// Everything the configuration names, in the order of the sections.
pub(crate) fn needed(configuration: &Configuration, written: &Written, gather: &Gather<'_>) -> Vec<Needed> {
    let mut needed = Vec::new();
    let mut need = |severity, what, places: &Places, key: &str| {
        let finding = Finding {
            severity,
            kind: ProblemKind::Unreadable,
            section: &places.section,
            key,
            span: places.of(key),
            also: None,
            message: String::new(),
        };
        needed.push(Needed { what, problem: gather.problem(finding) });
    };
    if let TrustAnchors::File(file) = &configuration.trust_anchors {
        need(Severity::Error, What::File(file.clone()), &written.tls, "trust_anchors");
    }
    for (connector, places) in written.receive_connectors.iter().filter(|(connector, _)| connector.enabled) {
        let files = [
            (&connector.tls_certificate, "tls_certificate"),
            (&connector.tls_key, "tls_key"),
            (&connector.credentials_file, "credentials_file"),
        ];
        for (file, key) in files {
            if let Some(file) = file {
                need(Severity::Error, What::File(file.clone()), places, key);
            }
        }
    }
    for (connector, places) in &written.connectors {
        if let Connector::Foreign(foreign) = connector {
            let directory = configuration.drop_directory(foreign);
            need(Severity::Warning, What::Directory(directory), places, "drop_directory");
        }
    }
    for (credential, places) in &written.credentials {
        need(Severity::Warning, What::Secret(credential.name.clone()), places, "");
    }
    needed
}
