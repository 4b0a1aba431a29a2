//! What leaves the system and is checked elsewhere: `prove`, `export`, `verify FILE`, `verify
//! --proof`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::operations::ExportFormat;
use event_log::{Seq, chain};
use proof::checkpoint::{EventProof, Verifier};
use serde_json::{Value, json};
use uuid::Uuid;

use super::target::{Target, by};
use crate::app::AppError;
use crate::export::{
    ExportWriter, MANIFEST_FORMAT, Manifest, Written, manifest_path, verify as verify_export,
};
use crate::output;

/// How many events of an export are read at once.
const PAGE: u64 = 200;

/// Queries one business; a missing business is an error like any other.
async fn ask(
    target: &Target,
    business: &str,
    variables: Value,
    declared: &str,
    fields: &str,
) -> Result<Value, AppError> {
    let (by, ty) = by(business);
    let query = format!("query($b: {ty}{declared}) {{ business({by}: $b) {{ {fields} }} }}");
    let mut all = json!({"b": business});
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), variables) {
        all.extend(more);
    }
    let answer = target.query(&query, all).await?;
    if let Some(error) = answer.pointer("/errors/0/message").and_then(Value::as_str) {
        return Err(AppError::other(error));
    }
    let found = answer.pointer("/data/business").cloned().unwrap_or_default();
    if found.is_null() {
        Err(AppError::other(format!(
            "no business has the slug or id `{business}`, or you have no role in it"
        )))
    } else {
        Ok(found)
    }
}

pub(crate) async fn prove(
    target: Target,
    business: &str,
    event: &str,
    out: Option<&Path>,
) -> Result<(), AppError> {
    let found = ask(
        &target,
        business,
        json!({"e": event}),
        ", $e: ID!",
        "inclusionProof(eventId: $e) { bundle seq }",
    )
    .await;
    target.close().await;
    let found = found?;
    let bundle = found.pointer("/inclusionProof/bundle").and_then(Value::as_str);
    let bundle = bundle.ok_or_else(|| {
        AppError::other(format!(
            "the business has no event {event}; `minutebook replay` lists them"
        ))
    })?;
    match out {
        Some(file) => {
            std::fs::write(file, format!("{bundle}\n"))
                .map_err(|e| AppError::caused(file.display(), e))?;
            output::line(format!(
                "wrote {}; check it anywhere with `minutebook verify --proof {}`",
                file.display(),
                file.display()
            ));
        }
        None => output::line(bundle),
    }
    Ok(())
}

fn believed(vkey: Option<&str>) -> Result<Option<Verifier>, AppError> {
    vkey.map(|v| v.parse::<Verifier>().map_err(|e| AppError::caused("--vkey", e))).transpose()
}

fn trust(vkey: Option<&str>, own: &str) {
    if vkey.is_none() {
        output::note(format!(
            "the key in the file was believed: {own}; give the one you know with --vkey"
        ));
    }
}

pub(crate) fn verify_proof(file: &Path, vkey: Option<&str>) -> Result<ExitCode, AppError> {
    let text = std::fs::read_to_string(file).map_err(|e| AppError::caused(file.display(), e))?;
    let checked = || -> Result<String, String> {
        let proof: EventProof =
            serde_json::from_str(&text).map_err(|e| format!("no proof: {e}"))?;
        let own = match vkey {
            Some(given) => given.parse::<Verifier>(),
            None => proof.vkey.parse(),
        };
        let checkpoint = proof
            .verify(&own.map_err(|e| chain(&e).to_string())?)
            .map_err(|e| chain(&e).to_string())?;
        trust(vkey, &proof.vkey);
        Ok(format!(
            "event {} of {} is proved: it stands in the signed tree of {} events",
            proof.seq, checkpoint.stream, checkpoint.size
        ))
    };
    Ok(judge(checked()))
}

pub(crate) fn verify_file(file: &Path, vkey: Option<&str>) -> Result<ExitCode, AppError> {
    let believed = believed(vkey)?;
    for needed in [file.to_owned(), manifest_path(file)] {
        if !needed.exists() {
            return Err(AppError::other(format!(
                "there is no file {}; an export is verified with its manifest beside it",
                needed.display()
            )));
        }
    }
    Ok(judge(verify_export(file, believed.as_ref()).map(|m| {
        trust(vkey, &m.vkey);
        format!("{} events of {} are as they were signed; root {}", m.events, m.stream, m.root)
    })))
}

