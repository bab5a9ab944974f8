//! Certificates: which one a client is shown, what its own is worth, and files that change under a running server.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use postroad_smtp_server::{
    AuthMechanism, CertificateFiles, ReceiveConnector, TlsClientCertificates, TlsMaterial, TlsMaterialError,
    TlsMinimumVersion,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::house::{Caller, House, connector, settings};

/// Who signs everything here.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

/// A certificate and its key, as PEM and as a client holds them.
struct Identity {
    pem: String,
    key_pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let pem = certificate.pem();
        Self { certificate: certificate.der().clone(), issuer: Issuer::new(params, key), pem }
    }

    fn signs(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.extended_key_usages = vec![purpose];
        self.signs_this(params)
    }

    /// With a subject of its own.
    fn signs_for(&self, name: &str, subject: &str) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, subject);
        self.signs_this(params)
    }

    fn signs_this(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity {
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            chain: vec![certificate.der().clone()],
            key: PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
        }
    }

    fn server(&self, name: &str) -> Identity {
        self.signs(name, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn client(&self, name: &str) -> Identity {
        self.signs(name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A client configuration that trusts this authority, and shows a certificate of its own.
    fn trusted_by(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        shown: Option<Identity>,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a trust anchor");
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        Arc::new(match shown {
            Some(shown) => config.with_client_auth_cert(shown.chain, shown.key).expect("its own key"),
            None => config.with_no_client_auth(),
        })
    }
}

impl Identity {
    fn write(&self, folder: &Path, name: &str) -> CertificateFiles {
        let files =
            CertificateFiles::new(folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        fs::write(&files.key, &self.key_pem).expect("written");
        fs::write(&files.certificate, &self.pem).expect("written");
        files
    }
}

const ANY: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

/// A server for hub01.contoso.com, with implicit TLS on a port of its own and nothing else.
async fn implicit(
    authority: &Authority,
    folder: &TempDir,
    change: impl FnOnce(&mut ReceiveConnector),
) -> House {
    let files = authority.server("hub01.contoso.com").write(folder.path(), "hub01");
    let authorities = folder.path().join("authorities.pem");
    fs::write(&authorities, &authority.pem).expect("written");
    let mut connector = connector("Secured");
    connector.implicit_tls_bindings = std::mem::take(&mut connector.bindings);
    connector.tls_certificate = Some(files.certificate);
    connector.tls_key = Some(files.key);
    connector.tls_client_ca_file = Some(authorities);
    change(&mut connector);
    assert_eq!(connector.validate(), []);
    let tls = TlsMaterial::of(&connector).expect("usable");
    let mut settings = settings();
    settings.tls_receive_domain_secure_list = vec!["fabrikam.com".parse().expect("a domain")];
    House::open(vec![(connector, tls)], settings).await
}

/// Shakes hands, asking for `name`.
async fn secure(
    house: &House,
    config: &Arc<ClientConfig>,
    name: &'static str,
) -> std::io::Result<Caller<TlsStream<TcpStream>>> {
    let stream = house.dial().await.stream;
    let name = ServerName::try_from(name).expect("a name");
    let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
    Ok(Caller { stream, held: Vec::new() })
}

#[tokio::test]
async fn a_client_may_begin_with_tls() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let house = implicit(&authority, &folder, |connector| {
        connector.auth_mechanism =
            vec![AuthMechanism::Tls, AuthMechanism::BasicAuth, AuthMechanism::BasicAuthRequireTls];
        connector.credentials_file = Some("users.toml".into());
    })
    .await;
    let mut caller =
        secure(&house, &authority.trusted_by(ANY, None), "hub01.contoso.com").await.expect("a handshake");
    caller.expect("220 hub01.contoso.com ").await;
    let offered = caller.ask("EHLO a", "250-").await;
    assert!(!offered.contains("STARTTLS") && offered.contains("AUTH PLAIN"), "{offered}");
    caller.ask("STARTTLS", "503 ").await;
    caller.send_one("jane@contoso.com").await;
    caller.ask("QUIT", "221 ").await;
    let (client, ..) = house.messages().remove(0);
    assert_eq!(client.tls.expect("TLS").version, "TLSv1.3");
    // Who speaks in clear there is not understood, and not answered in clear.
    let mut clear = house.dial().await;
    clear.say("EHLO a\r\n").await;
    assert!(clear.reply().await.is_none_or(|reply| !reply.starts_with('2')));
}

#[tokio::test]
async fn the_certificate_is_the_one_for_the_name_asked_for() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let house = implicit(&authority, &folder, |connector| {
        connector.tls_certificates = ["shop.contoso.com", "*.fabrikam.com"]
            .map(|name| authority.server(name).write(folder.path(), &name.replace('*', "any")))
            .to_vec();
    })
    .await;
    let config = authority.trusted_by(ANY, None);
    for name in ["hub01.contoso.com", "shop.contoso.com", "mail.fabrikam.com"] {
        let mut caller =
            secure(&house, &config, name).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        caller.expect("220 ").await;
    }
    let stranger = secure(&house, &config, "a.mail.fabrikam.com").await;
    assert!(stranger.is_err_and(|error| error.to_string().contains("not valid for name")));
}

#[tokio::test]
async fn where_no_name_decides_the_certificate_of_tls_certificate_name_is_shown() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let named = |issuer: &str, subject: &str| format!("<I>{issuer}<S>{subject}").parse().ok();
    // rcgen's certificates have this subject unless told otherwise, the authority's too.
    let subject = "CN=rcgen self signed cert";
    let shop = authority.signs_for("shop.contoso.com", "Shop");
    let house = implicit(&authority, &folder, |connector| {
        connector.tls_certificates = vec![shop.write(folder.path(), "shop")];
        connector.tls_certificate_name = named(subject, "CN=Shop");
    })
    .await;
    let config = authority.trusted_by(ANY, None);
    for name in ["hub01.contoso.com", "shop.contoso.com"] {
        secure(&house, &config, name).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let other = secure(&house, &config, "elsewhere.net").await.err().expect("it is for others");
    assert!(other.to_string().contains("shop.contoso.com"), "{other}");

    let mut unknown = connector("Secured");
    let files = authority.server("hub01.contoso.com").write(folder.path(), "hub01");
    (unknown.tls_certificate, unknown.tls_key) = (Some(files.certificate), Some(files.key));
    unknown.tls_certificate_name = named("CN=Somebody", subject);
    assert_eq!(TlsMaterial::of(&unknown).err(), Some(TlsMaterialError::CertificateName));
    unknown.tls_certificate_name = named(subject, subject);
    assert!(TlsMaterial::of(&unknown).is_ok());
}

#[cfg(unix)]
#[tokio::test]
async fn a_certificate_that_hangs_does_not_keep_the_server_from_its_end() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let house = implicit(&authority, &folder, |_| ()).await;
    let slow = folder.path().join("slow.pem");
    assert!(std::process::Command::new("mkfifo").arg(&slow).status().expect("mkfifo").success());
    let shown = folder.path().join("hub01.pem");
    fs::rename(&slow, &shown).expect("in its place");
    // Opens as soon as the server does, which found it changed.
    let hanging = tokio::task::spawn_blocking(|| fs::OpenOptions::new().write(true).open(shown));
    let hanging = hanging.await.expect("opened").expect("read by the server");
    house.stop.send(()).expect("it runs");
    // Sooner than by the end of `shutdown_grace`, which is 30 s.
    tokio::time::timeout(Duration::from_secs(20), house.served).await.expect("in time").expect("it ends");
    drop(hanging);
}

#[tokio::test]
async fn versions_below_the_least_are_not_spoken() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let old = authority.trusted_by(&[&version::TLS12], None);
    let house = implicit(&authority, &folder, |_| ()).await;
    secure(&house, &old, "hub01.contoso.com").await.expect("1.2 is the default").expect("220 ").await;
    let house = implicit(&authority, &folder, |connector| {
        connector.tls_minimum_version = TlsMinimumVersion::Tls13;
    })
    .await;
    assert!(secure(&house, &old, "hub01.contoso.com").await.is_err());
}

