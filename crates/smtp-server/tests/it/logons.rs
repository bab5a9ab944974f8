//! Logons by what an embedder verifies: tokens, and mechanisms that take their own way.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postroad_smtp_server::{
    AuthMechanism, BearerToken, BoxFuture, Client, Logon, LogonStep, PasswordVerdict, Secret, TlsMaterial,
    Verify,
};
use tokio::sync::oneshot;

use crate::house::{Caller, House, connector, settings};

/// Verifies no password; tokens, and a riddle in two rounds. Whoever holds the sender knows that a riddle is open.
#[derive(Default)]
struct Riddler {
    open: Mutex<Option<oneshot::Sender<()>>>,
}

impl Verify for Riddler {
    fn verify<'a>(&'a self, _: &'a Client, _: &'a str, _: Secret) -> BoxFuture<'a, PasswordVerdict> {
        Box::pin(std::future::ready(PasswordVerdict::Rejected))
    }

    fn mechanisms(&self, client: &Client) -> Vec<String> {
        let names = if client.peer.ip().is_loopback() { &["X-RIDDLE", "OAUTHBEARER"][..] } else { &[] };
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn verify_token<'a>(&'a self, _: &'a Client, token: BearerToken) -> BoxFuture<'a, LogonStep> {
        Box::pin(async move {
            match token.token.expose() {
                b"fresh" => LogonStep::Accepted("jane".to_owned()),
                b"later" => LogonStep::Unavailable,
                _ => LogonStep::Rejected,
            }
        })
    }

    fn begin(&self, _: &Client, mechanism: &str) -> Option<Box<dyn Logon>> {
        (mechanism == "X-RIDDLE").then(|| {
            Box::new(Riddle { name: None, _open: self.open.lock().expect("not poisoned").take() })
                as Box<dyn Logon>
        })
    }
}

struct Riddle {
    name: Option<String>,
    _open: Option<oneshot::Sender<()>>,
}

impl Logon for Riddle {
    fn respond<'a>(&'a mut self, response: Option<&'a [u8]>) -> BoxFuture<'a, LogonStep> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            match (self.name.take(), response) {
                (None, None) => LogonStep::Challenge(b"who?".to_vec()),
                (None, Some(name)) => {
                    self.name = Some(String::from_utf8_lossy(name).into_owned());
                    LogonStep::Challenge(b"what has it got in its pocketses?".to_vec())
                }
                (Some(name), Some(b"string, or nothing")) => LogonStep::Accepted(name),
                _ => LogonStep::Rejected,
            }
        })
    }
}

async fn riddler() -> (House, Caller<tokio::net::TcpStream>) {
    asked_by(Riddler::default()).await
}

async fn asked_by(riddler: Riddler) -> (House, Caller<tokio::net::TcpStream>) {
    let mut users = connector("Users");
    users.auth_mechanism = vec![AuthMechanism::BasicAuth];
    let house = House::open_to(vec![(users, TlsMaterial::none())], settings(), Arc::new(riddler)).await;
    let mut caller = house.connect().await;
    assert!(caller.ask("EHLO a", "250-").await.contains("\r\n250-AUTH X-RIDDLE OAUTHBEARER\r\n"));
    (house, caller)
}

fn said(text: &str) -> String {
    STANDARD.encode(text)
}

#[tokio::test]
async fn a_mechanism_of_the_embedders_asks_as_often_as_it_likes() {
    let (house, mut caller) = riddler().await;
    let question = format!("334 {}", said("what has it got in its pocketses?"));
    caller.ask("AUTH PLAIN AGphbmUAc2VjcmV0", "504 5.5.4 ").await;
    caller.ask("auth x-riddle", &format!("334 {}", said("who?"))).await;
    caller.ask(&said("bilbo"), &question).await;
    caller.ask("*", "501 5.7.0 ").await;
    caller.ask(&format!("AUTH X-RIDDLE {}", said("bilbo")), &question).await;
    caller.ask(&said("hands"), "535 5.7.8 ").await;
    caller.ask(&format!("AUTH X-RIDDLE {}", said("bilbo")), &question).await;
    caller.ask(&said("string, or nothing"), "235 2.7.0 ").await;
    caller.send_one("bob@elsewhere.net").await;
    assert_eq!(house.messages()[0].0.user.as_deref(), Some("bilbo"));
}

#[tokio::test]
async fn a_token_is_the_verifiers_to_judge() {
    let (house, mut caller) = riddler().await;
    let bearing = |token: &str| said(&format!("n,a=jane,\x01auth=Bearer {token}\x01\x01"));
    let refused = caller.ask(&format!("AUTH OAUTHBEARER {}", bearing("stale")), "334 ").await;
    let why = STANDARD.decode(refused.trim_end().trim_start_matches("334 ")).expect("base64");
    assert!(why.starts_with(b"{\"status\":\"invalid_token\""));
    caller.ask("AQ==", "535 5.7.8 ").await;
    caller.ask(&format!("AUTH OAUTHBEARER {}", bearing("later")), "454 4.7.0 ").await;
    caller.ask(&format!("AUTH OAUTHBEARER {}", bearing("fresh")), "235 2.7.0 ").await;
    caller.send_one("bob@elsewhere.net").await;
    assert_eq!(house.messages()[0].0.user.as_deref(), Some("jane"));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_name_that_nobody_has_is_not_logged_for_it_may_be_a_password() {
    let (log, mut users) = (Log::default(), connector("Users"));
    let writer = log.clone();
    let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(lines);
    users.auth_mechanism = vec![AuthMechanism::BasicAuth];
    let house = House::with(users).await;
    for (name, password) in [("jane", "swordfish"), ("hunter2!", "jane"), ("hunter2!", "x")] {
        let mut caller = house.connect().await;
        caller.ask("EHLO a", "250-").await;
        caller.ask("AUTH LOGIN", "334 ").await;
        caller.ask(&said(name), "334 ").await;
        caller.ask(&said(password), "535 5.7.8 ").await;
        caller.ask(&format!("AUTH PLAIN {}", said(&format!("\0{name}\0{password}"))), "535 5.7.8 ").await;
        caller.ask(&format!("AUTH PLAIN {}", said(&format!("x\0{name}\0{password}"))), "535 5.7.8 ").await;
    }
    let log = String::from_utf8(log.0.lock().expect("not poisoned").clone()).expect("text");
    assert_eq!(log.matches("a logon failed").count(), 9, "{log}");
    assert_eq!(log.matches("user=\"jane\"").count(), 3, "{log}");
    assert_eq!(log.matches("user=\"not known, of 8 characters\"").count(), 6, "{log}");
    assert!(!log.contains("hunter2") && !log.contains("swordfish"), "{log}");
}

#[tokio::test]
async fn a_cancelled_logon_is_let_go_of_while_the_client_stays() {
    let (open, closed) = oneshot::channel();
    let (_house, mut caller) = asked_by(Riddler { open: Mutex::new(Some(open)) }).await;
    caller.ask("AUTH X-RIDDLE", "334 ").await;
    caller.ask("*", "501 ").await;
    assert!(closed.await.is_err());
    caller.ask("NOOP", "250 ").await;
}
