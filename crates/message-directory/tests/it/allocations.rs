//! What a file costs to decode, counted: memory for its addresses, and nothing for its body.

use allocation_counter::measure;
use postroad_message_directory::{pickup, replay};

/// The fields, the recipients and the removals, which grow by doubling, and the sender.
const FIXED: u64 = 24;

fn letter(recipients: usize, body: usize) -> Vec<u8> {
    let to: Vec<String> =
        (0..recipients).map(|number| format!("\"Doe, {number}\" <r{number}@fabrikam.com>")).collect();
    let body = "x".repeat(body);
    format!("From: App <app@contoso.com>\r\nTo: {}\r\nSubject: Tea\r\n\r\n{body}", to.join(",\r\n "))
        .into_bytes()
}

fn replayed(recipients: usize) -> Vec<u8> {
    let receivers: String = (0..recipients).map(|n| format!("X-Receiver: <r{n}@fabrikam.com>\r\n")).collect();
    format!("X-Sender: <app@contoso.com>\r\n{receivers}Subject: Tea\r\n\r\nx\r\n").into_bytes()
}

#[test]
fn a_recipient_costs_two_allocations_at_most() {
    for recipients in [1, 2, 15, 16, 17, 100] {
        let limit = FIXED + 2 * recipients as u64;
        let file = letter(recipients, 0);
        let rules = pickup::Rules::default();
        let spent = measure(|| assert!(pickup::decode(&file, &rules).is_ok())).count_total;
        assert!(spent <= limit, "Pickup: {spent} allocations for {recipients} recipients");
        let file = replayed(recipients);
        let rules = replay::Rules::default();
        let spent = measure(|| assert!(replay::decode(&file, &rules).is_ok())).count_total;
        assert!(spent <= limit, "Replay: {spent} allocations for {recipients} recipients");
    }
}

#[test]
fn a_large_body_costs_what_a_small_one_does() {
    let spent = [0, 1 << 20].map(|body| {
        let file = letter(3, body);
        let spent = measure(|| assert!(pickup::decode(&file, &pickup::Rules::default()).is_ok()));
        (spent.count_total, spent.bytes_total)
    });
    assert_eq!(spent[0], spent[1]);
}