fn judge(checked: Result<String, String>) -> ExitCode {
    match checked {
        Ok(sentence) => {
            output::line(sentence);
            ExitCode::SUCCESS
        }
        Err(why) => {
            output::note(format!("NOT VERIFIED: {why}"));
            ExitCode::from(3)
        }
    }
}

pub(crate) async fn export(
    target: Target,
    business: &str,
    format: ExportFormat,
    out: &Path,
) -> Result<(), AppError> {
    let result = export_all(&target, business, format, out).await;
    target.close().await;
    let (manifest, file) = result?;
    output::line(format!(
        "{} events of {} in {}; manifest in {}",
        manifest.events,
        manifest.stream,
        out.display(),
        file.display()
    ));
    Ok(())
}

/// Writes the events up to the checkpoint's end and the manifest, then records the export, which
/// becomes the next event of the business.
async fn export_all(
    target: &Target,
    business: &str,
    format: ExportFormat,
    out: &Path,
) -> Result<(Manifest, PathBuf), AppError> {
    let failed = |e: std::io::Error| AppError::caused(out.display(), e);
    let head =
        ask(target, business, json!({}), "", "id signedCheckpoint { text vkey seq }").await?;
    let text = |pointer: &str| {
        head.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let end = head.pointer("/signedCheckpoint/seq").and_then(Value::as_u64).unwrap_or(0);
    let mut writer = ExportWriter::begin(out, format).map_err(failed)?;
    while writer.events() < end {
        for bytes in
            page(target, business, Seq(writer.events()), PAGE.min(end - writer.events())).await?
        {
            writer.event(&bytes).map_err(failed)?;
        }
        output::progress(format!("{} of {end} events", writer.events()));
    }
    output::progress_end();
    let Written { events, digest, root, leaves } = writer.end().map_err(failed)?;
    let id: domain::BusinessId = text("/id").parse().map_err(AppError::other)?;
    let manifest = Manifest {
        manifest: MANIFEST_FORMAT.to_owned(),
        format,
        stream: id.stream_name(),
        events,
        digest,
        root,
        leaves,
        checkpoint: text("/signedCheckpoint/text"),
        vkey: text("/signedCheckpoint/vkey"),
    };
    let file = manifest_path(out);
    let written = serde_json::to_string_pretty(&manifest).map_err(AppError::other)?;
    std::fs::write(&file, written + "\n").map_err(|e| AppError::caused(file.display(), e))?;
    let record = json!({"type": "operations.record_export", "data": {"format": format,
        "events": events, "digest": digest, "root": root}});
    super::read::send(
        target,
        &record.to_string(),
        Some(business),
        Uuid::now_v7().to_string(),
        None,
    )
    .await?;
    Ok((manifest, file))
}

async fn page(
    target: &Target,
    business: &str,
    after: Seq,
    n: u64,
) -> Result<Vec<String>, AppError> {
    if let Target::Local(app) = target {
        let id = app
            .business(business)
            .await?
            .ok_or_else(|| AppError::other(format!("there is no business `{business}`")))?;
        let events = app.log.read_business(id, after, usize::try_from(n).unwrap_or(1)).await?;
        return events
            .into_iter()
            .map(|r| String::from_utf8(r.bytes).map_err(AppError::other))
            .collect();
    }
    let cursor = URL_SAFE_NO_PAD.encode(format!("events:{after}"));
    let fields = "events(first: $n, after: $after) { nodes { stored } }";
    let found = ask(
        target,
        business,
        json!({"n": n, "after": cursor}),
        ", $n: Int, $after: String",
        fields,
    )
    .await?;
    let nodes =
        found.pointer("/events/nodes").and_then(Value::as_array).cloned().unwrap_or_default();
    if nodes.is_empty() {
        return Err(AppError::other(
            "the server's views are behind its log; try again in a moment",
        ));
    }
    Ok(nodes.iter().filter_map(|n| Some(n.get("stored")?.as_str()?.to_owned())).collect())
}
