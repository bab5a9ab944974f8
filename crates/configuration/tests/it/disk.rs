//! What is missing on the disk is told at the place that asks for it, when somebody asks.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use postroad_configuration::{Configuration, Severity};

const TEXT: &str = r#"
[server]
fqdn = "hub01.contoso.com"

[tls]
trust_anchors = "anchors.pem"

[[receive_connector]]
name = "Applications"
bindings = ["127.0.0.1:2525"]
relay_ip_ranges = ["127.0.0.1"]
tls_certificate = "cert.pem"
tls_key = "key.pem"

[[send_connector]]
name = "Smart host"
address_spaces = ["*"]
smart_hosts = ["smtp-relay.example.com"]
smart_host_auth_mechanism = "basic-auth-require-tls"
authentication_credential = "relay"
tls_certificate = "hub.pem"
tls_key = "hub.key"

[[foreign_connector]]
name = "Fax"
address_spaces = ["FAX:*"]

[credentials.relay]
username = "relay@contoso.com"
password_file = "password"
"#;

#[test]
fn a_missing_file_is_told_by_the_line_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.toml");
    fs::write(&file, TEXT).unwrap();
    let relay = Configuration::read(&file).unwrap();
    let told = |relay: &Configuration| -> Vec<(usize, Severity, String)> {
        relay.check_disk().into_iter().map(|problem| (problem.line, problem.severity, problem.key)).collect()
    };
    let (error, warning) = (Severity::Error, Severity::Warning);
    let all = [
        (6, error, "trust_anchors"),
        (12, error, "tls_certificate"),
        (13, error, "tls_key"),
        (21, warning, "tls_certificate"),
        (22, warning, "tls_key"),
        (24, warning, "drop_directory"),
        (28, warning, ""),
    ];
    assert_eq!(told(&relay), all.map(|(line, severity, key)| (line, severity, key.to_owned())));
    let folder_text = folder.path().display().to_string();
    let messages: Vec<String> =
        relay.check_disk().iter().map(|problem| problem.to_string().replace(&folder_text, "HERE")).collect();
    assert_eq!(
        messages[5],
        "HERE/relay.toml:24:1: warning: [[foreign_connector]] drop_directory: \
         HERE/relay-data/Fax: No such file or directory (os error 2); mail for it waits until you make it"
    );

    let shown = rcgen::generate_simple_self_signed(["hub01.contoso.com".to_owned()]).unwrap();
    let (hub, hub_key) = (shown.cert.pem(), shown.signing_key.serialize_pem());
    let x = "x\n".to_owned();
    let files = [
        ("anchors.pem", &x),
        ("cert.pem", &x),
        ("key.pem", &x),
        ("password", &x),
        ("hub.pem", &hub),
        ("hub.key", &hub_key),
    ];
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
        let for_us = fs::Permissions::from_mode(0o600);
        fs::set_permissions(folder.path().join(name), for_us).unwrap();
    }
    fs::create_dir_all(folder.path().join("relay-data/Fax")).unwrap();
    let none = [(6, error, "trust_anchors".to_owned()), (12, error, "tls_certificate".to_owned())];
    assert_eq!(told(&relay), none, "x is no certificate");
    fs::write(folder.path().join("anchors.pem"), &hub).unwrap();

    let made = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (ours, theirs) = (made("hub01.contoso.com"), made("hub02.contoso.com"));
    fs::write(folder.path().join("cert.pem"), ours.cert.pem()).unwrap();
    fs::write(folder.path().join("key.pem"), theirs.signing_key.serialize_pem()).unwrap();
    assert_eq!(told(&relay), [(13, error, "tls_key".to_owned())], "another certificate's key");
    fs::write(folder.path().join("key.pem"), ours.signing_key.serialize_pem()).unwrap();
    assert_eq!(told(&relay), []);

    for (name, there) in [("CN=rcgen self signed cert", true), ("CN=hub01.contoso.com", false)] {
        let line = format!("tls_key = \"key.pem\"\ntls_certificate_name = \"<I>{name}<S>{name}\"");
        fs::write(&file, TEXT.replacen("tls_key = \"key.pem\"", &line, 1)).unwrap();
        let relay = Configuration::read(&file).unwrap();
        let missing = (14, error, "tls_certificate_name".to_owned());
        assert_eq!(told(&relay), if there { vec![] } else { vec![missing] }, "{name}");
    }
    let postroad_smtp_protocol::sasl::Proof::Password(password) =
        relay.credential("relay").unwrap().load().unwrap().proof
    else {
        panic!("not a password")
    };
    assert_eq!(password.expose(), b"x");
}

