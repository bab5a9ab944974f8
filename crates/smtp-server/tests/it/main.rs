//! Servers on loopback ports of their own, spoken to as an application would.

mod binding;
mod certificates;
#[cfg(unix)]
mod descriptors;
mod doorkeeper;
mod effects;
#[cfg(unix)]
mod example;
mod fronts;
mod house;
#[cfg(target_os = "linux")]
mod iis;
mod keywords;
mod large_content;
mod limits;
mod logons;
#[cfg(target_os = "linux")]
mod many;
mod pieces;
#[cfg(target_os = "linux")]
mod relay_right;
mod scenarios;
mod stopping;
mod tls;
#[cfg(target_os = "linux")]
mod unfinished;
