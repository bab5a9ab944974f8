//! What holds for every address and every set of spaces.

use postroad_address_space::encapsulation::{Limits, decapsulate, encapsulate_within};
use postroad_address_space::{
    Address, AddressSpace, AddressSpaceMap, Domain, Leniency, Mailbox, OrAddress, Specificity,
};
use proptest::prelude::*;

/// Few labels, so that suffixes and whole names meet often.
fn domain() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "C", "ab", "bücher"]), 1..6)
        .prop_map(|labels| labels.join("."))
}

fn or_values() -> impl Strategy<Value = Vec<Option<&'static str>>> {
    prop::collection::vec(prop::option::of(prop::sample::select(vec!["x", "Y", "x  y", "z"])), 7)
}

/// `C=..` and some of A, P, O, OU1 to OU4.
fn or_text(country: &str, values: &[Option<&str>]) -> String {
    let keywords = ["A", "P", "O", "OU1", "OU2", "OU3", "OU4"];
    let named =
        keywords.iter().zip(values).filter_map(|(keyword, value)| Some(format!(";{keyword}={}", (*value)?)));
    format!("C={country}{}", named.collect::<String>())
}

fn address() -> impl Strategy<Value = Address> {
    let text = prop_oneof![
        domain().prop_map(|domain| format!("jane@{domain}")),
        Just("jane@[192.0.2.1]".to_owned()),
        (prop::sample::select(vec!["US", "gb"]), or_values())
            .prop_map(|(country, values)| format!("X400:{}", or_text(country, &values))),
        "(FAX|notes):[abA]{1,6}",
    ];
    text.prop_map(|text| Address::parse(&text).expect("the strategy makes addresses"))
}

fn wildcards() -> Leniency {
    Leniency::default().wildcards()
}

fn space() -> impl Strategy<Value = AddressSpace> {
    let text = prop_oneof![
        2 => domain(),
        4 => domain().prop_map(|domain| format!("*.{domain}")),
        1 => Just("*".to_owned()),
        1 => Just("X400:*".to_owned()),
        4 => (prop::sample::select(vec!["US", "GB"]), prop::sample::select(vec!["*", " ", "x", "y"]), or_values())
            .prop_map(|(country, admd, mut values)| {
                values[0] = Some(admd);
                format!("X400:{};1", or_text(country, &values))
            }),
        4 => "(FAX|NOTES):[abB*]{1,5}",
        // What only Exchange 5.5 knew.
        1 => "[abC*%]{1,3}(\\.[abC*%]{1,2}){0,2}",
        1 => "X400:C=US;A=[x*%]{1,2};(P=[xy*%]{1,2};)?1".prop_map(|text| text.trim_end_matches(";1").to_owned()),
    ];
    (text, 1u8..=100).prop_map(|(text, cost)| {
        let text = text.strip_suffix(";1").unwrap_or(&text);
        AddressSpace::parse_with(&format!("{text};{cost}"), wildcards()).expect("the strategy makes spaces")
    })
}

/// Any text that may stand in an attribute; delimiters and quoting characters more often than others.
fn value() -> impl Strategy<Value = String> {
    "[a-zA-Z;/$=|. é]{0,3}[a-z;/$.][a-zA-Z;/$= ]{0,3}"
}

