//! Between a load balancer, a front end or a delivery agent and our relay: swaks says PROXY and XCLIENT, LMTP is smtp-source's.

use std::process::Command;

use postroad_interop::program::{command, run, said, successful};
use postroad_interop::{Sample, Scratch, mailbox, swaks};

use crate::clients::arrived_for;
use crate::configuration::{EVERYTHING_TO_DROP, House};

/// A client that nobody else is (RFC 5737).
const CLIENT: &str = "192.0.2.7";

/// Only [`CLIENT`] may send, and only somebody on this machine may say that he comes from there.
fn house_of(front: &str) -> House {
    let who = format!("relay_ip_ranges = [\"{CLIENT}\"]\n{front} = [\"127.0.0.1\"]");
    let house = House::in_scratch_with(Scratch::new(), &who, EVERYTHING_TO_DROP);
    house.also_from(CLIENT);
    house.scratch.folder("Drop");
    house
}

fn swaks_to(house: &House, recipient: &str) -> Command {
    swaks::command(house.listener, "joe@contoso.com", recipient)
}

#[test]
#[ignore = "needs Debian's swaks; .ci/run runs it"]
fn a_front_says_by_xclient_for_whom_it_speaks() {
    let house = house_of("xclient_ip_ranges");
    let _relay = house.start();
    let refused = run(&mut swaks_to(&house, "jane@example.com"));
    assert!(said(&refused).contains("550 5.7.1"), "{}", said(&refused));

    let mut front = swaks_to(&house, "jane@example.com");
    front.args(["--xclient-addr", CLIENT, "--xclient-name", "client.test", "--xclient-helo", "hello.test"]);
    let sample = Sample::plain();
    swaks::send(&house.scratch, front, &sample.content);
    let arrived = arrived_for(&house, "jane@example.com");
    sample.assert_arrived_in(&arrived);
    assert!(String::from_utf8_lossy(&arrived).contains(&format!("[{CLIENT}]")), "{}", arrived.escape_ascii());
}

#[test]
#[ignore = "needs Debian's swaks; .ci/run runs it"]
fn a_load_balancer_says_by_proxy_for_whom_it_speaks() {
    let house = house_of("proxy_protocol_ip_ranges");
    let _relay = house.start();
    for (version, family) in [("1", "TCP4"), ("2", "AF_INET")] {
        let proxied = |client: &str, recipient: &str| {
            let mut balancer = swaks_to(&house, recipient);
            balancer.args(["--proxy-version", version, "--proxy-family", family]);
            balancer.args(["--proxy-source", client, "--proxy-source-port", "4321"]);
            balancer.args(["--proxy-dest", "127.0.0.1", "--proxy-dest-port", "25"]);
            balancer
        };
        let refused = run(&mut proxied("192.0.2.8", "jane@example.com"));
        assert!(!refused.status.success(), "{}", said(&refused));
        let recipient = format!("version{version}@example.com");
        let sample = Sample::plain();
        swaks::send(&house.scratch, proxied(CLIENT, &recipient), &sample.content);
        let arrived = arrived_for(&house, &recipient);
        sample.assert_arrived_in(&arrived);
        assert!(
            String::from_utf8_lossy(&arrived).contains(&format!("[{CLIENT}]")),
            "{}",
            arrived.escape_ascii()
        );
    }
}

#[test]
#[ignore = "needs Debian's swaks and postfix; .ci/run runs it"]
fn lmtp_is_answered_for_each_recipient() {
    let who = "relay_ip_ranges = [\"127.0.0.1\"]\nprotocol = \"lmtp\"";
    let house = House::in_scratch_with(Scratch::new(), who, EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let _relay = house.start();
    let sample = Sample::plain();
    let mut agent = swaks_to(&house, "one@example.com,two@example.com");
    agent.args(["--protocol", "LMTP"]);
    swaks::send(&house.scratch, agent, &sample.content);
    for recipient in ["one@example.com", "two@example.com"] {
        sample.assert_arrived_in(&arrived_for(&house, recipient));
    }
    let already = mailbox::files(&house.drop_directory()).len();
    let mut source = command("smtp-source");
    source.args(["-L", "-d", "-s", "5", "-m", "50", "-f", "joe@contoso.com", "-t", "jane@example.com"]);
    successful(run(source.arg(house.listener.to_string())));
    mailbox::wait_for(&house.drop_directory(), already + 50);
}
