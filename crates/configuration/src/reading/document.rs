//! Text to TOML, going on after a line that is no TOML so that the next mistake is told as well.

use std::borrow::Cow;

use toml_span::{ErrorKind, Span};

use crate::problem::ProblemKind;
use crate::reading::fault::Fault;
use crate::reading::source::Source;

/// A file with more broken lines than this is not a relay.toml; the first ones tell enough.
const MOST_BROKEN_LINES: usize = 20;

/// The text with every line blanked that is no TOML, and what was wrong with those lines.
pub(crate) struct Document<'t> {
    pub(crate) text: Cow<'t, str>,
    pub(crate) faults: Vec<Fault>,
    /// Whether what is left still means what its author meant, so that its values are worth checking.
    pub(crate) readable: bool,
}

impl<'t> Document<'t> {
    pub(crate) fn new(text: &'t str, source: &Source<'_>) -> Self {
        let mut document = Self { text: Cow::Borrowed(text), faults: Vec::new(), readable: true };
        let mut last = None;
        while let Err(error) = toml_span::parse(&document.text) {
            if last == Some(error.span.start) {
                // Blanking a line has not helped: the bracket that is open was opened further up.
                document.readable = false;
                break;
            }
            last = Some(error.span.start);
            let fault = document.unclosed(&error, source).unwrap_or_else(|| fault(&error, source));
            let range = source.line_at(fault.span.start);
            let line = document.text.get(range.clone()).unwrap_or_default().trim().to_owned();
            document.faults.push(fault);
            if line.is_empty() || document.faults.len() >= MOST_BROKEN_LINES {
                document.readable = false;
                break;
            }
            // Without its header a section's keys would be judged as another's.
            document.readable &= !line.starts_with('[');
            let blanked = " ".repeat(range.len());
            document.text.to_mut().replace_range(range, &blanked);
        }
        document
    }

    /// A list or an inline table that is not closed, when the line after it is where the parser noticed.
    fn unclosed(&self, error: &toml_span::Error, source: &Source<'_>) -> Option<Fault> {
        let ErrorKind::Wanted { expected: expected @ ("a right bracket" | "a comma"), .. } = &error.kind
        else {
            return None;
        };
        let start = source.line_at(error.span.start).start;
        if !self.text.get(start..error.span.start)?.trim().is_empty() {
            return None;
        }
        let end = self.text.get(..start)?.trim_end().len();
        let closing = if *expected == "a comma" { '}' } else { ']' };
        let message = format!("a closing {closing} is missing");
        (end > 0).then(|| Fault { span: Span::new(end - 1, end), kind: ProblemKind::Syntax, message })
    }
}

fn fault(error: &toml_span::Error, source: &Source<'_>) -> Fault {
    let line_of = |span: &Span| source.place(span.start).line;
    let (kind, message) = match &error.kind {
        ErrorKind::DuplicateKey { key, first } => (
            ProblemKind::Duplicate,
            format!("{key:?} stands twice in one section; the first is in line {}", line_of(first)),
        ),
        ErrorKind::DuplicateTable { name, first } => (
            ProblemKind::Duplicate,
            format!(
                "[{name}] stands twice; the first is in line {}; put their keys together",
                line_of(first)
            ),
        ),
        ErrorKind::RedefineAsArray => {
            (ProblemKind::Syntax, "[name] and [[name]] are both used for one section".into())
        }
        ErrorKind::UnquotedString => {
            (ProblemKind::Syntax, "a text must stand in quotes, as in key = \"value\"".into())
        }
        ErrorKind::UnterminatedString | ErrorKind::InvalidCharInString('\n') => {
            (ProblemKind::Syntax, "a closing quote is missing".into())
        }
        ErrorKind::InvalidEscape(c) => (
            ProblemKind::Syntax,
            format!("\\{} is no escape; write a backslash as \\\\ or use single quotes", c.escape_default()),
        ),
        ErrorKind::InvalidNumber => (
            ProblemKind::Syntax,
            "not a number; spans, sizes and addresses stand in quotes, as in \"15m\"".into(),
        ),
        ErrorKind::Wanted { expected, found } => {
            (ProblemKind::Syntax, format!("expected {expected}, found {found}"))
        }
        ErrorKind::UnexpectedEof => (ProblemKind::Syntax, "the file ends in the middle of a value".into()),
        ErrorKind::DottedKeyInvalidType { first } => (
            ProblemKind::Syntax,
            format!("line {} gives this name a value, so that it is no section", line_of(first)),
        ),
        other => (ProblemKind::Syntax, plain(other)),
    };
    Fault { span: error.span, kind, message }
}

/// What toml-span itself says, without a line break and never long.
fn plain(kind: &ErrorKind) -> String {
    let error = toml_span::Error { kind: kind.clone(), span: Span::default(), line_info: None };
    error.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}
