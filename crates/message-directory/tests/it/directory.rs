//! Directories with neighbours in them: several watchers, half-written files, and things that are no files.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use postroad_message::Timestamp;
use postroad_message_directory::{Candidate, Dialect, Directory, Skipped};

const NOW: Timestamp = Timestamp::from_unix_millis(4_000_000_000_000);

fn watched(path: &Path) -> Directory {
    Directory::new(path, Dialect::Exchange).quiet_for(Duration::ZERO)
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn write(path: &Path, name: &str, age: u64) {
    let file = path.join(name);
    fs::write(&file, name).unwrap();
    let modified = SystemTime::from(NOW) - Duration::from_secs(age);
    File::options().write(true).open(file).unwrap().set_modified(modified).unwrap();
}

fn polled(directory: &mut Directory) -> Vec<Candidate> {
    directory.poll(100, NOW).unwrap().candidates
}

fn listed(directory: &mut Directory) -> String {
    let found = polled(directory);
    found.iter().map(|candidate| candidate.name.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_oldest_come_first_and_no_more_than_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for (name, age) in
        [("c.eml", 10), ("a.eml", 30), ("b.EML", 20), ("d.txt", 40), ("e.tmp", 50), ("f.bad", 60)]
    {
        write(folder.path(), name, age);
    }
    let mut directory = watched(folder.path());
    assert_eq!(listed(&mut directory), "a.eml b.EML c.eml");
    let poll = directory.poll(2, NOW).unwrap();
    assert_eq!((poll.candidates.len(), poll.more), (2, true));
    assert_eq!(poll.candidates[0].name, "a.eml");
}

#[test]
fn iis_takes_every_regular_file_but_its_own() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.eml", "b.txt", "c", "d.tmp", "e.bad", ".f"] {
        write(folder.path(), name, 10);
    }
    let mut directory = Directory::new(folder.path(), Dialect::Iis);
    assert_eq!(listed(&mut directory), "a.eml b.txt c");
}

#[test]
fn a_file_is_left_alone_until_it_rests_and_a_future_one_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "fresh.eml", 0);
    write(folder.path(), "rested.eml", 2);
    fs::write(folder.path().join("empty.eml"), "").unwrap();
    let early = Timestamp::from_unix_millis(NOW.as_unix_millis() - 10_000);
    let mut directory = Directory::new(folder.path(), Dialect::Exchange);
    assert_eq!(listed(&mut directory), "empty.eml rested.eml");
    let jumped_back = directory.poll(10, early).unwrap().candidates;
    assert_eq!(jumped_back.len(), 3);
}

#[test]
fn a_claimed_file_is_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.eml", 10);
    let (mut one, two) = (watched(folder.path()), watched(folder.path()));
    let candidate = polled(&mut one).remove(0);
    let mut claimed = one.claim(&candidate, NOW).unwrap();
    assert_eq!(names(folder.path()), ["a.tmp"]);
    assert_eq!(two.claim(&candidate, NOW).unwrap_err(), Skipped::Vanished);
    assert_eq!(two.recover(NOW).unwrap(), 0, "a starting watcher leaves what is held");
    assert_eq!(claimed.read().unwrap(), b"a.eml");
    claimed.settle().unwrap();
    assert!(names(folder.path()).is_empty());
}

#[test]
fn what_a_crash_left_is_taken_back_and_known_again() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.eml", 10);
    let mut directory = watched(folder.path());
    let candidate = polled(&mut directory).remove(0);
    let claimed = directory.claim(&candidate, NOW).unwrap();
    let identity = claimed.identity();
    drop(claimed);
    write(folder.path(), "a.eml", 5);
    assert_eq!(directory.recover(NOW).unwrap(), 1);
    assert_eq!(names(folder.path()), ["a.eml".to_owned(), format!("a{}.eml", NOW.to_compact())]);
    let again = polled(&mut directory).remove(0);
    assert_eq!(directory.claim(&again, NOW).unwrap().identity(), identity);
}

#[test]
fn a_left_over_can_be_settled_instead_of_given_back() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.eml", 10);
    write(folder.path(), "held.tmp", 10);
    let mut directory = watched(folder.path());
    let candidate = polled(&mut directory).remove(0);
    let claimed = directory.claim(&candidate, NOW).unwrap();
    let identity = claimed.identity();
    drop(claimed);
    let other = directory.reclaim(OsStr::new("held.tmp")).unwrap();
    let mut left = directory.left_over().unwrap();
    left.sort();
    assert_eq!(left, ["a.tmp", "held.tmp"]);
    assert_eq!(watched(folder.path()).reclaim(OsStr::new("held.tmp")).unwrap_err(), Skipped::Busy);
    let again = directory.reclaim(OsStr::new("a.tmp")).unwrap();
    assert_eq!(again.identity(), identity);
    again.settle().unwrap();
    other.release(NOW).unwrap();
    assert_eq!(names(folder.path()), ["held.eml"]);
}