#[tokio::test]
async fn a_client_certificate_is_believed_or_it_is_none() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let stranger = Authority::new();
    for (wanted, shown, expected) in [
        (
            TlsClientCertificates::Request,
            Some(authority.client("app01.contoso.com")),
            Ok(Some("app01.contoso.com")),
        ),
        (TlsClientCertificates::Request, Some(stranger.client("app01.contoso.com")), Ok(None)),
        // A server's certificate, as many mail servers show it to whoever asks.
        (TlsClientCertificates::Request, Some(authority.server("app01.contoso.com")), Ok(None)),
        (TlsClientCertificates::Request, None, Ok(None)),
        (
            TlsClientCertificates::Require,
            Some(authority.client("app01.contoso.com")),
            Ok(Some("app01.contoso.com")),
        ),
        (TlsClientCertificates::Require, Some(stranger.client("app01.contoso.com")), Err(())),
        (TlsClientCertificates::Require, None, Err(())),
        (TlsClientCertificates::None, Some(authority.client("app01.contoso.com")), Ok(None)),
    ] {
        let house = implicit(&authority, &folder, |connector| {
            connector.tls_client_certificates = wanted;
        })
        .await;
        let config = authority.trusted_by(ANY, shown);
        let greeted = match secure(&house, &config, "hub01.contoso.com").await {
            Ok(mut caller) => caller.reply().await.map(|_| caller),
            Err(_) => None,
        };
        let Some(mut caller) = greeted else {
            assert_eq!(expected, Err(()), "{wanted}");
            continue;
        };
        caller.ask("EHLO a", "250-").await;
        caller.send_one("jane@contoso.com").await;
        let (client, ..) = house.messages().remove(0);
        let name = client.certificate.and_then(|shown| shown.names.into_iter().next());
        assert_eq!(name.as_deref(), expected.expect("it was to be refused"), "{wanted}");
        assert!(!client.may_relay);
    }
}

