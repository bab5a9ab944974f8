//! The relay: reads `relay.toml`, starts the transport, stops it. Each command is one small room.

use std::process::ExitCode;

use clap::Parser;

mod arguments;
mod commands;
mod demo;
mod exit;
mod house;
mod logging;

use arguments::{Arguments, Command};
use exit::Exit;

/// Messages are many small pieces that one thread makes and another lets go.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(refusal) => {
            // Help and version are answers, everything else is a usage error.
            let exit = if refusal.use_stderr() { Exit::Usage } else { Exit::Ok };
            let _ = refusal.print();
            return exit.into();
        }
    };
    let quiet = matches!(
        arguments.command,
        Some(Command::Demo | Command::Route(_) | Command::Connectors { .. } | Command::Queue(_))
    );
    logging::start(arguments.log_format, if quiet { "warn" } else { "info" });
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime does not start");
            return Exit::Temporary.into();
        }
    };
    let exit = runtime.block_on(async {
        match arguments.command {
            None => commands::run::safe_default().await,
            Some(Command::Run { config }) => commands::run::configured(&config).await,
            Some(Command::Check { config }) => commands::check::check(&config),
            Some(Command::Route(asked)) => commands::route::route(&asked),
            Some(Command::Connectors { config, json }) => {
                commands::connectors::connectors(config.as_deref(), json)
            }
            Some(Command::Send(asked)) => commands::send::send(&asked).await,
            Some(Command::Queue(command)) => commands::queue::queue(command).await,
            Some(Command::HashPassword { scram }) => commands::hash_password::hash_password(scram),
            Some(Command::Demo) => demo::demo().await,
        }
    });
    // What still runs in the background has had its bounded chance.
    runtime.shutdown_background();
    exit.into()
}
