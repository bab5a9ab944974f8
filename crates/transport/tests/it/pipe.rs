//! `pipe` with real programs: what they are told, how they answer, and that none is left behind.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use postroad_connector::DeliveryAgentConnector;
use postroad_message::{Fault, Outcome, Scope};
use postroad_transport::{AgentDeliver, Pipe};
use rustix::process::geteuid;
use tempfile::TempDir;

use crate::by_hand::{Delivery, MESSAGE, contoso};

const MAILBOX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agents/mailbox.sh");

fn connector(command: &[&str]) -> DeliveryAgentConnector {
    let mut connector = DeliveryAgentConnector::new("Programs", vec!["contoso.com".parse().unwrap()], "pipe");
    connector.command = command.iter().map(|part| (*part).to_owned()).collect();
    connector.one_call_for_each_recipient = true;
    // As whoever we are; nothing is run as root.
    connector.user = geteuid().is_root().then(|| "65534:65534".to_owned());
    connector
}

/// Which whoever runs the programs may write to, and find the mailbox program in.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(MAILBOX, folder.path().join("mailbox.sh")).unwrap();
    for_everybody(folder.path());
    folder
}

fn for_everybody(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}

fn mailboxes(folder: &Path) -> DeliveryAgentConnector {
    let program = folder.join("mailbox.sh");
    connector(&["/bin/sh", program.to_str().unwrap(), folder.to_str().unwrap(), "{recipient}"])
}

async fn piped(connector: DeliveryAgentConnector, from: &str, to: &[&str]) -> Vec<Outcome> {
    // More than a pipe holds, so that a program that reads nothing closes it while we write.
    let content = format!("Subject: Tea\r\n\r\n{}", "At four.\r\n".repeat(20_000)).into_bytes();
    let agents = AgentDeliver::new().register("pipe", Pipe::new(contoso()));
    Delivery::new(connector, "contoso.com", from, to, content).by(&agents).await
}

fn told(outcomes: &[Outcome]) -> Vec<String> {
    let one = |outcome: &Outcome| match outcome {
        Outcome::Deferred(failure) => format!("deferred {failure}"),
        Outcome::Failed(failure) => format!("failed {failure}"),
        Outcome::Relayed(_) => "relayed".to_owned(),
        other => format!("{other:?}"),
    };
    outcomes.iter().map(one).collect()
}

#[tokio::test]
async fn each_recipient_has_the_answer_of_its_own_call() {
    let folder = folder();
    let to =
        ["tim", "nobody", "full", "busy", "deaf", "struck", "-tim"].map(|name| format!("{name}@contoso.com"));
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let outcomes = piped(mailboxes(folder.path()), "joe@contoso.com", &to).await;
    assert_eq!(
        told(&outcomes),
        [
            "relayed",
            "failed 5.1.1 /bin/sh ended with status 67: no such mailbox",
            "deferred 4.2.2 /bin/sh ended with status 69: 4.2.2 over quota",
            "deferred 4.3.0 /bin/sh ended with status 75",
            "relayed",
            "deferred 4.3.0 /bin/sh was ended by signal 9",
            "failed 5.1.3 the recipient's address begins with a hyphen, and a program could take it for an option",
        ]
    );
    let kept = fs::read_to_string(folder.path().join("tim@contoso.com")).unwrap();
    assert_eq!(kept, format!("Subject: Tea\n\n{}", "At four.\n".repeat(20_000)));
}

#[tokio::test]
async fn a_program_is_told_of_the_message_and_of_nothing_else() {
    let folder = folder();
    let mut texts = mailboxes(folder.path());
    texts.working_directory = Some(folder.path().to_str().unwrap().to_owned());
    let outcomes = piped(texts, "<>", &["FAX:$(id);`id`"]).await;
    assert_eq!(told(&outcomes), ["relayed"]);
    let environment = fs::read_to_string(folder.path().join("environment")).unwrap();
    // A shell sets these by itself.
    let of_the_shell =
        |line: &&str| !["_=", "PWD=", "OLDPWD=", "SHLVL="].iter().any(|name| line.starts_with(name));
    let mut lines: Vec<&str> = environment.lines().filter(of_the_shell).collect();
    lines.sort_unstable();
    let id = format!("MESSAGE_ID={}", MESSAGE);
    let expected = [
        id.as_str(),
        "PATH=/usr/bin:/bin",
        "QUEUE=contoso.com",
        "RECIPIENT=FAX:$(id);`id`",
        "RECIPIENT_IMCEA=IMCEAFAX-+24+28id+29+3B+60id+60@contoso.com",
        "SENDER=",
        "SIZE=200016",
    ];
    assert_eq!(lines, expected);
    let directory = fs::read_to_string(folder.path().join("directory")).unwrap();
    assert_eq!(Path::new(directory.trim()), folder.path().canonicalize().unwrap());
    assert!(folder.path().join("FAX:$(id);`id`").exists());
}

