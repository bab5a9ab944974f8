//! What a server listens for, and the connectors it does not listen for at all.

use std::io::ErrorKind;
use std::sync::Arc;

use postroad_smtp_server::{
    AuthMechanism, BindError, ConnectorFault, Contradiction, ExtendedProtectionPolicy, ReceiveConnector,
    Server, TlsClientCertificates, TlsMaterial,
};

use crate::house::{House, Jane, Store, connector, settings};

async fn bind(connectors: Vec<(ReceiveConnector, TlsMaterial)>) -> Result<Server, BindError> {
    Server::bind(connectors, settings(), Arc::new(Store::new()), Arc::new(Jane)).await
}

/// What is wrong with these, without TLS.
async fn faults(connectors: Vec<ReceiveConnector>) -> Vec<ConnectorFault> {
    let connectors = connectors.into_iter().map(|connector| (connector, TlsMaterial::none())).collect();
    faults_with(connectors).await
}

async fn faults_with(connectors: Vec<(ReceiveConnector, TlsMaterial)>) -> Vec<ConnectorFault> {
    match bind(connectors).await {
        Err(BindError::Connectors(found)) => found,
        Err(other) => panic!("{other}"),
        Ok(_) => Vec::new(),
    }
}

fn changed(change: impl FnOnce(&mut ReceiveConnector)) -> ReceiveConnector {
    let mut connector = connector("Default");
    change(&mut connector);
    connector
}

fn contradicts(contradiction: Contradiction) -> ConnectorFault {
    ConnectorFault::Contradiction { connector: "Default".to_owned(), contradiction }
}

fn in_memory() -> TlsMaterial {
    let made = rcgen::generate_simple_self_signed(["hub01.contoso.com".to_owned()]).expect("a certificate");
    TlsMaterial::from_pem(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes())
        .expect("usable")
}

#[tokio::test]
async fn a_connector_that_cannot_be_kept_as_it_is_written_is_not_bound() {
    let policy = changed(|c| c.extended_protection_policy = ExtendedProtectionPolicy::Require);
    let connector = "Default".to_owned();
    assert_eq!(
        faults(vec![policy]).await,
        [ConnectorFault::NotAvailableYet { connector, parameter: "extended_protection_policy" }]
    );
    let greeting = changed(|c| c.banner = Some("hello".to_owned()));
    assert_eq!(faults(vec![greeting.clone()]).await, [contradicts(Contradiction::Banner)]);
    let mut twin = changed(|c| c.bindings = vec!["[::1]:0".parse().expect("a binding")]);
    let same = contradicts(Contradiction::SameName("Default".to_owned()));
    assert_eq!(
        faults(vec![greeting.clone(), twin.clone()]).await,
        [contradicts(Contradiction::Banner), same]
    );
    // Nobody listens for one that is disabled, whatever it says.
    twin.enabled = false;
    twin.banner = Some("hello".to_owned());
    assert_eq!(faults(vec![changed(|_| ()), twin]).await, []);
}

#[tokio::test]
async fn a_certificate_that_is_named_and_not_given_is_not_no_tls() {
    let half = changed(|c| c.tls_certificate = Some("cert.pem".into()));
    assert_eq!(faults(vec![half]).await, [contradicts(Contradiction::HalfACertificate)]);
    let named = changed(|c| {
        c.tls_certificate = Some("cert.pem".into());
        c.tls_key = Some("key.pem".into());
    });
    let connector = "Default".to_owned();
    assert_eq!(faults(vec![named]).await, [ConnectorFault::CertificateNotRead { connector }]);
    let secure = changed(|c| c.require_tls = true);
    let missing = contradicts(Contradiction::NoCertificate("require_tls"));
    assert_eq!(faults(vec![secure]).await, [missing]);
}

#[tokio::test]
async fn what_an_embedder_brings_stands_for_files() {
    let users = changed(|c| {
        c.auth_mechanism =
            vec![AuthMechanism::Tls, AuthMechanism::BasicAuth, AuthMechanism::BasicAuthRequireTls];
        c.require_tls = true;
    });
    assert_eq!(faults_with(vec![(users.clone(), in_memory())]).await, []);
    // But a certificate in memory has nobody who judges those of clients.
    let mut strict = users;
    strict.tls_client_certificates = TlsClientCertificates::Require;
    strict.tls_client_ca_file = Some("authorities.pem".into());
    let unjudged = contradicts(Contradiction::NoClientAuthorities("tls_client_certificates"));
    assert_eq!(faults_with(vec![(strict, in_memory())]).await, [unjudged]);
}

#[tokio::test]
async fn a_binding_that_cannot_be_had_is_named_with_the_cause() {
    let house = House::with(connector("Default")).await;
    let second = changed(|c| c.bindings = vec![house.address]);
    let refused = bind(vec![(second, TlsMaterial::none())]).await.expect_err("the port is taken");
    let said = refused.to_string();
    assert!(said.starts_with(&format!("cannot listen on {}: ", house.address)), "{said}");
    let BindError::Listen { binding, error } = refused else { panic!("{said}") };
    assert_eq!((binding, error.kind()), (house.address, ErrorKind::AddrInUse));
    assert!(error.raw_os_error().is_some());
}
