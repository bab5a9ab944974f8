//! What each command does, and what each verdict says.

use postroad_address_space::{Address, MailDomain, Mailbox};
use postroad_message::{EnhancedStatus, Recipient, ReversePath};

use crate::command::{Command, CommandError, HelloVerb};
use crate::parameter::{self, ParameterError};
use crate::path::{ForwardPath, PathError};
use crate::server::event::Event;
use crate::server::reply_line::ReplyLine;
use crate::server::session::Session;
use crate::server::state::{Front, Question, State};
use crate::server::transaction::Transaction;
use crate::server::verdict::{Refusal, Verdict};

impl Session {
    /// One line that is no response of an AUTH exchange. The state is `Command`.
    pub(super) fn command(&mut self, line: &[u8]) {
        let verb = line.split(|&byte| byte == b' ').next().unwrap_or_default();
        let is_front = verb.eq_ignore_ascii_case(b"XCLIENT");
        if matches!(self.front, Front::Speaking(_)) && !is_front {
            self.front = Front::Done;
        }
        self.obey(line);
        if is_front && !matches!(self.state, State::Ask(..)) {
            self.front_refused();
        }
    }

    fn obey(&mut self, line: &[u8]) {
        if self.is_tired() {
            return;
        }
        let is_logon = line.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "));
        if line.len() + 2 > self.settings.longest_line() && !is_logon {
            return self.protocol_error(500, EnhancedStatus::permanent(5, 2), "The line is too long");
        }
        let command = match Command::parse(line) {
            Ok(command) => command,
            Err(error) => return self.not_a_command(error),
        };
        let harmless = matches!(
            command,
            Command::Hello { .. }
                | Command::StartTls
                | Command::Noop
                | Command::Reset
                | Command::Quit
                | Command::Help
        );
        if self.settings.require_tls && !self.in_tls && !harmless {
            if let Command::Chunk { size, last } = command {
                return self.eat_chunk(size, last, must_issue_starttls());
            }
            return self.protocol_error(
                530,
                EnhancedStatus::permanent(7, 0),
                "Must issue a STARTTLS command first",
            );
        }
        self.dispatch(command);
    }

    /// Counts a line, command or not; says 421 and closes where that was one too many.
    pub(super) fn is_tired(&mut self) -> bool {
        self.idle_commands = self.idle_commands.saturating_add(1);
        let tired = self.idle_commands > self.settings.limits.idle_commands;
        if tired {
            self.reply(421, EnhancedStatus::transient(7, 0), "Too many commands without a message");
            self.close();
        }
        tired
    }

    fn dispatch(&mut self, command: Command<'_>) {
        match command {
            Command::Hello { verb, .. } if (verb == HelloVerb::Lhlo) != self.settings.lmtp => {
                self.not_a_command(CommandError::Unknown);
            }
            Command::Hello { verb, name } => self.hello(verb != HelloVerb::Helo, name),
            Command::Mail { path, parameters } => self.mail(path, parameters),
            Command::Recipient { path, parameters } => self.recipient(path, parameters),
            Command::Data => self.data(),
            Command::Chunk { size, last } => self.chunk(size, last),
            Command::Reset => {
                self.forget_transaction();
                self.reply(250, EnhancedStatus::success(0, 0), "Reset");
            }
            Command::Noop => self.reply(250, EnhancedStatus::success(0, 0), "OK"),
            Command::Verify => {
                self.reply(
                    252,
                    EnhancedStatus::success(5, 2),
                    "Cannot verify, but will take mail and try to deliver it",
                );
            }
            Command::Help => self.reply(214, EnhancedStatus::success(0, 0), "See RFC 5321"),
            Command::Quit => {
                self.reply(221, EnhancedStatus::success(0, 0), "Closing the connection");
                self.close();
            }
            Command::StartTls => self.start_tls(),
            Command::Auth { mechanism, initial } => self.auth(mechanism, initial),
            Command::Xclient { attributes } => self.xclient(attributes),
        }
    }

