//! What is asked and of whom: generated spaces, and addresses half of which some space covers.

use postroad_address_space::{Address, AddressSpace};

/// A generator that gives the same run of numbers every time (xorshift64*).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }

    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A space in the form that every rival can take.
#[derive(Clone)]
pub(crate) struct Space {
    pub(crate) name: String,
    /// It covers what is below the name too.
    pub(crate) wildcard: bool,
}

impl Space {
    pub(crate) fn parse(&self) -> AddressSpace {
        let text = if self.wildcard { format!("*.{}", self.name) } else { self.name.clone() };
        text.parse().expect("a space")
    }
}

/// Seven in ten are one domain, the rest a domain and all below it; one in twenty has four or five labels.
pub(crate) fn spaces(count: usize) -> Vec<Space> {
    let one = |index: usize| match index % 20 {
        0..14 => Space { name: format!("d{index}.example"), wildcard: false },
        14..19 => Space { name: format!("sub{index}.example"), wildcard: true },
        _ if index % 40 < 20 => Space { name: format!("mx.eu.corp.e{index}.example"), wildcard: false },
        _ => Space { name: format!("eu.corp.e{index}.example"), wildcard: true },
    };
    (0..count).map(one).collect()
}

/// Which spaces are asked for how often.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Popularity {
    /// All alike.
    Uniform,
    /// The second half as often as the first, the third a third as often ...
    Zipf,
}

impl Popularity {
    pub(crate) const ALL: [(Self, &str); 2] = [(Self::Uniform, "uniform"), (Self::Zipf, "Zipf")];
}

/// The texts of so many addresses, in letters of both cases: half of them covered by one space, half by none.
pub(crate) fn questions(spaces: &[Space], popularity: Popularity, count: usize) -> Vec<String> {
    let mut numbers = Numbers::new();
    let mut shuffled: Vec<usize> = (0..spaces.len()).collect();
    for index in (1..spaces.len()).rev() {
        shuffled.swap(index, numbers.below(index + 1));
    }
    let sums: Vec<f64> = (1..=spaces.len())
        .scan(0.0, |sum, rank| {
            *sum += 1.0 / rank as f64;
            Some(*sum)
        })
        .collect();
    let total = sums.last().copied().unwrap_or_default();
    let pick = |numbers: &mut Numbers| match popularity {
        Popularity::Uniform => numbers.below(spaces.len()),
        Popularity::Zipf => {
            let wanted = numbers.fraction() * total;
            sums.partition_point(|sum| *sum < wanted).min(spaces.len() - 1)
        }
    };
    (0..count)
        .map(|_| {
            let index = shuffled[pick(&mut numbers)];
            let space = &spaces[index];
            let domain = match (numbers.below(2), numbers.below(4)) {
                (0, _) if space.wildcard => format!("h{}.{}", numbers.below(50), space.name),
                (0, _) => space.name.clone(),
                (_, 0) => format!("mail.m{index}.example"),
                _ => format!("m{index}.example"),
            };
            let domain = match numbers.below(3) {
                0 => domain,
                1 => domain.replace(".example", ".Example"),
                _ => domain.to_uppercase(),
            };
            format!("user{}@{domain}", numbers.below(1000))
        })
        .collect()
}

pub(crate) fn addresses(texts: &[String]) -> Vec<Address> {
    texts.iter().map(|text| Address::parse(text).expect("an address")).collect()
}

/// Spaces of one to four levels below the country, seven in eight of them two or three.
pub(crate) fn x400_spaces(count: usize) -> Vec<AddressSpace> {
    (0..count)
        .map(|index| {
            let text = format!("X400:{};{}", x400_text(index), 1 + index % 100);
            text.parse().expect("an X400 space")
        })
        .collect()
}

fn x400_text(index: usize) -> String {
    let carrier = index % 7;
    match index % 8 {
        0 => format!("c=US;a=Carrier{index}"),
        1..4 => format!("c=US;a=Carrier{carrier};p=Org{index}"),
        4..7 => format!("c=US;a=Carrier{carrier};p=Org{};o=Branch{index}", index / 10),
        _ => format!("c=US;a=*;p=Org{index};o=Branch;ou1=Unit{}", index % 10),
    }
}

/// Half of them covered by one space, half by none.
pub(crate) fn x400_addresses(spaces: usize, count: usize) -> Vec<Address> {
    let mut numbers = Numbers::new();
    (0..count)
        .map(|_| {
            let index = numbers.below(spaces) + numbers.below(2) * spaces * 8;
            let below = x400_text(index).replace("a=*", "a=Carrier");
            Address::parse(&format!("X400:{below};s=Doe;g=Jane")).expect("an O/R address")
        })
        .collect()
}
