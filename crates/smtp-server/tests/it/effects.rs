//! What each parameter changes: one dialogue a row, with its reply as usual and its reply where the parameter is set.

use std::time::Duration;

use postroad_address_space::Domain;
use postroad_smtp_server::{AuthMechanism, ReceiveConnector, SizeEnabled, TlsMaterial};

use crate::house::{House, connector, settings};

type Change = fn(&mut ReceiveConnector);

/// Anonymous clients may send anywhere, and log on.
fn usual() -> ReceiveConnector {
    let mut open = connector("Default");
    open.relay_ip_ranges = vec!["127.0.0.1".parse().expect("an address")];
    open.auth_mechanism = vec![AuthMechanism::BasicAuth];
    open
}

/// What is said before the line that matters, all of it accepted; that line; its reply as usual, and with the change.
struct Row(&'static str, Change, &'static [&'static str], &'static str, &'static str, &'static str);

const MAIL: &str = "MAIL FROM:<joe@contoso.com>";
const RCPT: &str = "RCPT TO:<jane@contoso.com>";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row("require_ehlo_domain", |c| c.require_ehlo_domain = true, &[], "EHLO", "250", "501 5.5.4 "),
    Row("fqdn", |c| c.fqdn = Some("mail.contoso.com".into()), &[], "EHLO a", "250-hub01.contoso.com", "250-mail.contoso.com"),
    Row("max_message_size", |c| c.max_message_size = 65_536, &["EHLO a"], "MAIL FROM:<> SIZE=65537", "250 ", "552 5.3.4 "),
    Row("max_recipients_per_message", |c| c.max_recipients_per_message = 1, &["EHLO a", MAIL, RCPT], "RCPT TO:<joe@contoso.com>", "250 ", "452 4.5.3 "),
    Row("max_header_size", |c| c.max_header_size = 20, &["EHLO a", MAIL, RCPT, "DATA"], "Subject: a longer one\r\n\r\n.", "250 ", "552 5.3.4 "),
    Row("max_hop_count", |c| c.max_hop_count = 1, &["EHLO a", MAIL, RCPT, "DATA"],
        "Received: from a by b; x\r\nReceived: from b by c; x\r\n\r\n.", "250 ", "554 5.4.6 "),
    Row("max_local_hop_count", |c| c.max_local_hop_count = 1, &["EHLO a", MAIL, RCPT, "DATA"],
        "Received: from a by hub01.contoso.com; x\r\nReceived: from b by hub01.contoso.com; x\r\n\r\n.", "250 ", "554 5.4.6 "),
    Row("bare_linefeed_rejection_enabled", |c| c.bare_linefeed_rejection_enabled = false, &["EHLO a", MAIL, RCPT, "DATA"],
        "Subject: a\r\n\r\na\nb\r\n.", "550 5.5.2 ", "250 "),
    Row("reject_reserved_top_level_recipient_domains", |c| c.reject_reserved_top_level_recipient_domains = true,
        &["EHLO a", MAIL], "RCPT TO:<u@a.test>", "250 ", "550 5.1.4 "),
    Row("reject_reserved_second_level_recipient_domains", |c| c.reject_reserved_second_level_recipient_domains = true,
        &["EHLO a", MAIL], "RCPT TO:<u@example.com>", "250 ", "550 5.1.4 "),
    Row("reject_single_label_recipient_domains", |c| c.reject_single_label_recipient_domains = true,
        &["EHLO a", MAIL], "RCPT TO:<u@intranet>", "250 ", "550 5.1.4 "),
    Row("size_enabled", |c| c.size_enabled = SizeEnabled::Disabled, &["EHLO a"], "MAIL FROM:<> SIZE=10", "250 ", "555 5.5.4 "),
    Row("eight_bit_mime_enabled", |c| c.eight_bit_mime_enabled = false, &["EHLO a"], "MAIL FROM:<> BODY=8BITMIME", "250 ", "555 5.5.4 "),
    Row("binary_mime_enabled", |c| c.binary_mime_enabled = false, &["EHLO a"], "MAIL FROM:<> BODY=BINARYMIME", "250 ", "555 5.5.4 "),
    Row("chunking_enabled", |c| (c.chunking_enabled, c.binary_mime_enabled) = (false, false), &["EHLO a", MAIL, RCPT],
        "BDAT 0 LAST", "250 ", "502 5.5.1 "),
    Row("delivery_status_notification_enabled", |c| c.delivery_status_notification_enabled = false, &["EHLO a", MAIL],
        "RCPT TO:<jane@contoso.com> NOTIFY=NEVER", "250 ", "555 5.5.4 "),
    Row("enhanced_status_codes_enabled", |c| c.enhanced_status_codes_enabled = false, &["EHLO a"], "RSET", "250 2.0.0 ", "250 Reset"),
];

