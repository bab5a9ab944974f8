//! `relay connectors`: what a postmaster sees of his roads, as text and as JSON.

use std::path::Path;
use std::process::{Command, Output};

use postroad_interop::Scratch;

use crate::configuration::program;

/// The complete file, and three connectors more: one that is off, one of IIS's way, one for some senders only.
fn configuration(scratch: &Scratch) -> String {
    let good = |file: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/configuration/tests/good");
        std::fs::read_to_string(folder.join(file)).expect("a configuration of the guides")
    };
    let more = "[[send_connector]]\nname = \"Old\"\naddress_spaces = [\"old.example\"]\nenabled = false\nis_scoped_connector = true\n\
                [[send_connector]]\nname = \"IIS\"\naddress_spaces = [\"iis.example\"]\nsmart_hosts = [\"10.0.0.1\"]\n\
                smart_host_type = \"dns-first\"\nfrontend_proxy_enabled = true\nmax_message_size = \"unlimited\"\n\
                [[send_connector]]\nname = \"Letters\"\naddress_spaces = [\"*\"]\nsenders = [\"newsletter@contoso.com\"]\n";
    let text = good("complete.toml").replace("badmail_directory = \"\"", "badmail_directory = \"Badmail\"");
    scratch.write("relay.toml", text + more).display().to_string()
}

fn connectors(configuration: &str, more: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(["connectors", "--config", configuration]).args(more).output().expect("relay connectors")
}

#[test]
fn each_connector_is_listed_with_its_spaces_and_where_it_leads() {
    let scratch = Scratch::new();
    let configuration = configuration(&scratch);
    let folder = scratch.path().display().to_string();
    for (more, golden) in
        [(&[][..], include_str!("connectors.txt")), (&["--json"], include_str!("connectors.jsonl"))]
    {
        let output = connectors(&configuration, more);
        assert!(output.status.success(), "{output:?}");
        let told = String::from_utf8(output.stdout).expect("UTF-8").replace(&folder, "/etc/postroad");
        assert_eq!(told, golden, "{more:?}");
    }
}

#[test]
fn the_variable_names_the_file_and_without_both_it_says_what_is_meant() {
    let scratch = Scratch::new();
    let configuration = configuration(&scratch);
    let named = connectors(&configuration, &[]);
    let mut by_variable = Command::new(program());
    let by_variable =
        by_variable.arg("connectors").env("RELAY_CONFIG", &configuration).output().expect("run");
    assert_eq!((by_variable.stdout, by_variable.status), (named.stdout, named.status));
    assert!(by_variable.stderr.is_empty(), "{}", String::from_utf8_lossy(&by_variable.stderr));

    for set_to in [None, Some("")] {
        let mut without = Command::new(program());
        without.arg("connectors").env_remove("RELAY_CONFIG").current_dir(scratch.path());
        let without = without.envs(set_to.map(|nothing| ("RELAY_CONFIG", nothing))).output().expect("run");
        let said = String::from_utf8_lossy(&without.stderr);
        assert!(said.starts_with("relay: no --config and no RELAY_CONFIG"), "{set_to:?}: {said}");
        assert!(String::from_utf8_lossy(&without.stdout).contains("relay-data/Drop"), "{without:?}");
    }
}
