//! The commands, one room each, and how they come by their configuration.

use std::io;
use std::path::Path;

use postroad_configuration::{Configuration, Problem};

use crate::exit::Exit;

pub(crate) mod check;
pub(crate) mod connectors;
pub(crate) mod hash_password;
pub(crate) mod queue;
pub(crate) mod route;
pub(crate) mod run;
pub(crate) mod send;

/// The configuration of a file, or the safe default below the working directory.
///
/// Every problem goes to standard error; with a single error there is no configuration.
pub(crate) fn configuration(file: Option<&Path>) -> Result<Configuration, Exit> {
    let parsed = match file {
        Some(file) => Configuration::read(file),
        // Where the working directory cannot be told, paths relative to it still lead there.
        None => Configuration::safe_default(&std::env::current_dir().unwrap_or_default()),
    };
    parsed.map_err(|problems| {
        print(&problems);
        Exit::Configuration
    })
}

/// The same for a command about a relay that is configured somewhere: without a file it says that none is meant.
pub(crate) fn configuration_of_relay(file: Option<&Path>) -> Result<Configuration, Exit> {
    if file.is_none() {
        eprintln!(
            "relay: no --config and no RELAY_CONFIG: this is about the safe default, below ./relay-data"
        );
    }
    configuration(file)
}

/// One line for each problem, on standard error.
pub(crate) fn print(problems: &[Problem]) {
    for problem in problems {
        eprintln!("{problem}");
    }
}

/// Whether all was said on standard output. A reader that has seen enough (`| head`) closes the pipe; that is no failure of ours.
fn said(outcome: io::Result<()>) -> Exit {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("relay: {error}");
            Exit::Data
        }
        _ => Exit::Ok,
    }
}