#[tokio::test]
async fn each_parameter_changes_what_it_is_for() {
    let mut wrong = Vec::new();
    for Row(name, change, before, line, as_usual, changed) in ROWS {
        for (set, expected) in [(false, as_usual), (true, changed)] {
            let mut connector = usual();
            if set {
                change(&mut connector);
            }
            let house = House::with(connector).await;
            let mut caller = house.connect().await;
            for step in *before {
                caller.ask(step, if *step == "DATA" { "354 " } else { "250" }).await;
            }
            caller.say(&format!("{line}\r\n")).await;
            let reply = caller.reply().await.unwrap_or_default();
            if !reply.starts_with(expected) {
                wrong.push(format!("{name}, set: {set}: {reply:?} came where {expected:?} was due"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_banner_is_the_whole_greeting() {
    let mut connector = usual();
    connector.banner = Some("220 The post office".into());
    let house = House::with(connector).await;
    assert_eq!(house.dial().await.reply().await.as_deref(), Some("220 The post office\r\n"));
}

#[tokio::test]
async fn a_client_may_err_so_often_and_no_more() {
    for (most, errors) in [(Some(0), 1), (Some(5), 6), (None, 100)] {
        let mut connector = usual();
        connector.max_protocol_errors = most;
        let house = House::with(connector).await;
        let mut caller = house.connect().await;
        for _ in 0..errors {
            caller.ask("WHO", "500 5.5.").await;
        }
        match most {
            Some(_) => caller.expect("421 4.7.0 ").await,
            None => caller.ask("NOOP", "250 ").await,
        };
    }
}

#[tokio::test]
async fn logons_may_fail_so_often_and_no_more() {
    for (most, failures) in [(1, 1), (3, 3), (0, 12)] {
        let mut connector = usual();
        connector.max_logon_failures = most;
        let house = House::with(connector).await;
        let mut caller = house.connect().await;
        caller.ask("EHLO a", "250").await;
        for failure in 0..failures {
            if failure > 0 {
                caller.ask("NOOP", "250 ").await;
            }
            caller.ask("AUTH PLAIN AGphbmUAd3Jvbmc=", "535 ").await;
        }
        match most {
            0 => caller.ask("NOOP", "250 ").await,
            _ => caller.expect("421 4.7.0 ").await,
        };
    }
}

#[tokio::test]
async fn postmaster_is_in_the_default_domain_where_that_is_ours() {
    for (default_domain, expected) in [
        (None, "admin@contoso.com"),
        (Some("fabrikam.com"), "postmaster@fabrikam.com"),
        (Some("elsewhere.net"), "admin@contoso.com"),
    ] {
        let mut connector = usual();
        connector.relay_ip_ranges.clear();
        connector.default_domain = default_domain.map(|name| Domain::parse(name).expect("a domain"));
        let mut settings = settings();
        settings.accepted_domains.push(Domain::parse("fabrikam.com").expect("a domain"));
        let house = House::open(vec![(connector, TlsMaterial::none())], settings).await;
        let mut caller = house.connect().await;
        caller.ask("HELO a", "250 ").await;
        caller.send_one("Postmaster").await;
        let (_, envelope, _) = house.messages().remove(0);
        assert_eq!(envelope.recipients[0].address.to_string(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn silence_and_a_session_have_the_time_they_are_given() {
    let mut connector = usual();
    connector.connection_inactivity_timeout = Duration::from_secs(20);
    connector.connection_timeout = Duration::from_secs(50);
    let house = House::with(connector).await;
    let mut silent = house.connect().await;
    let began = tokio::time::Instant::now();
    silent.expect("421 4.4.2 ").await;
    assert_eq!(began.elapsed().as_secs(), 20);

    let mut busy = house.connect().await;
    let began = tokio::time::Instant::now();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(12)).await;
        busy.ask("NOOP", "250 ").await;
    }
    busy.expect("421 4.4.2 ").await;
    assert_eq!(began.elapsed().as_secs(), 50);
}
