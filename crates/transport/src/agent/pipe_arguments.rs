//! What a piped program is told of a message: whole arguments and variables, which nobody interprets.

use postroad_address_space::{Address, Domain, encapsulation};
use postroad_connector::DeliveryAgentConnector;
use postroad_message::{EnhancedStatus, Failure, Fault, Phase, Recipient, Scope};

use crate::agent::AgentMessage;

const SENDER: &str = "{sender}";
const RECIPIENT: &str = "{recipient}";
const RECIPIENTS: &str = "{recipients}";
const QUEUE: &str = "{queue}";
const MESSAGE_ID: &str = "{message_id}";
const SIZE: &str = "{size}";
const PLACEHOLDERS: [&str; 6] = [SENDER, RECIPIENT, RECIPIENTS, QUEUE, MESSAGE_ID, SIZE];

/// Why a `command` cannot be run as it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCommand {
    /// There is none.
    #[error("names no program; write command = [\"/usr/local/bin/program\", \"{{recipient}}\"]")]
    Empty,
    /// Nobody searches for it.
    #[error("the program must be an absolute path, not {0:?}")]
    NotAbsolute(String),
    /// In braces, and none of ours.
    #[error(
        "there is no placeholder {0:?}; there are {{sender}}, {{recipient}}, {{recipients}}, {{queue}}, {{message_id}} and {{size}}"
    )]
    UnknownPlaceholder(String),
    /// A placeholder is a whole argument or none.
    #[error("a placeholder is a whole argument: {0:?} must be split, or read from the environment")]
    PartOfArgument(String),
    /// One is asked for where there may be many.
    #[error("{{recipient}} is for one_call_for_each_recipient = true; write {{recipients}}")]
    RecipientOfMany,
    /// No system passes it on.
    #[error("an argument holds no NUL")]
    Nul,
}

/// Whether a program can be called like this.
///
/// # Errors
///
/// The first thing that is wrong with it.
pub fn check_command(command: &[String], one_call_for_each_recipient: bool) -> Result<(), InvalidCommand> {
    let (program, arguments) = command.split_first().ok_or(InvalidCommand::Empty)?;
    if !program.starts_with('/') {
        return Err(InvalidCommand::NotAbsolute(program.clone()));
    }
    if command.iter().any(|argument| argument.contains('\0')) {
        return Err(InvalidCommand::Nul);
    }
    for argument in arguments {
        if PLACEHOLDERS.contains(&argument.as_str()) {
            continue;
        }
        if PLACEHOLDERS.iter().any(|placeholder| argument.contains(placeholder)) {
            return Err(InvalidCommand::PartOfArgument(argument.clone()));
        }
        if argument.starts_with('{') && argument.ends_with('}') {
            return Err(InvalidCommand::UnknownPlaceholder(argument.clone()));
        }
    }
    let asks_for_one = arguments.iter().any(|argument| argument == RECIPIENT);
    if asks_for_one && !one_call_for_each_recipient {
        return Err(InvalidCommand::RecipientOfMany);
    }
    Ok(())
}

/// Why the message is not for this program: an address that it would take for an option.
pub(super) fn refused(
    command: &[String],
    message: &AgentMessage<'_>,
    recipient: &Recipient,
) -> Option<Failure> {
    let asks = |placeholder: &str| command.iter().skip(1).any(|argument| argument == placeholder);
    let is_option = |text: &str| text.starts_with('-');
    let (status, whose) =
        if (asks(RECIPIENT) || asks(RECIPIENTS)) && is_option(&recipient.address.to_string()) {
            (EnhancedStatus::permanent(1, 3), "recipient's")
        } else if asks(SENDER) && is_option(&sender(message)) {
            (EnhancedStatus::permanent(1, 7), "sender's")
        } else {
            return None;
        };
    let text = format!("the {whose} address begins with a hyphen, and a program could take it for an option");
    Some(Failure::new(status, Fault::Message, Scope::Recipient, Phase::Agent, text))
}

/// Everything that one call is told.
pub(super) struct Call {
    pub(super) arguments: Vec<String>,
    pub(super) variables: Vec<(&'static str, String)>,
}

impl Call {
    pub(super) fn new(
        connector: &DeliveryAgentConnector,
        message: &AgentMessage<'_>,
        recipients: &[&Recipient],
        domain: &Domain,
    ) -> Self {
        let native: Vec<String> = recipients.iter().map(|recipient| recipient.address.to_string()).collect();
        let imcea: Vec<String> =
            recipients.iter().map(|recipient| as_smtp(&recipient.address, domain)).collect();
        let one = connector.one_call_for_each_recipient;
        let (size, id) = (message.content.len().to_string(), message.message.to_string());
        let mut arguments = Vec::new();
        for argument in connector.command.iter().skip(1) {
            match argument.as_str() {
                SENDER => arguments.push(sender(message)),
                RECIPIENT | RECIPIENTS => arguments.extend(native.iter().cloned()),
                QUEUE => arguments.push(message.queue.to_owned()),
                MESSAGE_ID => arguments.push(id.clone()),
                SIZE => arguments.push(size.clone()),
                plain => arguments.push(plain.to_owned()),
            }
        }
        let variables = vec![
            ("PATH", "/usr/bin:/bin".to_owned()),
            ("SENDER", sender(message)),
            (if one { "RECIPIENT" } else { "RECIPIENTS" }, native.join("\n")),
            (if one { "RECIPIENT_IMCEA" } else { "RECIPIENTS_IMCEA" }, imcea.join("\n")),
            ("QUEUE", message.queue.to_owned()),
            ("MESSAGE_ID", id),
            ("SIZE", size),
        ];
        Self { arguments, variables }
    }
}

fn sender(message: &AgentMessage<'_>) -> String {
    message.envelope.reverse_path.mailbox().map(ToString::to_string).unwrap_or_default()
}

/// Empty where it would be too long to be one.
fn as_smtp(address: &Address, domain: &Domain) -> String {
    match address {
        Address::Smtp(mailbox) => mailbox.to_string(),
        other => {
            encapsulation::encapsulate(other, domain).map(|mailbox| mailbox.to_string()).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_absolute_path_and_whole_placeholders() {
        let check = |command: &[&str], one| {
            let command: Vec<String> = command.iter().map(|part| (*part).to_owned()).collect();
            check_command(&command, one)
        };
        assert_eq!(check(&["/bin/cat"], false), Ok(()));
        assert_eq!(check(&["/bin/fax", "-f", "{sender}", "--", "{recipients}", "{json: 1}x"], false), Ok(()));
        assert_eq!(check(&["/bin/fax", "{recipient}"], true), Ok(()));
        let wrong = |command: &[&str]| check(command, false).unwrap_err();
        assert_eq!(wrong(&[]), InvalidCommand::Empty);
        assert_eq!(wrong(&["cat"]), InvalidCommand::NotAbsolute("cat".into()));
        assert_eq!(wrong(&["/bin/fax", "{recipient}"]), InvalidCommand::RecipientOfMany);
        assert_eq!(
            wrong(&["/bin/fax", "--to={recipients}"]),
            InvalidCommand::PartOfArgument("--to={recipients}".into())
        );
        assert_eq!(wrong(&["/bin/fax", "{user}"]), InvalidCommand::UnknownPlaceholder("{user}".into()));
        assert_eq!(wrong(&["/bin/fax", "a\0b"]), InvalidCommand::Nul);
    }
}