#[test]
fn a_crash_between_link_and_unlink_leaves_one_name() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.eml", 10);
    fs::hard_link(folder.path().join("a.eml"), folder.path().join("a.tmp")).unwrap();
    assert_eq!(watched(folder.path()).recover(NOW).unwrap(), 0, "it has its name");
    assert_eq!(names(folder.path()), ["a.eml"]);
}

#[test]
fn no_rename_overwrites() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.eml", "a.tmp", "a.bad"] {
        write(folder.path(), name, 10);
    }
    let mut directory = watched(folder.path());
    let candidate = polled(&mut directory).remove(0);
    let claimed = directory.claim(&candidate, NOW).unwrap();
    let second_choice = format!("a{}.tmp", NOW.to_compact());
    assert_eq!(claimed.path().file_name(), Some(OsStr::new(&second_choice)));
    let refused = claimed.refuse(NOW).unwrap();
    assert_eq!(refused.file_name().unwrap().to_string_lossy(), format!("a{}.bad", NOW.to_compact()));
    for name in ["a.tmp", "a.bad"] {
        assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), name);
    }
}

#[test]
fn a_released_file_waits_for_the_next_poll() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.eml", 10);
    let mut directory = watched(folder.path());
    let candidate = polled(&mut directory).remove(0);
    directory.claim(&candidate, NOW).unwrap().release(NOW).unwrap();
    assert_eq!(listed(&mut directory), "a.eml");
}

#[test]
fn a_file_that_is_written_to_while_read_is_not_believed() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.eml", 10);
    let mut directory = watched(folder.path());
    let mut writer = File::options().append(true).open(folder.path().join("a.eml")).unwrap();
    let candidate = polled(&mut directory).remove(0);
    let mut claimed = directory.claim(&candidate, NOW).unwrap();
    writer.write_all(b"more").unwrap();
    assert_eq!(claimed.read(), Err(Skipped::Busy));
}

/// As when its writer replaces it while we claim it: what we opened is not what we renamed then.
#[test]
fn another_file_under_a_claimed_name_is_not_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    for size in [5, 5 << 30] {
        write(folder.path(), "a.eml", 10);
        let file = File::options().write(true).open(folder.path().join("a.eml")).unwrap();
        file.set_len(size).unwrap();
        let mut directory = watched(folder.path());
        let candidate = polled(&mut directory).remove(0);
        let mut claimed = directory.claim(&candidate, NOW).unwrap();
        fs::write(folder.path().join("other"), "other").unwrap();
        fs::rename(folder.path().join("other"), claimed.path()).unwrap();
        assert_eq!(claimed.read(), Err(Skipped::Busy), "{size}");
        claimed.release(NOW).unwrap();
        assert_eq!(fs::read(folder.path().join("a.eml")).unwrap(), b"other");
        fs::remove_file(folder.path().join("a.eml")).unwrap();
    }
}

#[test]
fn a_claimed_file_that_vanishes_is_no_message_and_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.eml", 10);
    let mut directory = watched(folder.path());
    let candidate = polled(&mut directory).remove(0);
    let mut claimed = directory.claim(&candidate, NOW).unwrap();
    fs::remove_file(claimed.path()).unwrap();
    assert_eq!(claimed.read(), Err(Skipped::Vanished));
    claimed.release(NOW).unwrap();
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_file_that_its_writer_locked_is_left() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.eml", 10);
    let mut directory = watched(folder.path());
    let writer = File::open(folder.path().join("a.eml")).unwrap();
    writer.lock().unwrap();
    let candidate = polled(&mut directory).remove(0);
    assert_eq!(directory.claim(&candidate, NOW).unwrap_err(), Skipped::Busy);
    assert_eq!(names(folder.path()), ["a.eml"]);
}

#[test]
fn a_giant_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = File::create(folder.path().join("giant.eml")).unwrap();
    file.set_len(5 << 30).unwrap();
    let mut directory = watched(folder.path());
    let candidate = polled(&mut directory).remove(0);
    let mut claimed = directory.claim(&candidate, NOW).unwrap();
    assert_eq!(claimed.read(), Err(Skipped::TooLarge { size: 5 << 30, limit: 128 << 20 }));
}

#[test]
fn a_missing_directory_is_said_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Pickup");
    let error = watched(&path).poll(1, NOW).unwrap_err();
    assert_eq!(error.kind, std::io::ErrorKind::NotFound);
    assert!(!path.exists());
}

