//! A server that has run out of file descriptors goes on serving once there are some again.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::house::{House, connector};

#[test]
fn the_accept_loop_survives_running_out_of_descriptors() {
    let this = std::env::current_exe().expect("a test has a file");
    let limited =
        "ulimit -n 40; exec \"$0\" --ignored --exact descriptors::server_with_few_descriptors --nocapture";
    let mut child = Command::new("sh")
        .args(["-c", limited])
        .arg(this)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let address: SocketAddr =
        lines.find_map(|line| line.split_once("at ")?.1.parse().ok()).expect("it says where");
    let mut callers: Vec<_> = (0..60).map(|_| TcpStream::connect(address).expect("it listens")).collect();
    for caller in callers.iter_mut().take(20) {
        assert_eq!(greeting(caller), "220 ");
    }
    assert!(lines.any(|line| line == "no more"), "it never ran out");
    drop(callers);
    assert_eq!(greeting(&mut TcpStream::connect(address).expect("it listens")), "220 ");
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}

fn greeting(caller: &mut TcpStream) -> String {
    caller.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    let mut start = [0; 4];
    caller.read_exact(&mut start).expect("a greeting");
    String::from_utf8_lossy(&start).into_owned()
}

#[test]
#[ignore = "started by the test above, with few descriptors"]
fn server_with_few_descriptors() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut open = connector("Default");
        open.max_inbound_connection_per_source = None;
        let house = House::with(open).await;
        println!("at {}", house.address);
        while tokio::net::UdpSocket::bind("127.0.0.1:0").await.is_ok() {
            tokio::task::yield_now().await;
        }
        println!("no more");
        let mut end = Vec::new();
        tokio::task::spawn_blocking(move || std::io::stdin().read_to_end(&mut end))
            .await
            .expect("joined")
            .expect("read");
        house.stop.send(()).expect("it runs");
    });
}
