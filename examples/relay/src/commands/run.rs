//! `relay` and `relay run`: runs until it is told to stop, and reloads when it is told to.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use postroad_configuration::{Configuration, FileWatch, QueueStore};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::commands::{configuration, print};
use crate::exit::Exit;
use crate::house::{self, House};

/// `relay run`, and plain `relay`: the configuration of a file, or the safe default in the working directory.
pub(crate) async fn run(file: Option<&Path>) -> Result<Exit, Exit> {
    let configuration = configuration(file)?;
    match file {
        Some(_) => print(&[configuration.warnings.clone(), configuration.check_disk()].concat()),
        // Only here is Drop made for its owner: nobody wrote a configuration that names another.
        None => {
            let mut drops = configuration.drop_directories().into_values();
            drops.try_for_each(|drop| house::create(drop.path())).map_err(|refused| refused.say())?;
        }
    }
    start(configuration, file).await
}

/// SIGTERM and SIGINT stop, SIGHUP reloads.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

async fn start(configuration: Configuration, file: Option<&Path>) -> Result<Exit, Exit> {
    let signals =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()));
    let (Ok(terminate), Ok(interrupt), Ok(hang_up)) = signals else {
        eprintln!("relay: signals cannot be received");
        return Err(Exit::Temporary);
    };
    let house = House::open(&configuration, None).await.map_err(|refused| refused.say())?;
    if file.is_none() {
        welcome(&configuration, &house);
    }
    for listener in house.listeners() {
        tracing::info!(%listener, "listening");
    }
    // Nobody may be listening any more, which is no reason to stop.
    let _ = writeln!(std::io::stdout(), "ready");
    let (tell, told) = mpsc::channel(1);
    let mut running = tokio::spawn(house.run(told));
    let (ended, told_to) = tokio::select! {
        () = watch_over(Signals { terminate, interrupt, hang_up }, file, tell) => (running.await, true),
        // A relay that no longer delivers must not go on looking alive.
        ended = &mut running => (ended, false),
    };
    match ended {
        Ok(Ok(())) if told_to => return Ok(Exit::Ok),
        Ok(Ok(())) => tracing::error!("the relay ended without being told to"),
        Ok(Err(error)) => tracing::error!(error, "the relay ended badly"),
        Err(error) => tracing::error!(%error, "the relay ended badly"),
    }
    Err(Exit::Temporary)
}

/// Until a signal says stop: passes on each configuration that has no errors, when the file changes or SIGHUP says so.
async fn watch_over(mut signals: Signals, file: Option<&Path>, tell: mpsc::Sender<Configuration>) {
    let mut watch = file.map(FileWatch::new);
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return,
            _ = signals.interrupt.recv() => return,
            _ = signals.hang_up.recv() => {}
            () = tokio::time::sleep(LOOK) => {
                if !watch.as_mut().is_some_and(FileWatch::has_changed) {
                    continue;
                }
            }
        }
        watch.iter_mut().for_each(FileWatch::is_read);
        match configuration(file) {
            Ok(changed) => {
                print(&[changed.warnings.clone(), changed.check_disk()].concat());
                // Told to stop, it need not come to this one.
                tokio::select! {
                    _ = tell.send(changed) => {}
                    _ = signals.terminate.recv() => return,
                    _ = signals.interrupt.recv() => return,
                }
            }
            Err(_) => tracing::error!("the configuration has errors; the old one stays in force"),
        }
    }
}

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

fn welcome(configuration: &Configuration, house: &House) {
    let listener = house.listeners().first().map(ToString::to_string).unwrap_or_default();
    println!("relay: no configuration given, so nothing leaves this machine");
    println!("  SMTP    {listener}");
    for (kind, path) in configuration.directories() {
        println!("  {kind:<7} {}", path.display());
    }
    if let QueueStore::Sqlite(queue) = &configuration.queue.store {
        println!("  queue   {}", queue.display());
    }
    println!("try: swaks --server {listener} --from joe@contoso.com --to jane@contoso.com");
}
