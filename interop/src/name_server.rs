//! A real name server, NSD, that answers for zones of a test and for nothing else.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Command;

use crate::background::Background;
use crate::{Scratch, port};

/// A running NSD.
#[derive(Debug)]
pub struct NameServer {
    _background: Background,
    address: SocketAddr,
}

impl NameServer {
    /// Starts one for these zones: a name, and its records below the SOA. A zone without records cannot be loaded, and
    /// questions about it are answered by SERVFAIL.
    pub fn start(scratch: &Scratch, zones: &[(&str, Option<&str>)]) -> Self {
        let address = port::free();
        let home = scratch.folder("nsd");
        let (folder, ip, port) = (home.display(), address.ip(), address.port());
        let mut configuration = format!(
            "server:
  ip-address: {ip}@{port}
  username: \"\"
  chroot: \"\"
  zonesdir: \"{folder}\"
  database: \"\"
  pidfile: \"{folder}/pid\"
  zonelistfile: \"{folder}/zone.list\"
  xfrdfile: \"{folder}/xfrd.state\"
  xfrdir: \"{folder}\"
  rrl-ratelimit: 0
remote-control:
  control-enable: no
"
        );
        for (zone, records) in zones {
            writeln!(configuration, "zone:\n  name: {zone}\n  zonefile: {zone}.zone")
                .expect("write to a text");
            if let Some(records) = records {
                let head = "@ 60 IN SOA ns.test. hostmaster.test. 1 60 60 60 60\n@ 60 IN NS ns.test.\n";
                scratch
                    .write(&format!("nsd/{zone}.zone"), format!("$ORIGIN {zone}.\n$TTL 60\n{head}{records}"));
            }
        }
        let file = scratch.write("nsd/nsd.conf", configuration);
        let mut command = Command::new("nsd");
        command.arg("-d").arg("-c").arg(file);
        Self { _background: Background::start(scratch, &mut command, "nsd", address), address }
    }

    /// Where it answers, by UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
