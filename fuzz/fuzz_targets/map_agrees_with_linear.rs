//! The first line is an address, each other line a space: the compiled map finds what a linear scan finds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postroad_address_space::{Address, AddressSpace, AddressSpaceMap, Leniency};

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let Some(Ok(address)) = lines.next().map(Address::parse) else { return };
    let lenient = Leniency::default().wildcards().missing_cost();
    let spaces: Vec<AddressSpace> =
        lines.filter_map(|line| AddressSpace::parse_with(line, lenient).ok()).collect();
    let map: AddressSpaceMap<usize> = spaces.iter().cloned().zip(0..).collect();
    let mut found: Vec<_> = map.matches(&address).map(|(fit, index)| (fit, *index)).collect();
    assert!(found.is_sorted_by(|left, right| left.0 >= right.0));
    let scan = spaces.iter().zip(0..).filter_map(|(space, index)| Some((space.matches(&address)?, index)));
    let mut linear: Vec<_> = scan.collect();
    found.sort();
    linear.sort();
    assert_eq!(found, linear);
    assert_eq!(map.iter().count(), spaces.len());
});
