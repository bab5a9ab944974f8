//! `relay` and `relay run`: runs until it is told to stop, and reloads when it is told to.

use std::io::Write as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postroad_configuration::{Configuration, FileWatch, QueueStore};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::commands::{configuration, print};
use crate::exit::Exit;
use crate::house::{self, House, Reader, Ready};

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

/// SIGHUP reloads, the others stop.
struct Signals {
    stop: Stop,
    hang_up: Signal,
}

/// SIGTERM and SIGINT.
struct Stop(Signal, Signal);

impl Signals {
    fn receive() -> std::io::Result<Self> {
        let stop = Stop(signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { stop, hang_up: signal(SignalKind::hangup())? })
    }
}

impl Stop {
    async fn told(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

async fn start(configuration: Configuration, file: Option<&Path>) -> Result<Exit, Exit> {
    let Ok(mut signals) = Signals::receive() else {
        eprintln!("relay: signals cannot be received");
        return Err(Exit::Temporary);
    };
    let house = tokio::select! {
        house = House::open(configuration.clone(), None) => house.map_err(|refused| refused.say())?,
        () = signals.stop.told() => return Ok(Exit::Ok),
    };
    if file.is_none() {
        welcome(&configuration, &house);
    }
    for listener in house.listeners() {
        tracing::info!(%listener, "listening");
    }
    // Nobody may be listening any more, which is no reason to stop.
    let _ = writeln!(std::io::stdout(), "ready");
    let watch =
        Watch { file: file.map(Path::to_owned), changes: file.map(FileWatch::new), reader: house.reader() };
    let (tell, told) = mpsc::channel(1);
    let mut running = tokio::spawn(house.run(told));
    let (ended, told_to) = tokio::select! {
        () = watch_over(signals, watch, tell) => (running.await, true),
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
///
/// One look at a time is under way, beside the signals: a file that hangs keeps nobody but itself. SIGHUP meanwhile counts for
/// the next one.
async fn watch_over(mut signals: Signals, watch: Watch, tell: mpsc::Sender<Ready>) {
    let (mut resting, mut looks) = (Some(watch), JoinSet::new());
    let (mut asked, mut warned) = (false, false);
    loop {
        if asked && let Some(watch) = resting.take() {
            asked = false;
            looks.spawn_blocking(move || watch.look(true));
        }
        tokio::select! {
            () = signals.stop.told() => return,
            _ = signals.hang_up.recv() => asked = true,
            () = tokio::time::sleep(LOOK), if resting.is_some() => {
                if let Some(watch) = resting.take() {
                    looks.spawn_blocking(move || watch.look(false));
                }
            }
            () = tokio::time::sleep(SLOW), if resting.is_none() && !warned => {
                warned = true;
                tracing::warn!("a file of the configuration is slow to read; until it is read nothing changes");
            }
            Some(looked) = looks.join_next() => {
                let (watch, changed) = looked.unwrap_or_else(|error| resume_unwind(error.into_panic()));
                (resting, warned) = (Some(watch), false);
                let Some(changed) = changed else { continue };
                // Told to stop, it need not come to this one.
                tokio::select! {
                    _ = tell.send(changed) => {}
                    () = signals.stop.told() => return,
                }
            }
        }
    }
}

/// The file of a configuration, and who reads what stands in it.
struct Watch {
    file: Option<PathBuf>,
    changes: Option<FileWatch>,
    reader: Reader,
}

impl Watch {
    /// Reads the file and what it names, where it changed or somebody asked for it.
    fn look(mut self, asked: bool) -> (Self, Option<Ready>) {
        let changed = asked || self.changes.as_mut().is_some_and(FileWatch::has_changed);
        let ready = if changed { self.read() } else { None };
        (self, ready)
    }

    fn read(&mut self) -> Option<Ready> {
        self.changes.iter_mut().for_each(FileWatch::is_read);
        let Ok(changed) = configuration(self.file.as_deref()) else {
            tracing::error!("the configuration has errors; the old one stays in force");
            return None;
        };
        print(&[changed.warnings.clone(), changed.check_disk()].concat());
        self.reader.read(changed).map_err(|refused| refused.say_of_a_reload()).ok()
    }
}

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long a look may take before somebody is told.
const SLOW: Duration = Duration::from_secs(10);

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
