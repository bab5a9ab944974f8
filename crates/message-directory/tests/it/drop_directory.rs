//! A gateway's directory: whole files only, within the quota, and nothing made that was not there.

use std::sync::Arc;
use std::{fs, io};

use postroad_message::content::Rest;
use postroad_message::{Content, ContentSource, Fault, Scope, Shape, StatusClass};
use postroad_message_directory::{DropDirectory, DropError};

#[test]
fn a_file_appears_whole_under_a_name_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let directory = DropDirectory::new(folder.path());
    let path = directory.write(0xa1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1, b"X-Sender: <>\r\n").unwrap();
    assert_eq!(path.file_name().unwrap().to_str(), Some("a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1.eml"));
    assert_eq!(fs::read(path).unwrap(), b"X-Sender: <>\r\n");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn an_existing_file_with_other_bytes_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let directory = DropDirectory::new(folder.path());
    let path = directory.write(1, b"first").unwrap();
    let other = directory.write(1, b"second").unwrap();
    assert_eq!(fs::read(path).unwrap(), b"first");
    assert_eq!(fs::read(&other).unwrap(), b"second");
    let name = other.file_name().unwrap().to_str().unwrap();
    assert!(name.len() == 36 && name.ends_with(".eml"), "{name}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file stays");
}

#[test]
fn an_attempt_that_a_crash_ended_is_completed_not_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let directory = DropDirectory::new(folder.path()).quota(Some(10));
    // The first attempt placed its file; there is no room for another.
    let path = directory.write(1, b"123456").unwrap();
    assert_eq!(directory.write(1, b"123456").as_ref(), Ok(&path));
    // That of the second got as far as its temporary name.
    fs::write(folder.path().join(format!(".{:032x}.eml.tmp", 2)), "12").unwrap();
    let second = directory.write(2, b"12").unwrap();
    assert_eq!(second.file_name().unwrap().to_str(), Some(format!("{:032x}.eml", 2).as_str()));
    assert_eq!(directory.sweep(), Ok(1));
    // The gateway took the first one, and nobody can tell.
    fs::remove_file(&path).unwrap();
    assert_eq!(directory.write(1, b"123456").as_ref(), Ok(&path));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_link_with_the_name_of_a_file_is_not_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("elsewhere"), "123").unwrap();
    let link = folder.path().join(format!("{:032x}.eml", 1));
    std::os::unix::fs::symlink("elsewhere", &link).unwrap();
    let path = DropDirectory::new(folder.path()).write(1, b"123").unwrap();
    assert_ne!(path, link);
    assert_eq!(fs::read(path).unwrap(), b"123");
}

#[test]
fn a_missing_directory_is_a_passing_failure_and_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Drop");
    let error = DropDirectory::new(&path).write(1, b"x").unwrap_err();
    assert_eq!(error, DropError::Missing(path.clone()));
    assert_eq!(
        (error.failure().status.class(), error.failure().fault),
        (StatusClass::Transient, Fault::Configuration)
    );
    assert!(!path.exists());
}

#[test]
fn a_quota_counts_what_waits_and_what_comes() {
    let folder = tempfile::tempdir().unwrap();
    let directory = DropDirectory::new(folder.path()).quota(Some(10));
    let first = directory.write(1, b"123456").unwrap();
    let over = directory.write(2, b"12345").unwrap_err();
    assert!(matches!(over, DropError::OverQuota { used: 6, size: 5, quota: 10, .. }), "{over}");
    directory.write(3, b"1234").unwrap();
    fs::remove_file(first).unwrap();
    directory.write(4, b"12345").unwrap();
}

#[test]
fn a_batch_keeps_to_the_quota_too() {
    let folder = tempfile::tempdir().unwrap();
    let directory = DropDirectory::new(folder.path()).quota(Some(10));
    let contents = [&b"123456"[..], b"12345", b"1234"].map(|bytes| Content::from(bytes.to_vec()));
    let results = directory.write_all((1..).zip(&contents));
    let written: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(written, [true, false, true]);
}

#[test]
fn many_files_are_written_together_each_with_its_own_result() {
    let folder = tempfile::tempdir().unwrap();
    let directory = DropDirectory::new(folder.path());
    // A directory is in the way of one.
    fs::create_dir_all(folder.path().join(format!("{:032x}.eml/x", 7))).unwrap();
    let bytes: Vec<String> = (0..100_u8).map(|number| format!("file {number}")).collect();
    let contents: Vec<_> = bytes.iter().map(|text| Content::from(text.clone().into_bytes())).collect();
    for (number, result) in directory.write_all((0..).zip(&contents)).into_iter().enumerate() {
        let path = result.unwrap_or_else(|error| panic!("{number}: {error}"));
        assert_eq!(fs::read_to_string(path).unwrap(), bytes[number]);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 101, "no temporary file stays");
}

#[test]
fn what_a_crash_left_is_swept_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let left = format!(".{}.eml.tmp", "ab".repeat(16));
    for name in [left.as_str(), ".other.tmp", "x.eml.tmp"] {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    assert_eq!(DropDirectory::new(folder.path()).sweep(), Ok(1));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn what_cannot_be_read_is_not_the_directorys_fault_and_leaves_nothing() {
    struct Broken;

    impl ContentSource for Broken {
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            Err(io::ErrorKind::Other.into())
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let rest = Rest { source: Arc::new(Broken), start: 0, length: 9, shape: Shape::of(b"") };
    let (broken, sound) =
        (Content::with_rest(b"X-Sender: <>\r\n".to_vec(), rest), Content::from(b"x".to_vec()));
    let written = DropDirectory::new(folder.path()).write_all([(1, &broken), (2, &sound)]);
    let [Err(error), Ok(_)] = &written[..] else { panic!("{written:?}") };
    let failure = error.failure();
    assert_eq!((failure.scope, failure.fault), (Scope::Message, Fault::Local), "{failure}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
