//! Reads what `strace -f -y -xx` wrote: what happened to the files of one folder, and what was said meanwhile.

use std::path::{Path, PathBuf};

/// One thing that a traced process did, in the order in which it began. Paths are those inside of the folder.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Create {
        path: PathBuf,
    },
    Write {
        path: PathBuf,
        at: Option<u64>,
        bytes: Vec<u8>,
    },
    Truncate {
        path: PathBuf,
        length: u64,
    },
    Unlink {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    /// Of a file, or of a folder.
    Sync {
        path: PathBuf,
    },
    /// The kernel said that it could not write what was not synced, and has forgotten it.
    SyncFailed {
        path: PathBuf,
    },
    /// A line on standard output, from its `!` on.
    Said(String),
}

/// The steps in `trace` that concern `folder`, and every line that was said.
pub(super) fn read(trace: &str, folder: &Path) -> Vec<Step> {
    let mut unfinished: Vec<(&str, &str)> = Vec::new();
    let mut steps = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some(head) = call.strip_suffix(" <unfinished ...>") {
            // A write counts from its beginning, a sync from its end: that is the harder reading of both. Whether a rename
            // succeeds is known at its end.
            if is_sync(head) || head.starts_with("rename") {
                unfinished.push((thread, head));
            } else {
                steps.extend(step(head, folder));
            }
        } else if call.starts_with("<... ") {
            if let Some(index) = unfinished.iter().position(|(other, _)| *other == thread) {
                let (_, head) = unfinished.swap_remove(index);
                steps.extend(step(head, folder).and_then(|step| match step {
                    step if call.ends_with("= 0") => Some(step),
                    Step::Sync { path } => Some(Step::SyncFailed { path }),
                    _ => None,
                }));
            }
        } else {
            steps.extend(step(call, folder));
        }
    }
    steps
}

fn is_sync(call: &str) -> bool {
    call.starts_with("fsync(") || call.starts_with("fdatasync(")
}

fn step(call: &str, folder: &Path) -> Option<Step> {
    let (name, rest) = call.split_once('(')?;
    let inside = |path: &Path| path.strip_prefix(folder).ok().map(Path::to_path_buf);
    let last_number = |text: &str| text.rsplit(", ").next()?.split(')').next()?.parse().ok();
    match name {
        "openat" if rest.contains("O_CREAT") => {
            // `folder, "name"`, where a name that is absolute stands for itself.
            let (_, beside) = file(rest)?;
            let path = inside(&beside.join(text(&quoted(rest)?)))?;
            (!failed(call)).then_some(Step::Create { path })
        }
        "mkdir" => None,
        "unlink" => {
            let path = inside(Path::new(&text(&quoted(rest)?)))?;
            (!failed(call)).then_some(Step::Unlink { path })
        }
        "rename" | "renameat2" => {
            // `"from", "to"`, or each with its folder before it.
            let mut paths =
                rest.split('"').skip(1).step_by(2).map(|path| PathBuf::from(text(&unescaped(path))));
            let (from, to) = (paths.next()?, paths.next()?);
            let (from, to) = (inside(&from).unwrap_or(from), inside(&to)?);
            (!failed(call)).then_some(Step::Rename { from, to })
        }
        "pwrite64" | "write" => {
            let (fd, path) = file(rest)?;
            let bytes = quoted(rest)?;
            if fd == "1" {
                let said = text(&bytes);
                let (_, said) = said.split_once('!')?;
                return Some(Step::Said(said.trim_end().to_owned()));
            }
            // `fd<path>, "bytes", length, offset) = written`
            let at = if name == "write" {
                None
            } else {
                let arguments = rest.rsplit_once(") = ").map_or(rest, |(arguments, _)| arguments);
                Some(last_number(arguments)?)
            };
            let path = inside(&path)?;
            (!failed(call)).then_some(Step::Write { path, at, bytes })
        }
        "ftruncate" => {
            let (_, path) = file(rest)?;
            let length = last_number(rest.rsplit_once(") = ").map_or(rest, |(arguments, _)| arguments))?;
            let path = inside(&path)?;
            (!failed(call)).then_some(Step::Truncate { path, length })
        }
        "fsync" | "fdatasync" => {
            let (_, path) = file(rest)?;
            let path = inside(&path)?;
            Some(if failed(call) { Step::SyncFailed { path } } else { Step::Sync { path } })
        }
        _ => None,
    }
}

fn failed(call: &str) -> bool {
    call.contains(") = -1 ")
}

/// The number and the path of `3<\x2f\x74>, ...`.
fn file(arguments: &str) -> Option<(&str, PathBuf)> {
    let (fd, rest) = arguments.split_once('<')?;
    let (path, _) = rest.split_once('>')?;
    Some((fd, PathBuf::from(text(&unescaped(path)))))
}

/// The bytes of the first string in quotes.
fn quoted(arguments: &str) -> Option<Vec<u8>> {
    let (_, rest) = arguments.split_once('"')?;
    let (string, _) = rest.split_once('"')?;
    Some(unescaped(string))
}

/// `\x68\x69` as bytes.
fn unescaped(text: &str) -> Vec<u8> {
    let digit = |digit: u8| (digit as char).to_digit(16).expect("a hexadecimal digit") as u8;
    text.as_bytes().chunks_exact(4).map(|escape| digit(escape[2]) << 4 | digit(escape[3])).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
