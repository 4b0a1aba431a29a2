//! The command line. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 verification found a fault.

mod consumers;
mod import;
mod keys;
pub mod list;
mod proofs;
mod read;
mod serve;
mod stop;
mod streams;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use event_log::chain;

use crate::app::AppError;
use crate::config::{Config, Overrides};
use crate::copy::{self, Installation};
use crate::presence::IfNone;
use crate::{output, stores};
use target::Target;

/// The minute book of a company of agents: every decision, approval and call, provable.
///
/// Commands work on a data folder (--data) that no server holds, or on a running server
/// (--server, with a key from --key-file or MINUTEBOOK_KEY).
#[derive(Parser)]
#[command(name = "minutebook", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Args)]
struct Global {
    /// Folder of the log, the keyring and the views [default: minutebook-data].
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Log in PostgreSQL or KurrentDB instead of the folder, such as
    /// postgres://minutebook@db/minutebook or esdb://kdb:2113; better in MINUTEBOOK_LOG when it has
    /// a password.
    #[arg(long, global = true, value_name = "URL")]
    log: Option<String>,
    /// PostgreSQL database with the keyring of a log in KurrentDB; several processes can then serve
    /// that log.
    #[arg(long, global = true, value_name = "URL")]
    keys: Option<String>,
    /// Talk to a running server instead, such as http://127.0.0.1:7117.
    #[arg(long, global = true, value_name = "URL", conflicts_with_all = ["data", "log"])]
    server: Option<String>,
    /// File with the API key for --server; else MINUTEBOOK_KEY is used.
    #[arg(long, global = true, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Settings file; config.default.toml in the source shows all there is.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve the HTTP door: commands in, GraphQL out.
    Serve(serve::Flags),
    /// Serve streams of any name to KurrentDB clients, from a file of their own: --data FILE.
    ///
    /// For tests, for copies, and to develop programs that speak with KurrentDB. It has nothing to
    /// do with the businesses of a log: those are read through `serve --kurrentdb-listen`. Example:
    /// minutebook streams --data streams.db --listen 127.0.0.1:2113
    Streams(streams::Streams),
    /// Show and control consumers: programs that act on events and continue from a stored position,
    /// for example the relay to RabbitMQ.
    Consumers {
        #[command(subcommand)]
        verb: consumers::Consumers,
    },
    /// Move house: copy a whole installation, verified on the way, and compare both sides at the
    /// end.
    ///
    /// Each side is a data folder that no server is using, postgres://… with a schema made by
    /// `migrate`, or esdb://… (its mirror is in --data, and so are its keys unless --keys names a
    /// database). An interrupted copy continues where it stopped; a target that has other events is
    /// refused.
    Copy {
        /// Source of the copy: a data folder or a URL.
        #[arg(long, value_name = "DIR|URL")]
        from: String,
        /// Target of the copy: a data folder or a URL.
        #[arg(long, value_name = "DIR|URL")]
        to: String,
    },
    /// Make the schema of a log in PostgreSQL (--log), or bring it up to date, and set owners and
    /// grants.
    Migrate {
        /// Print the SQL for a DBA to run with psql, and do nothing.
        #[arg(long)]
        print: bool,
    },
    /// Take in work that was done elsewhere. Safe to repeat and to interrupt.
    Import {
        #[command(subcommand)]
        format: import::Import,
    },
    /// Ask a GraphQL query and print the response.
    ///
    /// Example: minutebook query '{ businesses { nodes { slug tasks(first: 3) { totalCount
    /// nodes { status } } } } }'
    Query {
        /// GraphQL text of the query.
        graphql: String,
        /// Variables of the query, as a JSON object.
        #[arg(long, value_name = "JSON")]
        variables: Option<String>,
    },
    /// Send a command and print its receipt.
    ///
    /// Example: minutebook do --business acme '{"type":"tasks.plan","data":{"title":"Write the
    /// offer","team":"sales"}}'
    Do {
        /// The command: {"type", "id"?, "data", "approval_id"?, …}.
        #[arg(required_unless_present = "list")]
        command: Option<String>,
        /// Slug or id of the business; the installation when left out.
        #[arg(long)]
        business: Option<String>,
        /// Idempotency key; a fresh one when left out.
        #[arg(long)]
        key: Option<String>,
        /// Version that the aggregate must have; otherwise the command is refused.
        #[arg(long, value_name = "VERSION")]
        if_match: Option<u64>,
        /// List every command in a sentence; with TYPE, show who may send it, its fields and an
        /// example.
        #[arg(long, value_name = "TYPE", num_args = 0..=1)]
        list: Option<Option<String>>,
    },
    /// Print a business's events as they are stored, oldest first, one JSON line each.
    Replay {
        /// Slug or id of the business.
        #[arg(long)]
        business: String,
        /// First seq to print.
        #[arg(long, default_value_t = 1)]
        from: u64,
    },
    /// Compute every Merkle tree and version chain again from the stored bytes; exit 3 and name the
    /// first bad event if anything is wrong.
    ///
    /// With FILE, a JSON Lines export is verified instead; with --proof, the proof of one event.
    /// Neither needs a data folder.
    Verify {
        /// Export to verify; its manifest must lie beside it.
        #[arg(conflicts_with_all = ["proof", "json"])]
        file: Option<PathBuf>,
        /// Proof of an event, as `prove` writes it.
        #[arg(long, value_name = "FILE", conflicts_with = "json")]
        proof: Option<PathBuf>,
        /// Key to trust, such as minutebook.local/…+…+…; else the key in the file.
        #[arg(long, value_name = "VKEY")]
        vkey: Option<String>,
        /// Slug or id of one business, to verify only its stream. With --server, the business's
        /// owners and auditors may do this as well as operators.
        #[arg(long, conflicts_with_all = ["file", "proof"])]
        business: Option<String>,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write the proof that an event stands in the record, to be checked anywhere.
    Prove {
        /// Id of the event.
        event: String,
        /// Slug or id of the business.
        #[arg(long)]
        business: String,
        /// File to write; standard output when left out.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Write a business's whole record to a file, with a manifest beside it; that it was done is on
    /// record.
    Export {
        /// Slug or id of the business.
        #[arg(long)]
        business: String,
        /// jsonl (the stored bytes, verifiable), cloudevents or csv.
        #[arg(long, default_value = "jsonl")]
        format: domain::operations::ExportFormat,
        /// File to write; the manifest is written beside it.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// See how far the views are, or build them anew.
    Projections {
        #[command(subcommand)]
        verb: read::Projections,
    },
    /// Manage API keys of principals, and keys of data subjects.
    Keys {
        #[command(subcommand)]
        verb: keys::Keys,
    },
    /// Print every named limit.
    Limits,
    /// Write (or check) the committed contracts: event schemas, examples and the GraphQL SDL.
    #[command(hide = true)]
    Contracts {
        /// Root folder of the source.
        root: PathBuf,
        /// Write the contracts that differ.
        #[arg(long)]
        write: bool,
    },
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    // In a program for tests alone: panics that `FAILPOINTS` plants.
    let _planted = fail::has_failpoints().then(fail::FailScenario::setup);
    let cli = Cli::parse();
    if !matches!(cli.verb, Verb::Contracts { .. }) {
        // What is made is its owner's alone; exports and proofs too, until their owner says
        // otherwise.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            output::note(format!("minutebook: {}", chain(&e)));
            return ExitCode::from(1);
        }
    };
    let result = runtime.block_on(carry_out(cli));
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    result.unwrap_or_else(|e| {
        output::note(format!("minutebook: {}", chain(&e)));
        ExitCode::from(1)
    })
}

async fn carry_out(cli: Cli) -> Result<ExitCode, AppError> {
    let Cli { global, verb } = cli;
    let mut overrides = Overrides {
        data: global.data.clone(),
        log: global.log.clone(),
        keys: global.keys.clone(),
        ..Overrides::default()
    };
    if let Verb::Serve(flags) = &verb {
        overrides = flags.over(overrides);
    }
    let config = Config::load(global.config.clone(), overrides).map_err(AppError::other)?;
    let done = |result: Result<(), AppError>| result.map(|()| ExitCode::SUCCESS);
    let open = |if_none| {
        Target::open(&config, global.server.as_deref(), global.key_file.as_deref(), if_none)
    };
    let target = || open(IfNone::Refuse);
    match verb {
        Verb::Serve(_) => done(serve::serve(&config).await),
        Verb::Streams(how) => done(streams::serve(global.data, how).await),
        Verb::Copy { from, to } => {
            let folder_named =
                global.data.is_some() || std::env::var_os("MINUTEBOOK_DATA").is_some();
            copy_installation(&config, folder_named, &from, &to).await
        }
        Verb::Consumers { verb } => done(consumers::consumers(target().await?, verb).await),
        Verb::Migrate { print } => migrate(&config, print).await,
        Verb::Import { format } => import::import(open(IfNone::Make).await?, format).await,
        Verb::Query { graphql, variables } => {
            read::query(target().await?, &graphql, variables.as_deref()).await
        }
        Verb::Do { list: Some(name), .. } => done(list::list(name.as_deref())),
        Verb::Do { command, business, key, if_match, .. } => done(
            read::submit(
                target().await?,
                &command.unwrap_or_default(),
                business.as_deref(),
                key,
                if_match,
            )
            .await,
        ),
        Verb::Replay { business, from } => {
            done(read::replay(target().await?, &business, from).await)
        }
        Verb::Verify { file: Some(file), vkey, .. } => proofs::verify_file(&file, vkey.as_deref()),
        Verb::Verify { proof: Some(file), vkey, .. } => {
            proofs::verify_proof(&file, vkey.as_deref())
        }
        Verb::Verify { json, business, .. } => {
            read::verify(target().await?, business.as_deref(), json).await
        }
        Verb::Prove { event, business, out } => {
            done(proofs::prove(target().await?, &business, &event, out.as_deref()).await)
        }
        Verb::Export { business, format, out } => {
            done(proofs::export(target().await?, &business, format, &out).await)
        }
        Verb::Projections { verb } => done(read::projections(target().await?, verb).await),
        Verb::Keys { verb } => done(keys::keys(target().await?, verb).await),
        Verb::Limits => {
            show_limits();
            Ok(ExitCode::SUCCESS)
        }
        Verb::Contracts { root, write } => crate::contracts::run(&root, write)
            .map(|same| if same { ExitCode::SUCCESS } else { ExitCode::from(1) }),
    }
}

async fn migrate(config: &Config, print: bool) -> Result<ExitCode, AppError> {
    if print {
        output::line(stores::print_migration(config).await?);
        return Ok(ExitCode::SUCCESS);
    }
    output::line(match stores::migrate(config).await? {
        0 => "the schema is up to date; owners and grants were set again".to_owned(),
        steps => {
            format!("the schema is up to date: {steps} steps were made, owners and grants were set")
        }
    });
    Ok(ExitCode::SUCCESS)
}

fn show_limits() {
    for (name, value, unit) in domain::limits::ALL {
        output::line(format!("{name:<20} {value:>12} {unit}"));
    }
}

async fn copy_installation(
    config: &Config,
    folder_named: bool,
    from: &str,
    to: &str,
) -> Result<ExitCode, AppError> {
    let (from, to) = (Installation::named(from, config)?, Installation::named(to, config)?);
    if !folder_named
        && [&from, &to].iter().any(|house| matches!(house, Installation::Kurrent { .. }))
    {
        return Err(AppError::other(
            "name the folder of the cluster's mirror, attempts and keys: --data DIR",
        ));
    }
    let wrapping = copy::wrapping(&from, &to, &config.keyring_key_file)?;
    let moved =
        copy::copy(&from, &to, &wrapping, |at, end| output::progress(format!("{at} of {end}")))
            .await?;
    output::progress_end();
    output::json(&serde_json::to_value(&moved).map_err(AppError::other)?);
    if !moved.same {
        output::note("the two sides are not the same");
        return Ok(ExitCode::from(3));
    }
    output::note(
        "both sides are the same. What wraps the keys (keyring.key, or the passphrase) and the \
         list `forgotten` beside it are not copied: take them along",
    );
    Ok(ExitCode::SUCCESS)
}

/// Checks the command line's own definition.
#[cfg(test)]
#[test]
fn verify_cli() {
    use clap::CommandFactory as _;
    Cli::command().debug_assert();
}
