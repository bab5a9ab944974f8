//! Watches one Pickup directory and prints what applications leave there: `cargo run --example watch_pickup -- Pickup`.
//!
//! The whole of it without queue, relay or runtime: poll, claim, read, decode, stamp, settle.
#![expect(clippy::disallowed_methods, reason = "a program asks the clock, the library does not")]

use std::error::Error;
use std::time::{Duration, Instant, SystemTime};

use postroad_address_space::Domain;
use postroad_message::Timestamp;
use postroad_message_directory::{Arrival, Badmail, Claimed, Dialect, Directory, RateLimit, Skipped, pickup};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: watch_pickup DIRECTORY")?;
    let domain = Domain::parse("example.com")?;
    let mut directory = Directory::new(path, Dialect::Exchange);
    let mut limit = RateLimit::new(100, Instant::now());
    directory.recover(now())?;
    loop {
        let poll = directory.poll(limit.allowance(Instant::now()), now())?;
        for oddity in poll.oddities {
            eprintln!("{}: {}, left alone", oddity.name.display(), oddity.why);
        }
        for candidate in poll.candidates {
            limit.spend(1);
            match directory.claim(&candidate, now()) {
                Ok(claimed) => take(claimed, &domain)?,
                Err(why) if why.is_ordinary() => (),
                Err(why) => eprintln!("{}: {why}", candidate.name.display()),
            }
        }
        std::thread::sleep(Duration::from_secs(5));
    }
}

fn take(mut claimed: Claimed, domain: &Domain) -> Result<(), Box<dyn Error>> {
    let file = match claimed.read() {
        Ok(file) => file,
        Err(why @ Skipped::TooLarge { .. }) => {
            eprintln!("{}: {why}", claimed.refuse(now())?.display());
            return Ok(());
        }
        // Somebody writes, or the disk fails: neither is the letter's fault.
        Err(_) => return Ok(claimed.release(now())?),
    };
    let arrival = Arrival::new("watcher.example.com", domain, now(), claimed.identity().to_bytes());
    let message =
        pickup::decode(&file, &pickup::Rules::default()).and_then(|file| file.into_message(&arrival));
    match message {
        Ok((envelope, content)) => {
            println!("{} {} bytes", envelope.reverse_path, content.len());
            for recipient in &envelope.recipients {
                println!("  to {}", recipient.address);
            }
            // Only now, when whoever takes the message has it for sure.
            claimed.settle()?;
        }
        Err(badmail) => refuse(claimed, &badmail)?,
    }
    Ok(())
}

fn refuse(claimed: Claimed, badmail: &Badmail) -> Result<(), Box<dyn Error>> {
    if let Some(sender) = badmail.return_to() {
        println!("a report is owed to {sender}: {badmail}");
    }
    eprintln!("{}: {badmail}", claimed.refuse(now())?.display());
    Ok(())
}

fn now() -> Timestamp {
    SystemTime::now().into()
}
