//! The configurations that the scenarios share, as a postmaster would write them but for the short retry intervals.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use postroad_interop::{Application, Relay, Scratch, port, program as programs};

/// A relay's folder, its configuration file and the address on which it takes mail.
pub(crate) struct House {
    pub(crate) scratch: Scratch,
    pub(crate) listener: SocketAddr,
    pub(crate) configuration: PathBuf,
}

impl House {
    /// Writes a `relay.toml` that ends with `connectors`; `Pickup` and `Replay` stand beside it, `Drop` does not.
    pub(crate) fn with(connectors: &str) -> Self {
        Self::in_scratch(Scratch::new(), connectors)
    }

    /// The same in a folder where other programs already are.
    pub(crate) fn in_scratch(scratch: Scratch, connectors: &str) -> Self {
        Self::in_scratch_with(scratch, RELAY_FOR_LOCAL_APPLICATIONS, connectors)
    }

    /// The same with other words about who may send, which stand in the one `[[receive_connector]]`.
    pub(crate) fn in_scratch_with(scratch: Scratch, who_may_send: &str, connectors: &str) -> Self {
        let listener = port::free();
        scratch.folder("Pickup");
        scratch.folder("Replay");
        let text = format!("{}{}{connectors}", common(), receive_connector(listener, who_may_send));
        let configuration = scratch.write("relay.toml", text);
        Self { scratch, listener, configuration }
    }

    /// Lets `client` connect too, beside this machine.
    pub(crate) fn also_from(&self, client: &str) {
        let text = fs::read_to_string(&self.configuration).expect("read relay.toml");
        let both = format!("remote_ip_ranges = [\"127.0.0.1\", \"{client}\"]");
        let text = text.replace("remote_ip_ranges = [\"127.0.0.1\"]", &both);
        fs::write(&self.configuration, text).expect("write relay.toml");
    }

    /// Lets nothing be tried again before somebody asks for it.
    pub(crate) fn without_retries(&self) {
        let text = fs::read_to_string(&self.configuration).expect("read relay.toml");
        fs::write(&self.configuration, text.replace("_retry_interval = \"1s\"", "_retry_interval = \"30m\""))
            .expect("write relay.toml");
    }

    /// What `relay COMMAND --config relay.toml ARGUMENTS` prints, below each other, and its exit status.
    pub(crate) fn command(&self, command: &[&str], arguments: &[&str]) -> (String, Option<i32>) {
        let mut relay = Command::new(program());
        relay.args(command).arg("--config").arg(&self.configuration).args(arguments);
        let output = relay.output().expect("run the relay");
        (programs::said(&output), output.status.code())
    }

    /// Starts the relay and waits until it is ready.
    pub(crate) fn start(&self) -> Relay {
        Relay::run(program(), &self.configuration)
    }

    /// The smallest application, connected to the relay.
    pub(crate) fn application(&self) -> Application {
        Application::connect(self.listener).expect("the relay's greeting")
    }

    /// The Drop directory of [`EVERYTHING_TO_DROP`].
    pub(crate) fn drop_directory(&self) -> PathBuf {
        self.scratch.path().join("Drop")
    }
}

/// Where cargo built the relay.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_relay"))
}

/// Every address goes to the directory `Drop`, which is never created by the relay.
pub(crate) const EVERYTHING_TO_DROP: &str = r#"
[[foreign_connector]]
name = "Gateway"
address_spaces = ["SMTP:*;1", "X400:*;1", "FAX:*;1"]
drop_directory = "Drop"
"#;

/// Every SMTP address goes to a smart host that asks for nothing.
pub(crate) fn everything_to(smart_host: SocketAddr) -> String {
    format!(
        r#"
[[send_connector]]
name = "Smart host"
address_spaces = ["SMTP:*;1"]
smart_hosts = ["[{}]"]
port = {}
"#,
        smart_host.ip(),
        smart_host.port()
    )
}

/// The password of `joe`, who stands in the file that [`users`] writes.
pub(crate) const PASSWORD: &str = "correct horse";

/// Writes a credentials file with `joe` in it, by `relay hash-password`, and returns the lines that use it.
pub(crate) fn users(scratch: &Scratch, mechanisms: &str) -> String {
    users_hashed_by(scratch, mechanisms, &["hash-password"])
}

/// The same by other words to the relay: `hash-password --scram`.
pub(crate) fn users_hashed_by(scratch: &Scratch, mechanisms: &str, words: &[&str]) -> String {
    let line = programs::run_with(Command::new(program()).args(words), PASSWORD.as_bytes());
    let line = programs::successful(line);
    // It prints the line for the credentials file; the name in it is the postmaster's to fill in.
    scratch.write("secrets/users.toml", line.replace("NAME", "joe"));
    format!(
        "auth_mechanism = [{mechanisms}]\npermission_groups = [\"exchange-users\"]\n\
         credentials_file = \"secrets/users.toml\"\n"
    )
}

const RELAY_FOR_LOCAL_APPLICATIONS: &str = "relay_ip_ranges = [\"127.0.0.1\"]";

fn receive_connector(listener: SocketAddr, who_may_send: &str) -> String {
    format!(
        r#"
[[receive_connector]]
name = "Applications"
bindings = ["{listener}"]
remote_ip_ranges = ["127.0.0.1"]
max_inbound_connection_per_source = "unlimited"
max_inbound_connection_percentage_per_source = 100
{who_may_send}
"#
    )
}

fn common() -> &'static str {
    r#"
[server]
name = "Hub01"
fqdn = "hub01.contoso.com"
data_directory = "relay-data"
root_drop_directory_path = "."
accepted_domains = ["contoso.com"]
postmaster = "postmaster@contoso.com"

[transport]
queue_glitch_retry_interval = "1s"
transient_failure_retry_interval = "1s"
outbound_connection_failure_retry_interval = "1s"
message_retry_interval = "1s"

[pickup]
path = "Pickup"
poll_interval = "1s"

[replay]
path = "Replay"
poll_interval = "1s"
"#
}
