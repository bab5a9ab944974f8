//! STARTTLS with a real handshake.

use std::sync::Arc;

use postroad_smtp_server::{AuthMechanism, ReceiveConnector, TlsMaterial};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::house::{Caller, House, connector, settings};

/// A server with a certificate of its own, and a client configuration that trusts it.
async fn secured(change: impl FnOnce(&mut ReceiveConnector)) -> (House, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(["hub01.contoso.com".to_owned()]).expect("a certificate");
    let tls = TlsMaterial::from_pem(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes());
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a trust anchor");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut connector = connector("Client");
    connector.auth_mechanism =
        vec![AuthMechanism::Tls, AuthMechanism::BasicAuth, AuthMechanism::BasicAuthRequireTls];
    change(&mut connector);
    let house = House::open(vec![(connector, tls.expect("usable"))], settings()).await;
    (house, Arc::new(config))
}

async fn handshake(caller: Caller<TcpStream>, config: Arc<ClientConfig>) -> Caller<TlsStream<TcpStream>> {
    assert!(caller.held.is_empty());
    let name = ServerName::try_from("hub01.contoso.com").expect("a name");
    let stream = TlsConnector::from(config).connect(name, caller.stream).await.expect("a handshake");
    Caller { stream, held: Vec::new() }
}

#[tokio::test]
async fn tls_on_the_whole_way_is_promised_inside_tls_only() {
    let (house, config) = secured(|_| ()).await;
    let mut caller = house.connect().await;
    assert!(!caller.ask("EHLO a", "250-").await.contains("REQUIRETLS"));
    caller.ask("MAIL FROM:<joe@contoso.com> REQUIRETLS", "555 5.5.4 ").await;
    caller.ask("STARTTLS", "220 2.0.0 ").await;
    let mut caller = handshake(caller, config).await;
    assert!(caller.ask("EHLO a", "250-").await.contains("\r\n250-REQUIRETLS\r\n"));
    caller.ask("MAIL FROM:<joe@contoso.com> REQUIRETLS", "250 ").await;
    caller.ask("RCPT TO:<jane@contoso.com>", "250 ").await;
    caller.ask("DATA", "354 ").await;
    caller.ask("Subject: a\r\n\r\nbody\r\n.", "250 ").await;
    let (_, envelope, _) = house.messages().remove(0);
    assert!(envelope.require_tls);
}

#[tokio::test]
async fn the_processs_default_cryptography_is_left_to_its_owner() {
    let (house, config) = secured(|_| ()).await;
    let mut caller = house.connect().await;
    caller.ask("EHLO a", "250-").await;
    caller.ask("STARTTLS", "220 2.0.0 ").await;
    handshake(caller, config).await.ask("EHLO a", "250-").await;
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}

#[tokio::test]
async fn a_logon_is_offered_inside_tls_only() {
    let (house, config) = secured(|_| ()).await;
    let mut caller = house.connect().await;
    let before = caller.ask("EHLO a", "250-").await;
    assert!(before.contains("STARTTLS") && !before.contains("AUTH"), "{before}");
    caller.ask("AUTH PLAIN AGphbmUAc2VjcmV0", "538 5.7.11 ").await;
    caller.ask("STARTTLS", "220 2.0.0 ").await;
    let mut caller = handshake(caller, config).await;
    caller.ask("MAIL FROM:<joe@contoso.com>", "503 5.5.1 ").await;
    let after = caller.ask("EHLO b", "250-").await;
    assert!(!after.contains("STARTTLS") && after.contains("AUTH PLAIN LOGIN"), "{after}");
    caller.ask("AUTH LOGIN", "334 VXNlcm5hbWU6").await;
    caller.ask("amFuZQ==", "334 UGFzc3dvcmQ6").await;
    caller.ask("c2VjcmV0", "235 ").await;
    caller.send_one("bob@elsewhere.net").await;
    caller.ask("QUIT", "221 ").await;
    let (client, ..) = house.messages().remove(0);
    assert_eq!((client.hello_name.as_deref(), client.user.as_deref()), (Some("b"), Some("jane")));
    let tls = client.tls.expect("TLS");
    assert_eq!(tls.version, "TLSv1.3");
    assert!(tls.cipher.starts_with("TLS_"), "{}", tls.cipher);
}

#[tokio::test]
async fn commands_behind_starttls_end_the_session() {
    let (house, _) = secured(|_| ()).await;
    let mut caller = house.connect().await;
    caller.ask("HELO a", "250 ").await;
    caller.say("STARTTLS\r\nMAIL FROM:<evil@contoso.com>\r\n").await;
    // Whether both came in one piece is the network's choice: either way nothing of it is served.
    let reply = caller.reply().await;
    assert!(reply.is_some_and(|reply| reply.starts_with("554 ") || reply.starts_with("220 ")));
    while let Some(line) = caller.reply().await {
        assert!(!line.starts_with("250"), "{line}");
    }
}

#[tokio::test]
async fn where_tls_is_demanded_mail_in_clear_text_is_refused() {
    let (house, config) = secured(|connector| connector.require_tls = true).await;
    let mut caller = house.connect().await;
    caller.ask("EHLO a", "250-").await;
    caller.ask("MAIL FROM:<joe@contoso.com>", "530 5.7.0 ").await;
    caller.ask("STARTTLS", "220 ").await;
    let mut caller = handshake(caller, config).await;
    caller.ask("EHLO a", "250-").await;
    caller.send_one("jane@contoso.com").await;
    assert_eq!(house.messages().len(), 1);
}

/// A client that knows nothing newer than SSL 3.0, TLS 1.0 or 1.1 is told so, and no more.
#[tokio::test]
async fn no_version_below_tls_1_2_is_spoken() {
    for minor in [0, 1, 2] {
        let (house, _) = secured(|_| ()).await;
        let mut caller = house.connect().await;
        caller.ask("EHLO a", "250-").await;
        caller.ask("STARTTLS", "220 2.0.0 ").await;
        // No session, RSA with AES-128, no compression, no extension that would name another version.
        let body = [&[1, 0, 0, 41, 3, minor][..], &[7; 32], &[0, 0, 2, 0, 0x2f, 1, 0]].concat();
        let hello = [&[22, 3, minor, 0, 45][..], &body].concat();
        caller.stream.write_all(&hello).await.expect("it is written");
        let mut answer = Vec::new();
        caller.stream.read_to_end(&mut answer).await.expect("the end of the connection");
        // One fatal alert: handshake_failure, since its hello lacks what 1.2 made a duty.
        let [21, 3, _, 0, 2, 2, 40] = answer[..] else { panic!("to version 3.{minor}: {answer:?}") };
    }
}
