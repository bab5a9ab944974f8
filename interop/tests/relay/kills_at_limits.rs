//! kill -9 of a relay that has to refuse mail for want of room: what was refused is never delivered, what was promised always is.

use std::fs;

use postroad_interop::{Relay, SmallDisk, program as programs};

use crate::configuration::{EVERYTHING_TO_DROP, House, program};
use crate::kills::{Kind, TOGETHER, Told, of_each_kind};

const APPLICATIONS: usize = 8;
const KINDS: &[Kind] = &[
    Kind { name: "the disk is full", within: 30_000 },
    Kind { name: "nearly full", within: 30_000 },
    Kind { name: "content in memory", within: 30_000 },
];

/// In the order of [`KINDS`]: what the configuration says about it.
const LIMITS: [&str; 3] = [
    "[queue]\nminimum_free_space = 0\n[transport]\n",
    "[queue]\nminimum_free_space = \"4MB\"\n[transport]\n",
    "[queue]\nminimum_free_space = 0\n[transport]\nmax_content_in_memory = \"1MB\"\n",
];
const PLENTY: u64 = 512 << 20;

/// `.ci/long` asks for more kills.
#[test]
#[ignore = "needs root, for a disk of its own"]
fn what_was_refused_for_want_of_room_is_never_delivered_whenever_the_kill_comes() {
    let kills = of_each_kind(6);
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let disk = SmallDisk::mounted(&house.scratch.folder("relay-data"));
    let text = fs::read_to_string(&house.configuration).expect("read relay.toml");
    let start = |limits: &str| {
        fs::write(&house.configuration, text.replace("[transport]\n", limits)).expect("write relay.toml");
        Relay::run_on(&disk, program(), &house.configuration)
    };
    let list = || {
        let mut relay = disk.command(program());
        relay.args(["queue", "list", "--json", "--config"]).arg(&house.configuration);
        programs::said(&relay.output().expect("run the relay"))
    };
    let mut told = Told::of(KINDS, letter);
    let rounds = kills * KINDS.len();
    for round in 0..rounds {
        let kind = round % KINDS.len();
        let relay = start(LIMITS[kind]);
        let some = (round / KINDS.len() * 5 % 16) as u64 * (64 << 10);
        disk.leave([some, (4 << 20) + some / 2, PLENTY][kind]);
        told.by_a_relay_that_is_killed(&house, relay, round, APPLICATIONS);
        disk.leave(PLENTY);
        told.gather(&house);
        if round % TOGETHER == TOGETHER - 1 || round + 1 == rounds {
            let _relay = start(LIMITS[0]);
            told.wait(&house, list);
        }
    }
    told.add_up(kills);
    assert!(!told.refused.is_empty(), "nothing was refused");
}

/// Small ones, some that fit into the log, and some that lie in a file.
fn letter(recipient: &str) -> Vec<u8> {
    let number = recipient.split(['-', '@']).nth(2).and_then(|number| number.parse::<usize>().ok());
    let lines = [10, 300, 1_700, 5_000][number.expect("a number") % 4];
    let line = format!("{recipient:60}\r\n");
    format!("Subject: letter\r\n\r\n{}", line.repeat(lines)).into_bytes()
}
