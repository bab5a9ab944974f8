//! A Send connector's certificate, seen by our own server: whoever shows none is turned away.

use std::path::Path;
use std::sync::{Arc, Mutex};

use postroad_connector::SendConnector;
use postroad_message::{Content, Envelope, Fault, Outcome};
use postroad_smtp_client::SmtpClient;
use postroad_smtp_server::{
    AuthMechanism, BoxFuture, Client, NobodyLogsOn, PermissionGroup, ReceiveConnector, Refusal, Server,
    ServerSettings, Submit, TlsClientCertificates, TlsMaterial,
};
use postroad_transport::{Names, NoCredentials, SmtpDeliver};

use crate::by_hand::Delivery;

/// Keeps the names of the certificates that clients showed.
#[derive(Default)]
struct Doorman(Mutex<Vec<Vec<String>>>);

impl Submit for Doorman {
    fn accept_message<'a>(
        &'a self,
        client: &'a Client,
        _: Envelope,
        _: Content,
    ) -> BoxFuture<'a, Result<String, Refusal>> {
        let shown = client.certificate.as_ref().map(|certificate| certificate.names.clone());
        self.0.lock().unwrap().push(shown.unwrap_or_default());
        Box::pin(std::future::ready(Ok("taken".to_owned())))
    }
}

fn write_pair(folder: &Path, name: &str, issuer: &rcgen::CertifiedIssuer<'_, rcgen::KeyPair>) {
    let parameters = rcgen::CertificateParams::new(vec![format!("{name}.test")]).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.signed_by(&key, issuer).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

#[tokio::test]
async fn our_own_server_knows_a_send_connector_by_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| Some(folder.path().join(name));
    let mut parameters = rcgen::CertificateParams::default();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer =
        rcgen::CertifiedIssuer::self_signed(parameters, rcgen::KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.path().join("partners.pem"), issuer.pem()).unwrap();
    write_pair(folder.path(), "hub", &issuer);
    write_pair(folder.path(), "mx", &issuer);

    let mut receive = ReceiveConnector::new("Partners");
    receive.bindings = vec!["127.0.0.1:0".parse().unwrap()];
    receive.permission_groups = vec![PermissionGroup::AnonymousUsers];
    receive.auth_mechanism = vec![AuthMechanism::Tls];
    (receive.tls_certificate, receive.tls_key) = (file("mx.pem"), file("mx.key"));
    (receive.require_tls, receive.tls_client_certificates) = (true, TlsClientCertificates::Require);
    receive.tls_client_ca_file = file("partners.pem");
    let material = TlsMaterial::of(&receive).unwrap();
    let settings =
        ServerSettings::new("mx.test", vec!["b.test".parse().unwrap()], "postmaster@b.test".parse().unwrap());
    let doorman = Arc::new(Doorman::default());
    let submit = Arc::clone(&doorman) as Arc<dyn Submit>;
    let server =
        Server::bind(vec![(receive, material)], settings, submit, Arc::new(NobodyLogsOn)).await.unwrap();
    let port = server.local_addrs()[0].port();
    let serving = tokio::spawn(server.serve(std::future::pending()));

    let hub: postroad_address_space::Domain = "hub.test".parse().unwrap();
    let deliver = SmtpDeliver::new(SmtpClient::new().unwrap(), Names::new(hub.clone(), hub), NoCredentials);
    let mut send = SendConnector::new("To our partner", vec!["b.test".parse().unwrap()]);
    send.smart_hosts = vec!["[127.0.0.1]".parse().unwrap()];
    (send.port, send.require_tls) = (port, true);
    let mut outcomes = Vec::new();
    for certificate in ["hub", "", "lost"] {
        let named = (!certificate.is_empty()).then_some(certificate);
        send.tls_certificate = named.and_then(|name| file(&format!("{name}.pem")));
        send.tls_key = named.and_then(|name| file(&format!("{name}.key")));
        let content = b"Subject: x\r\n\r\n".to_vec();
        let delivery = Delivery::new(send.clone(), "[127.0.0.1]", "<>", &["jane@b.test"], content);
        outcomes.extend(delivery.by(&deliver).await);
    }
    assert!(matches!(outcomes[0], Outcome::Delivered(_)), "{:?}", outcomes[0]);
    assert!(matches!(&outcomes[1], Outcome::Deferred(_)), "no certificate, no mail: {:?}", outcomes[1]);
    assert!(matches!(&outcomes[2], Outcome::Deferred(lost) if lost.fault == Fault::Configuration));
    assert_eq!(*doorman.0.lock().unwrap(), [["hub.test".to_owned()]]);
    serving.abort();
}
