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
    let speaks = matches!(
        arguments.command,
        None | Some(Command::Run | Command::Check | Command::HashPassword { .. })
    );
    logging::start(arguments.log_format, if speaks { "info" } else { "warn" });
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime does not start");
            return Exit::Temporary.into();
        }
    };
    let exit = runtime.block_on(carry_out(arguments)).unwrap_or_else(|exit| exit);
    // What still runs in the background has had its bounded chance.
    runtime.shutdown_background();
    exit.into()
}

async fn carry_out(arguments: Arguments) -> Result<Exit, Exit> {
    let file = arguments.configuration();
    match (arguments.command, file.as_deref()) {
        (Some(Command::Run | Command::Check), None) => {
            eprintln!("relay: say which configuration: --config FILE, or RELAY_CONFIG");
            Err(Exit::Usage)
        }
        (None | Some(Command::Run), file) => commands::run::run(file).await,
        (Some(Command::Check), Some(file)) => commands::check::check(file),
        (Some(Command::Route(asked)), file) => commands::route::route(&asked, file),
        (Some(Command::Connectors { json }), file) => commands::connectors::connectors(file, json),
        (Some(Command::Send(asked)), file) => commands::send::send(&asked, file).await,
        (Some(Command::Queue(command)), file) => commands::queue::queue(command, file).await,
        (Some(Command::HashPassword { scram }), _) => Ok(commands::hash_password::hash_password(scram)),
        (Some(Command::Demo), _) => Ok(demo::demo().await),
    }
}
