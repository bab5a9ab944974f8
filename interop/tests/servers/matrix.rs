//! Which server was seen with which feature: the table of the client's documentation, made by using each of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use postroad_interop::{
    Dovecot, EximHost, OpenSmtpd, Postfix, Sample, Scratch, Sink, SmtpSink, dovecot, exim, postfix,
};
use postroad_message::{Envelope, Notify, Outcome, Recipient, ReversePath};
use postroad_smtp_client::{
    Authentication, ClientCertificate, Credential, Destination, Mechanism, Secret, SmtpClient,
};

use crate::client::{Client, at, over_tls};

/// One server, and how it is come by.
struct Server {
    name: &'static str,
    client: Client,
    destination: Destination,
    recipient: &'static str,
    /// The password and the token of `username`; empty where nobody logs in.
    username: &'static str,
    password: &'static str,
    token: &'static str,
}

/// The extensions that the client uses of its own accord, as they are offered.
const EXTENSIONS: [&str; 6] = ["PIPELINING", "8BITMIME", "SIZE", "DSN", "SMTPUTF8", "CHUNKING"];

#[test]
#[ignore = "needs root and Debian's postfix, sasl2-bin, dovecot-submissiond, dovecot-lmtpd, and exim4-daemon-light, opensmtpd unpacked; .ci/run runs it"]
fn the_table_in_the_documentation_is_what_was_seen() {
    let scratch = Scratch::new();
    let sink = Sink::start();
    let postfix = Postfix::start(&scratch);
    let exim = EximHost::start(&scratch);
    let open_smtpd = OpenSmtpd::start(&scratch, sink.address());
    let dovecot = Dovecot::start(&scratch, sink.address());
    let smtp_sink = SmtpSink::start(&scratch, &[]);
    let person = dovecot.person();
    let shown = ClientCertificate::from_pem_files(&person.certificate, &person.key).expect("a certificate");
    let mut submission = over_tls(dovecot.submission(), dovecot::HOST);
    submission.client_certificate = Some(shown);
    let mut lmtp = over_tls(dovecot.lmtp(), dovecot::HOST);
    lmtp.lmtp = true;
    let nobody = |name, client, destination| Server {
        name,
        client,
        destination,
        recipient: dovecot::MAILBOXES[0],
        username: "",
        password: "",
        token: "",
    };
    let servers = [
        Server {
            username: postfix::USERNAME,
            password: postfix::PASSWORD,
            ..nobody(
                "Postfix",
                Client::trusting(postfix.authority()),
                over_tls(postfix.address(), postfix::HOST),
            )
        },
        nobody("Exim", Client::trusting(exim.authority()), over_tls(exim.address(), exim::HOST)),
        nobody("OpenSMTPD", Client::made_by(SmtpClient::builder()), at(open_smtpd.address())),
        Server {
            username: dovecot::USERNAME,
            password: dovecot::PASSWORD,
            token: dovecot::TOKEN,
            ..nobody("Dovecot submission", Client::trusting(dovecot.authority()), submission)
        },
        nobody("Dovecot LMTP", Client::trusting(dovecot.authority()), lmtp),
        nobody("smtp-sink", Client::made_by(SmtpClient::builder()), at(smtp_sink.address())),
    ];
    let columns = servers.each_ref().map(|server| (server.name, server.see()));
    compare(&table(&columns));
}

impl Server {
    /// What was seen of each feature, by its name.
    fn see(&self) -> BTreeMap<String, String> {
        let mut seen = BTreeMap::new();
        let first = self.mechanisms_to_try().first().copied();
        let (outcome, said) = self.deliver(first, "joe@contoso.com");
        let receipt = match &outcome {
            Outcome::Delivered(receipt) | Outcome::Relayed(receipt) => receipt,
            other => panic!("{}: {other:?}\n{said:#?}", self.name),
        };
        if let Some(tls) = &receipt.tls {
            assert!(tls.authenticated, "{}: {tls:?}", self.name);
            seen.insert("TLS, its name proven".to_owned(), tls.version.clone());
        }
        let (outcome, international) = self.deliver(first, "jürgen@contoso.com");
        assert_eq!(
            outcome.is_success(),
            is_used("SMTPUTF8", &international),
            "{}: {outcome:?}\n{international:#?}",
            self.name
        );
        let offered = offered(&said);
        for extension in EXTENSIONS {
            let lines = if extension == "SMTPUTF8" { &international } else { &said };
            let is_offered = offered.iter().any(|line| line.split(' ').next() == Some(extension));
            match (is_offered, is_used(extension, lines)) {
                (true, true) => seen.insert(extension.to_owned(), "used".to_owned()),
                (true, false) => seen.insert(extension.to_owned(), "offered".to_owned()),
                (false, false) => None,
                (false, true) => panic!("{} does not offer {extension}: {lines:#?}", self.name),
            };
        }
        for mechanism in self.mechanisms_to_try() {
            if offered
                .iter()
                .any(|line| line.starts_with("AUTH ") && line.split(' ').any(|name| name == mechanism.name()))
            {
                let (outcome, said) = self.deliver(Some(mechanism), "joe@contoso.com");
                assert!(outcome.is_success(), "{}: {mechanism}: {outcome:?}", self.name);
                let auth = format!("> AUTH {mechanism}");
                assert!(said.iter().any(|line| line.starts_with(&auth)), "{said:#?}");
                seen.insert(mechanism.name().to_owned(), "used".to_owned());
            }
        }
        seen
    }

