//! Servers that mean harm: each delivery ends, holds and reads little, and nobody has the mail who did not say so in turn.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use postroad_smtp_client::{Destination, Hosts, SmartHost};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::pretend::{builder, deliver, deliver_content, destination, mx_hosts, words};

/// Answers so many lines as it should, and then says this without end, reading nothing more.
#[derive(Clone, Copy)]
struct Flood {
    after: &'static str,
    words: &'static str,
}

/// Where it listens, how many bytes it got rid of, and when its first connection has ended.
struct Hostile {
    address: SocketAddr,
    said: Arc<AtomicUsize>,
    ended: oneshot::Receiver<()>,
}

impl Hostile {
    async fn start(flood: Flood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = listener.local_addr().expect("an address");
        let said = Arc::new(AtomicUsize::new(0));
        let (done, ended) = oneshot::channel();
        let count = Arc::clone(&said);
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            let _ = converse(stream, flood, &count).await;
            let _ = done.send(());
        });
        Self { address, said, ended }
    }

    fn destination(&self) -> Destination {
        destination(Hosts::SmartHosts(vec![SmartHost::Address(self.address.ip())]), self.address.port())
    }
}

async fn converse(stream: TcpStream, flood: Flood, said: &AtomicUsize) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut line, mut in_content) = (String::new(), false);
    let mut reply = "220 mx\r\n";
    while !flood.after.is_empty() && (line.is_empty() || !line.starts_with(flood.after)) {
        if !reply.is_empty() {
            stream.write_all(reply.as_bytes()).await?;
        }
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        reply = match line.as_str() {
            ".\r\n" if in_content => "250 2.0.0 taken\r\n",
            _ if in_content => "",
            "DATA\r\n" => "354 go on\r\n",
            _ => "250 2.0.0 fine\r\n",
        };
        in_content = line == "DATA\r\n" || (in_content && line != ".\r\n");
    }
    loop {
        stream.write_all(flood.words.as_bytes()).await?;
        said.fetch_add(flood.words.len(), Ordering::Relaxed);
    }
}

/// In the time that a machine needs that has much else to do.
async fn ends<T>(what: &str, future: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(60), future).await;
    ended.unwrap_or_else(|_| panic!("{what}: it does not end"))
}

#[tokio::test]
async fn a_flood_ends_the_connection_and_costs_no_more_than_the_buffers_of_a_socket() {
    let large = b"a line that is not stuffed and is sent as it lies\r\n".repeat(200_000);
    let small = b"Subject: x\r\n\r\n.hello\r\n".to_vec();
    for (what, after, words_of_flood, content, expected) in [
        ("greetings", "", "220 mx\r\n", &small, "deferred 4.5.0 at "),
        ("a greeting without end", "", "220-mx\r\n", &small, "deferred 4.5.0 at greeting"),
        ("a line without end", "", "220 mx and so on ", &small, "deferred 4.5.0 at greeting"),
        ("capabilities", "EHLO", "250-PIPELINING\r\n", &small, "deferred 4.5.0 at EHLO"),
        (
            "the whole session in advance",
            "",
            "220 mx\r\n250 mx\r\n250 a\r\n250 b\r\n354 go\r\n250 c\r\n",
            &small,
            "deferred 4.5.0 at ",
        ),
        ("yes to everything", "MAIL", "250 2.0.0 yes\r\n", &small, "deferred 4.5.0 at "),
        ("go on", "DATA", "354 go on\r\n", &large, "deferred 4.5.0 at sending the content"),
        (
            "yes, long before the dot",
            "a line",
            "250 2.0.0 yes\r\n",
            &large,
            "deferred 4.5.0 at sending the content",
        ),
        (
            "no, long before the dot",
            "a line",
            "552 5.3.4 no\r\n",
            &large,
            "failed 5.3.4 at sending the content",
        ),
        ("farewells", "RCPT", "421 4.3.2 bye\r\n", &small, "deferred 4.3.2 at RCPT TO"),
        // It has said yes once, in its turn.
        ("yes, and again", ".", "250 2.0.0 yes\r\n", &small, "delivered"),
    ] {
        let server = Hostile::start(Flood { after, words: words_of_flood }).await;
        let client = builder(mx_hosts(0)).build().expect("a client");
        let to = server.destination();
        let sending = deliver_content(&client, &to, &["a@b.test"], content.clone());
        // How far it got, where an answer may have been taken for that to the next command, is a matter of who was faster.
        let outcomes = words(&ends(what, sending).await);
        assert!(outcomes.len() == 1 && outcomes[0].starts_with(expected), "{what}: {outcomes:?}");
        ends(what, client.close_idle()).await;
        ends(what, server.ended).await.expect("the server's end");
        let said = server.said.load(Ordering::Relaxed);
        assert!(said < 16 << 20, "{what}: {said} bytes were read or waited to be");
    }
}

#[tokio::test]
async fn a_flood_behind_quit_keeps_nobody() {
    let server = Hostile::start(Flood { after: "QUIT", words: "221-not yet\r\n" }).await;
    let client = builder(mx_hosts(0)).build().expect("a client");
    assert_eq!(words(&deliver(&client, &server.destination(), &["a@b.test"]).await), ["delivered"]);
    ends("QUIT", client.close_idle()).await;
    ends("QUIT", server.ended).await.expect("the server's end");
}