proptest! {
    #[test]
    fn map_agrees_with_linear(spaces in prop::collection::vec(space(), 0..40), address in address()) {
        let map: AddressSpaceMap<usize> = spaces.iter().cloned().enumerate().map(|(i, space)| (space, i)).collect();
        let found: Vec<(Specificity, usize)> = map.matches(&address).map(|(fit, index)| (fit, *index)).collect();
        prop_assert!(found.is_sorted_by(|left, right| left.0 >= right.0), "closest first");
        let mut linear: Vec<_> =
            spaces.iter().enumerate().filter_map(|(i, space)| Some((space.matches(&address)?, i))).collect();
        let mut sorted = found;
        sorted.sort();
        linear.sort();
        prop_assert_eq!(sorted, linear);
    }

    #[test]
    fn a_map_gives_back_every_space(spaces in prop::collection::vec(space(), 0..40)) {
        let map: AddressSpaceMap<String> = spaces.iter().map(|space| (space.clone(), space.to_string())).collect();
        prop_assert_eq!(map.len(), spaces.len());
        let mut texts: Vec<_> = spaces.iter().map(ToString::to_string).collect();
        let mut listed: Vec<_> = map.iter().map(|(space, _)| space.to_string()).collect();
        for (space, text) in map.iter() {
            prop_assert_eq!(&space.to_string(), text);
        }
        texts.sort();
        listed.sort();
        prop_assert_eq!(listed, texts);
    }

    #[test]
    fn spaces_read_back_as_they_are_printed(space in space()) {
        prop_assert_eq!(AddressSpace::parse_with(&space.to_string(), wildcards()), Ok(space));
    }

    #[test]
    fn a_mailbox_never_carries_a_control_character(text in "[\\PC\\pC]{0,30}", domain in "[a-z\\r\\n\\[\\]:.]{0,10}") {
        for text in [format!("{text}@{domain}"), format!("\"{text}\"@{domain}"), text] {
            if let Ok(mailbox) = Mailbox::parse(&text) {
                prop_assert!(!text.chars().any(char::is_control));
                prop_assert_eq!(&mailbox.to_string(), &text);
            }
            if let Ok(address) = Address::parse(&text) {
                prop_assert_eq!(Address::parse(&address.to_string()), Ok(address));
            }
            let _ = AddressSpace::parse(&text);
        }
    }

    #[test]
    fn or_addresses_read_back_in_each_form(
        organization in value(), name in value(), kind in "[a-z=;/$]{1,4}", defined in value(), units in prop::collection::vec(value(), 0..4),
    ) {
        let quoted = |text: &str| text.chars().fold(String::new(), |text, c| {
            if "/;=$".contains(c) { text + "$" + &c.to_string() } else { text + &c.to_string() }
        });
        let units: String = units.iter().map(|unit| format!("/OU={}", quoted(unit))).collect();
        let text = format!(
            "/C=US/O={}/S={}/DD.{}={}{units}", quoted(&organization), quoted(&name), quoted(&kind), quoted(&defined),
        );
        let Ok(address) = OrAddress::parse(&text) else { return Ok(()) };
        for again in [
            OrAddress::parse(&address.to_string()),
            OrAddress::parse_rfc1685(&address.rfc1685().to_string()),
            OrAddress::parse_rfc2156(&address.rfc2156().to_string()),
        ] {
            prop_assert_eq!(again.as_ref(), Ok(&address));
        }
    }

    #[test]
    fn no_text_makes_the_or_address_reader_panic(text in "[CADSOU1-4PN.:=;/$ a-zé]{0,40}") {
        for address in [OrAddress::parse_rfc1685(&text), OrAddress::parse_rfc2156(&format!("/C=US/{text}"))].into_iter().flatten() {
            prop_assert_eq!(OrAddress::parse(&address.to_string()), Ok(address));
        }
    }

    #[test]
    fn encapsulation_goes_there_and_back(value in "\\PC{1,40}", kind in "[A-Z][A-Z0-9]{0,6}") {
        prop_assume!(!matches!(&*kind, "SMTP" | "X400" | "X500"));
        let Ok(address) = Address::parse(&format!("{kind}:{value}")) else { return Ok(()) };
        let domain = Domain::parse("contoso.com").unwrap();
        let mailbox = encapsulate_within(Limits::LONG, &kind, &value, &domain).unwrap();
        prop_assert!(mailbox.to_string().is_ascii());
        prop_assert_eq!(decapsulate(&mailbox), Some(address));
    }
}
