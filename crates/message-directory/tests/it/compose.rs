//! A file with an envelope given beside it: what is given counts, and need not stand in the file.

use postroad_address_space::{Address, Domain};
use postroad_message::{Recipient, ReversePath, Timestamp};
use postroad_message_directory::{Arrival, Badmail, compose};

fn envelope(header: &str, from: Option<&str>, to: &[&str]) -> Result<String, Badmail> {
    let domain = Domain::parse("contoso.com").unwrap();
    let at = Timestamp::from_unix_millis(0);
    let arrival = Arrival::new("hub01.contoso.com", &domain, at, [7; 16]);
    let from = from.map(|from| ReversePath::try_from(from.to_owned()).unwrap());
    let to = to.iter().map(|to| Recipient::new(Address::parse(to).unwrap())).collect();
    let (envelope, _) = compose(format!("{header}Subject: Tea\n\n").as_bytes(), from, to, &arrival)?;
    let to: Vec<_> = envelope.recipients.iter().map(|to| to.address.to_string()).collect();
    Ok(format!("{} to {}", envelope.reverse_path, to.join(", ")))
}

#[test]
fn what_is_given_need_not_stand_in_the_file() {
    for (header, from, to, expected) in [
        ("From: joe@a.com\nTo: jane@b.com\n", None, &[][..], "<joe@a.com> to jane@b.com"),
        ("From: joe@a.com\nTo: jane@b.com\n", None, &["FAX:1"], "<joe@a.com> to FAX:1"),
        ("From: joe@a.com\nTo: nobody\n", None, &["tim@b.com"], "<joe@a.com> to tim@b.com"),
        ("From: joe@a.com\n", None, &["tim@b.com"], "<joe@a.com> to tim@b.com"),
        ("To: jane@b.com\n", Some("<ann@a.com>"), &[], "<ann@a.com> to jane@b.com"),
        ("From: joe@a.com, tim@a.com\nTo: jane@b.com\n", Some("<>"), &[], "<> to jane@b.com"),
        ("", Some("<ann@a.com>"), &["tim@b.com"], "<ann@a.com> to tim@b.com"),
    ] {
        assert_eq!(envelope(header, from, to).as_deref(), Ok(expected), "{header:?} {from:?} {to:?}");
    }
    assert!(envelope("To: jane@b.com\n", None, &["tim@b.com"]).is_err(), "nobody is the sender");
    assert!(envelope("From: joe@a.com\n", Some("<ann@a.com>"), &[]).is_err(), "nobody is the recipient");
    let many: Vec<_> = (0..200).map(|number| format!("user{number}@b.com")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert!(envelope("From: joe@a.com\n", None, &many).is_ok(), "who are given are not counted");
}
