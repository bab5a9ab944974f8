//! Whose rows wait for the disk, so that nobody's many rows take the place of everybody else's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Counts rows that wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_partner: HashMap<IpAddr, usize>,
}

impl Waiting {
    /// Counts one more, unless there are `most` or the partner would have more than he leaves to the others.
    pub(crate) fn admits(&self, partner: IpAddr, most: usize) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = most.saturating_sub(counts.all);
        let held = counts.by_partner.entry(partner).or_insert(0);
        let admitted = *held < free;
        *held += usize::from(admitted);
        if *held == 0 {
            counts.by_partner.remove(&partner);
        }
        counts.all += usize::from(admitted);
        admitted
    }

    /// Those wait no longer.
    pub(crate) fn forget(&self, partners: impl IntoIterator<Item = IpAddr>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for partner in partners {
            counts.all = counts.all.saturating_sub(1);
            if let Some(held) = counts.by_partner.get_mut(&partner) {
                *held -= 1;
                if *held == 0 {
                    counts.by_partner.remove(&partner);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_leaves_as_much_as_he_takes() {
        let waiting = Waiting::default();
        let partner = |text: &str| text.parse::<IpAddr>().unwrap();
        let admitted = |text: &str| {
            std::iter::repeat_with(|| waiting.admits(partner(text), 100)).take_while(|yes| *yes).count()
        };
        assert_eq!(admitted("192.0.2.1"), 50);
        assert_eq!(admitted("192.0.2.1"), 0);
        assert_eq!(admitted("2001:db8::1"), 25);
        assert_eq!(admitted("2001:db8::2"), 13);
        waiting.forget(std::iter::repeat_n(partner("192.0.2.1"), 50));
        assert_eq!(admitted("192.0.2.2"), 31);
        waiting.forget([partner("192.0.2.2")]);
        assert_eq!(waiting.0.lock().unwrap().all, 25 + 13 + 30);
        assert_eq!(waiting.0.lock().unwrap().by_partner.len(), 3);
    }
}
