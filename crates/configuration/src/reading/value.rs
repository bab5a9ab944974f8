//! The value readers: each takes one TOML value and gives a typed one, or says what would be right.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use toml_span::value::{Value, ValueInner};

use crate::problem::ProblemKind;
use crate::reading::fault::{Fault, Reading, plain, refuse};
use crate::reading::quantity::{parse_size, parse_span, size_text, span_text};
use crate::reading::suggestion::nearest;

/// `true` or `false`.
pub(crate) fn boolean(value: &Value<'_>) -> Reading<bool> {
    value.as_bool().map_or_else(|| wrong_type(value, "true or false"), Ok)
}

/// Any text on one line, also an empty one.
pub(crate) fn text(value: &Value<'_>) -> Reading<String> {
    let text = string(value, "a text")?;
    if text.chars().any(char::is_control) {
        return refuse(value.span, ProblemKind::BadValue, "must be one line without control characters");
    }
    Ok(text.to_owned())
}

/// A text that is not empty and at most `most` characters long.
pub(crate) fn text_up_to(most: usize) -> impl Fn(&Value<'_>) -> Reading<String> {
    move |value| {
        let text = text(value)?;
        match text.chars().count() {
            0 => refuse(value.span, ProblemKind::BadValue, "must not be empty"),
            length if length > most => {
                let message = format!("must have at most {most} characters, this has {length}");
                refuse(value.span, ProblemKind::OutOfRange, message)
            }
            _ => Ok(text),
        }
    }
}

/// A name that others refer to: at most 64 characters (Exchange), no space around it.
pub(crate) fn name(value: &Value<'_>) -> Reading<String> {
    let name = text_up_to(64)(value)?;
    if name.trim() != name {
        return refuse(value.span, ProblemKind::BadValue, "must not begin or end with a space");
    }
    Ok(name)
}

/// A whole number within `range`.
pub(crate) fn integer<T: TryFrom<i64>>(range: RangeInclusive<i64>) -> impl Fn(&Value<'_>) -> Reading<T> {
    move |value| {
        let Some(number) = value.as_integer() else {
            return wrong_type(value, "a whole number");
        };
        let expected = || format!("must be {} to {}, not {number}", range.start(), range.end());
        if !range.contains(&number) {
            return refuse(value.span, ProblemKind::OutOfRange, expected());
        }
        T::try_from(number).or_else(|_| refuse(value.span, ProblemKind::OutOfRange, expected()))
    }
}

