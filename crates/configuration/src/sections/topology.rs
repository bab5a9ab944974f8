//! `[topology]`: the other servers, their sites, and what the way between two sites costs.

use postroad_connector::{ServerAddress, SiteLink, Topology};
use toml_span::value::Value;

use crate::problem::ProblemKind;
use crate::reading::fault::{Reading, refuse};
use crate::reading::gather::Places;
use crate::reading::section::Section;
use crate::reading::suggestion::nearest;
use crate::reading::value::{integer, list, name, names_to, parsed, wrong_type};

/// Adds what the section says to `topology`, which knows this server already.
pub(crate) fn read(mut section: Section<'_, '_>, topology: &mut Topology) -> Places {
    let servers = section.get("servers", names_to(name));
    let addresses = section.get("addresses", names_to(parsed::<ServerAddress>("the address of a server")));
    section.set(&mut topology.site_links, "site_links", list(site_link));
    topology.servers.extend(servers.into_iter().flatten());
    topology.addresses.extend(addresses.into_iter().flatten());
    section.close()
}

const EXAMPLE: &str = "{ between = [\"Paris\", \"Lyon\"], cost = 10 }";

fn site_link(value: &Value<'_>) -> Reading<SiteLink> {
    let Some(table) = value.as_table() else {
        return wrong_type(value, &format!("a link, as in {EXAMPLE}"));
    };
    if let Some(unknown) = table.keys().find(|key| !["between", "cost"].contains(&key.name.as_ref())) {
        let message = match nearest(&unknown.name, ["between", "cost"]) {
            Some(known) => format!("a link has no {}; did you mean {known}?", unknown.name),
            None => format!("a link has no {}; it is written {EXAMPLE}", unknown.name),
        };
        return refuse(unknown.span, ProblemKind::UnknownKey, message);
    }
    let (Some(between), Some(cost)) = (table.get("between"), table.get("cost")) else {
        return refuse(
            value.span,
            ProblemKind::Missing,
            format!("a link has both between and cost, as in {EXAMPLE}"),
        );
    };
    let sites = list(name)(between)?;
    let cost = integer(0..=i64::from(SiteLink::MAX_COST))(cost)?;
    match sites.as_slice() {
        [one, other] => Ok(SiteLink::new(one.as_str(), other.as_str(), cost)),
        _ => refuse(between.span, ProblemKind::BadValue, "a link is between two sites"),
    }
}
