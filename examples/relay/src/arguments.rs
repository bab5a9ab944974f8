//! The command line, as the relay's contract words it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use postroad_address_space::{Address, ParseError};
use postroad_configuration::{parse_size, parse_span};
use postroad_message::ReversePath;
use postroad_queue::{MessageId, StateKind};

/// Routes mail as Exchange, IIS SMTP and OVH's send connectors do.
///
/// Without a configuration there is a safe default: SMTP on 127.0.0.1:2525, Pickup, Replay and Drop
/// under ./relay-data, every message ends as a file in Drop, nothing leaves the machine.
/// Without a command it runs.
#[derive(Parser)]
#[command(name = "relay", version, about, after_help = crate::exit::CODES)]
pub(crate) struct Arguments {
    /// The configuration file, else the one that RELAY_CONFIG names; without both, the safe default, but `run` and `check` want one
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How log lines look; by default text on a terminal and JSON elsewhere.
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

impl Arguments {
    /// The configuration file that is meant. A variable that is set to nothing names none.
    pub(crate) fn configuration(&self) -> Option<PathBuf> {
        let named = || std::env::var_os("RELAY_CONFIG").filter(|file| !file.is_empty());
        self.config.clone().or_else(|| named().map(PathBuf::from))
    }
}

/// The look of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For a person.
    Text,
    /// For a program: one object a line.
    Json,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run until SIGTERM; prints `ready` once every listener accepts
    Run,
    /// Validate a configuration: every error at once, and warnings for what will not work yet
    Check,
    /// Say for each recipient which connector takes it, and why no other does
    Route(RouteArguments),
    /// Put one message into the queue and show its way
    Send(SendArguments),
    /// List the connectors, and the directories in use
    Connectors {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// What waits, and what to do with it; works while the relay runs
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Read a password from standard input and print the line for the credentials file
    HashPassword {
        /// A SCRAM-SHA-256 verifier instead of an argon2id hash; SCRAM is offered where every user has one
        #[arg(long)]
        scram: bool,
    },
    /// A tour on one machine with nothing installed
    Demo,
}

#[derive(Args)]
pub(crate) struct RouteArguments {
    /// The reverse-path; without it (or as `<>`) the null reverse-path
    #[arg(long, value_name = "ADDRESS", value_parser = reverse_path)]
    pub(crate) from: Option<ReversePath>,
    /// The size of the message: 0, 1500, 36MB
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = parse_size)]
    pub(crate) size: u64,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Typed addresses (`X400:c=US;...`, `FAX:123`) or SMTP ones; `-` reads them from standard input
    #[arg(required = true, value_name = "RCPT")]
    pub(crate) recipients: Vec<String>,
}

#[derive(Args)]
pub(crate) struct SendArguments {
    /// The reverse-path; without it, what the file's From says
    #[arg(long, value_name = "ADDRESS", value_parser = reverse_path)]
    pub(crate) from: Option<ReversePath>,
    /// A recipient; without any, what the file's To, Cc and Bcc say
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) to: Vec<Address>,
    /// Wait so long for every recipient's outcome: 30s, 5m
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    pub(crate) wait: Option<Duration>,
    /// The message: header, blank line, body; `-` reads it from standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Subcommand)]
pub(crate) enum QueueCommand {
    /// The queues, one for each next hop, and the messages in them
    List {
        #[command(flatten)]
        which: Which,
        /// The queues only
        #[arg(long)]
        queues: bool,
    },
    /// All about these messages
    Show(Which),
    /// Try again now, though the next hop is held back
    Retry(Which),
    /// Choose a connector again
    Resubmit(Which),
    /// Hold messages
    Suspend {
        #[command(flatten)]
        which: Which,
        /// The queues themselves, with what comes into them later
        #[arg(long)]
        whole_queue: bool,
    },
    /// Let go on what is suspended or set aside
    Resume {
        #[command(flatten)]
        which: Which,
        /// The queues themselves
        #[arg(long)]
        whole_queue: bool,
    },
    /// Take messages out of the queue
    Remove {
        #[command(flatten)]
        which: Which,
        /// Tell the senders
        #[arg(long)]
        with_ndr: bool,
    },
    /// Write messages as Replay files; they stay in the queue
    Export {
        /// Where to; nothing is overwritten
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        #[command(flatten)]
        which: Which,
    },
}

/// The mail that a queue command is about: what fits everything that is given.
#[derive(Args)]
pub(crate) struct Which {
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Everything: to be said where nothing else is given
    #[arg(long)]
    pub(crate) all: bool,
    /// A queue, `connector -> destination` or the destination alone
    #[arg(long, value_name = "QUEUE")]
    pub(crate) next_hop: Option<String>,
    /// Every queue of a connector
    #[arg(long, value_name = "NAME")]
    pub(crate) connector: Option<String>,
    /// From this address; `<>` for reports
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) sender: Option<String>,
    /// With this recipient
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) recipient: Option<String>,
    /// waiting, active, suspended or set-aside
    #[arg(long)]
    pub(crate) status: Option<StateKind>,
    /// In the queue for so long at least: 30m, 2d
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    pub(crate) older_than: Option<Duration>,
    /// Messages
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<MessageId>,
}

fn reverse_path(text: &str) -> Result<ReversePath, ParseError> {
    ReversePath::try_from(text.to_owned())
}
