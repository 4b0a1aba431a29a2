//! `minutebook import`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use domain::limits::{IMPORT_RECORDS_MAX, IMPORT_WAVE_BYTES_MAX};
use domain::values::{Currency, Slug};
use futures_util::future::join_all;
use serde_json::json;

use super::target::{Target, blocking};
use crate::app::{AppError, operator};
use crate::client::Remote;
use crate::import::csv::Columns;
use crate::import::records::Record;
use crate::import::{Broken, Counts, Format, Importer, Settings, source};
use crate::output;

#[derive(Args)]
pub(crate) struct Common {
    /// Slug of the business; registered when it is missing.
    #[arg(long)]
    business: Slug,
    /// Currency of amounts that come without one.
    #[arg(long, default_value = "USD")]
    currency: Currency,
    /// Print the counts as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Import {
    /// Tool-call transcripts: a JSON array or JSON Lines of trajectories in the form of tau-bench.
    Transcript {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// Langfuse traces: files of `{trace, observations}`.
    Langfuse {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// OpenHands runs: a JSON array of events, or JSON Lines of runs with their history.
    Openhands {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// SWE-agent trajectories (`.traj`).
    SweAgent {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// XES process logs, plain or gzipped: every trace a task, every event an activity.
    Xes {
        /// The file.
        file: PathBuf,
        /// Key of an attribute that is about nobody: kept in the clear too. Can be repeated.
        #[arg(long)]
        clear: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// CSV process logs: every row an activity.
    Csv {
        /// The file.
        file: PathBuf,
        /// Column of the case.
        #[arg(long)]
        case: String,
        /// Column of the activity.
        #[arg(long)]
        activity: String,
        /// Column of the time: RFC 3339, a blank for the T allowed, UTC without an offset.
        #[arg(long)]
        time: String,
        /// Column of who did it.
        #[arg(long)]
        resource: Option<String>,
        /// Column of the step of doing it, such as start or complete.
        #[arg(long)]
        lifecycle: Option<String>,
        /// Column to keep as an attribute; all others when none is given. Can be repeated.
        #[arg(long)]
        attr: Vec<String>,
        /// Column that is about nobody: kept in the clear too. Can be repeated.
        #[arg(long)]
        clear: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Documents of a folder (.md, or .json with id, title and content) as domain expertise.
    Documents {
        /// The folder.
        folder: PathBuf,
        #[command(flatten)]
        common: Common,
    },
}

/// What is to be done, whatever the format.
struct Work {
    format: Format,
    files: Vec<PathBuf>,
    columns: Columns,
    clear: Vec<String>,
    common: Common,
}

impl From<Import> for Work {
    fn from(import: Import) -> Self {
        let work = |format, files, common| Self { format, files, columns: Columns::default(), clear: Vec::new(), common };
        match import {
            Import::Transcript { file, common } => work(Format::Transcript, vec![file], common),
            Import::Langfuse { files, common } => work(Format::Langfuse, files, common),
            Import::Openhands { file, common } => work(Format::Openhands, vec![file], common),
            Import::SweAgent { files, common } => work(Format::SweAgent, files, common),
            Import::Xes { file, clear, common } => Self { clear, ..work(Format::Xes, vec![file], common) },
            Import::Csv { file, case, activity, time, resource, lifecycle, attr, clear, common } => {
                let columns = Columns { case, activity, time, resource, lifecycle, attributes: attr };
                Self { columns, clear, ..work(Format::Csv, vec![file], common) }
            }
            Import::Documents { folder, common } => work(Format::Documents, vec![folder], common),
        }
    }
}

enum Sink {
    Local(Box<Importer>),
    Remote(Remote, Format, Settings),
}

impl Sink {
    async fn take(&self, file: &Path, record: Record) -> Counts {
        let Record { number, line, bytes, .. } = record;
        let taken = match (self, bytes) {
            (_, Err(why)) => Err(why),
            (Self::Local(importer), Ok(bytes)) => importer.record(&bytes).await,
            (Self::Remote(remote, format, settings), Ok(bytes)) => {
                let (remote, body) = (remote.clone(), json!({"settings": settings, "record": String::from_utf8_lossy(&bytes)}));
                let path = format!("/v1/imports/{}", format.name());
                let answer = blocking(move || remote.post(&path, &body, &[])).await;
                answer.and_then(|v| serde_json::from_value(v).map_err(AppError::other)).map_err(|e| e.to_string())
            }
        };
        let file = file.file_name().map(|f| f.to_string_lossy().into_owned()).unwrap_or_default();
        taken.unwrap_or_else(|why| Counts { broken: vec![Broken { file, record: number, line, why }], ..Counts::default() })
    }
}

pub(crate) async fn import(target: Target, import: Import) -> Result<ExitCode, AppError> {
    let work = Work::from(import);
    let result = run(&target, &work).await;
    if let (Target::Local(app), Ok(_)) = (&target, &result) {
        app.caught_up(std::time::Duration::from_secs(3_600)).await?;
    }
    target.close().await;
    let counts = result?;
    for broken in &counts.broken {
        output::note(format!("{}: record {} (line {}): {}", broken.file, broken.record, broken.line, broken.why));
    }
    if counts.broken_untold > 0 {
        output::note(format!("and {} more records that could not be taken", counts.broken_untold));
    }
    if work.common.json {
        output::json(&counts);
    } else {
        show(&counts);
    }
    Ok(ExitCode::from(u8::from(!counts.broken.is_empty())))
}

async fn run(target: &Target, work: &Work) -> Result<Counts, AppError> {
    let settings = Settings { business: work.common.business.to_string(), currency: work.common.currency, clear: work.clear.clone() };
    let mut total = Counts { currency: settings.currency.to_string(), ..Counts::default() };
    total.add(&Counts::default());
    // Every file is looked at before the first is taken: a wrong name or column leaves nothing behind.
    let open = |file: &PathBuf| source::open(work.format, file, &work.columns).map_err(|e| AppError::other(format!("{}: {e}", file.display())));
    for file in &work.files {
        drop(open(file)?);
    }
    let sink = match target {
        Target::Local(app) => Sink::Local(Box::new(Importer::prepare(app, work.format, &settings, operator()).await?)),
        Target::Remote(remote) => Sink::Remote(remote.clone(), work.format, settings),
    };
    let mut done = 0;
    for file in &work.files {
        records_of(&sink, file, open(file)?, &mut total, &mut done).await?;
    }
    output::progress_end();
    Ok(total)
}

/// Takes the records in waves; those of one lane never in the same wave. The first goes alone: over
/// a server it is the one that registers the business.
async fn records_of(sink: &Sink, file: &Path, records: source::Source, total: &mut Counts, done: &mut u64) -> Result<(), AppError> {
    let mut records = records.peekable();
    while records.peek().is_some() {
        let (mut wave, mut lanes, mut bytes) = (Vec::new(), HashSet::new(), 0);
        let room = if *done == 0 { 1 } else { IMPORT_RECORDS_MAX };
        while wave.len() < room
            && bytes < IMPORT_WAVE_BYTES_MAX
            && let Some(record) = records.next_if(|r| r.as_ref().map_or(true, |r| r.lane.as_ref().is_none_or(|lane| !lanes.contains(lane))))
        {
            let record = record.map_err(|e| AppError::other(format!("{}: {e}; what was read is imported, run it again to go on", file.display())))?;
            lanes.extend(record.lane.clone());
            bytes += record.bytes.as_ref().map_or(0, Vec::len);
            wave.push(record);
        }
        *done += wave.len() as u64;
        for counts in join_all(wave.into_iter().map(|record| sink.take(file, record))).await {
            total.add(&counts);
        }
        output::progress(format!("{done} records, {} events", total.events_written));
    }
    Ok(())
}

fn show(c: &Counts) {
    let of_source: Vec<String> = c.source.iter().map(|(word, n)| format!("{n} {}", word.replace('_', " "))).collect();
    if !of_source.is_empty() {
        output::line(format!("read: {}", of_source.join(", ")));
    }
    output::line(format!("{} tasks, {} decisions, {} calls of which {} failed", c.tasks, c.decisions, c.calls, c.calls_failed));
    if c.escalated + c.passed > 0 {
        output::line(format!("{} escalated, {} passed of which {} had been escalated", c.escalated, c.passed, c.passed_escalated));
        output::line(format!("{} {} for the customers' side ({} records do not say)", c.customer_cost, c.currency, c.customer_cost_unknown));
    }
    output::line(format!("{} {} spent", c.cost, c.currency));
    output::line(format!(
        "{} events written, {} commands had been accepted before, {} broken records",
        c.events_written,
        c.commands_repeated,
        c.broken.len() as u64 + c.broken_untold
    ));
}
