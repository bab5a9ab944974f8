//! A mail server in sixty lines: takes mail for example.net from anybody, and from `app` to anywhere, and prints where it goes.
//!
//! `cargo run -p postroad-smtp-server --example receive` (with an address behind it, where 127.0.0.1:2525 is taken), then `swaks --server 127.0.0.1:2525 --to jane@example.net`.

use std::sync::Arc;

use postroad_message::{Content, Envelope};
use postroad_smtp_server::{
    AuthMechanism, BoxFuture, Client, PasswordVerdict, PermissionGroup, ReceiveConnector, Refusal, Secret,
    Server, ServerSettings, Submit, TlsMaterial, Verify,
};

/// Keeps nothing: a real one writes the message down before it says yes.
struct Print;

impl Submit for Print {
    fn accept_message<'a>(
        &'a self,
        client: &'a Client,
        envelope: Envelope,
        content: Content,
    ) -> BoxFuture<'a, Result<String, Refusal>> {
        Box::pin(async move {
            println!("{} bytes from {} at {}", content.len(), envelope.reverse_path, client.peer);
            envelope.recipients.iter().for_each(|recipient| println!("to {}", recipient.address));
            Ok("printed".to_owned())
        })
    }
}

/// Knows one user.
struct OneUser(Secret);

impl Verify for OneUser {
    fn verify<'a>(
        &'a self,
        _: &'a Client,
        name: &'a str,
        password: Secret,
    ) -> BoxFuture<'a, PasswordVerdict> {
        let right = name == "app" && password.matches(&self.0);
        Box::pin(async move { if right { PasswordVerdict::Accepted } else { PasswordVerdict::Rejected } })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut connector = ReceiveConnector::new("Default");
    connector.bindings = vec![std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:2525").parse()?];
    connector.auth_mechanism = vec![AuthMechanism::BasicAuth];
    connector.permission_groups = vec![PermissionGroup::AnonymousUsers, PermissionGroup::ExchangeUsers];
    let (domain, postmaster) = ("example.net".parse()?, "postmaster@example.net".parse()?);
    let settings = ServerSettings::new("mail.example.net", vec![domain], postmaster);
    let verify = Arc::new(OneUser(Secret::new("only in clear text on loopback")));
    let server =
        Server::bind(vec![(connector, TlsMaterial::none())], settings, Arc::new(Print), verify).await?;
    println!("listening on {:?}", server.local_addrs());
    server.serve(std::future::pending()).await;
    Ok(())
}