/// What `read` takes, or `"unlimited"`, which is `None`.
pub(crate) fn or_unlimited<T>(
    read: impl Fn(&Value<'_>) -> Reading<T>,
) -> impl Fn(&Value<'_>) -> Reading<Option<T>> {
    move |value| match value.as_str() {
        Some(text) if text.eq_ignore_ascii_case("unlimited") => Ok(None),
        _ => match read(value) {
            Ok(taken) => Ok(Some(taken)),
            Err(faults) => Err(faults.into_iter().map(|fault| also_legal(fault, "\"unlimited\"")).collect()),
        },
    }
}

/// What `read` takes, or `""`, which is `None`.
pub(crate) fn or_empty<'t, T>(
    read: impl Fn(&Value<'t>) -> Reading<T>,
) -> impl Fn(&Value<'t>) -> Reading<Option<T>> {
    move |value| if value.as_str() == Some("") { Ok(None) } else { read(value).map(Some) }
}

/// A span within `range`.
pub(crate) fn span(range: RangeInclusive<Duration>) -> impl Fn(&Value<'_>) -> Reading<Duration> {
    move |value| {
        let Some(text) = value.as_str() else {
            return wrong_type(value, "a span such as \"30s\", \"15m\" or \"1.00:00:00\"");
        };
        match parse_span(text) {
            Err(error) => refuse(value.span, ProblemKind::BadValue, format!("{error}, not {}", quoted(text))),
            Ok(span) if !range.contains(&span) => {
                let (least, most) = (span_text(*range.start()), span_text(*range.end()));
                let message = format!("must be {least} to {most}, not {}", span_text(span));
                refuse(value.span, ProblemKind::OutOfRange, message)
            }
            Ok(span) => Ok(span),
        }
    }
}

/// A size in bytes within `range`.
pub(crate) fn size(range: RangeInclusive<u64>) -> impl Fn(&Value<'_>) -> Reading<u64> {
    move |value| {
        let size = match value.as_ref() {
            ValueInner::Integer(number) => u64::try_from(*number).or_else(|_| {
                refuse(value.span, ProblemKind::OutOfRange, format!("must be 0 or more, not {number}"))
            }),
            ValueInner::String(text) => parse_size(text).or_else(|error| {
                refuse(value.span, ProblemKind::BadValue, format!("{error}, not {}", quoted(text)))
            }),
            _ => wrong_type(value, "a size such as \"35MB\", or a whole number of bytes"),
        }?;
        if range.contains(&size) {
            return Ok(size);
        }
        let (least, most) = (size_text(*range.start()), size_text(*range.end()));
        let message = format!("must be {least} to {most}, not {}", size_text(size));
        refuse(value.span, ProblemKind::OutOfRange, message)
    }
}

/// One of the kebab-case words of `choices`.
pub(crate) fn one_of<T: Clone>(choices: &[(&'static str, T)]) -> impl Fn(&Value<'_>) -> Reading<T> {
    move |value| {
        let Some(text) = value.as_str() else {
            return wrong_type(value, &format!("one of {}", alternatives(choices)));
        };
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text) {
            return Ok(choice.clone());
        }
        let message = match nearest(text, choices.iter().map(|(word, _)| *word)) {
            Some(word) => format!("{} is not known; did you mean {word:?}?", quoted(text)),
            None => format!("must be one of {}, not {}", alternatives(choices), quoted(text)),
        };
        refuse(value.span, ProblemKind::BadValue, message)
    }
}

/// One of the kebab-case `words`, each of which `T` understands.
pub(crate) fn keyword<T: FromStr>(words: &'static [&'static str]) -> impl Fn(&Value<'_>) -> Reading<T> {
    let choices: Vec<(&'static str, &'static str)> = words.iter().map(|word| (*word, *word)).collect();
    move |value| {
        let word = one_of(&choices)(value)?;
        word.parse().or_else(|_| refuse(value.span, ProblemKind::BadValue, format!("{word:?} is not known")))
    }
}

/// A text that `T` understands; what `T` says of a wrong one is told.
pub(crate) fn parsed<T>(expected: &'static str) -> impl Fn(&Value<'_>) -> Reading<T>
where
    T: FromStr,
    T::Err: Display,
{
    move |value| {
        let text = string(value, expected)?;
        text.parse().or_else(|error: T::Err| {
            let error = plain(&error.to_string());
            let message = match error.strip_prefix("not ") {
                Some(_) => format!("{} is {error}", quoted(text)),
                None => format!("{} is not {expected}: {error}", quoted(text)),
            };
            refuse(value.span, ProblemKind::BadValue, message)
        })
    }
}

/// What `read` takes; to its refusal of a text is added what `likely` makes of it: a form that was meant for another key, or program.
pub(crate) fn likely<'t, T>(
    read: impl Fn(&Value<'t>) -> Reading<T>,
    likely: impl Fn(&str) -> Option<String>,
) -> impl Fn(&Value<'t>) -> Reading<T> {
    move |value| {
        read(value).map_err(|mut faults| {
            if let Some(meant) = value.as_str().and_then(&likely) {
                faults.iter_mut().for_each(|fault| fault.message = format!("{}; {meant}", fault.message));
            }
            faults
        })
    }
}

/// An address and a port to listen on.
pub(crate) fn address_and_port(value: &Value<'_>) -> Reading<SocketAddr> {
    let text = string(value, "an address and a port")?;
    text.parse().or_else(|_| {
        let message = format!(
            "must be an IP address and a port, as in \"127.0.0.1:25\" or \"[::1]:25\", not {}",
            quoted(text)
        );
        refuse(value.span, ProblemKind::BadValue, message)
    })
}

/// A list whose entries `read` takes; every wrong entry is told.
pub(crate) fn list<'t, T>(read: impl Fn(&Value<'t>) -> Reading<T>) -> impl Fn(&Value<'t>) -> Reading<Vec<T>> {
    move |value| {
        let Some(entries) = value.as_array() else {
            return wrong_type(value, "a list, as in [\"...\", \"...\"]");
        };
        let mut taken = Vec::with_capacity(entries.len());
        let mut faults = Vec::new();
        for entry in entries {
            match read(entry) {
                Ok(entry) => taken.push(entry),
                Err(more) => faults.extend(more),
            }
        }
        if faults.is_empty() { Ok(taken) } else { Err(faults) }
    }
}

