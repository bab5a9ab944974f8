//! Exit codes, as sysexits(3) names them.

use std::process::ExitCode;

/// What a command tells its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done as asked.
    Ok,
    /// The command line was wrong.
    Usage,
    /// The input was wrong.
    Data,
    /// A recipient failed for good.
    Unavailable,
    /// Not now; the same call may succeed later.
    Temporary,
    /// The configuration was wrong.
    Configuration,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Usage => 64,
            Exit::Data => 65,
            Exit::Unavailable => 69,
            Exit::Temporary => 75,
            Exit::Configuration => 78,
        })
    }
}
