//! A typed address comes out of its capsule as it went in; what anybody's capsule holds is never an SMTP address.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postroad_address_space::encapsulation::{decapsulate, encapsulate};
use postroad_address_space::{Address, Domain, Mailbox};

fuzz_target!(|text: &str| {
    let Ok(domain) = Domain::parse("contoso.com") else { return };
    let opened = Mailbox::parse(text).ok().and_then(|mailbox| decapsulate(&mailbox));
    assert!(opened.as_ref().is_none_or(|address| address.address_type() != "SMTP"));
    for address in [opened, Address::parse(text).ok()].into_iter().flatten() {
        if let Ok(capsule) = encapsulate(&address, &domain) {
            assert_eq!(decapsulate(&capsule), Some(address));
        }
    }
});
