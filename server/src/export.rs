//! Exports: the whole record of a business in a file, with a manifest that describes it.
//!
//! JSON Lines holds the stored bytes, one event a line: with the manifest's signed checkpoint the
//! whole is verified without a database. CloudEvents and CSV are for other programs. Events are
//! read and written page by page; the file gets its name when it is whole.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::operations::ExportFormat;
use domain::values::Digest;
use event_log::{Seq, Stored};
use proof::checkpoint::Verifier;
use proof::tree::{Frontier, leaf_hash};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Name and version of the manifest's format.
pub const MANIFEST_FORMAT: &str = "minutebook-export/1";

/// The manifest of an export, written beside the file as `FILE.manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format of the manifest: [`MANIFEST_FORMAT`].
    pub manifest: String,
    /// Format of the file.
    pub format: ExportFormat,
    /// Name of the business's stream.
    pub stream: String,
    /// Number of events in the file, from the first of the stream on.
    pub events: u64,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Root of the Merkle tree over the stored bytes of these events.
    pub root: Digest,
    /// The leaf hashes of these events (RFC 6962, 32 bytes each), one after another, in base64url:
    /// the tree over them has the root above, and they tell which event is not the one that was
    /// exported.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub leaves: String,
    /// The signed checkpoint over exactly these events.
    pub checkpoint: String,
    /// The key that verifies the signature. A verifier should know it from elsewhere.
    pub vkey: String,
}

/// Path of the manifest of an export.
#[must_use]
pub fn manifest_path(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".manifest.json");
    name.into()
}

/// Writes an export to a file.
pub struct ExportWriter {
    format: ExportFormat,
    out: BufWriter<std::fs::File>,
    file: PathBuf,
    part: PathBuf,
    hash: Sha256,
    tree: Frontier,
    leaves: Vec<u8>,
}

/// A completely written export.
pub struct Written {
    /// Number of events in the file.
    pub events: u64,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Root of the Merkle tree over the stored bytes of its events.
    pub root: Digest,
    /// The leaf hashes of the events, in the form of [`Manifest::leaves`].
    pub leaves: String,
}

const COLUMNS: [&str; 15] = [
    "seq",
    "event_id",
    "type",
    "schema",
    "kind",
    "id",
    "version",
    "recorded_at",
    "occurred_at",
    "actor",
    "on_behalf_of",
    "command_id",
    "causation",
    "correlation",
    "data",
];

/// Quotes a CSV cell so that no spreadsheet takes it for a formula (OWASP, CSV injection).
fn cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