#[test]
fn what_an_agent_runs_and_as_whom_is_looked_for() {
    let connector = |name: &str, more: &str| {
        let keys = format!("address_spaces = [\"{name}.test\"]\ndelivery_protocol = \"Pipe\"\n{more}\n");
        format!("[[delivery_agent_connector]]\nname = \"{name}\"\n{keys}")
    };
    let text = [
        "[server]\nfqdn = \"hub01.contoso.com\"\n".to_owned(),
        connector("good", "command = [\"/bin/sh\"]\nuser = \"1:1\""),
        connector("gone", "command = [\"/nowhere/program\"]\nuser = \"no-such-user-here\""),
        connector("data", "command = [\"/etc/passwd\"]\nuser = \"daemon\""),
        connector("unsaid", "command = [\"/bin/sh\"]"),
    ]
    .concat();
    let relay = Configuration::parse(&text, std::path::Path::new("relay.toml")).unwrap();
    let told: Vec<String> = relay.check_disk().iter().map(ToString::to_string).collect();
    let mut expected = vec![
        "relay.toml:13:1: warning: [[delivery_agent_connector]] command: \
         /nowhere/program: No such file or directory (os error 2); mail for it waits",
        "relay.toml:14:1: warning: [[delivery_agent_connector]] user: \
         /etc/passwd has no user \"no-such-user-here\"; mail for it waits",
        "relay.toml:19:1: warning: [[delivery_agent_connector]] command: \
         /etc/passwd: is no program that may be run; mail for it waits",
    ];
    if rustix::process::geteuid().is_root() {
        expected.push(
            "relay.toml:21:1: warning: [[delivery_agent_connector]] user: \
             a program is never run as root; name another user; mail for it waits",
        );
    }
    assert_eq!(told, expected);
}

