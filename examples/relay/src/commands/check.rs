//! `relay check`: everything that is wrong with a configuration, at once.

use std::path::Path;

use postroad_configuration::Severity;

use crate::commands::{configuration, print};
use crate::exit::Exit;

/// Exit 0 with warnings for what will not work yet, or 78 with every error.
pub(crate) fn check(file: &Path) -> Result<Exit, Exit> {
    let configuration = configuration(Some(file))?;
    let found = [configuration.warnings.clone(), configuration.check_disk()].concat();
    print(&found);
    let errors = found.iter().filter(|problem| problem.severity == Severity::Error).count();
    let warnings = found.len() - errors;
    let advertised =
        configuration.receive_connectors.iter().filter(|c| c.enabled && c.advertise_client_settings);
    for connector in advertised {
        for way in connector.client_settings(configuration.server.fqdn.as_str()) {
            println!("clients of {:?}: {way}", connector.name);
        }
    }
    println!(
        "{}: errors: {errors}, warnings: {warnings}; receive connectors: {}, connectors: {}",
        file.display(),
        configuration.receive_connectors.len(),
        configuration.connectors.len(),
    );
    if errors == 0 { Ok(Exit::Ok) } else { Err(Exit::Configuration) }
}
