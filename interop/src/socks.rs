//! A real SOCKS5 server, microsocks, with or without a password.

use std::net::SocketAddr;
use std::process::Command;

use crate::background::Background;
use crate::{Scratch, port};

/// A running microsocks.
#[derive(Debug)]
pub struct Socks {
    background: Background,
    address: SocketAddr,
}

impl Socks {
    /// Starts one on a free port, which asks for this name and password where they are given.
    pub fn start(scratch: &Scratch, login: Option<(&str, &str)>) -> Self {
        let address = port::free();
        let mut command = Command::new("microsocks");
        command.args(["-i", &address.ip().to_string(), "-p", &address.port().to_string()]);
        if let Some((username, password)) = login {
            command.args(["-u", username, "-P", password]);
        }
        Self { background: Background::start(scratch, &mut command, "microsocks", address), address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it said of each connection that it made.
    pub fn log(&self) -> String {
        self.background.said()
    }
}
