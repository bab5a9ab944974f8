//! Logins whose answers come from elsewhere.

use std::sync::Arc;
use std::time::Duration;

use postroad_smtp_client::{
    Authentication, Authenticator, BoxFuture, Credential, Destination, Login, LoginAnswer, Secret,
};

use crate::pretend::{Behaviour, Pretend, client, deliver, words};

/// Answers for NTLM, in the given time.
struct Domain(Duration);

struct Handshake(Duration);

impl Authenticator for Domain {
    fn mechanisms(&self) -> Vec<String> {
        vec!["GSSAPI".to_owned(), "ntlm".to_owned()]
    }

    fn begin(&self, mechanism: &str, host: &str) -> Box<dyn Login> {
        assert_eq!((mechanism, host), ("NTLM", "127.0.0.1"));
        Box::new(Handshake(self.0))
    }
}

impl Login for Handshake {
    fn answer<'a>(&'a mut self, challenge: Option<&'a [u8]>) -> BoxFuture<'a, LoginAnswer> {
        Box::pin(async move {
            tokio::time::sleep(self.0).await;
            match challenge {
                None => LoginAnswer::Say(Secret::new("negotiate")),
                Some(b"challenge") => LoginAnswer::SayLast(Secret::new("response")),
                Some(_) => LoginAnswer::GiveUp("another challenge was expected".to_owned()),
            }
        })
    }
}

async fn server() -> Pretend {
    let capabilities = vec!["AUTH PLAIN NTLM"];
    let replies = [
        ("AUTH NTLM bmVnb3RpYXRl", "334 Y2hhbGxlbmdl\r\n"),
        ("cmVzcG9uc2U=", "235 2.7.0 in\r\n"),
        ("AUTH PLAIN", "235 2.7.0 in\r\n"),
    ];
    Pretend::start(Behaviour { capabilities, replies: replies.into(), ..Behaviour::default() }).await
}

fn destination(server: &Pretend, takes: Duration) -> Destination {
    let mut destination = server.destination();
    let mut login = Authentication::new(Credential::elsewhere("tim"));
    login.clear_text_allowed = true;
    destination.authentication = Some(login);
    destination.authenticator = Some(Arc::new(Domain(takes)));
    destination
}

#[tokio::test]
async fn a_login_may_take_rounds_of_its_own() {
    let server = server().await;
    let to = destination(&server, Duration::ZERO);
    let client = client();
    for _ in 0..2 {
        assert_eq!(words(&deliver(&client, &to, &["a@b.test"]).await), ["delivered"]);
    }
    assert_eq!(
        (server.heard("AUTH NTLM"), server.heard("cmVzcG9uc2U="), server.heard("AUTH PLAIN")),
        (1, 1, 0)
    );
}

#[tokio::test]
async fn nobody_to_answer_and_no_mail_without_a_login() {
    let server = server().await;
    let mut to = destination(&server, Duration::ZERO);
    to.authenticator = None;
    assert_eq!(words(&deliver(&client(), &to, &["a@b.test"]).await), ["deferred 4.7.4 at AUTH"]);
    assert_eq!((server.heard("AUTH"), server.heard("MAIL")), (0, 0));
}
