//! An O/R address read from either form is the same after it has been through each of its text forms.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postroad_address_space::OrAddress;

fuzz_target!(|text: &str| {
    for address in [OrAddress::parse_rfc1685(text), OrAddress::parse_rfc2156(text)].into_iter().flatten() {
        assert_eq!(OrAddress::parse(&address.to_string()).as_ref(), Ok(&address));
        assert_eq!(OrAddress::parse_rfc1685(&address.rfc1685().to_string()).as_ref(), Ok(&address));
        assert_eq!(OrAddress::parse_rfc2156(&address.rfc2156().to_string()).as_ref(), Ok(&address));
    }
});
