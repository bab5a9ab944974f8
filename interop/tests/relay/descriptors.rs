//! A relay that runs out of file descriptors: whoever waits is served once there are some again, and nothing is lost.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;

use postroad_interop::{Sample, mailbox, patience};

use crate::configuration::{EVERYTHING_TO_DROP, House};

#[test]
fn a_relay_without_descriptors_serves_again_when_it_has_some() {
    let house = House::with(EVERYTHING_TO_DROP);
    fs::create_dir(house.drop_directory()).expect("make Drop");
    let relay = house.start();
    relay.limit_descriptors(10);
    let mut callers: Vec<_> =
        (0..30).map(|_| TcpStream::connect(house.listener).expect("it listens")).collect();
    patience::until("the last descriptor", || {
        relay.log().contains("a connection could not be accepted").then_some(())
    });
    for caller in callers.iter_mut().take(5) {
        assert!(greeting(caller).starts_with("220 "), "those who came first are served");
    }
    drop(callers);
    let sample = Sample::plain();
    house.application().send("joe@contoso.com", &["jane@example.com"], &sample.content).expect("a 250");
    mailbox::wait_for_one(&house.drop_directory());
}

fn greeting(caller: &mut TcpStream) -> String {
    caller.set_read_timeout(Some(patience::LONGEST)).expect("a time-out");
    let mut line = String::new();
    BufReader::new(caller).read_line(&mut line).expect("a greeting");
    line
}
