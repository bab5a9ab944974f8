//! `lmtp` over a Unix socket and over TCP: an answer for each recipient, and a server that is not there.

use postroad_connector::DeliveryAgentConnector;
use postroad_message::{Outcome, Scope};
use postroad_smtp_protocol::client::Timeouts;
use postroad_transport::{AgentDeliver, Lmtp, SystemWorld};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, UnixListener};

use crate::by_hand::Delivery;
use crate::support::settings;

/// A mailbox server without PIPELINING: no mailbox `nobody`, and that of `full` is; ends after `most` messages.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, most: usize) {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mailboxes\r\n").await.unwrap();
    let (mut accepted, mut messages, mut line) = (Vec::new(), 0, String::new());
    while stream.read_line(&mut line).await.is_ok_and(|count| count > 0) {
        let said = std::mem::take(&mut line);
        let reply = match said.trim_end() {
            "DATA" => "354 go on\r\n".to_owned(),
            "." => {
                messages += 1;
                let answers = accepted.drain(..).map(|to: String| {
                    if to.contains("full") { "452 4.2.2 full\r\n" } else { "250 2.0.0 kept\r\n" }
                });
                answers.collect()
            }
            rcpt if rcpt.starts_with("RCPT") && rcpt.contains("nobody") => "550 5.1.1 who\r\n".to_owned(),
            rcpt if rcpt.starts_with("RCPT") => {
                accepted.push(rcpt.to_owned());
                "250 fine\r\n".to_owned()
            }
            other if ["LHLO", "MAIL", "QUIT", "RSET"].iter().any(|verb| other.starts_with(verb)) => {
                "250 fine\r\n".to_owned()
            }
            _ => continue,
        };
        stream.write_all(reply.as_bytes()).await.unwrap();
        if messages == most {
            return;
        }
    }
}

fn agents() -> AgentDeliver {
    let lmtp = Lmtp::new(settings().names(), Timeouts::default(), SystemWorld);
    AgentDeliver::new().register("lmtp", lmtp)
}

async fn hand_over(agents: &AgentDeliver, endpoint: &str) -> Vec<Outcome> {
    let mut connector =
        DeliveryAgentConnector::new("Mailboxes", vec!["contoso.com".parse().unwrap()], "lmtp");
    connector.endpoint = Some(endpoint.to_owned());
    let to = ["tim@contoso.com", "nobody@contoso.com", "full@contoso.com", "FAX:123"];
    let content = b"Subject: Tea\r\n\r\n.At four.\r\n".to_vec();
    Delivery::new(connector, "contoso.com", "<>", &to, content).by(agents).await
}

fn told(outcomes: &[Outcome]) -> Vec<String> {
    let status =
        |outcome: &Outcome| outcome.failure().map_or("delivered".to_owned(), |why| why.status.to_string());
    outcomes.iter().map(status).collect()
}

const ANSWERS: [&str; 4] = ["delivered", "5.1.1", "4.2.2", "delivered"];

#[tokio::test]
async fn each_recipient_has_an_answer_and_one_connection_serves_message_after_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lmtp");
    let listener = UnixListener::bind(&path).unwrap();
    let agents = agents();
    let endpoint = format!("unix:{}", path.display());
    let server = tokio::spawn(async move {
        // One connection, and no other.
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, 3).await;
    });
    for _ in 0..3 {
        assert_eq!(told(&hand_over(&agents, &endpoint).await), ANSWERS);
    }
    server.await.unwrap();
}

#[tokio::test]
async fn a_server_that_ends_its_connections_is_called_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (agents, endpoint) = (agents(), listener.local_addr().unwrap().to_string());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            serve(stream, 1).await;
        }
    });
    for _ in 0..3 {
        assert_eq!(told(&hand_over(&agents, &endpoint).await), ANSWERS);
    }
}

#[tokio::test]
async fn a_server_that_is_down_fails_the_next_hop_and_no_mail() {
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for endpoint in [format!("unix:{}/lmtp", folder.path().display()), free.to_string()] {
        for outcome in hand_over(&agents(), &endpoint).await {
            let Outcome::Deferred(failure) = outcome else { panic!("{outcome:?}") };
            assert_eq!((failure.scope, failure.status.to_string().as_str()), (Scope::NextHop, "4.4.1"));
        }
    }
}
