//! Exit codes, as sysexits(3) names them.

use std::process::ExitCode;

/// One line for `--help`.
pub(crate) const CODES: &str = "Exit codes: 0 done, 64 wrong command line, 65 wrong input, 69 a recipient failed, \
                                75 not now (try again later), 78 wrong configuration";

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
