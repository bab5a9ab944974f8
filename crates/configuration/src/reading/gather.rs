//! Everything found wrong so far, with its place; nothing stops at the first.

use std::collections::{BTreeMap, BTreeSet};

use toml_span::Span;

use crate::problem::{Place, Problem, ProblemKind, Severity};
use crate::reading::source::Source;

/// The problems of one relay.toml, gathered while its sections are read.
pub(crate) struct Gather<'t> {
    source: Source<'t>,
    problems: Vec<Problem>,
    /// Lines were left out because they are no TOML: what seems missing may have stood there.
    incomplete: bool,
}

/// Where a section and each of its keys stand, kept for the checks that compare several of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    pub(crate) section: String,
    pub(crate) header: Span,
    pub(crate) keys: BTreeMap<String, Span>,
    /// Keys whose value was refused: what was taken instead is a default that nobody wrote.
    pub(crate) refused: BTreeSet<String>,
}

impl Places {
    /// Where `key` stands, or the section's header where it is not written.
    pub(crate) fn of(&self, key: &str) -> Span {
        self.keys.get(key).copied().unwrap_or(self.header)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }
}

/// One finding, before its offsets become lines and columns.
pub(crate) struct Finding<'a> {
    pub(crate) severity: Severity,
    pub(crate) kind: ProblemKind,
    pub(crate) section: &'a str,
    pub(crate) key: &'a str,
    pub(crate) span: Span,
    pub(crate) also: Option<Span>,
    pub(crate) message: String,
}

impl<'t> Gather<'t> {
    pub(crate) fn new(source: Source<'t>, incomplete: bool) -> Self {
        Self { source, problems: Vec::new(), incomplete }
    }

    pub(crate) fn report(&mut self, finding: Finding<'_>) {
        if self.incomplete && finding.kind == ProblemKind::Missing {
            return;
        }
        let problem = self.problem(finding);
        self.problems.push(problem);
    }

    /// The finding with its place in lines and columns.
    pub(crate) fn problem(&self, finding: Finding<'_>) -> Problem {
        let Place { line, column } = self.source.place(finding.span.start);
        Problem {
            file: self.source.file(),
            line,
            column,
            severity: finding.severity,
            kind: finding.kind,
            section: finding.section.to_owned(),
            key: finding.key.to_owned(),
            message: finding.message,
            also_at: finding.also.map(|span| self.source.place(span.start)),
        }
    }

    /// An error at one key of a section that was read before.
    pub(crate) fn error_at(
        &mut self,
        places: &Places,
        key: &str,
        kind: ProblemKind,
        message: impl Into<String>,
    ) {
        self.at(Severity::Error, places, key, kind, message.into());
    }

    /// A warning at one key of a section that was read before.
    pub(crate) fn warn_at(&mut self, places: &Places, key: &str, message: impl Into<String>) {
        self.at(Severity::Warning, places, key, ProblemKind::Doubtful, message.into());
    }

    fn at(&mut self, severity: Severity, places: &Places, key: &str, kind: ProblemKind, message: String) {
        let (section, span) = (&places.section, places.of(key));
        self.report(Finding { severity, kind, section, key, span, also: None, message });
    }

    /// Two parameters that cannot both stand; the place of both is told.
    pub(crate) fn contradiction(
        &mut self,
        places: &Places,
        key: &str,
        other: &str,
        message: impl Into<String>,
    ) {
        let (span, also) = (places.of(key), places.has(other).then(|| places.of(other)));
        self.report(Finding {
            severity: Severity::Error,
            kind: ProblemKind::Contradiction,
            section: &places.section,
            key,
            span,
            also,
            message: message.into(),
        });
    }

    /// A rule that several parameters of one section break together: told at the first one that is written.
    ///
    /// Silent where one of them was refused already.
    pub(crate) fn broken_rule(&mut self, places: &Places, parameters: &[&str], message: impl Into<String>) {
        if parameters.iter().any(|parameter| places.refused.contains(*parameter)) {
            return;
        }
        let mut written = parameters.iter().filter(|parameter| places.has(parameter));
        let key = written.next().or(parameters.first()).copied().unwrap_or_default();
        let message: String = message.into();
        let message = message.strip_prefix(key).and_then(|rest| rest.strip_prefix(' ')).unwrap_or(&message);
        self.contradiction(places, key, written.next().copied().unwrap_or_default(), message);
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.problems.iter().any(Problem::is_error)
    }

    /// All problems in the order of the file.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| (problem.line, problem.column, problem.severity));
        self.problems.dedup();
        self.problems
    }
}
