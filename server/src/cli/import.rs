//! `minutebook import`.

use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use domain::limits::IMPORT_RECORDS_MAX;
use domain::values::{Currency, Slug};
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use super::target::{Target, blocking};
use crate::app::{AppError, operator};
use crate::client::Remote;
use crate::import::records::{Record, Records};
use crate::import::{Broken, Counts, Settings, transcript};
use crate::output;

#[derive(Subcommand)]
pub(crate) enum Format {
    /// Tool-call transcripts: a JSON array or JSON Lines of trajectories in the form of tau-bench.
    Transcript {
        /// The file.
        file: PathBuf,
        /// Slug of the business; registered when it is missing.
        #[arg(long)]
        business: Slug,
        /// Currency of amounts that come without one.
        #[arg(long, default_value = "USD")]
        currency: Currency,
        /// Print the counts as one JSON object.
        #[arg(long)]
        json: bool,
    },
}

enum Sink {
    Local(transcript::Importer),
    Remote(Remote, Settings),
}

impl Sink {
    async fn take(&self, record: Record) -> Counts {
        let Record { number, line, bytes } = record;
        let taken = match (self, bytes) {
            (_, Err(why)) => Err(why),
            (Self::Local(importer), Ok(bytes)) => importer.record(&bytes).await,
            (Self::Remote(remote, settings), Ok(bytes)) => {
                let (remote, body) = (remote.clone(), json!({"settings": settings, "record": String::from_utf8_lossy(&bytes)}));
                let answer = blocking(move || remote.post("/v1/imports/transcript", &body, &[])).await;
                answer.and_then(|v| serde_json::from_value(v).map_err(AppError::other)).map_err(|e| e.to_string())
            }
        };
        taken.unwrap_or_else(|why| Counts { broken: vec![Broken { record: number, line, why }], ..Counts::default() })
    }
}

pub(crate) async fn import(target: Target, format: Format) -> Result<ExitCode, AppError> {
    let Format::Transcript { file, business, currency, json } = format;
    let settings = Settings { business: business.to_string(), currency };
    let result = run(&target, &file, settings).await;
    if let (Target::Local(app), Ok(_)) = (&target, &result) {
        app.caught_up(std::time::Duration::from_secs(3_600)).await?;
    }
    target.close().await;
    let counts = result?;
    for broken in &counts.broken {
        output::note(format!("{}: record {} (line {}): {}", file.display(), broken.record, broken.line, broken.why));
    }
    if json {
        output::json(&counts);
    } else {
        show(&counts);
    }
    Ok(ExitCode::from(u8::from(!counts.broken.is_empty())))
}

async fn run(target: &Target, file: &PathBuf, settings: Settings) -> Result<Counts, AppError> {
    let open = std::fs::File::open(file).map_err(|e| AppError::other(format!("{}: {e}", file.display())))?;
    let mut total = Counts { currency: settings.currency.to_string(), ..Counts::default() };
    total.add(&Counts::default());
    let sink = match target {
        Target::Local(app) => Sink::Local(transcript::Importer::prepare(app, &settings, operator()).await?),
        Target::Remote(remote) => Sink::Remote(remote.clone(), settings),
    };
    let mut unreadable = None;
    let records = Records::new(BufReader::new(open)).map_while(|record| record.map_err(|e| unreadable = Some(e)).ok());
    // The first record alone: over a server it is the one that registers the business.
    let mut records = stream::iter(records);
    let mut done = 0_u64;
    if let Some(first) = records.next().await {
        total.add(&sink.take(first).await);
        done += 1;
    }
    let mut under_way = records.map(|record| sink.take(record)).buffered(IMPORT_RECORDS_MAX);
    while let Some(counts) = under_way.next().await {
        total.add(&counts);
        done += 1;
        output::progress(format!("{done} records, {} events", total.events_written));
    }
    drop(under_way);
    output::progress_end();
    match unreadable {
        Some(e) => Err(AppError::other(format!("{}: {e}; what was read is imported, run it again to go on", file.display()))),
        None => Ok(total),
    }
}

fn show(c: &Counts) {
    output::line(format!("{} tasks, {} decisions, {} calls of which {} failed", c.tasks, c.decisions, c.calls, c.calls_failed));
    output::line(format!("{} escalated, {} passed of which {} had been escalated", c.escalated, c.passed, c.passed_escalated));
    output::line(format!("{} {} for the customers' side ({} records do not say)", c.customer_cost, c.currency, c.customer_cost_unknown));
    output::line(format!("{} events written, {} commands had been accepted before, {} broken records", c.events_written, c.commands_repeated, c.broken.len()));
}
