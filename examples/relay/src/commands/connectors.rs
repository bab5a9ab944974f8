//! `relay connectors`: the connectors of a configuration, and the directories in which mail comes.

use std::io;
use std::path::Path;

use postroad_admin::connectors::{ConnectorRow, DirectoryRow, list};
use postroad_configuration::Configuration;

use crate::commands::configuration_of_relay;
use crate::exit::Exit;

/// All connectors in the order of the file, disabled ones too; then Pickup, Replay and Badmail where they are in use.
pub(crate) fn connectors(file: Option<&Path>, json: bool) -> Exit {
    let configuration = match configuration_of_relay(file) {
        Ok(configuration) => configuration,
        Err(exit) => return exit,
    };
    let drops = configuration.drop_directories();
    let rows: Vec<ConnectorRow> = configuration
        .connectors
        .iter()
        .map(|connector| ConnectorRow::new(connector, drops.get(connector.name()).map(|drop| drop.path())))
        .collect();
    let mut output = io::BufWriter::new(io::stdout().lock());
    match list(&rows, &directories(&configuration), json, &mut output) {
        // A reader that has seen enough (`| head`) closes the pipe; that is no failure of ours.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("relay: {error}");
            Exit::Temporary
        }
        _ => Exit::Ok,
    }
}

fn directories(configuration: &Configuration) -> Vec<DirectoryRow> {
    let pickup = configuration.pickup.as_ref();
    let badmail = pickup.and_then(|pickup| pickup.badmail_directory.as_deref());
    let directories = [
        ("pickup", pickup.map(|pickup| pickup.path.as_path())),
        ("replay", configuration.replay.as_ref().map(|replay| replay.path.as_path())),
        ("badmail", badmail),
    ];
    directories.into_iter().filter_map(|(kind, path)| Some(DirectoryRow::new(kind, path?))).collect()
}