    pub(super) fn not_a_command(&mut self, error: CommandError) {
        let text = error.to_string();
        let syntax = EnhancedStatus::permanent(5, 2);
        match error {
            CommandError::Unknown => self.protocol_error(500, EnhancedStatus::permanent(5, 1), &text),
            CommandError::NotImplemented => self.protocol_error(502, EnhancedStatus::permanent(5, 1), &text),
            CommandError::Arguments | CommandError::HelloName => {
                self.protocol_error(501, EnhancedStatus::permanent(5, 4), &text);
            }
            CommandError::Byte
            | CommandError::ReversePath(PathError::ControlCharacter)
            | CommandError::ForwardPath(PathError::ControlCharacter) => {
                self.protocol_error(501, syntax, &text)
            }
            CommandError::ReversePath(_) => self.protocol_error(501, EnhancedStatus::permanent(1, 7), &text),
            CommandError::ForwardPath(_) => self.protocol_error(501, EnhancedStatus::permanent(1, 3), &text),
            // Nobody can tell where the next command starts.
            CommandError::ChunkSize => {
                self.reply(501, EnhancedStatus::permanent(5, 4), &text);
                self.close();
            }
            // A browser that was made to speak to us, or a proxy that nobody named: nothing it says may count.
            CommandError::OtherProtocol => {
                self.reply(554, EnhancedStatus::permanent(5, 1), &text);
                self.close();
            }
        }
    }

    pub(super) fn out_of_order(&mut self, text: &str) {
        self.protocol_error(503, EnhancedStatus::permanent(5, 1), text);
    }

    fn hello(&mut self, extended: bool, name: Option<&str>) {
        if name.is_none() && self.settings.require_hello_name {
            return self.protocol_error(501, EnhancedStatus::permanent(5, 4), "Say who you are");
        }
        self.ask(Event::Hello { name: name.map(str::to_owned), extended }, Question::Hello { extended });
    }

    fn mail(&mut self, reverse_path: ReversePath, parameters: &str) {
        if !self.greeted {
            return self.out_of_order("Send EHLO or HELO first");
        }
        if self.transaction.is_some() {
            return self.out_of_order("A transaction is under way");
        }
        self.dropped = None;
        self.mails = self.mails.saturating_add(1);
        if self.settings.limits.messages.is_some_and(|most| self.mails > most) {
            self.reply(421, EnhancedStatus::transient(7, 0), "Too many messages in one session");
            return self.close();
        }
        let parameters = match parameter::mail(parameters, self.settings.offered(self.in_tls)) {
            Ok(parameters) => parameters,
            Err(error) => return self.bad_parameter(error),
        };
        if parameters.size.is_some_and(|size| size > self.settings.limits.message_size as u64) {
            return self.refuse(&Refusal::permanent(3, 4, "The message is larger than this server takes"));
        }
        let written = reverse_path.mailbox().map(Mailbox::to_string).unwrap_or_default();
        if written.len() > self.settings.longest_address() {
            return self.not_a_command(CommandError::ReversePath(PathError::TooLong));
        }
        if !written.is_ascii() && !parameters.smtputf8 {
            return self.reply(553, EnhancedStatus::permanent(6, 7), "The address needs SMTPUTF8");
        }
        let transaction = Transaction::new(reverse_path.clone(), parameters.clone());
        self.ask(Event::Mail { reverse_path, parameters }, Question::Mail(Box::new(transaction)));
    }

    fn recipient(&mut self, path: ForwardPath, parameters: &str) {
        let Some(transaction) = &self.transaction else { return self.out_of_order("Send MAIL first") };
        if transaction.has_chunks() {
            return self.out_of_order("Content is under way");
        }
        let envelope = transaction.envelope();
        let (full, smtputf8) = (transaction.accepted() >= self.settings.limits.recipients, envelope.smtputf8);
        let parameters = match parameter::recipient(parameters, self.settings.offered(self.in_tls)) {
            Ok(parameters) => parameters,
            Err(error) => return self.bad_parameter(error),
        };
        if full {
            return self.refuse(&Refusal::transient(5, 3, "Too many recipients"));
        }
        let postmaster = path == ForwardPath::Postmaster;
        let mailbox = match path {
            ForwardPath::Postmaster => self.settings.postmaster.clone(),
            ForwardPath::Mailbox(mailbox) => mailbox,
        };
        let written = mailbox.to_string();
        if written.len() > self.settings.longest_address() {
            return self.not_a_command(CommandError::ForwardPath(PathError::TooLong));
        }
        if !smtputf8 && !written.is_ascii() {
            return self.reply(553, EnhancedStatus::permanent(6, 7), "The address needs SMTPUTF8");
        }
        if !self.has_room_for(mailbox.domain()) {
            return self.refuse(&Refusal::transient(5, 3, "Too many recipient domains"));
        }
        let mut recipient = Recipient::new(Address::Smtp(mailbox));
        recipient.notify = parameters.notify;
        recipient.original = parameters.original;
        self.ask(
            Event::Recipient { recipient: recipient.clone(), postmaster },
            Question::Recipient(Box::new(recipient)),
        );
    }

