//! Every case of the guides, asked of `relay route --json`: see `guides.txt`.

use std::path::Path;
use std::process::Command;

use postroad_interop::Scratch;
use serde_json::Value;

use crate::configuration::program;

#[test]
fn each_recipient_of_the_guides_goes_its_way() {
    let scratch = Scratch::new();
    let (mut name, mut configuration, mut question) = (String::new(), String::new(), String::new());
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for line in include_str!("guides.txt").lines() {
        if let Some(file) = line.strip_prefix("== ") {
            name = file.to_owned();
            configuration = good(file);
        } else if let Some(change) = line.strip_prefix("-- ") {
            let (old, new) = change.split_once(" => ").expect("old => new");
            assert!(configuration.contains(old), "{old:?} is not in {name}");
            configuration = configuration.replacen(old, &new.replace("\\n", "\n"), 1);
        } else if let Some(expected) = line.trim_start().strip_prefix("=> ") {
            let file = scratch.write("relay.toml", &configuration);
            let told = answer(&file, &question);
            if told != expected {
                wrong.push(format!("{name}: {question}\nexpected {expected}\n    told {told}"));
            }
            asked += 1;
        } else {
            question = line.to_owned();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(asked > 20, "only {asked} cases");
}

fn good(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/configuration/tests/good");
    std::fs::read_to_string(folder.join(file)).expect("a configuration of the guides")
}

/// Asks `FROM SIZE TO`, and tells the answer in one line.
fn answer(configuration: &Path, question: &str) -> String {
    let [from, size, to] = question.splitn(3, ' ').collect::<Vec<_>>().try_into().expect("FROM SIZE TO");
    let output = Command::new(program())
        .args(["route", "--json", "--config"])
        .arg(configuration)
        .args(["--from", from, "--size", size, to])
        .output()
        .expect("relay route");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{question}: {} {complaint}", output.status);
    told(&serde_json::from_slice(&output.stdout).expect("one line of JSON"))
}

fn told(line: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let result = text(&line["result"]);
    let way = || {
        let facts = [&line["delivery_type"], &line["address_space"]].map(text);
        let facts = facts.into_iter().filter(|fact| !fact.is_empty()).collect::<Vec<_>>().join(", ");
        format!("{} ({facts})", text(&line["next_hop"]))
    };
    let decision = match result.as_str() {
        "route" => format!("{} -> {}", text(&line["connector"]), way()),
        "unreachable" => format!("unreachable -> {}", way()),
        _ => format!("{result} {}", text(&line["status"])),
    };
    let candidates = line["candidates"].as_array().expect("a list of candidates").iter();
    let reasons: Vec<String> = candidates
        .map(|candidate| {
            let reason = format!("{}: {}", text(&candidate["connector"]), text(&candidate["reason"]));
            match candidate["reason"].as_str() {
                Some("too_large") => format!("{reason} {} > {}", candidate["size"], candidate["limit"]),
                _ => reason,
            }
        })
        .collect();
    if reasons.is_empty() { decision } else { format!("{decision} | {}", reasons.join(", ")) }
}
