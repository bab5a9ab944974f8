//! Exit codes, as sysexits(3) names them.

use std::process::ExitCode;

/// One line for `--help`.
pub(crate) const CODES: &str = "Exit codes: 0 done, 64 wrong command line, 65 wrong input, 69 a recipient failed or what was named is not there, \
                                75 not now (try again later), 78 wrong configuration";

/// What a command tells its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done as asked.
    Ok = 0,
    /// The command line was wrong.
    Usage = 64,
    /// The input was wrong.
    Data = 65,
    /// A recipient failed for good, or a message that was named is not there.
    Unavailable = 69,
    /// Not now; the same call may succeed later.
    Temporary = 75,
    /// The configuration was wrong.
    Configuration = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
