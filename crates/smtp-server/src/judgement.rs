//! What a session asks, answered: who may send to whom, whether there is room, and where the message goes.

use std::sync::atomic::Ordering;

use postroad_message::{Content, Envelope};
use postroad_smtp_protocol::server::{Event, Refusal, Verdict};

use crate::connection::Connection;
use crate::content_check;
use crate::relay_right;

impl Connection<'_> {
    pub(crate) async fn judge(&mut self, event: Event) -> Verdict {
        match event {
            Event::Hello { name, extended } => {
                self.client.hello_name = name;
                self.client.extended = extended;
                Verdict::Accept
            }
            Event::Logon { credential, .. } => self.log_on(credential).await,
            Event::Mail { reverse_path, .. } => {
                self.reverse_path = reverse_path;
                Verdict::Accept
            }
            Event::Recipient { mut recipient, postmaster } => {
                let service = self.service;
                let judged = relay_right::judge(
                    &service.connector,
                    &service.settings,
                    &self.client,
                    &recipient.address,
                    postmaster,
                );
                let address = match judged {
                    Ok(address) => address,
                    Err(refusal) => return Verdict::Refuse(refusal),
                };
                recipient.address = address;
                let asked = service.submit.accept_recipient(&self.client, &self.reverse_path, &recipient);
                match asked.await {
                    Ok(()) => Verdict::AcceptAs(recipient.address),
                    Err(refusal) => Verdict::Refuse(refusal),
                }
            }
            Event::ContentStart => {
                let room =
                    self.service.memory.load(Ordering::Relaxed) < self.service.settings.max_content_in_memory;
                if room { Verdict::Accept } else { Verdict::Refuse(no_room()) }
            }
            Event::Message { envelope, content } => self.submit(envelope, content).await,
            _ => Verdict::Refuse(Refusal::transient(3, 0, "Not known here")),
        }
    }

    async fn submit(&mut self, envelope: Envelope, content: Vec<u8>) -> Verdict {
        let service = self.service;
        let fqdn = service.connector.fqdn.as_deref().unwrap_or(&service.settings.fqdn);
        if let Err(refusal) = content_check::check(&service.connector, fqdn, &content) {
            return Verdict::Refuse(refusal);
        }
        let (size, recipients) = (content.len(), envelope.recipients.len());
        self.memory.set(size as u64, u64::MAX);
        let submitted = service.submit.accept_message(&self.client, envelope, Content::from(content)).await;
        self.memory.set(0, u64::MAX);
        match submitted {
            Ok(id) => {
                tracing::info!(%id, size, recipients, "message accepted");
                Verdict::Queued(id)
            }
            Err(refusal) => Verdict::Refuse(refusal),
        }
    }
}

pub(crate) fn no_room() -> Refusal {
    Refusal::transient(3, 1, "There is no room for content now")
}
