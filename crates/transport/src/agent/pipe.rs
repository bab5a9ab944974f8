//! `pipe`: a program that reads the message from its standard input and answers by how it ends.
//!
//! A connector's `command` is run as it stands, by no shell: the program's absolute path, and its arguments. An argument that
//! is nothing but one of these placeholders becomes, whole, what it stands for; anything else is what it is:
//!
//! | placeholder | variable | |
//! |---|---|---|
//! | `{sender}` | `SENDER` | the reverse-path without brackets; empty for a report |
//! | `{recipient}` | `RECIPIENT` | the one recipient, `FAX:123` in its own form; only with `one_call_for_each_recipient` |
//! | `{recipients}` | `RECIPIENTS` | each an argument of its own; in the variable one a line |
//! | `{queue}` | `QUEUE` | the queue: the address space that was matched |
//! | `{message_id}` | `MESSAGE_ID` | the relay's id of the message, the same each time that it comes |
//! | `{size}` | `SIZE` | of the content, in bytes, before line ends become LF |
//!
//! The variables, `PATH=/usr/bin:/bin` and `RECIPIENT_IMCEA` (or `RECIPIENTS_IMCEA`: as SMTP addresses) are the whole
//! environment. Nobody's address becomes an option: one that begins with `-` fails where it would be an argument. Nothing is
//! open but the three standard streams. The content comes with LF; a program that ends before it has read all of it is
//! judged by its exit status. It runs as the connector's `user` in that user's first group and no other; where none is named, as
//! whoever we run as. Never as root: where it would be, nothing runs and mail waits.
//!
//! Who is called for all recipients (a hundred at a time) answers for all of them. What is still running after `time_limit`
//! is killed with its process group, and the mail is deferred. How it ended means, as in Postfix's pipe(8):
//!
//! | exit status | outcome | status |
//! |---|---|---|
//! | 0 | relayed: who asked for `NOTIFY=SUCCESS` hears so from us | |
//! | 64 usage, 66 no input, 69 unavailable, 70 software | failed | 5.3.0 |
//! | 65 data | failed | 5.6.0 |
//! | 67 no user | failed | 5.1.1 |
//! | 68 no host | failed | 5.1.2 |
//! | 71 OS error, 72 OS file, 74 I/O, 75 temporary | deferred | 4.3.0 |
//! | 73 cannot create | deferred | 4.2.0 |
//! | 76 protocol | failed | 5.5.0 |
//! | 77 no permission | failed | 5.7.0 |
//! | 78 configuration | deferred | 4.3.5 |
//! | any other | failed | 5.3.0 |
//! | a signal, the time limit, or no start at all | deferred | 4.3.0 |
//!
//! (Postfix fails 72, 73, 74 and 78: they are this machine's faults, which here never return mail.) Where the program did
//! not end with 0 and its output begins with a status such as `4.2.2` or `5.7.1`, that one decides.

use std::sync::Arc;

use postroad_address_space::Domain;
use postroad_connector::DeliveryAgentConnector;
use postroad_message::{EnhancedStatus, Failure, Fault, Outcome, Phase, Recipient, Scope};
use tokio::time::{Duration, Instant};

use crate::agent::pipe_arguments::{self, Call};
use crate::agent::pipe_process::{self, Ended, Unrun};
use crate::agent::pipe_status;
use crate::agent::pipe_user::User;
use crate::agent::{AgentConnection, AgentMessage, Answer, DeliveryAgent};

pub use crate::agent::pipe_arguments::{InvalidCommand, check_command};
pub use crate::agent::pipe_user::{InvalidUser, NoSuchUser, check_user, check_user_here};

/// The longest `time_limit`, so that a message has an answer in an hour.
pub const LONGEST_TIME_LIMIT: Duration = Duration::from_secs(30 * 60);
/// After this no further call is begun for a message.
const LAST_CALL: Duration = Duration::from_secs(25 * 60);
/// So many recipients fit into the arguments of every system.
const RECIPIENTS_AT_ONCE: usize = 100;

/// The agent of `delivery_protocol = "pipe"`.
#[derive(Clone, Debug)]
pub struct Pipe {
    imcea_domain: Domain,
}

impl Pipe {
    /// Addresses of other types than SMTP are given in their own form, and as IMCEA addresses of this domain.
    pub fn new(imcea_domain: Domain) -> Self {
        Self { imcea_domain }
    }
}

