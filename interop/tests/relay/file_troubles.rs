//! Pickup, Replay and Badmail on disks and with rights that fail: no letter is lost or sent twice, and each trouble is told once.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use postroad_interop::{Relay, mailbox, patience};

use crate::configuration::{EVERYTHING_TO_DROP, House, program};

/// A letter that Pickup and Replay take alike.
fn letter(subject: &str) -> String {
    format!(
        "X-Sender: <erp@contoso.com>\nX-Receiver: <jane@example.com>\nX-EndOfInjectedXHeaders: 0\n\
         From: erp@contoso.com\nTo: jane@example.com\nSubject: {subject}\n\nx\n"
    )
}

fn house() -> House {
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    house
}

/// How many lines of the log hold both.
fn told(relay: &Relay, one: &str, other: &str) -> usize {
    relay.log().lines().filter(|line| line.contains(one) && line.contains(other)).count()
}

fn until_told(relay: &Relay, one: &str, other: &str) {
    patience::until(&format!("{one:?} and {other:?} in the log"), || {
        (told(relay, one, other) > 0).then_some(())
    });
}

/// Waits until everything of this subject is in Drop, which is `count` letters, each once.
fn arrived(house: &House, count: usize) {
    let mut subjects: Vec<String> = mailbox::wait_for(&house.drop_directory(), count)
        .iter()
        .filter_map(|file| {
            let text = String::from_utf8_lossy(file).into_owned();
            text.lines().find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned))
        })
        .collect();
    subjects.sort();
    let all = subjects.len();
    subjects.dedup();
    assert_eq!((all, subjects.len()), (count, count), "{subjects:?}");
}

fn until_empty(directory: &Path) {
    patience::until("an empty directory", || directory.read_dir().ok()?.next().is_none().then_some(()));
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
}

#[test]
#[ignore = "needs root, to be less than root"]
fn a_letter_or_a_directory_that_we_have_no_right_to_is_told_of_once_and_taken_when_we_have() {
    for name in ["Pickup", "Replay"] {
        let house = house();
        let directory = house.scratch.path().join(name);
        let file = house.scratch.write(&format!("{name}/denied.eml"), letter("denied"));
        allow(&file, 0);
        let relay = Relay::run_mounted(program(), &house.configuration, "");
        until_told(&relay, "denied.eml", "left where it is");
        for count in 1..=2 {
            // Looked for again, and others pass.
            house.scratch.write(&format!("{name}/{count}.eml"), letter(&count.to_string()));
            arrived(&house, count);
        }
        assert_eq!(told(&relay, "denied.eml", "left where it is"), 1, "{}", relay.log());

        allow(&file, 0o644);
        arrived(&house, 3);
        until_empty(&directory);

        // It may be read, and nothing in it be named otherwise; we who write are root.
        allow(&directory, 0o500);
        house.scratch.write(&format!("{name}/held.eml"), letter("held"));
        until_told(&relay, "held.eml", "left where it is");
        allow(&directory, 0o755);
        arrived(&house, 4);

        allow(&directory, 0);
        until_told(&relay, "the directory cannot be read", name);
        allow(&directory, 0o755);
        house.scratch.write(&format!("{name}/last.eml"), letter("last"));
        arrived(&house, 5);
        assert_eq!(told(&relay, "the directory cannot be read", name), 1, "{}", relay.log());
    }
}

#[test]
#[ignore = "needs root, for a mount of its own"]
fn letters_on_a_disk_that_is_read_only_wait_and_are_sent_once() {
    for name in ["Pickup", "Replay"] {
        let house = house();
        let directory = house.scratch.path().join(name);
        house.scratch.write(&format!("{name}/a.eml"), letter("a"));
        let path = directory.display();
        let script = format!("mount --bind {path} {path}; mount -o remount,bind,ro {path}");
        let relay = Relay::run_mounted(program(), &house.configuration, &script);
        until_told(&relay, "a.eml", "read-only");
        // From outside the mount, as on a share.
        house.scratch.write(&format!("{name}/b.eml"), letter("b"));
        until_told(&relay, "b.eml", "read-only");
        assert_eq!(told(&relay, "a.eml", "left where it is"), 1, "{}", relay.log());
        assert!(mailbox::files(&house.drop_directory()).is_empty());
        relay.mount(&format!("mount -o remount,bind,rw {path}"));
        arrived(&house, 2);
        until_empty(&directory);
    }
}

#[test]
#[ignore = "needs root, for a disk of its own"]
fn letters_on_a_full_disk_are_taken_for_they_need_no_room() {
    let house = house();
    let pickup = house.scratch.path().join("Pickup");
    let script = format!("mount -t tmpfs -o size=64k,mode=755 none {}", pickup.display());
    let relay = Relay::run_mounted(program(), &house.configuration, &script);
    let pickup = relay.sees(&pickup);
    fs::write(pickup.join("half"), letter("a")).expect("room");
    fs::write(pickup.join("no letter"), "To: jane@example.com\n\nx\n").expect("room");
    let full = File::create(pickup.join("filling")).and_then(|mut file| file.write_all(&[0; 128 << 10]));
    assert!(full.is_err(), "the disk has 64 KiB");
    fs::rename(pickup.join("half"), pickup.join("a.eml")).expect("renamed");
    fs::rename(pickup.join("no letter"), pickup.join("b.eml")).expect("renamed");
    arrived(&house, 1);
    patience::until("a bad file", || pickup.join("b.bad").exists().then_some(()));
    patience::until("no letter", || {
        (!pickup.join("a.eml").exists() && !pickup.join("a.tmp").exists()).then_some(())
    });
}