#[tokio::test]
async fn a_domain_of_the_list_comes_with_its_own_certificate_only() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    for (shown, sender, code) in [
        (Some("mail.fabrikam.com"), "joe@fabrikam.com", "550 5.7.1 "),
        (Some("fabrikam.com"), "joe@Fabrikam.COM", "250 "),
        (None, "joe@fabrikam.com", "550 5.7.1 "),
        (None, "joe@elsewhere.net", "250 "),
        (None, "", "250 "),
    ] {
        let house = implicit(&authority, &folder, |connector| {
            connector.tls_client_certificates = TlsClientCertificates::Request;
            connector.domain_secure_enabled = true;
        })
        .await;
        let config = authority.trusted_by(ANY, shown.map(|name| authority.client(name)));
        let mut caller = secure(&house, &config, "hub01.contoso.com").await.expect("a handshake");
        caller.expect("220 ").await;
        caller.ask("EHLO a", "250-").await;
        caller.ask(&format!("MAIL FROM:<{sender}>"), code).await;
    }
}

#[tokio::test]
async fn a_session_is_resumed_with_what_the_client_keeps() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let house = implicit(&authority, &folder, |_| ()).await;
    for versions in [&[&version::TLS13], &[&version::TLS12]] {
        let config = authority.trusted_by(versions, None);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut caller = secure(&house, &config, "hub01.contoso.com").await.expect("a handshake");
            caller.expect("220 ").await;
            kinds.push(caller.stream.get_ref().1.handshake_kind());
        }
        assert_eq!(kinds, [Some(rustls::HandshakeKind::Full), Some(rustls::HandshakeKind::Resumed)]);
    }
}

#[tokio::test]
async fn where_a_certificate_is_required_it_is_judged_in_every_handshake() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let house = implicit(&authority, &folder, |connector| {
        connector.tls_client_certificates = TlsClientCertificates::Require;
    })
    .await;
    for versions in [&[&version::TLS13], &[&version::TLS12]] {
        let config = authority.trusted_by(versions, Some(authority.client("app01.contoso.com")));
        for _ in 0..2 {
            let mut caller = secure(&house, &config, "hub01.contoso.com").await.expect("a handshake");
            caller.expect("220 ").await;
            assert_eq!(caller.stream.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full));
        }
    }
}

#[tokio::test]
async fn a_replaced_certificate_is_shown_and_a_broken_one_is_not() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let house = implicit(&authority, &folder, |_| ()).await;
    let config = authority.trusted_by(ANY, None);
    let mut standing = secure(&house, &config, "hub01.contoso.com").await.expect("a handshake");
    standing.expect("220 ").await;
    let shows = async |name: &'static str| {
        let shown = async { while secure(&house, &config, name).await.is_err() {} };
        tokio::time::timeout(Duration::from_secs(30), shown).await.unwrap_or_else(|_| panic!("{name}"));
    };

    authority.server("hub02.contoso.com").write(folder.path(), "hub01");
    shows("hub02.contoso.com").await;
    // A key of somebody else: what was stays until the next change.
    fs::write(folder.path().join("hub01.key"), &authority.server("a.test").key_pem).expect("written");
    let shop = authority.server("hub03.contoso.com");
    secure(&house, &config, "hub02.contoso.com").await.expect("still shown");
    shop.write(folder.path(), "hub01");
    shows("hub03.contoso.com").await;
    standing.ask("NOOP", "250 ").await;
}
