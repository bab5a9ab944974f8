//! A host on loopback that follows a script, and remembers for whom it took mail.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a host says where it does not simply agree.
pub(crate) struct Dialogue {
    /// As the table names it.
    pub(crate) name: &'static str,
    /// The first rule that fits a line answers it.
    rules: &'static [(When, Then)],
    /// Whether the client cannot know what became of the mail.
    pub(crate) leaves_doubt: bool,
}

#[derive(Clone, Copy)]
enum When {
    /// A command that opens so.
    Command(&'static str),
    /// A third recipient of one transaction.
    ThirdRecipient,
    FinalDot,
}

#[derive(Clone, Copy)]
enum Then {
    Reply(&'static str),
    /// The reply, and the connection is closed.
    Leave(&'static str),
    /// The connection is closed without a word.
    HangUp,
    /// Keeps the message, and closes the connection without a word.
    KeepAndHangUp,
}

const BOB: When = When::Command("RCPT TO:<bob@");

/// All of them; a dialogue with no rule is the host that agrees.
pub(crate) const DIALOGUES: &[Dialogue] = &[
    clear("takes everything", &[]),
    clear("550 to bob", &[(BOB, Then::Reply("550 5.1.1 no bob here"))]),
    clear("450 to bob", &[(BOB, Then::Reply("450 4.2.1 bob is moving"))]),
    clear(
        "550 to ann, 450 to bob",
        &[
            (When::Command("RCPT TO:<ann@"), Then::Reply("550 5.1.1 no ann here")),
            (BOB, Then::Reply("450 4.2.1 bob is moving")),
        ],
    ),
    clear("550 to each", &[(When::Command("RCPT"), Then::Reply("550 5.1.1 nobody here"))]),
    clear(
        "452 to a third recipient of a message",
        &[(When::ThirdRecipient, Then::Reply("452 4.5.3 too many recipients"))],
    ),
    clear("421 to bob, and leaves", &[(BOB, Then::Leave("421 4.3.2 going down"))]),
    clear("hangs up at bob", &[(BOB, Then::HangUp)]),
    clear("450 to MAIL", &[(When::Command("MAIL"), Then::Reply("450 4.7.1 not now"))]),
    clear("554 to DATA", &[(When::Command("DATA"), Then::Reply("554 5.7.1 no content from you"))]),
    clear(
        "550 to bob, 451 to the content",
        &[(BOB, Then::Reply("550 5.1.1 no bob here")), (When::FinalDot, Then::Reply("451 4.3.1 no room"))],
    ),
    clear("554 to the content", &[(When::FinalDot, Then::Reply("554 5.6.0 not that"))]),
    doubtful("keeps the content and hangs up", &[(When::FinalDot, Then::KeepAndHangUp)]),
    doubtful("drops the content and hangs up", &[(When::FinalDot, Then::HangUp)]),
    doubtful(
        "550 to bob, keeps the content and hangs up",
        &[(BOB, Then::Reply("550 5.1.1 no bob here")), (When::FinalDot, Then::KeepAndHangUp)],
    ),
];

const fn clear(name: &'static str, rules: &'static [(When, Then)]) -> Dialogue {
    Dialogue { name, rules, leaves_doubt: false }
}

const fn doubtful(name: &'static str, rules: &'static [(When, Then)]) -> Dialogue {
    Dialogue { name, rules, leaves_doubt: true }
}

/// A listening host; it ends with this value.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    holders: Arc<Mutex<Vec<String>>>,
    listener: JoinHandle<()>,
}

impl Host {
    pub(crate) async fn start(dialogue: &'static Dialogue) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = listener.local_addr().expect("an address");
        let holders = Arc::<Mutex<Vec<String>>>::default();
        let shared = Arc::clone(&holders);
        let listener = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let holders = Arc::clone(&shared);
                // A client that goes away in the middle is no error of the host.
                tokio::spawn(async move { converse(BufReader::new(stream), dialogue, &holders).await.ok() });
            }
        });
        Self { address, holders, listener }
    }

    /// Whose mail it has, once for each time, in the order of their names.
    pub(crate) fn holders(&self) -> Vec<String> {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner).clone();
        holders.sort();
        holders
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn converse(
    mut stream: BufReader<TcpStream>,
    dialogue: &Dialogue,
    holders: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    say(&mut stream, "220 host.test ESMTP").await?;
    let (mut recipients, mut has_sender, mut in_content) = (Vec::new(), false, false);
    while let Some(line) = line(&mut stream).await? {
        if in_content && line != "." {
            continue;
        }
        let is_third = recipients.len() >= 2 && line.starts_with("RCPT");
        let rule = dialogue.rules.iter().find(|(when, _)| match when {
            When::Command(opening) => !in_content && line.starts_with(opening),
            When::ThirdRecipient => is_third,
            When::FinalDot => in_content,
        });
        let keep = |recipients: &mut Vec<String>| {
            holders.lock().unwrap_or_else(PoisonError::into_inner).append(recipients);
        };
        match rule.map(|(_, then)| *then) {
            Some(Then::Reply(reply)) => say(&mut stream, reply).await?,
            Some(Then::Leave(reply)) => {
                say(&mut stream, reply).await?;
                return hang_up(stream).await;
            }
            Some(Then::HangUp) => return hang_up(stream).await,
            Some(Then::KeepAndHangUp) => {
                keep(&mut recipients);
                return hang_up(stream).await;
            }
            None if in_content => {
                keep(&mut recipients);
                has_sender = false;
                say(&mut stream, "250 2.0.0 kept").await?;
            }
            None => match line.get(..4).unwrap_or_default() {
                "EHLO" => {
                    say(&mut stream, "250-host.test\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES").await?
                }
                command @ ("MAIL" | "RSET") => {
                    recipients.clear();
                    has_sender = command == "MAIL";
                    say(&mut stream, "250 2.0.0 fine").await?;
                }
                // As in a pipeline whose MAIL was refused.
                "RCPT" if !has_sender => say(&mut stream, "503 5.5.1 from whom?").await?,
                "RCPT" => {
                    recipients.push(local_part(&line).to_owned());
                    say(&mut stream, "250 2.1.5 fine").await?;
                }
                "DATA" if recipients.is_empty() => say(&mut stream, "554 5.5.1 for whom?").await?,
                "DATA" => {
                    say(&mut stream, "354 go on").await?;
                    in_content = true;
                    continue;
                }
                "QUIT" => {
                    say(&mut stream, "221 2.0.0 bye").await?;
                    return hang_up(stream).await;
                }
                _ => say(&mut stream, "500 5.5.2 what?").await?,
            },
        }
        in_content = false;
    }
    Ok(())
}

async fn line(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await?;
    Ok((read > 0).then(|| line.trim_end().to_owned()))
}

async fn say(stream: &mut BufReader<TcpStream>, reply: &str) -> std::io::Result<()> {
    stream.write_all(format!("{reply}\r\n").as_bytes()).await
}

/// Says no more, and reads what is still under way: a socket closed over unread data takes the last reply with it.
async fn hang_up(mut stream: BufReader<TcpStream>) -> std::io::Result<()> {
    stream.shutdown().await?;
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}

/// `RCPT TO:<ann@host.test>`: ann.
fn local_part(line: &str) -> &str {
    line.split_once('<').and_then(|(_, rest)| rest.split_once('@')).map_or("?", |(local, _)| local)
}
