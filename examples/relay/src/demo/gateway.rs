//! The demo's fax gateway: it speaks no SMTP, watches its Drop directory, takes files and deletes them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use postroad_address_space::Domain;
use postroad_message_directory::drop;
use tokio::task::JoinHandle;

use super::Error;
use super::peers::Mailroom;

/// A running gateway.
pub(crate) struct Gateway {
    pub(crate) mail: Mailroom,
    task: JoinHandle<()>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Watches `directory` until dropped.
pub(crate) fn watch(directory: PathBuf, domain: Domain) -> Gateway {
    let mail = Mailroom::default();
    let room = mail.clone();
    let task = tokio::spawn(async move {
        loop {
            if let Err(error) = take(&directory, &domain, &room) {
                eprintln!("  the fax gateway cannot read its directory: {error}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    Gateway { mail, task }
}

fn take(directory: &Path, domain: &Domain, mail: &Mailroom) -> Result<(), Error> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        // Only whole files bear this ending: the relay writes under another name and renames.
        if path.extension().is_none_or(|extension| extension != "eml") {
            continue;
        }
        let (block, content) = drop::decode(&std::fs::read(&path)?, domain)?;
        mail.put(block.envelope, content);
        std::fs::remove_file(&path)?;
    }
    Ok(())
}
