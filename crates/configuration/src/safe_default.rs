//! What plain `relay` runs with, as a relay.toml that anybody can read and copy.

use std::path::Path;

use crate::configuration::Configuration;
use crate::problem::Problems;

impl Configuration {
    /// The text of the safe default: SMTP on 127.0.0.1:2525 for this machine alone, Pickup, Replay and Drop below
    /// `relay-data`, and every address to Drop.
    pub const SAFE_DEFAULT: &str = include_str!("safe_default.toml");

    /// The safe default with its directories below `folder`.
    ///
    /// # Errors
    /// None that the text is to blame for: it is parsed in our tests. They are kept so that nobody has to trust that.
    ///
    /// ```
    /// use std::path::Path;
    /// use postroad_configuration::Configuration;
    ///
    /// let relay = Configuration::safe_default(Path::new("/tmp/here"))?;
    /// assert_eq!(relay.server.data_directory, Path::new("/tmp/here/relay-data"));
    /// assert_eq!(relay.receive_connectors[0].bindings, ["127.0.0.1:2525".parse()?]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn safe_default(folder: &Path) -> Result<Self, Problems> {
        Self::parse(Self::SAFE_DEFAULT, &folder.join("safe_default.toml"))
    }
}

#[cfg(test)]
mod tests {
    use postroad_address_space::Address;
    use postroad_connector::{Connector, Selection, Sender};

    use super::*;

    #[test]
    fn every_address_goes_to_drop_and_nothing_is_doubtful() {
        let relay = Configuration::safe_default(Path::new("/srv")).unwrap();
        assert_eq!(relay.warnings, []);
        assert_eq!(relay.pickup.as_ref().unwrap().path, Path::new("/srv/relay-data/Pickup"));
        assert_eq!(relay.replay.as_ref().unwrap().path, Path::new("/srv/relay-data/Replay"));
        let [Connector::Foreign(drop)] = relay.connectors.as_slice() else {
            panic!("{:?}", relay.connectors)
        };
        assert_eq!(relay.drop_directory(drop), Path::new("/srv/relay-data/Drop"));

        let table = relay.routing_table().unwrap();
        for recipient in [
            "jane@contoso.com",
            "jane@[10.0.0.1]",
            "X400:C=US;A= ;P=Contoso;S=Doe;",
            "FAX:+1 425",
            "NOTES:Jane/Acme",
        ] {
            let address = Address::parse(recipient).unwrap();
            assert!(
                matches!(table.select(&Sender::Null, &address, 1 << 20), Selection::Route(_)),
                "{recipient}"
            );
        }
    }
}
