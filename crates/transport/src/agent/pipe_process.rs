//! Runs a piped program: nothing inherited, everything bounded, and what has not ended in time killed with its process group.

use std::borrow::Cow;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use postroad_connector::DeliveryAgentConnector;
use postroad_message::Content;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use crate::agent::pipe_arguments::Call;
use crate::agent::pipe_user::User;

/// So much of what a program says is kept, of standard output and of standard error.
const KEPT: usize = 1024;
/// How long the last words of a program that has ended are waited for: who inherited its streams may never close them.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a program ended, and what it said first: standard output, then standard error. Free of control characters.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) said: String,
}

/// Why there is no exit status.
pub(super) enum Unrun {
    NoStart(io::Error),
    /// The content cannot be read: a program that was given half of it was killed.
    Unread(io::Error),
    TimeLimit,
}

/// Runs the program to its end. Dropped before, it kills it and all of its process group.
pub(super) async fn run(
    connector: &DeliveryAgentConnector,
    user: Option<User>,
    call: &Call,
    content: &Content,
) -> Result<Ended, Unrun> {
    let program = connector.command.first().map(String::as_str).unwrap_or_default();
    let mut command = Command::new(program);
    command.args(&call.arguments).env_clear().envs(call.variables.iter().cloned());
    command.current_dir(connector.working_directory.as_deref().unwrap_or("/"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
    let mut child = command.spawn().map_err(Unrun::NoStart)?;
    // Where the content cannot be read on, the input stays open: its end would be taken for that of the message.
    let (mut input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    // Dropped before the input is, so that nobody lives to see that end.
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let ended = {
        let talk = async {
            let (said, complained) = (listen(output, &mut said), listen(errors, &mut complained));
            tokio::try_join!(feed(&mut input, content), said, complained).map(|_| ())
        };
        tokio::pin!(talk);
        let wait = async {
            let mut is_silent = false;
            loop {
                tokio::select! {
                    status = child.wait() => {
                        if !is_silent {
                            let _ = timeout(LAST_WORDS, &mut talk).await;
                        }
                        break status.map_err(Unrun::NoStart);
                    }
                    fed = &mut talk, if !is_silent => match fed {
                        Ok(()) => is_silent = true,
                        Err(error) => break Err(Unrun::Unread(error)),
                    },
                }
            }
        };
        timeout(connector.time_limit, wait).await
    };
    match ended {
        Ok(Ok(status)) => {
            // Reaped: its number may be another's by now.
            group.0 = None;
            said.extend(complained);
            Ok(Ended { status, said: clean(&said) })
        }
        Ok(Err(unrun)) => Err(unrun),
        Err(_) => Err(Unrun::TimeLimit),
    }
}

/// Kills a program and its children unless it has ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0.take() {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// The content with LF, and then the end of the input. A program need not read it: how it ends is its answer.
async fn feed(input: &mut Option<impl AsyncWrite + Unpin>, content: &Content) -> io::Result<()> {
    let (mut at, mut after_return) = (0, false);
    while let Some(to) = input
        && at < content.len()
    {
        let piece = piece(content, at).await?;
        at += piece.len();
        let mut with_lf = Vec::with_capacity(piece.len() + 1);
        for &byte in piece.iter() {
            // A CR waits for what follows it.
            if after_return && byte != b'\n' {
                with_lf.push(b'\r');
            }
            after_return = byte == b'\r';
            if !after_return {
                with_lf.push(byte);
            }
        }
        if after_return && at == content.len() {
            with_lf.push(b'\r');
        }
        if to.write_all(&with_lf).await.is_err() {
            break;
        }
    }
    if let Some(mut ended) = input.take() {
        let _ = ended.shutdown().await;
    }
    Ok(())
}

/// What follows from there on, not all at once; read on a thread that may wait where it is not in memory.
async fn piece(content: &Content, at: usize) -> io::Result<Cow<'_, [u8]>> {
    const PIECE: usize = 64 * 1024;
    if let Some(there @ [_, ..]) = content.head().get(at..) {
        return Ok(Cow::Borrowed(there.get(..PIECE).unwrap_or(there)));
    }
    let content = content.clone();
    let read = tokio::task::spawn_blocking(move || {
        let mut piece = vec![0; PIECE.min(content.len() - at)];
        content.read_exact_at(&mut piece, at).map(|()| piece)
    });
    Ok(Cow::Owned(read.await??))
}

/// Keeps the beginning and reads the rest, so that nobody waits for us.
async fn listen(output: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) -> io::Result<()> {
    let Some(mut output) = output else { return Ok(()) };
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = output.read(&mut buffer).await {
        let room = KEPT.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
    }
    Ok(())
}

fn clean(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let one_line = text.trim().chars().map(|c| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() => '?',
        c => c,
    });
    one_line.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use postroad_message::content::Rest;
    use postroad_message::{ContentSource, Shape};

    use super::*;

    struct Source(Vec<u8>);

    impl ContentSource for Source {
        fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
            let at = usize::try_from(offset).unwrap();
            let mut from = self.0.get(at..).ok_or(io::ErrorKind::Other)?;
            io::Read::read(&mut from, into)
        }
    }

    /// The first byte is in memory; the source has all of the rest, or less.
    fn stored(bytes: &[u8], missing: usize) -> Content {
        let rest = &bytes[1..];
        let source = Arc::new(Source(rest[..rest.len() - missing].to_vec()));
        let rest = Rest { source, start: 0, length: rest.len(), shape: Shape::of(rest) };
        Content::with_rest(bytes[..1].to_vec(), rest)
    }

    #[tokio::test]
    async fn what_cannot_be_read_to_its_end_does_not_end() {
        for missing in [1, 65_000, 149_999] {
            let mut piped = Vec::new();
            let mut input = Some(&mut piped);
            let fed = feed(&mut input, &stored(&vec![b'x'; 150_000], missing)).await;
            assert!(fed.is_err() && input.is_some(), "{missing}");
        }
    }

    #[tokio::test]
    async fn line_ends_become_lf_also_where_two_pieces_meet() {
        for before in [0, 1, 64 * 1024 - 2, 64 * 1024 - 1, 64 * 1024] {
            let filling = "x".repeat(before);
            let bytes = format!("{filling}\r\na\rb\n\r\r\n\r").into_bytes();
            for content in [stored(&bytes, 0), Content::from(bytes)] {
                let mut piped = Vec::new();
                feed(&mut Some(&mut piped), &content).await.unwrap();
                assert!(piped == format!("{filling}\na\rb\n\r\n\r").into_bytes(), "{before}");
            }
        }
    }
}