#[test]
fn root_who_checks_a_relay_of_somebody_else_is_not_asked_for_a_user() {
    if !rustix::process::geteuid().is_root() {
        // Whoever is not root is asked for none in any case.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let text = "[server]\nname = \"Hub01\"\nfqdn = \"hub01.contoso.com\"\naccepted_domains = [\"contoso.com\"]\n\
                data_directory = \"relay-data\"\n[[delivery_agent_connector]]\nname = \"Texts\"\n\
                address_spaces = [\"contoso.com\"]\ndelivery_protocol = \"pipe\"\ncommand = [\"/bin/cat\"]\n";
    let file = folder.path().join("relay.toml");
    fs::write(&file, text).unwrap();
    let relay = Configuration::read(&file).unwrap();
    let data = folder.path().join("relay-data");
    assert_eq!(relay.check_disk().len(), 1, "a relay that root starts first is root's");
    fs::create_dir(&data).unwrap();
    assert_eq!(relay.check_disk().len(), 1, "it is root's");
    std::os::unix::fs::chown(&data, Some(65534), None).unwrap();
    assert_eq!(relay.check_disk(), []);
}

#[test]
fn a_key_or_password_that_everybody_may_read_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.toml");
    fs::write(&file, TEXT).unwrap();
    let relay = Configuration::read(&file).unwrap();
    let told = |mode: u32| -> Vec<String> {
        for name in ["cert.pem", "key.pem", "password"] {
            fs::write(folder.path().join(name), "x\n").unwrap();
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let all = relay.check_disk().into_iter().map(|problem| problem.to_string());
        let here = folder.path().display().to_string();
        all.filter(|text| text.contains("others")).map(|text| text.replace(&here, "HERE")).collect()
    };
    assert_eq!(
        told(0o644),
        [
            "HERE/relay.toml:13:1: warning: [[receive_connector]] tls_key: \
             others may read HERE/key.pem (mode 644); chmod o= takes that away",
            "HERE/relay.toml:30:1: warning: [credentials.relay] password_file: \
             others may read HERE/password (mode 644); chmod o= takes that away",
        ]
    );
    assert_eq!(told(0o640), [""; 0]);
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem_of_the_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.toml");
    let told = |file: &std::path::Path| {
        let problems = Configuration::read(file).unwrap_err();
        problems[0].to_string().replace(&folder.path().display().to_string(), "HERE")
    };
    assert_eq!(told(&file), "HERE/relay.toml: error: cannot be read: No such file or directory (os error 2)");
    fs::write(&file, b"[server]\nfqdn = \"\xff\"").unwrap();
    assert_eq!(told(&file), "HERE/relay.toml: error: must be UTF-8; byte 17 is not");
    fs::write(&file, b"\xff\xfe[\0s\0").unwrap();
    let utf16 = "HERE/relay.toml: error: must be UTF-8, and is UTF-16: save it anew as UTF-8";
    assert_eq!(told(&file), utf16);
}

#[test]
fn a_certificate_that_ends_soon_or_has_ended_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.toml");
    let text = "[server]\nfqdn = \"hub01.contoso.com\"\n[[receive_connector]]\nname = \"Applications\"\n\
                relay_ip_ranges = [\"127.0.0.1\"]\ntls_certificate = \"cert.pem\"\ntls_key = \"key.pem\"\n";
    fs::write(&file, text).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
    fs::set_permissions(folder.path().join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    let here = folder.path().display().to_string();
    let told = |year: i32| -> Vec<String> {
        let mut params = rcgen::CertificateParams::new(vec!["hub01.contoso.com".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 2, 1);
        fs::write(folder.path().join("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        let found = Configuration::read(&file).unwrap().check_disk().into_iter();
        found.map(|problem| problem.to_string().replace(&here, "HERE")).collect()
    };
    assert_eq!(
        told(2024),
        [
            "HERE/relay.toml:6:1: warning: [[receive_connector]] tls_certificate: HERE/cert.pem was valid until \
          Thu, 01 Feb 2024 00:00:00 +0000: who looks at it sends nothing; renew it"
        ]
    );
    assert_eq!(told(4000), [""; 0]);
}

#[test]
fn a_data_directory_that_is_a_file_and_a_password_of_two_lines_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.toml");
    let text = "[server]\nfqdn = \"hub01.contoso.com\"\ndata_directory = \"data/relay\"\n\
                [credentials.relay]\nusername = \"relay@contoso.com\"\npassword_file = \"password\"\n";
    fs::write(&file, text).unwrap();
    fs::write(folder.path().join("data"), "").unwrap();
    fs::write(folder.path().join("password"), "hunter2\nhunter3\n").unwrap();
    fs::set_permissions(folder.path().join("password"), fs::Permissions::from_mode(0o600)).unwrap();
    let here = folder.path().display().to_string();
    let found = Configuration::read(&file).unwrap().check_disk().into_iter();
    let told: Vec<String> = found.map(|problem| problem.to_string().replace(&here, "HERE")).collect();
    assert_eq!(
        told,
        [
            "HERE/relay.toml:3:1: error: [server] data_directory: HERE/data is no directory",
            "HERE/relay.toml:4:1: warning: [credentials.relay]: credential \"relay\": HERE/password has more than one \
             line; mail of its connectors waits",
        ]
    );
}