impl DeliveryAgent for Pipe {
    fn open<'a>(
        &'a self,
        connector: &'a DeliveryAgentConnector,
    ) -> Answer<'a, Result<Box<dyn AgentConnection>, Failure>> {
        Box::pin(async move {
            let wrong = |why: String| {
                let status = EnhancedStatus::transient(3, 5);
                Failure::new(status, Fault::Configuration, Scope::NextHop, Phase::Agent, why)
            };
            check_command(&connector.command, connector.one_call_for_each_recipient)
                .map_err(|error| wrong(error.to_string()))?;
            let connector = Arc::new(connector.clone());
            let asked = Arc::clone(&connector);
            let user = tokio::task::spawn_blocking(move || User::here(asked.user.as_deref())).await;
            let user = user.map_err(|_| wrong("who it runs as could not be looked up".to_owned()))?;
            let user = user.map_err(|error| wrong(error.to_string()))?;
            let imcea_domain = self.imcea_domain.clone();
            Ok(Box::new(Program { connector, user, imcea_domain }) as Box<dyn AgentConnection>)
        })
    }
}

/// A program that may be called.
struct Program {
    connector: Arc<DeliveryAgentConnector>,
    user: Option<User>,
    imcea_domain: Domain,
}

impl AgentConnection for Program {
    fn deliver<'a>(&'a mut self, message: AgentMessage<'a>) -> Answer<'a, Vec<Outcome>> {
        Box::pin(async move {
            let at_once = if self.connector.one_call_for_each_recipient { 1 } else { RECIPIENTS_AT_ONCE };
            let begun = Instant::now();
            let mut outcomes = Vec::with_capacity(message.envelope.recipients.len());
            for recipients in message.envelope.recipients.chunks(at_once) {
                if begun.elapsed() > LAST_CALL {
                    outcomes.resize(outcomes.len() + recipients.len(), Outcome::Deferred(no_time()));
                } else {
                    self.call(&message, recipients, &mut outcomes).await;
                }
            }
            outcomes
        })
    }
}

impl Program {
    /// Calls the program for those recipients that may be named to it.
    async fn call(&self, message: &AgentMessage<'_>, recipients: &[Recipient], outcomes: &mut Vec<Outcome>) {
        let command = &self.connector.command;
        let refused: Vec<Option<Outcome>> = recipients
            .iter()
            .map(|recipient| pipe_arguments::refused(command, message, recipient).map(Outcome::Failed))
            .collect();
        let named: Vec<&Recipient> =
            recipients.iter().zip(&refused).filter(|(_, no)| no.is_none()).map(|(named, _)| named).collect();
        let outcome = if named.is_empty() {
            None
        } else {
            let call = Call::new(&self.connector, message, &named, &self.imcea_domain);
            let ended = pipe_process::run(&self.connector, self.user, &call, message.content).await;
            Some(self.judge(message, ended))
        };
        let answered = |no: Option<Outcome>| no.or_else(|| outcome.clone());
        outcomes.extend(refused.into_iter().filter_map(answered));
    }

    fn judge(&self, message: &AgentMessage<'_>, ended: Result<Ended, Unrun>) -> Outcome {
        let program = self.connector.command.first().map(String::as_str).unwrap_or_default();
        match ended {
            Ok(ended) => {
                tracing::debug!(id = %message.message, program, said = ended.said, "a program was called");
                pipe_status::outcome(program, ended.status, &ended.said)
            }
            Err(Unrun::TimeLimit) => Outcome::Deferred(pipe_status::waits(
                Scope::Message,
                format!("{program} did not end in its time limit and was killed"),
            )),
            Err(Unrun::Unread(error)) => Outcome::Deferred(pipe_status::waits(
                Scope::Message,
                format!("the content cannot be read: {error}"),
            )),
            Err(Unrun::NoStart(error)) => Outcome::Deferred(pipe_status::waits(
                Scope::NextHop,
                format!("{program} cannot be run: {error}"),
            )),
        }
    }
}

fn no_time() -> Failure {
    let text = "the calls for other recipients of the message took long; this one is for the next attempt";
    Failure::new(EnhancedStatus::transient(3, 0), Fault::Local, Scope::Recipient, Phase::Agent, text)
}
