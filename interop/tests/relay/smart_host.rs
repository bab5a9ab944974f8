//! A smart host that is down, defers or refuses: mail waits and is retried, or comes back as a report, and is never lost.

use postroad_interop::sink::Manner;
use postroad_interop::{Sample, Sink, mailbox, port};

use crate::configuration::{House, everything_to};

#[test]
fn every_sample_passes_to_the_byte() {
    let sink = Sink::start();
    let house = House::with(&everything_to(sink.address()));
    let _relay = house.start();
    let mut application = house.application();
    for (count, sample) in Sample::all().iter().enumerate() {
        application.send("joe@contoso.com", &["jane@example.com"], &sample.content).expect("a 250");
        let taken = sink.wait_for(count + 1).remove(count);
        sample.assert_arrived_in(&taken.content);
        assert!(taken.reverse_path.starts_with("<joe@contoso.com>"), "{}", taken.reverse_path);
        assert_eq!(taken.recipients.len(), 1);
        assert!(taken.recipients[0].starts_with("<jane@example.com>"), "{:?}", taken.recipients);
    }
}

#[test]
fn mail_waits_while_the_smart_host_is_down_and_leaves_when_it_is_up() {
    let address = port::free();
    let house = House::with(&everything_to(address));
    let _relay = house.start();
    let sample = Sample::plain();
    house.application().send("joe@contoso.com", &["jane@example.com"], &sample.content).expect("a 250");
    let sink = Sink::start_at(address);
    sample.assert_arrived_in(&sink.wait_for(1).remove(0).content);
}

#[test]
fn a_deferred_message_is_tried_again() {
    let sink = Sink::start();
    sink.behave(Manner::DefersAtMail);
    let house = House::with(&everything_to(sink.address()));
    let _relay = house.start();
    let sample = Sample::plain();
    house.application().send("joe@contoso.com", &["jane@example.com"], &sample.content).expect("a 250");
    sink.wait_for_refusals(1);
    sink.behave(Manner::Takes);
    sample.assert_arrived_in(&sink.wait_for(1).remove(0).content);
}

#[test]
fn a_smart_host_that_hangs_up_after_the_dot_gets_the_message_again() {
    let sink = Sink::start();
    sink.behave(Manner::HangsUpAfterDot);
    let house = House::with(&everything_to(sink.address()));
    let _relay = house.start();
    let sample = Sample::plain();
    house.application().send("joe@contoso.com", &["jane@example.com"], &sample.content).expect("a 250");
    sink.wait_for_refusals(1);
    sink.behave(Manner::Takes);
    sample.assert_arrived_in(&sink.wait_for(1).remove(0).content);
}

#[test]
fn a_refused_recipient_comes_back_to_the_sender_as_a_report() {
    let sink = Sink::start();
    sink.behave(Manner::RefusesRecipients);
    let gateway = "\n[[foreign_connector]]\nname = \"Own\"\naddress_spaces = [\"contoso.com\"]\ndrop_directory = \"Drop\"\n";
    let house = House::with(&format!("{}{gateway}", everything_to(sink.address())));
    house.scratch.folder("Drop");
    let _relay = house.start();
    house
        .application()
        .send("joe@contoso.com", &["nobody@example.com"], &Sample::plain().content)
        .expect("a 250");
    let report = mailbox::wait_for_one(&house.drop_directory());
    let report = String::from_utf8_lossy(&report);
    for part in
        ["multipart/report", "message/delivery-status", "Action: failed", "5.1.1", "nobody@example.com"]
    {
        assert!(report.contains(part), "no {part:?} in the report:\n{report}");
    }
    assert!(sink.taken().is_empty());
}
