//! `relay connectors`: the connectors of a configuration, and the directories in which mail comes.

use std::io;
use std::path::Path;

use postroad_admin::connectors::{ConnectorRow, DirectoryRow, list};

use crate::commands::{configuration_of_relay, said};
use crate::exit::Exit;

/// All connectors in the order of the file, disabled ones too; then the directories in use.
pub(crate) fn connectors(file: Option<&Path>, json: bool) -> Result<Exit, Exit> {
    let configuration = configuration_of_relay(file)?;
    let drops = configuration.drop_directories();
    let rows: Vec<ConnectorRow> = configuration
        .connectors
        .iter()
        .map(|connector| ConnectorRow::new(connector, drops.get(connector.name()).map(|drop| drop.path())))
        .collect();
    let directories = configuration.directories().into_iter();
    let directories: Vec<_> = directories.map(|(kind, path)| DirectoryRow::new(kind, &path)).collect();
    Ok(said(list(&rows, &directories, json, &mut io::BufWriter::new(io::stdout().lock()))))
}