    /// RFC 9422 section 4.3: the domains of a session are counted, refused recipients or not.
    fn has_room_for(&mut self, domain: &MailDomain) -> bool {
        let Some(most) = self.settings.limits.recipient_domains else { return true };
        if self.domains.contains(domain) {
            return true;
        }
        let room = (self.domains.len() as u64) < u64::from(most);
        if room {
            self.domains.push(domain.clone());
        }
        room
    }

    fn bad_parameter(&mut self, error: ParameterError) {
        let text = error.to_string();
        match error {
            ParameterError::Unknown => self.protocol_error(555, EnhancedStatus::permanent(5, 4), &text),
            ParameterError::TooLarge => self.refuse(&Refusal::permanent(3, 4, &text)),
            _ => self.protocol_error(501, EnhancedStatus::permanent(5, 4), &text),
        }
    }

    fn start_tls(&mut self) {
        if self.in_tls {
            return self.out_of_order("TLS is on already");
        }
        if !self.settings.starttls {
            return self.protocol_error(502, EnhancedStatus::permanent(5, 1), "STARTTLS is not offered");
        }
        if self.transaction.is_some() {
            return self.out_of_order("A transaction is under way");
        }
        if !self.buffer.is_empty() {
            // What came with it came in clear text, perhaps from somebody else (CVE-2011-0411): no handshake now.
            self.reply(
                554,
                EnhancedStatus::permanent(5, 1),
                "Nothing may follow STARTTLS, closing the connection",
            );
            return self.close();
        }
        self.reply(220, EnhancedStatus::success(0, 0), "Ready to start TLS");
        self.state = State::Handshake;
    }

    /// What follows from the answer to the event that was given out. The state is `Command`.
    pub(super) fn answer(&mut self, question: Question, verdict: Verdict) {
        if let (Question::ChunkStart { size, last }, Verdict::Refuse(refusal)) = (&question, &verdict) {
            return self.eat_chunk(*size, *last, refusal.clone());
        }
        if let Question::Logon = question {
            return self.logon_judged(verdict);
        }
        if let Question::Message { places } = question {
            return self.message_judged(&places, verdict);
        }
        if let (Question::Xclient(_), Verdict::Refuse(refusal)) = (&question, &verdict) {
            return self.refuse(&refusal.clone().closing());
        }
        if let Verdict::Refuse(refusal) = &verdict {
            return self.refuse(refusal);
        }
        match question {
            Question::Hello { extended } => self.hello_accepted(extended),
            Question::Mail(transaction) => {
                self.transaction = Some(*transaction);
                self.reply(250, EnhancedStatus::success(1, 0), "Sender OK");
            }
            Question::Recipient(mut recipient) => {
                if let Verdict::AcceptAs(address) = verdict {
                    recipient.address = address;
                }
                if let Some(transaction) = &mut self.transaction {
                    transaction.add(*recipient);
                }
                // It has a limit of its own.
                self.idle_commands = self.idle_commands.saturating_sub(1);
                self.reply(250, EnhancedStatus::success(1, 5), "Recipient OK");
            }
            Question::DataStart => self.start_data(),
            Question::ChunkStart { size, last } => self.start_chunk(size, last),
            Question::Xclient(told) => self.client_named(told),
            Question::Message { .. } | Question::Logon => {}
        }
    }

    /// Only now the transaction is over: a refusal leaves everything as it was (RFC 5321 section 4.1.4).
    fn hello_accepted(&mut self, extended: bool) {
        self.forget_transaction();
        self.greeted = true;
        let greeting = ReplyLine::new(250, None, &format!("{} Hello", self.settings.fqdn));
        let mut lines = vec![greeting];
        if extended {
            let keywords = self.settings.keywords(self.in_tls, self.may_speak_for_another());
            lines.extend(keywords.iter().map(|keyword| ReplyLine::new(250, None, keyword)));
        }
        self.write_lines(&lines);
    }
}

fn must_issue_starttls() -> Refusal {
    Refusal::new(530, EnhancedStatus::permanent(7, 0), "Must issue a STARTTLS command first")
}