fn cloud_event(seq: Seq, stored: &Stored<'_>) -> Result<Value, serde_json::Error> {
    Ok(json!({
        "specversion": "1.0",
        "id": stored.event_id,
        "source": format!("urn:minutebook:{}", stored.business.stream_name()),
        "type": format!("minutebook.{}.v{}", stored.r#type, stored.schema),
        "subject": format!("{}/{}", stored.kind, stored.id),
        "time": stored.happened_at(),
        "datacontenttype": "application/json",
        "dataschema": format!("urn:minutebook:event:{}.v{}", stored.r#type, stored.schema),
        "mbseq": seq.to_string(),
        "mbcorrelation": stored.correlation,
        "data": serde_json::from_str::<Value>(stored.data.get())?,
    }))
}

fn row(seq: Seq, stored: &Stored<'_>) -> String {
    let optional = |v: Option<String>| v.unwrap_or_default();
    let cells = [
        seq.to_string(),
        stored.event_id.to_string(),
        stored.r#type.to_string(),
        stored.schema.to_string(),
        stored.kind.to_string(),
        stored.id.to_string(),
        stored.version.to_string(),
        stored.recorded_at.to_string(),
        optional(stored.occurred_at.map(|t| t.to_string())),
        stored.actor.to_string(),
        optional(stored.on_behalf_of.map(|p| p.to_string())),
        stored.command_id.to_string(),
        optional(stored.causation.map(|c| c.to_string())),
        stored.correlation.to_string(),
        stored.data.get().to_owned(),
    ];
    cells.iter().map(|c| cell(c)).collect::<Vec<_>>().join(",")
}

impl ExportWriter {
    /// Begins a file; a file with that name stays until the new one is complete.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn begin(file: &Path, format: ExportFormat) -> std::io::Result<Self> {
        let mut part = file.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let out = BufWriter::new(std::fs::File::create(&part)?);
        let mut writer = Self {
            format,
            out,
            file: file.to_owned(),
            part,
            hash: Sha256::new(),
            tree: Frontier::default(),
            leaves: Vec::new(),
        };
        if format == ExportFormat::Csv {
            writer.line(&COLUMNS.map(cell).join(","))?;
        }
        Ok(writer)
    }

    fn line(&mut self, text: &str) -> std::io::Result<()> {
        for bytes in [text.as_bytes(), b"\n"] {
            self.hash.update(bytes);
            self.out.write_all(bytes)?;
        }
        Ok(())
    }

    /// Number of events that were written.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.tree.size()
    }

    /// Writes the next event.
    ///
    /// # Errors
    /// If the file can't be written, or `bytes` is no stored event.
    pub fn event(&mut self, bytes: &str) -> std::io::Result<()> {
        let leaf = leaf_hash(bytes.as_bytes());
        self.tree.push(leaf);
        self.leaves.extend_from_slice(&leaf);
        let seq = self.tree.size();
        let bad =
            |e: serde_json::Error| std::io::Error::other(format!("event {seq} can't be read: {e}"));
        match self.format {
            ExportFormat::Jsonl => self.line(bytes),
            ExportFormat::Cloudevents => {
                let event = cloud_event(Seq(seq), &Stored::parse(bytes.as_bytes()).map_err(bad)?)
                    .map_err(bad)?;
                self.line(&event.to_string())
            }
            ExportFormat::Csv => {
                let row = row(Seq(seq), &Stored::parse(bytes.as_bytes()).map_err(bad)?);
                self.line(&row)
            }
        }
    }

    /// Completes the file; returns its digest, the root of its events and their leaf hashes.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn end(mut self) -> std::io::Result<Written> {
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        std::fs::rename(&self.part, &self.file)?;
        let (digest, root) = (Digest(self.hash.finalize().into()), Digest(self.tree.root()));
        Ok(Written {
            events: self.tree.size(),
            digest,
            root,
            leaves: URL_SAFE_NO_PAD.encode(self.leaves),
        })
    }
}

