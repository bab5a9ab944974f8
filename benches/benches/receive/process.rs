//! What a process and its children have used, from `/proc`.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// The unit of times in `/proc/PID/stat`: `sysconf(_SC_CLK_TCK)` is 100 on every Linux that we meet.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of `process`, its living descendants and those that they have waited for.
pub(crate) fn cpu(process: u32) -> Duration {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let processes: HashMap<u32, (u32, u32)> = entries
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in brackets may hold anything; behind it: state, parent, ..., utime, stime, cutime, cstime.
            let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
            let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u32>().ok()).sum();
            Some((id, (fields.get(1)?.parse().ok()?, ticks)))
        })
        .collect();
    let belongs = |mut id: u32| {
        while id != process && id > 1 {
            id = processes.get(&id).map_or(0, |(parent, _)| *parent);
        }
        id == process
    };
    let ticks: u32 = processes.iter().filter(|(id, _)| belongs(**id)).map(|(_, (_, ticks))| ticks).sum();
    TICK * ticks
}
