//! The demo's fax gateway: it speaks no SMTP, watches its Drop directory, takes files and deletes them, and answers by Replay.

use std::path::{Path, PathBuf};
use std::time::Duration;

use postroad_address_space::encapsulation::encapsulate;
use postroad_address_space::{Address, Domain};
use postroad_message::{Envelope, Recipient, ReversePath};
use postroad_message_directory::{AddressForm, Injected, drop, replay};
use tokio::task::JoinHandle;

use super::Error;
use super::peers::Mailroom;

/// A running gateway.
pub(crate) struct Gateway {
    pub(crate) mail: Mailroom,
    domain: Domain,
    task: JoinHandle<()>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Gateway {
    /// A file for Replay, from the number of a fax that was taken from Drop to whoever sent it.
    pub(crate) fn answer(&self, content: &[u8]) -> Result<Vec<u8>, Error> {
        let fax = self.mail.envelope_to("FAX").ok_or("there is no fax to answer")?;
        let number = fax.recipients.first().ok_or("a fax has a number")?;
        let sender = fax.reverse_path.mailbox().ok_or("nobody waits for an answer")?;
        let from = encapsulate(&number.address, &self.domain)?;
        let to = Recipient::new(Address::Smtp(sender.clone()));
        let block = Injected::new(Envelope::new(ReversePath::Mailbox(from), vec![to]));
        Ok(replay::encode(&block, content, AddressForm::Imcea, &self.domain)?)
    }
}

/// Watches `directory` until dropped.
pub(crate) fn watch(directory: PathBuf, domain: Domain) -> Gateway {
    let mail = Mailroom::default();
    let (room, of) = (mail.clone(), domain.clone());
    let task = tokio::spawn(async move {
        loop {
            if let Err(error) = take(&directory, &of, &room) {
                eprintln!("  the fax gateway cannot read its directory: {error}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    Gateway { mail, domain, task }
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