/// Verifies a JSON Lines export against its manifest alone; `believed` is the trusted key, `None` =
/// the key in the manifest.
///
/// # Errors
/// A sentence that says what is wrong, with the line if there is one.
pub fn verify(file: &Path, believed: Option<&Verifier>) -> Result<Manifest, String> {
    use std::io::BufRead as _;
    let read =
        |path: &Path| std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
    let manifest: Manifest = serde_json::from_str(&read(&manifest_path(file))?)
        .map_err(|e| format!("the manifest does not read: {e}"))?;
    if manifest.manifest != MANIFEST_FORMAT || manifest.format != ExportFormat::Jsonl {
        return Err(
            "only JSON Lines exports can be verified; the others leave out what was hashed"
                .to_owned(),
        );
    }
    let own = manifest.vkey.parse::<Verifier>().map_err(|e| e.to_string())?;
    let checkpoint = believed
        .unwrap_or(&own)
        .checkpoint(&manifest.checkpoint)
        .map_err(|e| format!("the checkpoint: {e}"))?;
    if (checkpoint.stream.as_str(), checkpoint.size, checkpoint.root)
        != (manifest.stream.as_str(), manifest.events, manifest.root.0)
    {
        return Err("the manifest says other than its signed checkpoint".to_owned());
    }
    let leaves = leaves_of(&manifest)?;
    let (mut hash, mut tree, mut found) = (Sha256::new(), Frontier::default(), Vec::new());
    let mut reader = std::io::BufReader::new(
        std::fs::File::open(file).map_err(|e| format!("{}: {e}", file.display()))?,
    );
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).map_err(|e| e.to_string())? > 0 {
        hash.update(&line);
        let at = tree.size() + 1;
        let bytes = line.strip_suffix(b"\n").unwrap_or(&line);
        let leaf = leaf_hash(bytes);
        if leaves.get(found.len()).is_some_and(|wanted| *wanted != leaf) {
            return Err(format!(
                "line {at}: {}",
                what_stands_there(&leaves, &found, leaf, &mut reader)?
            ));
        }
        if !line.ends_with(b"\n") {
            return Err(format!("line {at}: the file is cut"));
        }
        let stored =
            Stored::parse(bytes).map_err(|e| format!("line {at}: no stored event: {e}"))?;
        if stored.business.stream_name() != manifest.stream {
            return Err(format!("line {at}: an event of another business"));
        }
        tree.push(leaf);
        found.push(leaf);
        line.clear();
    }
    has_as_many(&tree, manifest.events)?;
    if Digest(hash.finalize().into()) != manifest.digest || tree.root() != manifest.root.0 {
        return Err(
            "an event in it was changed: the root is not the one that was signed".to_owned()
        );
    }
    Ok(manifest)
}

/// Checks that the file has as many events as were exported.
fn has_as_many(tree: &Frontier, events: u64) -> Result<(), String> {
    if tree.size() < events {
        return Err(format!(
            "line {}: event {} is missing, and all after it: the file holds {} of {} events",
            tree.size() + 1,
            tree.size() + 1,
            tree.size(),
            events
        ));
    }
    if tree.size() > events {
        return Err(format!(
            "line {}: the file holds {} events more than the {} that were exported",
            events + 1,
            tree.size() - events,
            events
        ));
    }
    Ok(())
}

/// The leaf hashes of a manifest, empty if an earlier version wrote it. They are trusted if the
/// tree over them has the signed root.
fn leaves_of(manifest: &Manifest) -> Result<Vec<[u8; 32]>, String> {
    if manifest.leaves.is_empty() {
        return Ok(Vec::new());
    }
    let wrong = || "the manifest's leaf hashes are not those that were signed".to_owned();
    let bytes = URL_SAFE_NO_PAD.decode(&manifest.leaves).map_err(|_| wrong())?;
    let (leaves, rest) = bytes.as_chunks::<32>();
    let mut tree = Frontier::default();
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    if rest.is_empty() && tree.size() == manifest.events && tree.root() == manifest.root.0 {
        Ok(leaves.to_vec())
    } else {
        Err(wrong())
    }
}

/// Says what is wrong with a line that is not the exported one, by what stands in its place and
/// after it.
fn what_stands_there(
    leaves: &[[u8; 32]],
    before: &[[u8; 32]],
    leaf: [u8; 32],
    rest: &mut impl std::io::BufRead,
) -> Result<String, String> {
    let event = before.len() + 1;
    if before.contains(&leaf) {
        return Ok(format!(
            "event {event} is not here, but one that stood before: it is there twice"
        ));
    }
    let Some(place) = leaves.iter().position(|wanted| *wanted == leaf) else {
        return Ok(format!("event {event} was changed"));
    };
    let mut line = Vec::new();
    while rest.read_until(b'\n', &mut line).map_err(|e| e.to_string())? > 0 {
        if leaves.get(before.len()) == Some(&leaf_hash(line.strip_suffix(b"\n").unwrap_or(&line))) {
            return Ok(format!(
                "event {event} stands further down, and event {} in its place: they are swapped",
                place + 1
            ));
        }
        line.clear();
    }
    Ok(format!("event {event} is missing; event {} stands here", place + 1))
}
