//! Logs for the postmaster: a message followed by one id from its client to each recipient's outcome, and conversations written
//! down without their secrets.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use postroad_interop::{Scratch, mailbox, patience, program as programs, swaks};

use crate::configuration::{EVERYTHING_TO_DROP, House, PASSWORD, program, users};

/// `joe`, `correct horse`; `\0joe\0correct horse`; all of them in base64, as LOGIN and PLAIN send them.
const SECRETS: [&str; 3] = [PASSWORD, "Y29ycmVjdCBob3JzZQ==", "AGpvZQBjb3JyZWN0IGhvcnNl"];

const EVERY_LOG: &str = "message_tracking_log_path = \"log\"\nreceive_protocol_log_path = \"log\"\nsend_protocol_log_path = \"log\"\n";

/// Mail for dead.test goes to a host that hangs up on everybody, everything else to Drop.
fn with_a_dead_host() -> String {
    let host = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = host.local_addr().expect("the address just bound").port();
    // Ends with the test.
    thread::spawn(move || host.incoming().for_each(drop));
    format!(
        "{EVERYTHING_TO_DROP}\n[[send_connector]]\nname = \"Dead\"\naddress_spaces = [\"dead.test\"]\n\
         smart_hosts = [\"[127.0.0.1]\"]\nport = {port}\nprotocol_logging_level = \"verbose\"\n"
    )
}

/// Puts lines behind those that begin its sections.
fn amended(house: House, changes: &[(&str, &str)]) -> House {
    let mut text = fs::read_to_string(&house.configuration).expect("read relay.toml");
    for (line, more) in changes {
        assert!(text.contains(line), "{line}");
        text = text.replacen(line, &format!("{line}{more}"), 1);
    }
    fs::write(&house.configuration, text).expect("write relay.toml");
    house
}

/// Everything in the logs of this prefix.
fn log(house: &House, prefix: &str) -> String {
    let Ok(folder) = fs::read_dir(house.scratch.path().join("log")) else { return String::new() };
    let paths = folder.map(|entry| entry.expect("an entry of log/").path());
    let ours = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    paths.filter(|path| ours(path)).map(|path| fs::read_to_string(path).expect("read a log")).collect()
}

/// The rows that hold `id`, once one of them has this event.
fn rows_until(house: &House, id: &str, event: &str) -> Vec<String> {
    patience::until(&format!("{event} of {id}"), || {
        let log = log(house, "MSGTRK");
        let rows: Vec<String> = log.lines().filter(|row| row.contains(id)).map(str::to_owned).collect();
        rows.iter().any(|row| row.contains(event)).then_some(rows)
    })
}

#[test]
fn a_message_is_followed_by_one_id_from_its_client_to_each_outcome() {
    let house = amended(
        House::with(&with_a_dead_host()),
        &[("[server]\n", EVERY_LOG), ("[transport]\n", "message_expiration_timeout = \"3s\"\n")],
    );
    house.scratch.folder("Drop");
    let relay = house.start();
    let content = b"Message-ID: <1@app>\r\nSubject: =1+1\r\n\r\nnot for the log\r\n";
    let said = house
        .application()
        .send("joe@contoso.com", &["jane@contoso.com", "tim@dead.test"], content)
        .expect("a 250");
    let id = said.rsplit(' ').next().expect("an id").to_owned();

    let rows = rows_until(&house, &id, ",DSN,DSN,");
    let of =
        |event: &str, recipient: &str| rows.iter().any(|row| row.contains(event) && row.contains(recipient));
    for (event, recipient) in [
        (",SMTP,RECEIVE,", "jane@contoso.com;tim@dead.test"),
        (",GATEWAY,SEND,", "jane@contoso.com"),
        (",SMTP,DEFER,", "tim@dead.test"),
        (",QUEUE,FAIL,", "tim@dead.test"),
        (",DSN,DSN,", "joe@contoso.com"),
    ] {
        assert!(of(event, recipient), "{event} for {recipient} is not in {rows:#?}");
    }
    let arrived = mailbox::wait_for(&house.drop_directory(), 2);
    let received = arrived.iter().any(|file| String::from_utf8_lossy(file).contains(&format!("id {id}")));
    assert!(received, "the Received field tells another id");
    // The relay's own log: from the queue, and the SMTP client, which knows no ids but is in the attempt's span.
    for words in ["queued", "a host could not be used", "deferred", "failed", "delivered"] {
        let told = relay.log().lines().any(|line| line.contains(words) && line.contains(&id));
        assert!(told, "no line {words:?} with {id}:\n{}", relay.log());
    }
    for text in [log(&house, "MSGTRK"), relay.log()] {
        assert!(!text.contains("not for the log"), "content in {text}");
    }
    assert_eq!(relay.terminate().code(), Some(0));
    assert!(log(&house, "MSGTRK").contains(",\"'=1+1\",") || log(&house, "MSGTRK").contains(",'=1+1,"));
}

