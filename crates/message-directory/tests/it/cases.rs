//! Each `tests/cases/<dialect>/<name>.eml` becomes what `<name>.expected` beside it says.
//!
//! `BLESS=1 cargo test` writes the expectations anew; read the difference before you commit it.

use std::fmt::Write;
use std::path::Path;

use postroad_address_space::Domain;
use postroad_message::{Notify, Timestamp};
use postroad_message_directory::{Arrival, Badmail, Dialect, Strictness, Submission, pickup, replay};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");

#[test]
fn exchange_pickup_files() {
    check("exchange", |file| pickup::decode(file, &pickup_rules(Dialect::Exchange)));
}

#[test]
fn exchange_pickup_files_at_the_limits() {
    let mut rules = pickup_rules(Dialect::Exchange);
    (rules.max_header_size, rules.max_recipients) = (200, 3);
    check("exchange-limits", |file| pickup::decode(file, &rules));
}

#[test]
fn pickup_files_as_exchange_5_5_read_them() {
    let mut rules = pickup_rules(Dialect::Exchange);
    rules.sender_before_from = true;
    check("exchange-5.5", |file| pickup::decode(file, &rules));
}

#[test]
fn iis_pickup_files() {
    check("iis", |file| pickup::decode(file, &pickup_rules(Dialect::Iis)));
}

#[test]
fn replay_files() {
    let mut rules = replay::Rules::default();
    rules.domain = Domain::parse("contoso.com").ok();
    check("replay", |file| replay::decode(file, &rules));
    // The same files and more: what is passed over then, and what is not even then.
    rules.strictness = Strictness::Lenient;
    check("replay-lenient", |file| replay::decode(file, &rules));
}

fn pickup_rules(dialect: Dialect) -> pickup::Rules {
    let mut rules = pickup::Rules::default();
    rules.dialect = dialect;
    rules.domain = Domain::parse("contoso.com").ok();
    rules
}

fn check(folder: &str, decode: impl Fn(&[u8]) -> Result<Submission<'_>, Badmail>) {
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(Path::new(CASES).join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "eml") {
            continue;
        }
        count += 1;
        let found = told(decode(&std::fs::read(&path).unwrap()));
        let expectation = path.with_extension("expected");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&expectation, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&expectation).unwrap_or_default();
        if found != expected {
            wrong.push(format!("{}\n--- expected\n{expected}\n--- found\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(count > 2, "no cases found in {folder}");
}

/// Envelope lines, `---`, the content with its CRLF shown as line ends; or why it is bad.
fn told(decoded: Result<Submission<'_>, Badmail>) -> String {
    let domain = Domain::parse("contoso.com").unwrap();
    let now = Timestamp::from_unix_millis(1_711_903_005_000);
    let arrival = Arrival::new("hub01.contoso.com", &domain, now, [0x0a; 16]);
    let mut told = String::new();
    let stamped = decoded.and_then(|submission| {
        let rejected = submission.rejected.clone();
        submission.into_message(&arrival).map(|message| (message, rejected))
    });
    match stamped {
        Err(badmail) => {
            writeln!(told, "bad: {badmail}").unwrap();
            writeln!(told, "status: {}", badmail.status()).unwrap();
            match badmail.return_to() {
                Some(sender) => writeln!(told, "returned to: {sender}").unwrap(),
                None => writeln!(told, "becomes .bad").unwrap(),
            }
            for recipient in badmail.recipients() {
                writeln!(told, "for: {}", recipient.address).unwrap();
            }
        }
        Ok(((envelope, content), rejected)) => {
            writeln!(told, "from: {} {:?} {:?}", envelope.reverse_path, envelope.body, envelope.ret).unwrap();
            if let Some(id) = &envelope.envelope_id {
                writeln!(told, "envid: {id}").unwrap();
            }
            if envelope.smtputf8 {
                writeln!(told, "smtputf8").unwrap();
            }
            for recipient in &envelope.recipients {
                writeln!(told, "to: {}{}", recipient.address, wishes(recipient.notify)).unwrap();
                if let Some(original) = &recipient.original {
                    writeln!(told, "  orcpt: {};{}", original.address_type, original.address).unwrap();
                }
            }
            for text in rejected {
                writeln!(told, "rejected: {text}").unwrap();
            }
            let content = String::from_utf8_lossy(content.in_memory().unwrap()).into_owned();
            assert!(!content.replace("\r\n", "").contains(['\r', '\n', '\0']), "{content:?}");
            write!(told, "---\n{}", content.replace("\r\n", "\n")).unwrap();
        }
    }
    told
}

fn wishes(notify: Option<Notify>) -> String {
    match notify {
        None => String::new(),
        Some(notify) => {
            format!(" success={} failure={} delay={}", notify.success, notify.failure, notify.delay)
        }
    }
}
