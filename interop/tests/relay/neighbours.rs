//! Directories that others use too: a second relay, writers who are not done, more files than anybody looks at, and two gateways.

use std::fs::{self, File};
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postroad_interop::{mailbox, patience};

use crate::configuration::{EVERYTHING_TO_DROP, House};

/// By SMTP, which knows one line end.
const CONTENT: &[u8] = b"Subject: x\r\n\r\nx\r\n";

fn letter(subject: &str) -> String {
    format!("From: erp@contoso.com\nTo: jane@example.com\nSubject: {subject}\n\nx\n")
}

fn edit(house: &House, from: &str, to: &str) {
    let text = fs::read_to_string(&house.configuration).expect("read relay.toml");
    assert!(text.contains(from), "{from}");
    fs::write(&house.configuration, text.replace(from, to)).expect("write relay.toml");
}

fn subjects(house: &House) -> Vec<String> {
    let files = mailbox::files(&house.drop_directory());
    let text = |file| String::from_utf8_lossy(&fs::read(file).expect("a file of Drop")).into_owned();
    let subject =
        |text: String| text.lines().find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned));
    files.iter().map(|file| subject(text(file)).expect("a subject")).collect()
}

#[test]
fn two_relays_at_one_pickup_lose_no_letter_though_one_is_killed() {
    let (one, other) = (House::with(EVERYTHING_TO_DROP), House::with(EVERYTHING_TO_DROP));
    let pickup = one.scratch.path().join("Pickup");
    edit(&other, "path = \"Pickup\"", &format!("path = \"{}\"", pickup.display()));
    for house in [&one, &other] {
        house.scratch.folder("Drop");
        edit(house, "[pickup]\n", "[pickup]\nmax_messages_per_minute = 20000\n");
    }
    let (first, second) = (one.start(), other.start());
    let mut written = 0;
    let mut write = || {
        for _ in 0..100 {
            one.scratch.write(&format!("Pickup/{written}.half"), letter(&format!("{written:04}")));
            fs::rename(pickup.join(format!("{written}.half")), pickup.join(format!("{written}.eml")))
                .expect("renamed");
            written += 1;
        }
    };
    write();
    // In the midst of it, and with what it held still under its names.
    second.kill();
    write();
    let second = other.start();
    write();
    let expected: Vec<String> = (0..300).map(|number| format!("{number:04}")).collect();
    let arrived = || {
        let mut arrived = [subjects(&one), subjects(&other)].concat();
        arrived.sort();
        arrived
    };
    patience::until("three hundred letters", || {
        let mut arrived = arrived();
        arrived.dedup();
        (arrived == expected).then_some(())
    });
    patience::until("an empty Pickup", || pickup.read_dir().ok()?.next().is_none().then_some(()));
    assert!(first.terminate().success() && second.terminate().success());
    // Each has a queue of its own: what the killed one had queued and not deleted the other cannot know.
    let arrived = arrived();
    let mut twice = arrived.windows(2).filter(|pair| pair[0] == pair[1]);
    assert!(twice.all(|pair| pair[0] < expected[100]), "taken twice without a kill: {arrived:?}");
}

#[test]
fn a_letter_that_its_writer_holds_waits_alone_and_goes_whole() {
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let relay = house.start();
    let mut writer = File::create(house.scratch.path().join("Pickup/long.eml")).expect("room");
    writer.lock().expect("a lock");
    writer.write_all(letter("long").as_bytes()).expect("room");
    for count in 1..=2 {
        house.scratch.write(&format!("Pickup/{count}.eml"), letter("short"));
        mailbox::wait_for(&house.drop_directory(), count);
    }
    assert_eq!(subjects(&house), ["short", "short"]);
    writer.write_all(b"the last line\n").expect("room");
    drop(writer);
    mailbox::wait_for(&house.drop_directory(), 3);
    let whole = mailbox::files(&house.drop_directory())
        .iter()
        .any(|file| fs::read_to_string(file).is_ok_and(|text| text.ends_with("\r\nx\r\nthe last line\r\n")));
    assert!(whole);
    assert!(!relay.log().contains("long.eml"), "that is the ordinary course of things: {}", relay.log());
}

#[test]
fn a_bad_file_is_told_of_once_however_often_we_look_or_start() {
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    house.scratch.write("Pickup/rubbish.eml", "no header at all");
    house.scratch.write("Pickup/rubbish.bad", "an older one");
    for count in 1..=2 {
        let relay = house.start();
        for more in 0..2 {
            house.scratch.write(&format!("Pickup/{count}{more}.eml"), letter("x"));
            mailbox::wait_for(&house.drop_directory(), 2 * count + more - 1);
        }
        let log = relay.log();
        assert_eq!(log.lines().filter(|line| line.contains("rubbish")).count(), 1, "{log}");
        assert!(relay.terminate().success());
    }
    let older = fs::read_to_string(house.scratch.path().join("Pickup/rubbish.bad")).expect("it stands");
    assert_eq!(older, "an older one");
}