/// A mailbox server for one connection: it keeps Jane's, is out of room for Tim's, and knows nobody else.
fn mailboxes() -> u16 {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = server.local_addr().expect("the address just bound").port();
    thread::spawn(move || {
        let (stream, _) = server.accept().expect("the relay");
        let mut said = BufReader::new(stream.try_clone().expect("both ways"));
        let (mut accepted, mut line, mut say) = (Vec::new(), String::new(), stream);
        say.write_all(b"220 mailboxes\r\n").expect("a greeting");
        while said.read_line(&mut line).is_ok_and(|length| length > 0) {
            let command = std::mem::take(&mut line);
            let reply = match command.trim_end() {
                "DATA" => "354 go on\r\n".to_owned(),
                "." => accepted.drain(..).collect(),
                rcpt if rcpt.starts_with("RCPT TO:<jane@") => {
                    accepted.push("250 2.0.0 kept for Jane\r\n");
                    "250 2.1.5 Jane\r\n".to_owned()
                }
                rcpt if rcpt.starts_with("RCPT TO:<tim@") => {
                    accepted.push("452 4.2.2 Tim has no room\r\n");
                    "250 2.1.5 Tim\r\n".to_owned()
                }
                rcpt if rcpt.starts_with("RCPT") => "550 5.1.1 who\r\n".to_owned(),
                other if ["LHLO", "MAIL", "QUIT"].iter().any(|verb| other.starts_with(verb)) => {
                    "250 fine\r\n".to_owned()
                }
                _ => continue,
            };
            say.write_all(reply.as_bytes()).expect("the relay listens");
        }
    });
    port
}

#[test]
fn each_mailbox_of_an_lmtp_delivery_has_its_own_row_or_place_in_one() {
    let port = mailboxes();
    let connector = format!(
        "{EVERYTHING_TO_DROP}\n[[delivery_agent_connector]]\nname = \"Mailboxes\"\naddress_spaces = [\"contoso.com\"]\n\
         delivery_protocol = \"lmtp\"\nendpoint = \"127.0.0.1:{port}\"\n"
    );
    let house = amended(House::with(&connector), &[("[server]\n", EVERY_LOG)]);
    house.without_retries();
    house.scratch.folder("Drop");
    let _relay = house.start();
    let to = ["jane@contoso.com", "tim@contoso.com", "nobody@contoso.com", "fax@example.com"];
    let said = house.application().send("joe@example.com", &to, b"Subject: x\r\n\r\nx\r\n").expect("a 250");
    let id = said.rsplit(' ').next().expect("an id").to_owned();
    let rows = rows_until(&house, &id, ",AGENT,DEFER,");
    for (event, recipient, status) in [
        (",Mailboxes,AGENT,SEND,", "jane@contoso.com", "250 2.0.0 kept for Jane"),
        (",Mailboxes,AGENT,DEFER,", "tim@contoso.com", "452 4.2.2 Tim has no room"),
        (",Mailboxes,AGENT,FAIL,", "nobody@contoso.com", "550 5.1.1 who"),
    ] {
        let of_event: Vec<_> = rows.iter().filter(|row| row.contains(event)).collect();
        assert_eq!(of_event.len(), 1, "{event}: {rows:#?}");
        assert!(of_event[0].contains(&format!(",{recipient},{status},")), "{}", of_event[0]);
        assert!(
            to.iter().all(|other| *other == recipient || !of_event[0].contains(other)),
            "{}",
            of_event[0]
        );
    }
}

