//! Runs a piped program: nothing inherited, everything bounded, and no process left behind.

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
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let ended = {
        let talk = async {
            tokio::join!(feed(input, content), listen(output, &mut said), listen(errors, &mut complained));
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
                        break status;
                    }
                    () = &mut talk, if !is_silent => is_silent = true,
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
        Ok(Err(error)) => Err(Unrun::NoStart(error)),
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

/// The content with LF. A program need not read it: how it ends is its answer.
async fn feed(input: Option<impl AsyncWrite + Unpin>, content: &Content) {
    let Some(mut input) = input else { return };
    let bytes = content.head();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(64 * 1024));
        let next = after.first();
        let followers = piece.iter().skip(1).chain(next).map(Some).chain([None]);
        let pairs = piece.iter().zip(followers);
        let with_lf: Vec<u8> = pairs
            .filter(|(byte, next)| !(**byte == b'\r' && *next == Some(&b'\n')))
            .map(|(byte, _)| *byte)
            .collect();
        if input.write_all(&with_lf).await.is_err() {
            return;
        }
        rest = after;
    }
    let _ = input.shutdown().await;
}

/// Keeps the beginning and reads the rest, so that nobody waits for us.
async fn listen(output: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut output) = output else { return };
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = output.read(&mut buffer).await {
        let room = KEPT.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
    }
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
    use super::*;

    #[tokio::test]
    async fn line_ends_become_lf_also_where_two_pieces_meet() {
        for before in [0, 1, 64 * 1024 - 2, 64 * 1024 - 1, 64 * 1024] {
            let filling = "x".repeat(before);
            let content = Content::from(format!("{filling}\r\na\rb\n\r\r\n").into_bytes());
            let mut piped = Vec::new();
            feed(Some(&mut piped), &content).await;
            assert!(piped == format!("{filling}\na\rb\n\r\n").into_bytes(), "{before}");
        }
    }
}