#[tokio::test]
async fn one_call_for_all_answers_for_all_of_them() {
    let mut cat = connector(&["/bin/cat", "-"]);
    cat.one_call_for_each_recipient = false;
    let outcomes = piped(cat, "joe@contoso.com", &["a@contoso.com", "-b@contoso.com"]).await;
    assert_eq!(told(&outcomes), ["relayed", "relayed"], "no address is an argument");
}

#[tokio::test]
async fn a_program_that_talks_without_end_is_quoted_in_a_line() {
    let folder = folder();
    let outcomes = piped(mailboxes(folder.path()), "joe@contoso.com", &["noisy@contoso.com"]).await;
    let [Outcome::Failed(failure)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert!(failure.text.len() < 2048 && !failure.text.contains(char::is_control), "{}", failure.text);
}

#[tokio::test]
async fn what_cannot_be_started_waits() {
    for program in ["/nowhere/program", "/etc/passwd", "/"] {
        let outcomes = piped(connector(&[program]), "joe@contoso.com", &["a@contoso.com"]).await;
        let [Outcome::Deferred(failure)] = &outcomes[..] else { panic!("{outcomes:?}") };
        assert_eq!((failure.fault, failure.scope), (Fault::Local, Scope::NextHop), "{program}");
    }
}

#[tokio::test]
async fn without_the_right_user_nothing_runs_and_mail_waits() {
    let folder = folder();
    let mut nobody_known = mailboxes(folder.path());
    nobody_known.user = Some("no-such-user-here".into());
    let mut root = mailboxes(folder.path());
    root.user = Some("0:0".into());
    for (connector, why) in [
        (nobody_known, "/etc/passwd has no user \"no-such-user-here\""),
        (root, "a user is a name of /etc/passwd, or uid:gid, and not root"),
    ] {
        let outcomes = piped(connector, "joe@contoso.com", &["tim@contoso.com"]).await;
        let [Outcome::Deferred(failure)] = &outcomes[..] else { panic!("{outcomes:?}") };
        assert_eq!(
            (failure.fault, failure.scope, &*failure.text),
            (Fault::Configuration, Scope::NextHop, why)
        );
    }
    assert!(!folder.path().join("tim@contoso.com").exists());
}

#[tokio::test]
async fn a_program_that_takes_too_long_is_killed_and_its_mail_waits() {
    let mut sleep = connector(&["/bin/sleep", "1000"]);
    sleep.time_limit = std::time::Duration::from_millis(50);
    let outcomes = piped(sleep, "joe@contoso.com", &["a@contoso.com"]).await;
    assert_eq!(told(&outcomes), ["deferred 4.3.0 /bin/sleep did not end in its time limit and was killed"]);
}

#[tokio::test]
async fn a_delivery_that_is_dropped_leaves_no_process_of_the_group_behind() {
    let folder = folder();
    let fifo = folder.path().join("open");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for_everybody(&fifo);
    let texts = mailboxes(folder.path());
    let delivery = tokio::spawn(async move { piped(texts, "<>", &["endless@contoso.com"]).await });
    // Opens when the program's child has it open, and ends when nobody has any more.
    let mut open = tokio::task::spawn_blocking(move || fs::File::open(fifo).unwrap()).await.unwrap();
    delivery.abort();
    assert!(delivery.await.unwrap_err().is_cancelled());
    let read = tokio::task::spawn_blocking(move || open.read_to_end(&mut Vec::new())).await.unwrap();
    assert_eq!(read.unwrap(), 0);
}
