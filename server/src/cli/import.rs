//! `minutebook import`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use domain::limits::{IMPORT_RECORDS_MAX, IMPORT_WAVE_BYTES_MAX};
use domain::values::{Currency, Slug};
use futures_util::future::join_all;
use importers::csv::Columns;
use importers::input::Encoding;
use importers::records::Record;
use importers::source::{Reading, Source};
use importers::{
    Broken, Counts, Csv, Documents, Format, Import as Importing, Langfuse, Openhands, Settings,
    SweAgent, Transcripts, Xes,
};
use serde_json::json;
use tokio::sync::OnceCell;

use super::target::{Target, blocking};
use crate::app::{App, AppError, operator};
use crate::client::Remote;
use crate::output;

#[derive(Args)]
pub(crate) struct Common {
    /// Slug of the business; registered when it is missing.
    #[arg(long)]
    business: Slug,
    /// Currency of amounts that come without one.
    #[arg(long, default_value = "USD")]
    currency: Currency,
    /// Character encoding of the files that do not begin with a byte order mark: utf-8, utf-16le,
    /// utf-16be or iso-8859-1.
    #[arg(long, value_name = "NAME")]
    encoding: Option<Encoding>,
    /// Print the counts as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Import {
    /// Tool-call transcripts: a JSON array or JSON Lines of trajectories in the form of tau-bench.
    Transcript {
        /// File to import.
        file: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// Langfuse traces: files of `{trace, observations}`.
    Langfuse {
        /// Files to import.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// OpenHands runs: a JSON array of events, or JSON Lines of runs with their history.
    Openhands {
        /// File to import.
        file: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// SWE-agent trajectories (`.traj`).
    SweAgent {
        /// Files to import.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// XES process logs, plain or gzipped: every trace a task, every event an activity.
    Xes {
        /// File to import.
        file: PathBuf,
        /// Key of an attribute without personal data; the import also stores it unencrypted. Can be
        /// repeated.
        #[arg(long)]
        clear: Vec<String>,
        /// Also import cases without a name, and events without an activity or a time.
        #[arg(long)]
        allow_missing: bool,
        #[command(flatten)]
        common: Common,
    },
    /// CSV process logs: every row an activity.
    Csv {
        /// File to import.
        file: PathBuf,
        /// Column with the name of the case.
        #[arg(long)]
        case: String,
        /// Column with the name of the activity.
        #[arg(long)]
        activity: String,
        /// Column with the time: RFC 3339, with a blank instead of the T allowed, UTC without an
        /// offset.
        #[arg(long)]
        time: String,
        /// Column with the name of who did the activity.
        #[arg(long)]
        resource: Option<String>,
        /// Column with the step of the activity, such as start or complete.
        #[arg(long)]
        lifecycle: Option<String>,
        /// Column to keep as an attribute; all others when none is given. Can be repeated.
        #[arg(long)]
        attr: Vec<String>,
        /// Column without personal data; the import also stores it unencrypted. Can be repeated.
        #[arg(long)]
        clear: Vec<String>,
        /// Also import rows without a case, an activity or a time.
        #[arg(long)]
        allow_missing: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Documents of a folder (.md, or .json with id, title and content), stored as domain
    /// expertise.
    Documents {
        /// Folder to import.
        folder: PathBuf,
        #[command(flatten)]
        common: Common,
    },
}

/// An import as the command line describes it, whatever the format.
struct Work {
    format: Format,
    files: Vec<PathBuf>,
    reading: Reading,
    clear: Vec<String>,
    common: Common,
}

impl From<Import> for Work {
    fn from(import: Import) -> Self {
        let work = |format: Format, files, common: Common| {
            let reading = Reading { encoding: common.encoding, ..Reading::default() };
            Self { format, files, reading, clear: Vec::new(), common }
        };
        match import {
            Import::Transcript { file, common } => work(&Transcripts, vec![file], common),
            Import::Langfuse { files, common } => work(&Langfuse, files, common),
            Import::Openhands { file, common } => work(&Openhands, vec![file], common),
            Import::SweAgent { files, common } => work(&SweAgent, files, common),
            Import::Xes { file, clear, allow_missing, common } => {
                let work = work(&Xes, vec![file], common);
                Self { clear, reading: Reading { allow_missing, ..work.reading }, ..work }
            }
            Import::Csv {
                file,
                case,
                activity,
                time,
                resource,
                lifecycle,
                attr,
                clear,
                allow_missing,
                common,
            } => {
                let columns =
                    Columns { case, activity, time, resource, lifecycle, attributes: attr };
                let work = work(&Csv, vec![file], common);
                Self { clear, reading: Reading { columns, allow_missing, ..work.reading }, ..work }
            }
            Import::Documents { folder, common } => work(&Documents, vec![folder], common),
        }
    }
}

impl Work {
    /// Names the format that files look like of which nothing could be imported.
    fn name_another_format(&self) {
        for file in &self.files {
            if let Some(likely) = importers::detect(file)
                && likely.name() != self.format.name()
            {
                let (file, name) = (file.display(), likely.name());
                output::note(format!(
                    "{file} looks like {name}: `minutebook import {name} --help`"
                ));
            }
        }
    }
}

/// Where records go: to the command bus of this process, or to a server.
enum Sink<'a> {
    Local(&'a App, Settings, OnceCell<Box<Importing>>),
    Remote(Remote, Settings),
}

impl Sink<'_> {
    /// Imports a record; a faulty record is reported in the counts.
    ///
    /// # Errors
    /// When the import can't go on: the business can't be opened, the server can't be
    /// reached or says no.
    async fn take(&self, format: Format, file: &Path, record: Record) -> Result<Counts, AppError> {
        let Record { number, line, bytes, .. } = record;
        let taken = match (self, bytes) {
            (_, Err(why)) => Err(why),
            (Self::Local(app, settings, importer), Ok(bytes)) => {
                // The first record that can be read makes what the import needs: the business, when
                // it is missing.
                let known =
                    if importer.initialized() { Ok(()) } else { Importing::check(format, &bytes) };
                let prepare = || async {
                    let host = app.import_host().await?;
                    let begun = Importing::begin(&host, format, settings, operator()).await?;
                    Ok::<_, AppError>(Box::new(begun))
                };
                match known {
                    Ok(()) => importer.get_or_try_init(prepare).await?.record(&bytes).await,
                    Err(why) => Err(why),
                }
            }
            (Self::Remote(remote, settings), Ok(bytes)) => {
                Self::there(remote.clone(), settings, format, bytes).await?
            }
        };
        let file = file.file_name().map(|f| f.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(taken.unwrap_or_else(|why| Counts {
            broken: vec![Broken { file, record: number, line, why }],
            ..Counts::default()
        }))
    }

    /// Sends a record to the server; the counts report a record that the server refuses.
    async fn there(
        remote: Remote,
        settings: &Settings,
        format: Format,
        bytes: Vec<u8>,
    ) -> Result<Result<Counts, String>, AppError> {
        let Ok(record) = String::from_utf8(bytes) else {
            return Ok(Err("the record is no UTF-8".to_owned()));
        };
        let (path, body) = (
            format!("/v1/imports/{}", format.name()),
            json!({"settings": settings, "record": record}),
        );
        match blocking(move || remote.post(&path, &body, &[])).await {
            Ok(counts) => Ok(Ok(serde_json::from_value(counts).map_err(AppError::other)?)),
            Err(AppError::Refused { status: 400 | 413 | 422, detail, .. }) => Ok(Err(detail)),
            Err(e) => {
                Err(AppError::caused("what was taken before is imported, run it again to go on", e))
            }
        }
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
        output::note(format!(
            "{}: record {} (line {}): {}",
            broken.file, broken.record, broken.line, broken.why
        ));
    }
    if counts.broken_untold > 0 {
        output::note(format!("and {} more records that could not be taken", counts.broken_untold));
    }
    if counts.commands_repeated + counts.events_written == 0 && !counts.broken.is_empty() {
        work.name_another_format();
    }
    if work.common.json {
        output::json(&counts);
    } else {
        show(&counts);
    }
    Ok(ExitCode::from(u8::from(!counts.broken.is_empty())))
}

async fn run(target: &Target, work: &Work) -> Result<Counts, AppError> {
    let settings = Settings {
        business: work.common.business.to_string(),
        currency: work.common.currency,
        clear: work.clear.clone(),
    };
    let mut total = Counts { currency: settings.currency.to_string(), ..Counts::default() };
    total.add(&Counts::default());
    // Every file is looked at before the first is taken: a wrong name or column leaves nothing
    // behind.
    let open = |file: &PathBuf| {
        work.format.open(file, &work.reading).map_err(|e| AppError::caused(file.display(), e))
    };
    let mut first = None;
    for file in &work.files {
        let opened = open(file)?;
        first.get_or_insert(Some(opened));
    }
    let sink = match target {
        Target::Local(app) => Sink::Local(app, settings, OnceCell::new()),
        Target::Remote(remote) => Sink::Remote(remote.clone(), settings),
    };
    let mut progress = Progress::default();
    for file in &work.files {
        let opened = first.take().flatten().map_or_else(|| open(file), Ok)?;
        records_of((&sink, work.format), file, opened, &mut total, &mut progress).await?;
    }
    output::progress_end();
    Ok(total)
}

/// Progress of an import.
#[derive(Default)]
struct Progress {
    records: u64,
    /// True once a record was taken: the first one registers the business.
    begun: bool,
}

/// Imports the records in waves; records of one lane are never in the same wave. Until the first
/// record is taken they go one by one.
async fn records_of(
    (sink, format): (&Sink<'_>, Format),
    file: &Path,
    records: Source,
    total: &mut Counts,
    progress: &mut Progress,
) -> Result<(), AppError> {
    let mut records = records.peekable();
    while records.peek().is_some() {
        let (mut wave, mut lanes, mut bytes) = (Vec::new(), HashSet::new(), 0);
        let room = if progress.begun { IMPORT_RECORDS_MAX } else { 1 };
        while wave.len() < room
            && bytes < IMPORT_WAVE_BYTES_MAX
            && let Some(record) = records.next_if(|r| {
                r.as_ref()
                    .map_or(true, |r| r.lane.as_ref().is_none_or(|lane| !lanes.contains(lane)))
            })
        {
            let record = record.map_err(|e| {
                AppError::caused(
                    format!("{}: what was read is imported, run it again to go on", file.display()),
                    e,
                )
            })?;
            lanes.extend(record.lane.clone());
            bytes += record.bytes.as_ref().map_or(0, Vec::len);
            wave.push(record);
        }
        progress.records += wave.len() as u64;
        for counts in join_all(wave.into_iter().map(|record| sink.take(format, file, record))).await
        {
            let counts = counts?;
            progress.begun |= counts.broken.is_empty();
            total.add(&counts);
        }
        output::progress(format!("{} records, {} events", progress.records, total.events_written));
    }
    Ok(())
}

fn show(c: &Counts) {
    let of_source: Vec<String> =
        c.source.iter().map(|(word, n)| format!("{n} {}", word.replace('_', " "))).collect();
    if !of_source.is_empty() {
        output::line(format!("read: {}", of_source.join(", ")));
    }
    output::line(format!(
        "{} tasks, {} decisions, {} calls of which {} failed",
        c.tasks, c.decisions, c.calls, c.calls_failed
    ));
    if c.escalated + c.passed > 0 {
        output::line(format!(
            "{} escalated, {} passed of which {} had been escalated",
            c.escalated, c.passed, c.passed_escalated
        ));
        output::line(format!(
            "{} {} for the customers' side ({} records do not say)",
            c.customer_cost, c.currency, c.customer_cost_unknown
        ));
    }
    output::line(format!("{} {} spent", c.cost, c.currency));
    output::line(format!(
        "{} events written, {} commands had been accepted before, {} broken records",
        c.events_written,
        c.commands_repeated,
        c.broken.len() as u64 + c.broken_untold
    ));
}
