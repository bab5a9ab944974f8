//! What a look-up costs among many address spaces, beside everything that a user would pick instead.
//!
//! Prints one table; the floor, which nothing can beat that reads the whole name, is one probe of the whole domain in a
//! hash table. `--bench` measures, without it each contestant runs once and has its answers checked.

mod contest;
mod questions;
mod rivals;

use std::hint::black_box;
use std::time::Duration;

use postroad_address_space::{Address, AddressSpaceMap, Mailbox, OrAddress};

use crate::contest::{Contestant, Length, Score, contest, once};
use crate::questions::{Popularity, Space, addresses, questions, spaces, x400_addresses, x400_spaces};
use crate::rivals::MISS;

fn main() {
    let measures = std::env::args().any(|argument| argument == "--bench");
    // For those who want to look at one part: POSTROAD_SIZES=1000,100000 and POSTROAD_ROUNDS=5.
    let sizes = std::env::var("POSTROAD_SIZES").unwrap_or_else(|_| "10,1000,100000,1000000".into());
    let sizes: Vec<usize> = sizes.split(',').filter_map(|size| size.parse().ok()).collect();
    let rounds = std::env::var("POSTROAD_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(11);
    let length = Length { rounds, turn: Duration::from_millis(4) };
    if measures {
        sizes.iter().for_each(|size| look_up(*size, length));
        x400(100_000, length);
        parse_and_look_up(100_000, length);
        parse(length);
        build(1_000_000, rounds.min(7));
    } else {
        let length = Length { rounds: 1, turn: Duration::ZERO };
        [10, 1_000].into_iter().for_each(|size| look_up(size, length));
        x400(1_000, length);
        parse_and_look_up(1_000, length);
        parse(length);
        build(1_000, 1);
    }
}

fn print(title: &str, scores: &[Score]) {
    println!("\n| {title} | best ns | median ns | times the floor | middle half |\n|---|---|---|---|---|");
    for Score { name, best, median, ratio: [low, middle, high] } in scores {
        println!("| {name} | {best:.1} | {median:.1} | {middle:.2} | {low:.2} to {high:.2} |");
    }
}

fn map_of(spaces: &[Space]) -> AddressSpaceMap<u32> {
    spaces.iter().map(Space::parse).zip(0..).collect()
}

fn closest(map: &AddressSpaceMap<u32>, address: &Address) -> u32 {
    map.matches(address).next().map_or(MISS, |(_, value)| *value)
}

/// Asks for the domain of each address in turn.
fn asking<'a>(
    name: &'a str,
    addresses: &'a [Address],
    mut ask: impl FnMut(&str) -> u32 + 'a,
) -> Contestant<'a> {
    Contestant::new(name, move || {
        for address in addresses {
            black_box(ask(domain_of(black_box(address))));
        }
        addresses.len()
    })
}

fn domain_of(address: &Address) -> &str {
    address.mailbox().and_then(|mailbox| mailbox.domain().name()).map(|name| name.ascii()).unwrap_or_default()
}

fn asking_us<'a>(name: &'a str, map: &'a AddressSpaceMap<u32>, addresses: &'a [Address]) -> Contestant<'a> {
    Contestant::new(name, move || {
        for address in addresses {
            black_box(closest(map, black_box(address)));
        }
        addresses.len()
    })
}

/// Parsed addresses against spaces of a number.
fn look_up(size: usize, length: Length) {
    let spaces = spaces(size);
    let map = map_of(&spaces);
    let floor = rivals::floor(&spaces);
    let walk = rivals::walk::<foldhash::fast::FixedState>(&spaces);
    let walk_std = rivals::walk_std(&spaces);
    let fst = rivals::fst(&spaces);
    let qp_trie = rivals::qp_trie(&spaces);
    let list = rivals::public_suffix(&spaces);
    let globset = (size <= 100_000).then(|| rivals::globset(&spaces));
    for (popularity, name) in Popularity::ALL {
        let texts = questions(&spaces, popularity, if size <= 1_000 { 1 << 16 } else { 1 << 18 });
        let addresses = addresses(&texts);
        let domains: Vec<&str> = addresses
            .iter()
            .filter_map(|address| Some(address.mailbox()?.domain().name()?.ascii()))
            .collect();
        let wanted: Vec<u32> = domains.iter().map(|domain| rivals::ask_walk(&walk, domain)).collect();
        let hits = wanted.iter().filter(|value| **value != MISS).count();
        assert!((4..=6).contains(&(hits * 10 / wanted.len())), "half hits, half misses");
        for (address, wanted) in addresses.iter().zip(&wanted) {
            assert_eq!(closest(&map, address), *wanted, "{address}");
        }
        let few = if size <= 1_000 { 512 } else { 64 };
        let agree = |ask: &dyn Fn(&str) -> u32, count: usize| {
            assert!(domains.iter().zip(&wanted).take(count).all(|(domain, wanted)| ask(domain) == *wanted));
        };
        agree(&|domain| rivals::ask_walk_std(&walk_std, domain), domains.len());
        agree(&|domain| rivals::ask_fst(&fst, domain), domains.len());
        agree(&|domain| rivals::ask_qp_trie(&qp_trie, domain), domains.len());
        agree(&|domain| rivals::ask_list(&spaces, domain), few);
        let all = &addresses[..];
        let mut contestants = vec![
            Contestant::new("floor: one probe, of a bare `&str`", || {
                for domain in &domains {
                    black_box(rivals::ask_floor(&floor, black_box(domain)));
                }
                domains.len()
            }),
            asking("the same, of the parsed address", all, |domain| rivals::ask_floor(&floor, domain)),
            asking_us("**postroad**", &map, all),
            asking("suffix walk, hashbrown + foldhash", all, |domain| rivals::ask_walk(&walk, domain)),
            asking("suffix walk, std HashMap", all, |domain| rivals::ask_walk_std(&walk_std, domain)),
            asking("fst, labels from the right", all, |domain| rivals::ask_fst(&fst, domain)),
            asking("qp-trie, labels from the right", all, |domain| rivals::ask_qp_trie(&qp_trie, domain)),
            asking("publicsuffix, its own rules", all, |domain| rivals::ask_public_suffix(&list, domain)),
        ];
        if let Some(globset) = &globset {
            let mut found = Vec::new();
            agree(&|domain| rivals::ask_globset(globset, domain, &mut Vec::new()), few);
            contestants.push(asking("globset", &all[..4096], move |domain| {
                rivals::ask_globset(globset, domain, &mut found)
            }));
        }
        if size <= 100_000 {
            contestants.push(asking("linear scan", &all[..few], |domain| rivals::ask_list(&spaces, domain)));
        }
        print(&format!("{size} spaces, {name}"), &contest(&mut contestants, length));
    }
}