#[test]
fn a_log_is_put_on_while_the_relay_runs() {
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let relay = house.start();
    let house = amended(
        house,
        &[("[server]\n", EVERY_LOG), ("name = \"Applications\"\n", "protocol_logging_level = \"verbose\"\n")],
    );
    relay.hang_up();
    patience::until("the new configuration", || relay.log().contains("configuration reloaded").then_some(()));
    house.application().send("joe@contoso.com", &["jane@contoso.com"], b"Subject: x\r\n\r\n").expect("a 250");
    patience::until("the logs", || log(&house, "RECV").contains(",<,EHLO application.test,").then_some(()));
    rows_until(&house, "jane@contoso.com", ",GATEWAY,SEND,");
}

#[test]
fn what_is_sent_from_the_command_line_is_in_the_log_too() {
    let house = amended(House::with(EVERYTHING_TO_DROP), &[("[server]\n", EVERY_LOG)]);
    house.scratch.folder("Drop");
    let _relay = house.start();
    let file = house.scratch.write("letter.eml", "Subject: x\r\n\r\nx\r\n");
    let mut send = Command::new(program());
    send.args(["send", "--config"]).arg(&house.configuration);
    let sent =
        send.args(["--from", "joe@contoso.com", "--to", "jane@example.com", "--wait", "30s"]).arg(file);
    let said = programs::successful(sent.output().expect("relay send"));
    let id = said.lines().find_map(|line| line.strip_prefix("queued as ")).expect("an id").to_owned();
    let rows = rows_until(&house, &id, ",GATEWAY,SEND,");
    assert!(rows.iter().any(|row| row.contains(",ADMIN,RECEIVE,")), "{rows:#?}");
}

