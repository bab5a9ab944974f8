//! The foreign connector of the guides: an IMCEA recipient is opened and ends in the gateway's directory, if the connector is ours.

use std::process::Command;

use postroad_interop::{Sample, mailbox};

use crate::configuration::{House, program};

/// `Contoso Foreign Connector` as the guide creates it.
pub(crate) const CONTOSO: &str = r#"
[[foreign_connector]]
name = "Contoso Foreign Connector"
address_spaces = ["X400:c=US;a=Fabrikam;P=Contoso;5"]
source_transport_servers = ["Hub01", "Hub02"]
"#;

const JANE: &str = "IMCEAX400-C=US+3BA=Fabrikam+3BP=Contoso+3BO=Sales+3BS=Doe+3BG=Jane+3B@contoso.com";

#[test]
fn an_encapsulated_recipient_ends_in_the_connectors_own_directory() {
    let house = House::with(CONTOSO);
    let directory = house.scratch.folder("Contoso Foreign Connector");
    let _relay = house.start();
    let sample = Sample::plain();
    house.application().send("joe@contoso.com", &[JANE], &sample.content).expect("a 250");
    let dropped = mailbox::wait_for_one(&directory);
    sample.assert_arrived_in(&dropped);
    assert!(String::from_utf8_lossy(&dropped).contains(JANE), "the receiver is the IMCEA address");
}

#[test]
fn an_encapsulated_recipient_that_no_connector_takes_comes_back_as_a_report() {
    let own = "\n[[foreign_connector]]\nname = \"Own\"\naddress_spaces = [\"contoso.com\"]\ndrop_directory = \"Drop\"\n";
    let house = House::with(&format!("{CONTOSO}{own}"));
    house.scratch.folder("Drop");
    let _relay = house.start();
    let stranger = "IMCEAX400-C=FR+3BA=+20+3BP=X+3BS=Doe@contoso.com";
    house.application().send("joe@contoso.com", &[stranger], &Sample::plain().content).expect("a 250");
    let report = mailbox::wait_for_one(&house.drop_directory());
    let report = String::from_utf8_lossy(&report);
    for part in ["multipart/report", "Action: failed", "5.1.2"] {
        assert!(report.contains(part), "no {part:?} in the report:\n{report}");
    }
}

#[test]
fn another_server_says_why_the_connector_is_not_its_own() {
    let house = House::with(CONTOSO);
    let text = std::fs::read_to_string(&house.configuration).expect("the configuration");
    house.scratch.write("relay.toml", text.replace("name = \"Hub01\"", "name = \"Hub03\""));
    let output = Command::new(program())
        .args(["route", "--json", "--config"])
        .arg(&house.configuration)
        .arg("X400:c=US;a=Fabrikam;p=Contoso;s=Doe;")
        .output()
        .expect("relay route");
    let line = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(line.contains("\"no_source_server_in_reach\""), "{line}");
    assert!(line.contains("\"result\":\"refused\""), "{line}");
}
