//! Reads the tables beside this folder and tries every row; matching rows on the compiled map and on a linear scan.

use postroad_address_space::encapsulation::{decapsulate, encapsulate, encapsulate_text};
use postroad_address_space::{
    Address, AddressSpace, AddressSpaceMap, Domain, Mailbox, OrAddress, ParseError,
};

/// Rows `left => right` of a table, with their line numbers; `#` begins a comment, `␣` is a space at an end.
fn rows(table: &str) -> impl Iterator<Item = (usize, String, String)> {
    table.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(
        |(number, line)| {
            let (left, right) = line.split_once(" => ").expect("a row is left => right");
            (number + 1, left.trim().replace('␣', " "), right.trim().replace('␣', " "))
        },
    )
}

/// What was printed, or the refusal as `! Kind byte`.
fn outcome(result: Result<String, ParseError>) -> String {
    result.unwrap_or_else(|error| format!("! {:?} {}", error.kind(), error.offset()))
}

#[test]
fn address_spaces_are_read_and_printed() {
    for (line, text, expected) in rows(include_str!("../spaces.txt")) {
        let space = AddressSpace::parse(&text);
        assert_eq!(
            outcome(space.as_ref().map(ToString::to_string).map_err(|e| *e)),
            expected,
            "line {line}: {text}"
        );
        if let Ok(space) = space {
            assert_eq!(AddressSpace::parse(&space.to_string()).unwrap(), space, "line {line}: {text}");
        }
    }
}

#[test]
fn or_addresses_are_read_and_printed_in_each_form() {
    for (line, text, expected) in rows(include_str!("../or_addresses.txt")) {
        let address = OrAddress::parse(&text);
        assert_eq!(
            outcome(address.as_ref().map(ToString::to_string).map_err(|e| *e)),
            expected,
            "line {line}: {text}"
        );
        if let Ok(address) = address {
            let again = [
                OrAddress::parse(&address.to_string()),
                OrAddress::parse_rfc1685(&address.rfc1685().to_string()),
                OrAddress::parse_rfc2156(&address.rfc2156().to_string()),
            ];
            for again in again {
                assert_eq!(again.as_ref(), Ok(&address), "line {line}: {text}");
            }
        }
    }
}

#[test]
fn encapsulated_addresses_go_there_and_back() {
    let domain = Domain::parse("contoso.com").unwrap();
    for (line, address, encapsulated) in rows(include_str!("../encapsulation.txt")) {
        let (address_type, text) = address.split_once(':').unwrap();
        let mailbox = encapsulate_text(address_type, text, &domain).unwrap();
        assert_eq!(mailbox.to_string(), encapsulated, "line {line}");
        let address = Address::parse(&address).unwrap();
        assert_eq!(decapsulate(&mailbox), Some(address.clone()), "line {line}");
        assert_eq!(decapsulate(&encapsulate(&address, &domain).unwrap()), Some(address), "line {line}");
    }
}

#[test]
fn what_is_not_encapsulated_stays_an_ordinary_mailbox() {
    for (line, mailbox, expected) in rows(include_str!("../decapsulation.txt")) {
        let opened = decapsulate(&Mailbox::parse(&mailbox).unwrap());
        let opened = opened.map_or_else(|| "ordinary".into(), |address| address.to_string());
        assert_eq!(opened, expected, "line {line}: {mailbox}");
    }
}

/// `address => spaces, closest first, parted by blanks | spaces that do not match`; `=` before a space says that it is
/// as close as the one before it.
#[test]
fn spaces_match_closest_first_in_map_and_linear_scan() {
    for (line, address, expected) in rows(include_str!("../matching.txt")) {
        let address = Address::parse(&address).unwrap_or_else(|error| panic!("line {line}: {error}"));
        let (matching, others) = expected.split_once('|').unwrap_or((&expected, ""));
        let read = |text: &str| {
            AddressSpace::parse(text).unwrap_or_else(|error| panic!("line {line}: {text}: {error}"))
        };
        let list = |text: &str| {
            text.split("  ").map(str::trim).filter(|it| !it.is_empty()).map(String::from).collect()
        };
        let (matching, others): (Vec<String>, Vec<String>) = (list(matching), list(others));
        let mut wanted = Vec::new();
        let mut rank = 0;
        for text in &matching {
            rank += usize::from(!text.starts_with('='));
            wanted.push((rank, read(text.trim_start_matches('='))));
        }
        let all =
            || wanted.iter().map(|(_, space)| space.clone()).chain(others.iter().map(|text| read(text)));
        let mut linear: Vec<_> = all().filter_map(|space| Some((space.matches(&address)?, space))).collect();
        linear.sort_by_key(|(specificity, _)| std::cmp::Reverse(*specificity));
        for backwards in [false, true] {
            let mut spaces: Vec<_> = all().map(|space| (space.clone(), space)).collect();
            if backwards {
                spaces.reverse();
            }
            let map: AddressSpaceMap<_> = spaces.into_iter().collect();
            let found: Vec<_> = map.matches(&address).map(|(fit, space)| (fit, space.clone())).collect();
            for (found, how) in [(&found, "map"), (&linear, "linear")] {
                let mut ranked = Vec::new();
                let mut rank = 0;
                for (index, (fit, space)) in found.iter().enumerate() {
                    rank += usize::from(index == 0 || found[index - 1].0 != *fit);
                    ranked.push((rank, space.clone()));
                }
                ranked.sort_by_key(|(rank, space)| (*rank, space.to_string()));
                let mut wanted = wanted.clone();
                wanted.sort_by_key(|(rank, space)| (*rank, space.to_string()));
                assert_eq!(ranked, wanted, "line {line}, {how}: {address}");
            }
        }
    }
}
