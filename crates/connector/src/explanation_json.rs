//! An explanation as one object of `relay route --json`.

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use crate::connector::Connector;
use crate::delivery_type::DeliveryType;
use crate::explanation::Explanation;
use crate::selection::{Route, Selection};

/// Exchange's name for the queue of what no connector takes.
const UNREACHABLE: &str = "Unreachable Domain";

impl Serialize for Explanation<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let route = self.route();
        let (result, status) = match &self.selection {
            Selection::Route(_) => ("route", None),
            Selection::Unreachable => ("unreachable", None),
            Selection::Refused(refusal) => ("refused", Some(refusal.status())),
        };
        let waits = matches!(self.selection, Selection::Unreachable);
        let next_hop = route.map(|route| route.destination()).or(waits.then_some(UNREACHABLE));
        let delivery_type =
            route.map(|route| route.delivery_type).or(waits.then_some(DeliveryType::Unreachable));
        let mut object = serializer.serialize_struct("Explanation", 9)?;
        object.serialize_field("recipient", self.recipient)?;
        object.serialize_field("type", self.recipient.address_type())?;
        object.serialize_field("result", result)?;
        object.serialize_field("connector", &route.map(|route| route.connector.name()))?;
        object.serialize_field("next_hop", &next_hop)?;
        object.serialize_field("address_space", &route.map(Route::address_space))?;
        object.serialize_field("delivery_type", &delivery_type)?;
        object.serialize_field("status", &status)?;
        object.serialize_field("candidates", &self.candidates)?;
        object.end()
    }
}

pub(crate) fn name_only<S: Serializer>(connector: &&Connector, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(connector.name())
}