#[test]
#[ignore = "needs strace"]
fn a_letter_that_cannot_be_deleted_is_not_sent_twice_not_even_by_the_next_start() {
    for name in ["Pickup", "Replay"] {
        let house = house();
        let directory = house.scratch.path().join(name);
        let claimed = directory.join("stuck.tmp").to_string_lossy().into_owned();
        let options =
            ["-qq", "-P", &claimed, "-e", "trace=unlink,unlinkat", "-e", "inject=unlink,unlinkat:error=EIO"];
        let trace = house.scratch.path().join("trace");
        let relay = Relay::run_traced(program(), &house.configuration, &options, &trace);
        house.scratch.write(&format!("{name}/stuck.eml"), letter("stuck"));
        until_told(&relay, "stuck.tmp", "it is not sent twice");
        house.scratch.write(&format!("{name}/other.eml"), letter("other"));
        arrived(&house, 2);
        assert!(directory.join("stuck.tmp").exists());
        relay.kill();

        let _relay = house.start();
        until_empty(&directory);
        house.scratch.write(&format!("{name}/last.eml"), letter("last"));
        arrived(&house, 3);
    }
}

#[test]
#[ignore = "needs strace"]
fn a_directory_that_opens_and_cannot_be_listed_is_told_of_once_and_its_letters_wait() {
    let house = house();
    let pickup = house.scratch.path().join("Pickup").to_string_lossy().into_owned();
    let options = ["-qq", "-P", &pickup, "-e", "trace=getdents64", "-e", "inject=getdents64:error=EIO"];
    let trace = house.scratch.path().join("trace");
    let relay = Relay::run_traced(program(), &house.configuration, &options, &trace);
    house.scratch.write("Pickup/a.eml", letter("a"));
    until_told(&relay, "the directory cannot be read", "Input/output error");
    let looks = || fs::read_to_string(&trace).unwrap_or_default().matches("getdents64").count();
    let before = looks();
    patience::until("two more looks", || (looks() >= before + 2).then_some(()));
    assert_eq!(told(&relay, "the directory cannot be read", "Pickup"), 1, "{}", relay.log());
    relay.kill();
    let _relay = house.start();
    arrived(&house, 1);
}

#[test]
#[ignore = "needs root, for a disk of its own"]
fn a_bad_file_that_badmail_has_no_room_for_stays_whole_where_it_was() {
    let house = house();
    let text = fs::read_to_string(&house.configuration).expect("read relay.toml");
    let iis = "[pickup]\ndialect = \"iis\"\nbadmail_directory = \"Badmail\"\n";
    fs::write(&house.configuration, text.replace("[pickup]\n", iis)).expect("write relay.toml");
    let badmail = house.scratch.folder("Badmail");
    let script = format!("mount -t tmpfs -o size=64k,mode=755 none {}", badmail.display());
    let relay = Relay::run_mounted(program(), &house.configuration, &script);
    let badmail = relay.sees(&badmail);
    let kept = || -> Vec<String> {
        let entries = badmail.read_dir().expect("Badmail").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    // There is room for what is told of it, and none for the file.
    let bad = |size| format!("To: jane@example.com\n\n{}\n", "x".repeat(size));
    house.scratch.write("Pickup/giant.txt", bad(100 << 10));
    let pickup = house.scratch.path().join("Pickup");
    let stays = patience::until("the bad file", || fs::read_to_string(pickup.join("giant.txt.bad")).ok());
    assert_eq!(stays, bad(100 << 10));
    assert!(kept().is_empty(), "a reason without its file: {:?}", kept());

    house.scratch.write("Pickup/small.txt", bad(10));
    patience::until("three files", || (kept().len() == 3).then_some(()));
    let name = kept().iter().find(|name| name.ends_with(".BAD")).cloned().expect("the bad file");
    assert_eq!(fs::read_to_string(badmail.join(name)).expect("moved to another disk"), bad(10));
    house.scratch.write("Pickup/letter.txt", letter("a"));
    arrived(&house, 1);
    for why in ["giant.txt.bad", ".BAD"] {
        assert_eq!(told(&relay, why, "no message; it stays as a bad file"), 1, "{}", relay.log());
    }

    // Nor is anything lost where Badmail is gone, or may only be read.
    relay.mount(&format!("mount -o remount,ro {}", house.scratch.path().join("Badmail").display()));
    house.scratch.write("Pickup/third.txt", bad(10));
    patience::until("the bad file", || pickup.join("third.txt.bad").exists().then_some(()));
    relay.mount(&format!("umount {0}; rmdir {0}", house.scratch.path().join("Badmail").display()));
    house.scratch.write("Pickup/fourth.txt", bad(10));
    patience::until("the bad file", || pickup.join("fourth.txt.bad").exists().then_some(()));
}
