//! What a file asks to be queued: its message, or the reports to its sender.

use postroad_message::{Content, EnhancedStatus, Envelope, Failure, Fault, Phase, ReversePath, Scope};
use postroad_message_directory::{Arrival, Badmail};
use postroad_queue::{MessageId, NewMessage};

use crate::intake::Intake;
use crate::observe::Seen;
use crate::pipeline::{Shared, Submission, SubmitError};
use crate::report::{self, Original};
use crate::watch::Reader;

/// Who is told once the queue has it.
pub(crate) enum Told {
    Message(Intake),
    /// A file that cannot be submitted went back to its sender, in these reports.
    Returned {
        envelope: Envelope,
        content: Content,
        why: String,
        reports: Vec<NewMessage>,
    },
}

impl Shared {
    /// What a file asks to be queued.
    pub(crate) fn decode(
        &self,
        reader: &Reader,
        bytes: &[u8],
        key: &str,
    ) -> Result<(Vec<NewMessage>, Told), SubmitError> {
        let settings = &self.in_force().settings;
        let decoded = reader.decode(bytes).and_then(|mut decoded| {
            let rejected = std::mem::take(&mut decoded.rejected);
            // A call of the system, and most files bring one.
            let unique = if decoded.lacks_message_id() { self.world.random() } else { 0 };
            let (server, domain) = (settings.fqdn.as_str(), settings.default_domain());
            let arrival = Arrival::new(server, domain, self.world.now(), unique.to_le_bytes());
            let most_hops = decoded.most_hops();
            let message = decoded.into_message(&arrival);
            message.map(|(envelope, content)| (envelope, content, rejected, most_hops))
        });
        let (envelope, content, rejected, most_hops) = match decoded {
            Ok(decoded) => decoded,
            Err(badmail) => return self.return_file(bytes, &badmail, key),
        };
        match self.admit_with(most_hops, &content) {
            Err(looped @ SubmitError::Loop { .. }) => {
                let status = EnhancedStatus::permanent(4, 6);
                let why = looped.to_string();
                let failure = Failure::new(status, Fault::Message, Scope::Message, Phase::File, why);
                return self.give_back(envelope, content, &failure, key).ok_or(looped);
            }
            admitted => admitted?,
        }
        let mut submission = Submission::new(envelope, content, reader.source());
        // Named ahead, so that the queue's log takes it in.
        submission.id = Some(self.name_ahead());
        submission.source_key = Some(key.to_owned());
        submission.rejected = rejected;
        let (messages, intake) = Intake::plan(self, submission)?;
        Ok((messages, Told::Message(intake)))
    }

    /// A file that cannot be submitted but has a sender goes back to that sender; the others stay as `.bad`.
    fn return_file(
        &self,
        bytes: &[u8],
        badmail: &Badmail,
        key: &str,
    ) -> Result<(Vec<NewMessage>, Told), SubmitError> {
        let why = badmail.to_string();
        let Some(sender) = badmail.return_to().cloned() else {
            return Err(SubmitError::BadFile(why));
        };
        let failure = Failure::new(badmail.status(), Fault::Message, Scope::Message, Phase::File, &why);
        let content = Content::from(postroad_message::line_end::normalise(bytes).into_owned());
        let envelope = Envelope::new(ReversePath::Mailbox(sender), badmail.recipients().to_vec());
        self.give_back(envelope, content, &failure, key).ok_or(SubmitError::BadFile(why))
    }

    /// The reports about a file; `None` where nobody is to be told.
    fn give_back(
        &self,
        envelope: Envelope,
        content: Content,
        failure: &Failure,
        key: &str,
    ) -> Option<(Vec<NewMessage>, Told)> {
        let received_at = self.world.now();
        let returned = Original { envelope: &envelope, content: &content, received_at, attempted_at: None };
        let reports = report::about_file(self, &returned, failure);
        let mut messages = reports.clone();
        messages.first_mut()?.source_key = Some(key.to_owned());
        Some((messages, Told::Returned { envelope, content, why: failure.text.clone(), reports }))
    }
}

impl Told {
    pub(crate) fn tell(self, shared: &Shared, ids: &[MessageId]) -> Result<(), SubmitError> {
        match self {
            Self::Message(intake) => intake.queued(shared, ids).map(|_| ()),
            Self::Returned { envelope, content, why, reports } => {
                let reverse_path = &envelope.reverse_path;
                tracing::warn!(report = ?ids, to = %reverse_path, why, "a file goes back to its sender");
                if let Some((&id, message)) = ids.first().zip(reports.first()) {
                    // The file itself never had an id: it goes by that of its report.
                    let original = Seen { content: Some(&content), reverse_path, ..Seen::of(id, message) };
                    report::observe(shared, &original, ids, &reports);
                }
                Ok(())
            }
        }
    }
}
