//! "Did you mean": the known name nearest to the one that was written.

/// The nearest of `known`, when it is near enough to be what was meant.
///
/// Names that differ only in letter case and punctuation (`SmartHosts`, `smart-hosts`) are nearest of all.
pub(crate) fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // A name this long is no slip of the finger; comparing it would only cost time.
    if written.len() > 80 {
        return None;
    }
    let bare = letters(written);
    let allowed = match bare.len() {
        0..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    known
        .into_iter()
        .map(|name| (distance(&bare, &letters(name)), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn letters(name: &str) -> Vec<char> {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Edits between two names: insertion, deletion, replacement, and two neighbours changing places.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.iter().enumerate() {
        let mut row = Vec::with_capacity(last.len());
        row.push(i + 1);
        for (j, r) in right.iter().enumerate() {
            let cell = |cells: &[usize], at: usize| cells.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut best =
                (cell(&last, j) + usize::from(l != r)).min(cell(&last, j + 1) + 1).min(cell(&row, j) + 1);
            let swapped = i > 0 && j > 0 && left.get(i - 1) == Some(r) && right.get(j - 1) == Some(l);
            if swapped {
                best = best.min(cell(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        let known = ["smart_hosts", "port", "require_tls", "tls_domain", "name"];
        let table = [
            ("smarthosts", Some("smart_hosts")),
            ("SmartHosts", Some("smart_hosts")),
            ("smart-host", Some("smart_hosts")),
            ("prot", Some("port")),
            ("requiretsl", Some("require_tls")),
            ("nmae", Some("name")),
            ("tls_domains", Some("tls_domain")),
            ("colour", None),
            ("", None),
        ];
        for (written, expected) in table {
            assert_eq!(nearest(written, known), expected, "{written}");
        }
    }
}
