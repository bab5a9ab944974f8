//! Whatever parses as an address or an address space is printed and parsed again as the same, with no control character.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postroad_address_space::{Address, AddressSpace};

fuzz_target!(|text: &str| {
    if let Ok(address) = Address::parse(text) {
        assert!(!text.chars().any(char::is_control));
        assert_eq!(Address::parse(&address.to_string()), Ok(address));
    }
    if let Ok(space) = AddressSpace::parse(text) {
        assert_eq!(AddressSpace::parse(&space.to_string()), Ok(space));
    }
});