#[test]
fn files_of_any_date_are_taken() {
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let _relay = house.start();
    let century = Duration::from_secs(100 * 365 * 24 * 3600);
    #[expect(clippy::disallowed_methods, reason = "a file's date is by the clock")]
    let now = SystemTime::now();
    for (name, date) in [("past", UNIX_EPOCH), ("future", now + century), ("before", UNIX_EPOCH - century)] {
        let half = house.scratch.write(&format!("Pickup/{name}.half"), letter(name));
        File::options().write(true).open(&half).and_then(|file| file.set_modified(date)).expect("a date");
        fs::rename(&half, half.with_extension("eml")).expect("renamed");
    }
    mailbox::wait_for(&house.drop_directory(), 3);
}

#[test]
fn a_hundred_thousand_letters_hold_nobody_up_and_take_no_memory() {
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let quiet = house.start();
    house.application().send("joe@contoso.com", &["jane@example.com"], CONTENT).expect("a 250");
    mailbox::wait_for(&house.drop_directory(), 1);
    let before = quiet.peak_memory();
    assert!(quiet.terminate().success());

    // Old and empty, so that writing them costs the disk little; they are no letters, and one after another is told so.
    let pickup = house.scratch.path().join("Pickup");
    for number in 0..100_000 {
        let file = File::create(pickup.join(format!("{number}.eml"))).expect("room");
        file.set_modified(UNIX_EPOCH).expect("a date");
    }
    let relay = house.start();
    // What one look may take of a hundred a minute, and a client beside it.
    patience::until("eight bad files", || (relay.log().matches("no message;").count() >= 8).then_some(()));
    house.application().send("joe@contoso.com", &["tim@example.com"], CONTENT).expect("a 250");
    let tims = |file: &std::path::PathBuf| {
        fs::read_to_string(file).is_ok_and(|text| text.contains("X-Receiver: <tim@example.com>"))
    };
    patience::until("the client's message", || {
        mailbox::files(&house.drop_directory()).iter().any(tims).then_some(())
    });
    let after = relay.peak_memory();
    println!("{before} KiB with an empty directory, {after} KiB with a full one");
    assert!(after < before + (8 << 10), "{before} KiB with an empty directory, {after} KiB with a full one");
    assert!(relay.terminate().success());
}

#[test]
fn each_gateway_sees_its_own_recipients_and_a_relayed_report_comes_where_it_is_required() {
    let house = House::with(
        "[[foreign_connector]]\nname = \"Fax\"\naddress_spaces = [\"FAX:*\"]\nrelay_dsn_required = true\n\
         [[foreign_connector]]\nname = \"Drop\"\naddress_spaces = [\"*\"]\n",
    );
    let faxes = house.scratch.folder("Fax");
    house.scratch.folder("Drop");
    let _relay = house.start();
    let fax = "IMCEAFAX-1@contoso.com";
    let mut application = house.application();
    for line in [
        "MAIL FROM:<joe@contoso.com> ENVID=QQ314159",
        &format!("RCPT TO:<{fax}> NOTIFY=SUCCESS"),
        "RCPT TO:<IMCEAFAX-2@contoso.com>",
        "RCPT TO:<jane@example.com> NOTIFY=SUCCESS",
    ] {
        assert!(application.say(line).expect("a reply").starts_with("250"), "{line}");
    }
    application.data(CONTENT).expect("a 250");
    let receivers = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.strip_prefix("X-Receiver: ").map(str::to_owned)).collect()
    };
    let dropped = mailbox::wait_for_one(&faxes);
    let dropped = String::from_utf8_lossy(&dropped);
    let to = receivers(&dropped);
    assert_eq!(to.len(), 2, "{dropped}");
    assert!(
        to[0].starts_with(&format!("<{fax}>")) && to[1].starts_with("<IMCEAFAX-2@contoso.com>"),
        "{to:?}"
    );

    let files = mailbox::wait_for(&house.drop_directory(), 2);
    let texts: Vec<_> = files.iter().map(|file| String::from_utf8_lossy(file)).collect();
    let report = texts.iter().find(|text| text.contains("multipart/report")).expect("a report");
    assert_eq!(receivers(report), ["<joe@contoso.com>"]);
    assert_eq!(report.matches("\r\nAction: ").count(), 1, "of who asked, where it is required: {report}");
    for line in ["Action: relayed", "Original-Envelope-Id: QQ314159", "Final-Recipient: fax;1"] {
        assert!(report.contains(line), "no {line:?} in {report}");
    }
    let folder = house.scratch.path().to_string_lossy();
    assert!(!report.contains(&*folder), "where our files lie is nothing for a sender: {report}");
    let letter = texts.iter().find(|text| !text.contains("multipart/report")).expect("Jane's letter");
    let to = receivers(letter);
    assert!(to.len() == 1 && to[0].starts_with("<jane@example.com>"), "{to:?}");
}
