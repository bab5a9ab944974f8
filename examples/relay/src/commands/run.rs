//! `relay` and `relay run`: runs until it is told to stop, and reloads when it is told to.

use std::io::{self, Write as _};
use std::path::Path;

use postroad_configuration::{Configuration, Opened, QueueStore, Reloads};
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

/// SIGTERM and SIGINT.
struct Stop(Signal, Signal);

impl Stop {
    async fn told(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

async fn start(configuration: Configuration, file: Option<&Path>) -> Result<Exit, Exit> {
    let receive = || {
        let stop = Stop(signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok::<_, io::Error>((stop, signal(SignalKind::hangup())?))
    };
    let Ok((mut stop, hang_up)) = receive() else {
        eprintln!("relay: signals cannot be received");
        return Err(Exit::Temporary);
    };
    let house = tokio::select! {
        house = House::open(configuration.clone(), None) => house.map_err(|refused| refused.say())?,
        () = stop.told() => return Ok(Exit::Ok),
    };
    if file.is_none() {
        welcome(&configuration, &house);
    }
    for listener in house.listeners() {
        tracing::info!(%listener, "listening");
    }
    // Nobody may be listening any more, which is no reason to stop.
    let _ = writeln!(io::stdout(), "ready");
    let (named, reader) = (file.map(Path::to_owned), house.reader());
    let reloads = Reloads::new(file, move || {
        let changed = reread(named.as_deref())?;
        reader(changed).map_err(|refused| refused.say_of_a_reload()).ok()
    });
    let (tell, told) = mpsc::channel(1);
    let mut running = tokio::spawn(house.run(told));
    let (ended, told_to) = tokio::select! {
        () = watch_over(stop, hang_up, reloads, tell) => (running.await, true),
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
async fn watch_over(
    mut stop: Stop,
    mut hang_up: Signal,
    mut reloads: Reloads<Opened>,
    tell: mpsc::Sender<Opened>,
) {
    loop {
        tokio::select! {
            () = stop.told() => return,
            _ = hang_up.recv() => reloads.ask(),
            changed = reloads.next() => tokio::select! {
                // Told to stop, it need not come to this one.
                _ = tell.send(changed) => {}
                () = stop.told() => return,
            }
        }
    }
}

/// A changed configuration, in which nothing is wrong.
fn reread(file: Option<&Path>) -> Option<Configuration> {
    let Ok(changed) = configuration(file) else {
        tracing::error!("the configuration has errors; the old one stays in force");
        return None;
    };
    print(&[changed.warnings.clone(), changed.check_disk()].concat());
    Some(changed)
}

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
