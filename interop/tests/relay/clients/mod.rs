//! The programs that people send mail with, each sending to our relay as it does everywhere: every message arrives to the byte.

mod command_line;
mod fronts;
mod gsasl;
mod mail_servers;
mod scripts;
mod swaks;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use postroad_interop::certificate::Certificate;
use postroad_interop::postfix::Logon;
use postroad_interop::{Relay, Sample, Scratch, mailbox, patience, port};

use crate::configuration::{EVERYTHING_TO_DROP, House, PASSWORD, users_hashed_by};

/// A relay that shows a certificate, takes mail from `joe` over TLS, and keeps it all in Drop.
struct Office {
    house: House,
    relay: Relay,
    certificate: Certificate,
    /// Where TLS comes before the greeting.
    implicit: SocketAddr,
}

impl Office {
    /// Only who logs on may send.
    fn open() -> Self {
        Self::open_with("")
    }

    /// The same, and `joe` stands in the credentials file with a SCRAM verifier.
    fn open_to_scram() -> Self {
        Self::open_by(&["hash-password", "--scram"], "auth_tarpit_interval = \"0s\"")
    }

    /// Programs of this machine may send without a password, which costs less; whoever tries one must still be right.
    fn open_to_this_machine() -> Self {
        Self::open_with("relay_ip_ranges = [\"127.0.0.1\"]")
    }

    fn open_with(more: &str) -> Self {
        Self::open_by(&["hash-password"], more)
    }

    fn open_by(hashing: &[&str], more: &str) -> Self {
        let scratch = Scratch::new();
        let certificate = Certificate::for_hosts(&scratch, &["localhost", "hub01.contoso.com", "127.0.0.1"]);
        let implicit = port::free();
        let mechanisms = "\"tls\", \"basic-auth\", \"basic-auth-require-tls\"";
        let who = format!(
            "{}tls_certificate = \"{}\"\ntls_key = \"{}\"\nimplicit_tls_bindings = [\"{implicit}\"]\n{more}\n",
            users_hashed_by(&scratch, mechanisms, hashing),
            certificate.certificate.display(),
            certificate.key.display()
        );
        let house = House::in_scratch_with(scratch, &who, EVERYTHING_TO_DROP);
        house.scratch.folder("Drop");
        let relay = house.start();
        Self { house, relay, certificate, implicit }
    }

    fn scratch(&self) -> &Scratch {
        &self.house.scratch
    }

    fn port(&self) -> String {
        self.house.listener.port().to_string()
    }

    fn authority(&self) -> &Path {
        &self.certificate.authority
    }

    fn logon(&self) -> Logon<'_> {
        let host = "hub01.contoso.com";
        Logon { authority: self.authority(), host, username: "joe", password: PASSWORD, mechanism: "plain" }
    }

    fn arrived_for(&self, recipient: &str) -> Vec<u8> {
        arrived_for(&self.house, recipient)
    }

    /// The samples as files `N.eml` in a folder, for `N@example.com`.
    fn samples(&self) -> PathBuf {
        for (number, sample) in Sample::all().iter().enumerate() {
            self.scratch().write(&format!("samples/{number}.eml"), &sample.content);
        }
        self.scratch().path().join("samples")
    }

    /// Asserts that each of them arrived.
    fn assert_samples_arrived(&self) {
        for (number, sample) in Sample::all().iter().enumerate() {
            sample.assert_arrived_in(&self.arrived_for(&format!("{number}@example.com")));
        }
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        // Whatever a program was told, nothing of it belongs in a log.
        if !std::thread::panicking() {
            assert!(!self.relay.log().contains(PASSWORD), "the password is in the log");
        }
    }
}

/// Waits for the message in Drop that goes to `recipient`.
fn arrived_for(house: &House, recipient: &str) -> Vec<u8> {
    // Parameters may follow on the line; all of it stands at the top.
    let line = format!("X-Receiver: <{recipient}>");
    let is_for_it = |message: &Vec<u8>| {
        let top = String::from_utf8_lossy(&message[..message.len().min(1024)]);
        top.contains(&line)
    };
    patience::until(&format!("a message to {recipient} in Drop"), || {
        let files = mailbox::files(&house.drop_directory());
        files.into_iter().filter_map(|file| fs::read(file).ok()).find(is_for_it)
    })
}

/// A script of `interop/clients/`.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop/clients").join(name)
}
