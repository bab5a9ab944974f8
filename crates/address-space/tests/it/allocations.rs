//! A look-up takes no memory, and a map takes little: both counted by the allocator.

use postroad_address_space::{Address, AddressSpace, AddressSpaceMap};

fn map_of(texts: impl Iterator<Item = String>) -> AddressSpaceMap<u32> {
    texts.map(|text| text.parse::<AddressSpace>().expect("a space")).zip(0..).collect()
}

#[test]
fn a_look_up_takes_no_memory() {
    let names = (0..2_000)
        .flat_map(|at| [format!("d{at}.example"), format!("*.sub{at}.Example"), format!("NOTES:*{at}@acme")]);
    let x400 = (0..500).flat_map(|at| {
        [format!("X400:c=US;a=*;p=Org{at};1"), format!("X400:c=US;a=Fabrikam;p=Org{at};o=Sales;1")]
    });
    let rest = [
        "*",
        "*.com",
        "X400:*",
        "FAX:*",
        "FAX:+1425*",
        "FAX:+1 425 1",
        "d1.example;7",
        "a.very.long.name.that.stands.elsewhere.example",
    ];
    let map = map_of(names.chain(x400).chain(rest.map(String::from)));
    for (text, found) in [
        ("j@d1.example", 3),
        ("j@a.very.long.name.that.stands.elsewhere.example", 2),
        ("j@A.B.C.D.sub7.EXAMPLE.", 2),
        ("j@bücher.com", 2),
        ("j@[192.0.2.1]", 1),
        ("j@nowhere.else", 1),
        ("X400:C=us;A=fabrikam;P=org3;O=SALES;S=Doe", 3),
        ("X400:C=gb;S=Doe", 1),
        ("FAX:+1 425 1", 2),
        ("FAX:+1425555", 2),
        ("NOTES:Jane 7@ACME", 0),
        ("NOTES:Jane 7@acme", 0),
        ("MOBILE:1", 0),
    ] {
        let address = Address::parse(text).unwrap();
        let mut seen = 0;
        let taken = allocation_counter::measure(|| seen = map.matches(&address).count());
        assert_eq!(taken.count_total, 0, "{text}");
        assert!(seen >= found, "{text}: {seen}");
    }
}

/// Seven in ten one domain, the others a domain and what is below it; one in twenty has four or five labels.
#[test]
fn a_space_takes_at_most_48_bytes_with_its_name_and_a_value_of_four() {
    const SPACES: usize = 100_000;
    let text = |at: usize| match at % 20 {
        0..14 => format!("d{at}.example"),
        14..19 => format!("*.sub{at}.example"),
        _ if at % 40 < 20 => format!("mx.eu.corp.e{at}.example"),
        _ => format!("*.eu.corp.e{at}.example"),
    };
    let mut map = AddressSpaceMap::default();
    let taken = allocation_counter::measure(|| map = map_of((0..SPACES).map(text)));
    assert_eq!(map.len(), SPACES);
    let bytes = taken.bytes_current as f64 / SPACES as f64;
    println!("{bytes:.1} bytes a space");
    assert!(bytes <= 48.0, "{bytes:.1} bytes a space");
}
