//! What is wrong with a relay.toml, where, and what would be right.

use std::fmt;
use std::sync::Arc;

/// Whether a problem keeps the configuration from loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing is loaded until this is put right.
    Error,
    /// The configuration loads; something in it will not work, or not as one would think.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// The family a problem belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The file cannot be read, or is not UTF-8.
    Unreadable,
    /// Not TOML.
    Syntax,
    /// A section that relay.toml does not have.
    UnknownSection,
    /// A key that its section does not have.
    UnknownKey,
    /// A number where a string belongs, and the like.
    WrongType,
    /// The right type, but not a legal value.
    BadValue,
    /// A legal form outside the legal range.
    OutOfRange,
    /// A key that must be given is not.
    Missing,
    /// A name, binding or list entry stands twice.
    Duplicate,
    /// Two parameters that exclude each other, or one that needs another.
    Contradiction,
    /// A credential, connector or server is named that nobody defines.
    UnknownName,
    /// Understood, but the part of the relay that would do it is not built yet.
    NotAvailableYet,
    /// Legal, but most likely not what was meant.
    Doubtful,
}

/// A line and a column of relay.toml, both counted from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The character within the line, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong, or doubtful, in a relay.toml.
///
/// Its `Display` is one line: `relay.toml:12:5: error: [[send_connector]] port: must be 0 to 65535, not 70000`.
/// No value of a key that could hold a secret is ever repeated in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The file as it was named to us.
    pub file: Arc<str>,
    /// Where it stands; line 0 means the whole file.
    pub line: usize,
    /// The character within the line, from 1; 0 means the whole file.
    pub column: usize,
    /// Error or warning.
    pub severity: Severity,
    /// The family.
    pub kind: ProblemKind,
    /// The section as it is written, such as `[server]` or `[[send_connector]]`; empty outside any.
    pub section: String,
    /// The key; empty where the section as a whole is meant.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
    /// The place of the other parameter, where two are concerned.
    pub also_at: Option<Place>,
}

impl Problem {
    /// Whether this keeps the configuration from loading.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        write!(f, " {}: ", self.severity)?;
        match (self.section.is_empty(), self.key.is_empty()) {
            (true, true) => {}
            (false, true) => write!(f, "{}: ", self.section)?,
            (true, false) => write!(f, "{}: ", self.key)?,
            (false, false) => write!(f, "{} {}: ", self.section, self.key)?,
        }
        f.write_str(&self.message)?;
        match self.also_at {
            Some(place) => write!(f, " (see {place})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// Everything that is wrong or doubtful in a relay.toml that was refused, in the order of the file; at least one is an error.
///
/// Printed one a line. The same file is refused again until somebody changes it, or (`cannot be read`) the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub(crate) Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            f.write_str(if number > 0 { "\n" } else { "" })?;
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl std::ops::Deref for Problems {
    type Target = [Problem];

    fn deref(&self) -> &[Problem] {
        &self.0
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<Problems> for Vec<Problem> {
    fn from(problems: Problems) -> Self {
        problems.0
    }
}
