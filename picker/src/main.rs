//! The endpoint picker.

use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use picker::args::normalise::normalise;
use picker::args::{Cli, Command, ExplainArgs, ServeArgs, consequence};
use picker::{app, catalogue, check, explain, logging, open_files, termination};
use tokio::runtime::Builder;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// With fewer open files than this, the limits on connections (`picker_serve::accept`) would come too late.
const FILES: u64 = 16 << 10;

fn main() -> ExitCode {
    let normalised = normalise(std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()));
    let cli = match Cli::try_parse_from(normalised.args) {
        Ok(cli) => cli,
        Err(error) => {
            if error.use_stderr() {
                let text = error.to_string();
                termination::write(Path::new(termination::FILE), text.lines().next().unwrap_or_default());
            }
            error.exit()
        }
    };
    match cli.command {
        Some(Command::Check { files }) => ExitCode::from(check::run(&files, &mut std::io::stdout().lock())),
        Some(Command::Plugins { types, output }) => {
            ExitCode::from(catalogue::run(&types, output, &mut std::io::stdout().lock()))
        }
        Some(Command::Explain(args)) => explain(&args),
        None => serve(cli.serve, &normalised.ignored),
    }
}

fn explain(args: &ExplainArgs) -> ExitCode {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(explain::UNASKED);
        }
    };
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    ExitCode::from(runtime.block_on(explain::run(args, &mut out, &mut err)))
}

fn serve(args: ServeArgs, ignored: &[String]) -> ExitCode {
    logging::init(&args);
    #[cfg(target_os = "linux")]
    if let Err(error) = picker::huge_pages::off() {
        tracing::debug!(%error, "whether there are huge pages is the kernel's decision");
    }
    if let Some(most) = open_files::raise().filter(|most| *most < FILES) {
        tracing::warn!(
            most,
            "few files may be open (ulimit -n): beyond that, endpoints and gateways can't connect"
        );
    }
    if !ignored.is_empty() {
        tracing::warn!(flags = ignored.join(" "), "these flags change nothing in this release");
    }
    for flag in ignored {
        if let Some(consequence) = consequence(flag) {
            tracing::warn!(flag, "{consequence}");
        }
    }
    // The one provider of cryptography in the process; a second installation would be a fault elsewhere.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = format!("{error:#}");
            termination::write(Path::new(termination::FILE), &error);
            tracing::error!(error, "the picker can't serve");
            ExitCode::FAILURE
        }
    }
}

fn run(args: ServeArgs) -> Result<()> {
    let traffic = Builder::new_multi_thread().enable_all().thread_name("traffic").build()?;
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let background = Builder::new_multi_thread()
        .enable_all()
        .worker_threads(cores.div_ceil(2))
        .thread_name("background")
        .build()?;
    let alone = |name| Builder::new_multi_thread().enable_all().worker_threads(1).thread_name(name).build();
    let (probes, pages) = (alone("probes")?, alone("pages")?);
    let threads = app::Threads {
        traffic: traffic.handle().clone(),
        probes: probes.handle().clone(),
        pages: pages.handle().clone(),
    };
    if args.bbr.is_on() {
        background.block_on(app::by_body::serve(args, threads))
    } else {
        background.block_on(app::serve(args, threads))
    }
}