    fn mechanisms_to_try(&self) -> Vec<Mechanism> {
        let fits = |mechanism: &Mechanism| {
            let has = self.credential(*mechanism).is_some();
            has && !mechanism.binds_channel()
        };
        Mechanism::ALL.into_iter().filter(fits).collect()
    }

    fn credential(&self, mechanism: Mechanism) -> Option<Credential> {
        let (secret, make): (_, fn(&str, Secret) -> Credential) = match mechanism {
            Mechanism::External => {
                let certificate = self.destination.client_certificate.is_some();
                return certificate.then(|| Credential::certificate(None));
            }
            Mechanism::OAuthBearer | Mechanism::XOAuth2 => {
                (self.token, |name, token| Credential::token(name, token))
            }
            _ => (self.password, |name, password| Credential::new(name, password)),
        };
        (!secret.is_empty()).then(|| make(self.username, Secret::new(secret)))
    }

    /// Sends 8-bit content to somebody, for a sender who wants to hear of success; one outcome, and what was said.
    fn deliver(&self, mechanism: Option<Mechanism>, from: &str) -> (Outcome, Vec<String>) {
        let mut destination = self.destination.clone();
        destination.authentication = mechanism.map(|mechanism| {
            let mut authentication = Authentication::new(self.credential(mechanism).expect("a credential"));
            authentication.mechanisms = vec![mechanism];
            authentication
        });
        if mechanism != Some(Mechanism::External) {
            destination.client_certificate = None;
        }
        let mut recipient = Recipient::new(self.recipient.parse().expect("a recipient"));
        recipient.notify = Some(Notify { success: true, failure: true, delay: false });
        let from = ReversePath::Mailbox(from.parse().expect("a sender"));
        let mut samples = Sample::all().into_iter();
        let sample = samples.find(|sample| sample.name == "8-bit UTF-8").expect("this sample");
        let envelope = Envelope::new(from, vec![recipient]);
        let mut outcomes = self.client.deliver_as(&destination, &envelope, sample.content);
        (outcomes.remove(0), self.client.said())
    }
}

/// The lines of the last reply to EHLO or LHLO, codes removed: what counts is what was said inside TLS.
fn offered(said: &[String]) -> Vec<String> {
    let hello = said.iter().rposition(|line| line.starts_with("> EHLO ") || line.starts_with("> LHLO "));
    let replies = said[hello.expect("EHLO") + 1..].iter().take_while(|line| line.starts_with("< 250"));
    replies.filter_map(|line| line.get(6..)).map(str::to_owned).collect()
}

/// Whether our side of a dialogue did what an extension is for.
fn is_used(extension: &str, said: &[String]) -> bool {
    let mail = said.iter().position(|line| line.starts_with("> MAIL "));
    let holds = |verb: &str, part: &str| {
        said.iter().any(|line| line.starts_with(&format!("> {verb} ")) && line.contains(part))
    };
    match extension {
        "PIPELINING" => {
            mail.and_then(|mail| said.get(mail + 1)).is_some_and(|next| next.starts_with("> RCPT "))
        }
        "8BITMIME" => holds("MAIL", " BODY=8BITMIME"),
        "SIZE" => holds("MAIL", " SIZE="),
        "DSN" => holds("RCPT", " NOTIFY="),
        "SMTPUTF8" => holds("MAIL", " SMTPUTF8"),
        // Chunks go without a line of their own in the transcript.
        "CHUNKING" => mail.is_some() && !said.iter().any(|line| line == "> DATA"),
        other => panic!("{other}"),
    }
}

fn table(columns: &[(&str, BTreeMap<String, String>)]) -> String {
    let mut table = INTRODUCTION.to_owned();
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let names = columns.iter().map(|(name, _)| *name);
    table += &line(["feature"].into_iter().chain(names).collect());
    table += &line(vec!["---"; columns.len() + 1]);
    let features = ["TLS, its name proven"].into_iter().chain(EXTENSIONS);
    for feature in features.chain(Mechanism::ALL.map(Mechanism::name)) {
        let cells = columns.iter().map(|(_, seen)| seen.get(feature).map_or("", String::as_str));
        write!(table, "{}", line([feature].into_iter().chain(cells).collect())).expect("write to a text");
    }
    table
}

/// `BLESS=1` writes the table anew.
fn compare(table: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/smtp-client/INTEROP.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, table).expect("write the table");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(committed, table, "{} tells what was not seen; BLESS=1 writes it anew", file.display());
}

const INTRODUCTION: &str = "\
## Servers it was tried at

*Used* is what the client did and the server took, *offered* what it did not need; an empty field says nothing. The servers are those of Debian
12 as the tests set them up; none of them binds a login to its TLS connection (-PLUS), and OpenSMTPD breaks off each TLS handshake,
without which it offers no login. `interop/tests/servers` fills the table by sending mail to each, and fails where it differs.

";
