//! `examples/receive.rs`, started and spoken to.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use tokio::net::TcpStream;

use crate::house::Caller;

/// `cargo test` has built it, unless it was told to build less.
fn receive() -> Command {
    let this = std::env::current_exe().expect("a test has a file");
    let built = this.ancestors().nth(2).expect("it is in deps").join("examples/receive");
    if built.is_file() {
        return Command::new(built);
    }
    let mut run = Command::new(env!("CARGO"));
    run.args(["run", "--quiet", "--locked", "--example", "receive", "--"]);
    run.current_dir(env!("CARGO_MANIFEST_DIR"));
    run
}

#[tokio::test]
async fn the_server_of_sixty_lines_takes_mail_as_it_says() {
    let mut example =
        receive().arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().expect("the example starts");
    let mut lines = BufReader::new(example.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let listening = lines.next().expect("it says where it listens");
    let address = listening.trim_start_matches("listening on [").trim_end_matches(']');
    let mut caller = Caller { stream: TcpStream::connect(address).await.expect("it listens"), held: vec![] };
    caller.expect("220 mail.example.net ").await;
    caller.ask("EHLO a", "250-").await;
    caller.ask("MAIL FROM:<joe@example.com>", "250 ").await;
    caller.ask("RCPT TO:<jane@elsewhere.net>", "550 5.7.1 ").await;
    caller.ask("RSET", "250 ").await;
    // "\0app\0only in clear text on loopback"
    caller.ask("AUTH PLAIN AGFwcABvbmx5IGluIGNsZWFyIHRleHQgb24gbG9vcGJhY2s=", "235 ").await;
    caller.ask("MAIL FROM:<joe@example.com>", "250 ").await;
    caller.ask("RCPT TO:<jane@elsewhere.net>", "250 ").await;
    caller.ask("RCPT TO:<jane@example.net>", "250 ").await;
    caller.ask("DATA", "354 ").await;
    caller.ask("a\r\n.", "250 2.6.0 Queued as printed").await;
    let printed: Vec<String> = lines.by_ref().take(3).collect();
    assert!(printed[0].starts_with("3 bytes from <joe@example.com> at 127.0.0.1:"), "{printed:?}");
    assert_eq!(printed[1..], ["to jane@elsewhere.net", "to jane@example.net"]);
    example.kill().expect("it runs");
    example.wait().expect("it ends");
}
