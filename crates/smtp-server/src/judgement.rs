//! What a session asks, answered: who may send to whom, whether there is room, and where the message goes.

use postroad_address_space::MailDomain;
use postroad_message::{Content, EnhancedStatus, Envelope, ReversePath};
use postroad_smtp_protocol::server::{Event, Refusal, Verdict};

use crate::connection::Connection;
use crate::content_check;
use crate::content_room::Held;
use crate::front;
use crate::incoming::{self, Incoming};
use crate::relay_right;

impl<'a> Connection<'a> {
    pub(crate) async fn judge(&mut self, event: Event) -> Verdict {
        match event {
            Event::Hello { name, extended } => {
                let name = std::mem::replace(&mut self.client.hello_name, name);
                let extended = std::mem::replace(&mut self.client.extended, extended);
                let judged = self.service.submit.accept_hello(&self.client).await;
                if judged.is_err() {
                    // RFC 5321 section 4.1.4: everything is as it was.
                    (self.client.hello_name, self.client.extended) = (name, extended);
                }
                judged.into()
            }
            Event::Logon { mechanism, response } => self.begin_logon(mechanism, response).await,
            Event::LogonResponse { response } => self.go_on_with_logon(Some(response)).await,
            Event::Xclient(told) => {
                front::speak_for(self.service, &mut self.client, &told);
                let source = Some(self.client.peer.ip()).filter(|source| !source.is_unspecified());
                let admitted = self.admitted.take();
                self.admitted = admitted.and_then(|admitted| admitted.again(&self.service.connector, source));
                let Some(admitted) = &self.admitted else { return Verdict::Refuse(too_many()) };
                self.memory = Held::nothing(&self.service.memory, admitted.source());
                self.service.submit.accept_client(&self.client).await.into()
            }
            Event::Mail { reverse_path, parameters, .. } => {
                self.mail(reverse_path, parameters.size).await.into()
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
            // What is said to come must fit, but is not kept free: who says much and sends nothing takes nothing from others.
            Event::ContentStart => {
                let limit = self.service.settings.max_content_in_memory;
                let large = self.service.submit.large_content();
                let most = large.map_or(u64::MAX, |large| incoming::most_held(large) as u64);
                let fits = self.memory.has_room(self.declared.clamp(1, most), limit);
                if fits { Verdict::Accept } else { Verdict::Refuse(no_room()) }
            }
            Event::Message { envelope, content, taken } => self.submit(envelope, content, taken).await,
            _ => Verdict::Refuse(Refusal::transient(3, 0, "Not known here")),
        }
    }

    /// A client that has just come; where it is refused, that is its greeting.
    pub(crate) async fn welcome(&mut self) {
        if let Err(refusal) = self.service.submit.accept_client(&self.client).await {
            self.end(refusal);
        }
    }

    async fn mail(&mut self, reverse_path: ReversePath, size: Option<u64>) -> Result<(), Refusal> {
        let service = self.service;
        if !service.rate.admits(&service.connector, self.client.peer.ip(), &reverse_path) {
            tracing::debug!(from = %reverse_path, "more messages a minute than message_rate_limit");
            let text = "Message submission rate for this client has exceeded the configured limit";
            return Err(Refusal::new(421, EnhancedStatus::transient(4, 2), text).closing());
        }
        self.domain_secure(&reverse_path)?;
        self.declared = size.unwrap_or(0);
        service.submit.accept_sender(&self.client, &reverse_path, size).await?;
        self.reverse_path = reverse_path;
        self.incoming = Incoming::expect(service.submit.large_content(), self.declared);
        Ok(())
    }

    /// `DomainSecureEnabled`: a domain of the list is spoken for by its own certificate only.
    fn domain_secure(&self, reverse_path: &ReversePath) -> Result<(), Refusal> {
        let ReversePath::Mailbox(sender) = reverse_path else { return Ok(()) };
        let MailDomain::Name(domain) = sender.domain() else { return Ok(()) };
        let listed = self.service.connector.domain_secure_enabled
            && self.service.settings.tls_receive_domain_secure_list.contains(domain);
        let shown = || self.client.certificate.as_ref().is_some_and(|shown| shown.is_for(domain.ascii()));
        if listed && !shown() {
            return Err(Refusal::permanent(
                7,
                1,
                "This sender's domain is taken with its own client certificate only",
            ));
        }
        Ok(())
    }

    /// What stands in our name: the connector's, if it has one.
    pub(crate) fn fqdn(&self) -> &'a str {
        self.service.connector.fqdn.as_deref().unwrap_or(&self.service.settings.fqdn)
    }

    /// Of a message that was begun the header was judged then, and `content` is what was not handed on yet.
    async fn submit(&mut self, envelope: Envelope, content: Vec<u8>, handed_on: u64) -> Verdict {
        let service = self.service;
        if handed_on == 0 {
            let header = content_check::header(&service.connector, &content);
            let checked =
                header.and_then(|header| content_check::hops(&service.connector, self.fqdn(), &header));
            if let Err(refusal) = checked {
                return Verdict::Refuse(refusal);
            }
        }
        let (size, recipients) = (handed_on + content.len() as u64, envelope.recipients.len());
        // What came in one piece was counted nowhere yet.
        if !self.memory.set(content.len() as u64, service.settings.max_content_in_memory) {
            self.incoming = Incoming::default();
            return Verdict::Refuse(no_room());
        }
        let submitted = if handed_on > 0 {
            self.finish(envelope, content).await
        } else {
            service.submit.accept_message(&self.client, envelope, Content::from(content)).await
        };
        self.memory.force(0);
        match submitted {
            Ok(id) => {
                tracing::debug!(%id, size, recipients, "message accepted");
                Verdict::Queued(id)
            }
            Err(refusal) => Verdict::Refuse(refusal),
        }
    }
}

fn too_many() -> Refusal {
    Refusal::new(421, EnhancedStatus::transient(3, 2), "Too many connections, try again later")
}

/// Of memory, or where large content is handed on to.
pub(crate) fn no_room() -> Refusal {
    Refusal::transient(3, 1, "There is no room for content now")
}