#[test]
fn a_protocol_log_holds_both_sides_of_a_login_and_no_password() {
    // Both ends are ours: what the one sends, the other receives.
    let scratch = Scratch::new();
    let who = format!("{}protocol_logging_level = \"verbose\"\n", users(&scratch, "\"basic-auth\""));
    let smart_host = House::in_scratch_with(scratch, &who, EVERYTHING_TO_DROP);
    let smart_host = amended(smart_host, &[("[server]\n", EVERY_LOG)]);
    smart_host.scratch.folder("Drop");
    let receiving = smart_host.start();

    let connector = format!(
        "\n[[send_connector]]\nname = \"Smart, host\"\naddress_spaces = [\"*\"]\nsmart_hosts = [\"[127.0.0.1]\"]\nport = {}\n\
         smart_host_auth_mechanism = \"basic-auth\"\nauthentication_credential = \"login\"\n\
         protocol_logging_level = \"verbose\"\n[credentials.login]\nusername = \"joe\"\npassword_file = \"password\"\n",
        smart_host.listener.port()
    );
    let house = amended(House::with(&connector), &[("[server]\n", EVERY_LOG)]);
    house.scratch.write("password", PASSWORD);
    let sending = house.start();
    let content = b"Subject: x\r\n\r\nnot for the log\r\n";
    house.application().send("joe@contoso.com", &["jane@example.com"], content).expect("a 250");
    mailbox::wait_for_one(&smart_host.drop_directory());
    // A client that guesses, and goes on when it is refused.
    let mut application = smart_host.application();
    for line in ["AUTH LOGIN", "am9l", SECRETS[1], SECRETS[2], PASSWORD, "NOOP correct horse"] {
        application.say(line).expect("a reply");
    }
    drop(application);

    assert_eq!((sending.terminate().code(), receiving.terminate().code()), (Some(0), Some(0)));
    let (sent, received) = (log(&house, "SEND"), log(&smart_host, "RECV"));
    for (text, lines) in [
        (&sent, [",\"Smart, host\",", ",<,250", ",>,MAIL FROM:<joe@contoso.com>", ",*,content of "]),
        (&received, [",Applications,", ",>,250", ",<,MAIL FROM:<joe@contoso.com>", ",*,content of "]),
    ] {
        for expected in
            ["#Fields: date-time,connector-id,session-id,", ",+,,", ",-,,", "<authentication information>"]
        {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        for expected in lines {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        for secret in SECRETS.iter().chain(&["not for the log"]) {
            assert!(!text.contains(secret), "{secret} is in\n{text}");
        }
    }
    for relay_log in [log(&house, "RECV"), log(&smart_host, "SEND")] {
        assert_eq!(relay_log, "", "a connector that nobody asked to log");
    }
}

/// Reads every row with Python's csv module and prints, for each, how many fields it has and its subject.
const READER: &str = "
import csv, sys
for name in sys.argv[1:]:
    with open(name, newline='', encoding='utf-8') as file:
        rows = csv.reader(line for line in file if not line.startswith('#'))
        for row in rows:
            print(len(row), row[18])
";

#[test]
#[ignore = "needs python3; .ci/run runs it"]
fn pythons_csv_reads_what_a_stranger_could_not_break() {
    let house = amended(House::with(EVERYTHING_TO_DROP), &[("[server]\n", EVERY_LOG)]);
    house.scratch.folder("Drop");
    let relay = house.start();
    let subjects = [
        "plain",
        "a, \"b\", c",
        "=cmd|' /C calc'!A0",
        "\"",
        "\u{1b}[2J\t,\u{202e}x",
        ",,,,\"\"\"",
        "#Fields: x",
    ];
    for subject in subjects {
        let content = format!("Subject: {subject}\r\n\r\n");
        house
            .application()
            .send("joe@contoso.com", &["\"a,\\\"b;c\"@contoso.com"], content.as_bytes())
            .expect("a 250");
    }
    mailbox::wait_for(&house.drop_directory(), subjects.len());
    assert_eq!(relay.terminate().code(), Some(0));
    let folder = fs::read_dir(house.scratch.path().join("log")).expect("the logs");
    let mut python = programs::command("python3");
    python.args(["-c", READER]).args(folder.map(|entry| entry.expect("a log").path()));
    let read = programs::successful(programs::run(&mut python));
    let rows: Vec<&str> = read.lines().collect();
    assert_eq!(rows.len(), 2 * subjects.len(), "{read}");
    for shown in [
        "plain",
        "a, \"b\", c",
        "'=cmd|' /C calc'!A0",
        "\"",
        "\\u{1b}[2J\\t,\\u{202e}x",
        ",,,,\"\"\"",
        "#Fields: x",
    ] {
        let row = format!("30 {shown}");
        assert_eq!(rows.iter().filter(|found| **found == row).count(), 2, "{row} in {read}");
    }
}

#[test]
#[ignore = "needs Debian's swaks; .ci/run runs it"]
fn swaks_logs_in_and_the_protocol_log_keeps_its_password() {
    let scratch = Scratch::new();
    let who = format!("{}protocol_logging_level = \"verbose\"\n", users(&scratch, "\"basic-auth\""));
    let house =
        amended(House::in_scratch_with(scratch, &who, EVERYTHING_TO_DROP), &[("[server]\n", EVERY_LOG)]);
    house.scratch.folder("Drop");
    let relay = house.start();
    for mechanism in ["PLAIN", "LOGIN"] {
        let mut command = swaks::command(house.listener, "joe@contoso.com", "jane@example.com");
        command.args(["--auth", mechanism, "--auth-user", "joe", "--auth-password", PASSWORD]);
        programs::successful(programs::run(&mut command));
    }
    mailbox::wait_for(&house.drop_directory(), 2);
    assert_eq!(relay.terminate().code(), Some(0));
    let written = log(&house, "RECV");
    assert_eq!(written.matches(",>,235 2.7.0").count(), 2, "{written}");
    for secret in SECRETS {
        assert!(!written.contains(secret), "{secret} is in\n{written}");
    }
}