#[test]
fn many_watchers_take_each_file_once() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..200 {
        write(folder.path(), &format!("{number}.eml"), 10);
    }
    let taken: Vec<String> = std::thread::scope(|scope| {
        let watchers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut directory = watched(folder.path());
                    let mut taken = Vec::new();
                    loop {
                        let candidates = directory.poll(20, NOW).unwrap().candidates;
                        if candidates.is_empty() {
                            return taken;
                        }
                        for candidate in candidates {
                            if let Ok(mut claimed) = directory.claim(&candidate, NOW) {
                                taken.push(String::from_utf8(claimed.read().unwrap()).unwrap());
                                claimed.settle().unwrap();
                            }
                        }
                    }
                })
            })
            .collect();
        watchers.into_iter().flat_map(|watcher| watcher.join().unwrap()).collect()
    });
    assert_eq!(taken.len(), 200);
    assert_eq!(taken.iter().collect::<std::collections::HashSet<_>>().len(), 200);
}

#[test]
fn a_new_file_with_number_size_and_date_of_a_deleted_one_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let (mut identities, mut bytes) = (std::collections::HashSet::new(), std::collections::HashSet::new());
    for _ in 0..20 {
        write(folder.path(), "a.eml", 10);
        let mut directory = watched(folder.path());
        let candidate = polled(&mut directory).remove(0);
        let claimed = directory.claim(&candidate, NOW).unwrap();
        assert!(identities.insert(claimed.identity().to_string()), "{identities:?}");
        assert!(bytes.insert(claimed.identity().to_bytes()), "{identities:?}");
        claimed.settle().unwrap();
    }
}

#[cfg(unix)]
mod hostile {
    use super::*;

    #[test]
    fn a_file_behind_more_links_than_one_poll_looks_at_is_found() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "letter.eml", 10);
        for number in 0..45_000 {
            symlink("/nowhere", folder.path().join(format!("{number}.eml"))).unwrap();
        }
        let mut directory = watched(folder.path());
        let (mut found, mut told) = (Vec::new(), 0);
        for round in 0..2 {
            let mut polls = 0;
            loop {
                let poll = directory.poll(10, NOW).unwrap();
                found.extend(poll.candidates);
                told += poll.oddities.len();
                polls += 1;
                if !poll.more {
                    break;
                }
            }
            assert_eq!((polls, found.len(), told), (3, round + 1, 45_000), "each is told of once");
        }
    }
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_no_file_stays_and_is_told_of_once() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(outside.path(), "secret", 10);
        let path = folder.path();
        fs::create_dir(path.join("directory.eml")).unwrap();
        symlink(outside.path().join("secret"), path.join("symlink.eml")).unwrap();
        symlink(outside.path().join("nowhere"), path.join("dangling.eml")).unwrap();
        fs::hard_link(outside.path().join("secret"), path.join("hardlink.eml")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path.join("fifo.eml"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path.join("socket.eml")).unwrap();
        let mut odd = 6;
        // 1:3 is /dev/null; only root makes one.
        let (device, null) = (rustix::fs::FileType::CharacterDevice, rustix::fs::makedev(1, 3));
        let mode = rustix::fs::Mode::RWXU;
        odd += usize::from(
            rustix::fs::mknodat(rustix::fs::CWD, path.join("device.eml"), device, mode, null).is_ok(),
        );
        let mut directory = watched(path);
        let first = directory.poll(10, NOW).unwrap();
        assert!(first.candidates.is_empty());
        assert_eq!(first.oddities.len(), odd, "{first:?}");
        assert!(directory.poll(10, NOW).unwrap().oddities.is_empty());
        assert_eq!(names(path).len(), odd);
        assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "secret");
    }

    #[test]
    fn a_file_replaced_by_a_link_between_poll_and_claim_is_not_followed() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(folder.path(), "a.eml", 10);
        write(outside.path(), "secret", 10);
        let mut directory = watched(folder.path());
        let candidate = polled(&mut directory).remove(0);
        fs::remove_file(folder.path().join("a.eml")).unwrap();
        symlink(outside.path().join("secret"), folder.path().join("a.eml")).unwrap();
        assert_eq!(directory.claim(&candidate, NOW).unwrap_err(), Skipped::NotRegular);
    }

    #[test]
    fn names_are_bytes() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            &b"-rf.eml"[..],
            b"\xff\xfe.eml",
            b"a b\n.eml",
            b".eml",
            b"..\\..\\up.eml",
            b"C:up.eml",
            b"...eml",
            &[b"n".repeat(251), b".eml".to_vec()].concat(),
        ] {
            fs::write(folder.path().join(OsStr::from_bytes(name)), "x").unwrap();
        }
        let mut directory = watched(folder.path());
        let candidates = polled(&mut directory);
        // A dot-file has no extension. What separates names elsewhere is a letter here.
        assert_eq!(candidates.len(), 7);
        for candidate in candidates {
            directory.claim(&candidate, NOW).unwrap().settle().unwrap();
        }
        assert_eq!(names(folder.path()), [".eml"]);
    }
}
