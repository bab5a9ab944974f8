//! How much memory is left: the machine's, and that of the control groups that we run in.

use std::fs;
use std::path::Path;

/// Bytes that we may still use before the kernel ends a process for want of memory; `None` where nobody can tell.
pub(crate) fn free() -> Option<u64> {
    free_in(Path::new("/proc"), Path::new("/sys/fs/cgroup"))
}

/// Linux's own estimate for the machine, or what the closest of our groups (version 2) leaves us.
fn free_in(processes: &Path, groups: &Path) -> Option<u64> {
    let machine = fs::read_to_string(processes.join("meminfo")).ok();
    let machine = machine
        .and_then(|text| field(&text, "MemAvailable:"))
        .map(|kibibytes| kibibytes.saturating_mul(1024));
    let ours = fs::read_to_string(processes.join("self/cgroup")).unwrap_or_default();
    let ours = ours.lines().find_map(|line| line.strip_prefix("0::/"));
    // A limit of the groups around ours is a limit of ours.
    let ours = ours.map(|name| groups.join(name));
    let around = ours.iter().flat_map(|ours| ours.ancestors().take_while(|group| group.starts_with(groups)));
    around.filter_map(left_in).chain(machine).min()
}

/// What files in memory take is given back when it is wanted.
fn left_in(group: &Path) -> Option<u64> {
    let number = |name| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    // "max" is no limit.
    let (limit, used) = (number("memory.max")?, number("memory.current")?);
    let parts = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let spare =
        ["inactive_file", "active_file", "slab_reclaimable"].map(|name| field(&parts, name).unwrap_or(0));
    Some(limit.saturating_sub(used.saturating_sub(spare.iter().sum())))
}

/// The number behind this name.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        if words.next() == Some(name) { words.next()?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with 1000 KiB left, and these files of control groups.
    fn left(own: &str, files: &[(&str, &str)]) -> Option<u64> {
        let folder = tempfile::tempdir().unwrap();
        let (processes, groups) = (folder.path().join("proc"), folder.path().join("groups"));
        fs::create_dir_all(processes.join("self")).unwrap();
        fs::write(processes.join("meminfo"), "MemTotal: 4000 kB\nMemFree: 10 kB\nMemAvailable:   1000 kB\n")
            .unwrap();
        fs::write(processes.join("self/cgroup"), own).unwrap();
        for (name, text) in files {
            let file = groups.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        free_in(&processes, &groups)
    }

    #[test]
    fn the_closest_limit_counts() {
        const MACHINE: Option<u64> = Some(1_024_000);
        let (max, current, stat) =
            ("mail/relay/memory.max", "mail/relay/memory.current", "mail/relay/memory.stat");
        let (outer, outer_current) = ("mail/memory.max", "mail/memory.current");
        let relay = "1:name=systemd:/\n0::/mail/relay\n";
        for (name, own, files, expected) in [
            ("no groups at all", "", &[][..], MACHINE),
            (
                "groups of version 1 only",
                "4:memory:/mail/relay\n",
                &[(max, "5000"), (current, "1000")],
                MACHINE,
            ),
            ("no limit", relay, &[(max, "max\n"), (current, "1000\n")], MACHINE),
            ("a limit", relay, &[(max, "5000\n"), (current, "1000\n")], Some(4_000)),
            ("a limit above what the machine has", relay, &[(max, "9000000"), (current, "1000")], MACHINE),
            (
                "a limit around it",
                relay,
                &[(outer, "3000"), (outer_current, "2500"), (max, "max")],
                Some(500),
            ),
            (
                "files in memory are no loss",
                relay,
                &[
                    (max, "5000"),
                    (current, "4900"),
                    (stat, "anon 900\ninactive_file 3000\nactive_file 1000\n"),
                ],
                Some(4_100),
            ),
            ("more than the limit, for a moment", relay, &[(max, "5000"), (current, "6000")], Some(0)),
            ("what is no number", relay, &[(max, "-1"), (current, "x")], MACHINE),
        ] {
            assert_eq!(left(own, files), expected, "{name}");
        }
        assert_eq!(free_in(Path::new("/nowhere"), Path::new("/nowhere")), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_has_memory_left() {
        assert!(free().is_some_and(|free| free > 0));
    }
}