/// O/R addresses beside mailboxes; here the mailboxes are the floor.
fn x400(size: usize, length: Length) {
    // As many questions as in `look_up`.
    let count = if size <= 1_000 { 1 << 16 } else { 1 << 18 };
    let spaces = spaces(size);
    let smtp = map_of(&spaces);
    let mailboxes = addresses(&questions(&spaces, Popularity::Uniform, count));
    let x400: AddressSpaceMap<u32> = x400_spaces(size).into_iter().zip(0..).collect();
    let or_addresses = x400_addresses(size, count);
    let hits = or_addresses.iter().filter(|address| closest(&x400, address) != MISS).count();
    assert!((4..=6).contains(&(hits * 10 / or_addresses.len())), "half hits, half misses: {hits}");
    let mut contestants = [
        asking_us("floor: SMTP look-up", &smtp, &mailboxes),
        asking_us("**X400 look-up**, four sets of attributes", &x400, &or_addresses),
    ];
    print(&format!("{size} X400 spaces"), &contest(&mut contestants, length));
}

fn parse_and_look_up(size: usize, length: Length) {
    let spaces = spaces(size);
    let map = map_of(&spaces);
    let floor = rivals::floor(&spaces);
    let texts = questions(&spaces, Popularity::Uniform, 1 << 14);
    let parsed = |text: &str| Address::parse(black_box(text)).expect("an address");
    let mut contestants = [
        Contestant::new("floor: parse and one probe", || {
            for text in &texts {
                let address = parsed(text);
                let name = address.mailbox().and_then(|mailbox| mailbox.domain().name());
                black_box(name.map(|name| rivals::ask_floor(&floor, name.ascii())));
            }
            texts.len()
        }),
        Contestant::new("**parse and look-up**", || {
            for text in &texts {
                black_box(closest(&map, &parsed(text)));
            }
            texts.len()
        }),
        Contestant::new("parse alone", || {
            for text in &texts {
                black_box(parsed(text));
            }
            texts.len()
        }),
    ];
    print(&format!("{size} spaces, parsed for each look-up"), &contest(&mut contestants, length));
}

/// Beside what other crates call parsing an address; lettre's is the floor here.
fn parse(length: Length) {
    const TEXT: &str = "jane.doe@marketing.contoso.com";
    const MIXED: &str = "Jane.Doe@Marketing.Contoso.com";
    const X400: &str = "C=US;A=Fabrikam;P=Contoso;O=Sales;OU1=North;S=Doe;G=Jane;I=J;";
    fn many<'a, R>(name: &'a str, run: impl Fn() -> R + 'a) -> Contestant<'a> {
        Contestant::new(name, move || {
            for _ in 0..1_000 {
                black_box(run());
            }
            1_000
        })
    }
    let mut contestants = [
        many("floor: lettre, `Address`", || black_box(TEXT).parse::<lettre::Address>()),
        many("**postroad**, `Mailbox`", || Mailbox::parse(black_box(TEXT))),
        many("**postroad**, `Mailbox` in letters of both cases", || Mailbox::parse(black_box(MIXED))),
        many("mail-parser, an address header", || {
            mail_parser::parsers::MessageStream::new(black_box(TEXT).as_bytes()).parse_address()
        }),
        many("**postroad**, `OrAddress` of eight attributes", || OrAddress::parse(black_box(X400))),
    ];
    print("parsing one address", &contest(&mut contestants, length));
}

/// From parsed spaces, beside filling a HashMap with the same names.
fn build(size: usize, rounds: usize) {
    let spaces = spaces(size);
    let parsed: Vec<_> = spaces.iter().map(Space::parse).zip(0u32..).collect();
    let (mut floors, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let parsed = parsed.clone();
        let (time, floor) = once(|| rivals::floor(black_box(&spaces)));
        floors.push(time / 1e6);
        let (time, map) = once(|| black_box(parsed).into_iter().collect::<AddressSpaceMap<u32>>());
        ours.push(time / 1e6);
        assert_eq!(floor.len(), map.len());
    }
    floors.sort_by(f64::total_cmp);
    ours.sort_by(f64::total_cmp);
    println!("\n| building {size} spaces | best ms | median ms |\n|---|---|---|");
    println!("| floor: filling a HashMap | {:.1} | {:.1} |", floors[0], floors[rounds / 2]);
    println!("| **postroad** | {:.1} | {:.1} |", ours[0], ours[rounds / 2]);
}