/// A list in which no entry may stand twice.
pub(crate) fn distinct<'t, T: PartialEq>(
    read: impl Fn(&Value<'t>) -> Reading<T>,
) -> impl Fn(&Value<'t>) -> Reading<Vec<T>> {
    let read = list(read);
    move |value| {
        let taken = read(value)?;
        let entries = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let twice = entries
            .iter()
            .zip(&taken)
            .enumerate()
            .filter(|(at, (_, entry))| taken.iter().take(*at).any(|earlier| earlier == *entry));
        let faults: Vec<Fault> = twice
            .map(|(_, (entry, _))| Fault {
                span: entry.span,
                kind: ProblemKind::Duplicate,
                message: format!("{} stands twice", entry.as_str().map_or_else(|| "this".into(), quoted)),
            })
            .collect();
        if faults.is_empty() { Ok(taken) } else { Err(faults) }
    }
}

/// A list with at least one entry.
pub(crate) fn not_empty<'t, T>(
    read: impl Fn(&Value<'t>) -> Reading<Vec<T>>,
) -> impl Fn(&Value<'t>) -> Reading<Vec<T>> {
    move |value| {
        let taken = read(value)?;
        if taken.is_empty() {
            return refuse(value.span, ProblemKind::BadValue, "must hold at least one entry");
        }
        Ok(taken)
    }
}

/// A path, taken from `folder` where it is relative.
pub(crate) fn path(folder: &Path) -> impl Fn(&Value<'_>) -> Reading<PathBuf> {
    move |value| {
        let text = string(value, "a path")?;
        match text {
            "" => refuse(value.span, ProblemKind::BadValue, "must not be empty"),
            _ if text.contains('\0') => refuse(value.span, ProblemKind::BadValue, "a path holds no NUL"),
            _ => Ok(folder.join(text)),
        }
    }
}

/// A table whose keys are names: each with the place of its name, and what `read` takes of its value.
pub(crate) fn names_to<'t, T>(
    read: impl Fn(&Value<'t>) -> Reading<T>,
) -> impl Fn(&Value<'t>) -> Reading<Vec<(String, T)>> {
    move |value| {
        let Some(table) = value.as_table() else {
            return wrong_type(value, "names and their values, as in { Hub01 = \"...\" }");
        };
        let mut taken = Vec::with_capacity(table.len());
        let mut faults = Vec::new();
        for (key, value) in table {
            match read(value) {
                Ok(value) => taken.push((key.name.to_string(), value)),
                Err(more) => faults.extend(more),
            }
        }
        if faults.is_empty() { Ok(taken) } else { Err(faults) }
    }
}

/// What `read` takes, changed by `change`.
pub(crate) fn map<'t, T, U>(
    read: impl Fn(&Value<'t>) -> Reading<T>,
    change: impl Fn(T) -> U,
) -> impl Fn(&Value<'t>) -> Reading<U> {
    move |value| read(value).map(&change)
}

/// What kind of value this is, as a postmaster would call it. Never the value: it could be a secret.
pub(crate) fn type_name(value: &Value<'_>) -> &'static str {
    match value.as_ref() {
        ValueInner::String(_) => "a text in quotes",
        ValueInner::Integer(_) => "a whole number",
        ValueInner::Float(_) => "a number with a fraction",
        ValueInner::Boolean(_) => "true or false",
        ValueInner::Array(_) => "a list",
        ValueInner::Table(_) => "a section",
    }
}

pub(crate) fn wrong_type<T>(value: &Value<'_>, expected: &str) -> Reading<T> {
    refuse(value.span, ProblemKind::WrongType, format!("must be {expected}, not {}", type_name(value)))
}

/// A text as it is shown in a message: in quotes, control characters escaped, never long.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 80;
    if text.chars().count() <= MOST {
        return format!("{text:?}");
    }
    format!("{:?}...", text.chars().take(MOST).collect::<String>())
}

/// The text itself; `expected` is what it stands for, such as "a path".
pub(crate) fn string<'a>(value: &'a Value<'_>, expected: &str) -> Reading<&'a str> {
    value.as_str().map_or_else(|| wrong_type(value, &format!("{expected} in quotes")), Ok)
}

fn also_legal(mut fault: Fault, other: &str) -> Fault {
    if let Some(rest) = fault.message.strip_prefix("must be ") {
        fault.message = format!("must be {other} or {rest}");
    }
    fault
}

fn alternatives<T>(choices: &[(&'static str, T)]) -> String {
    choices.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}
