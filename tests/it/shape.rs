//! The layout stays true: the same word in every folder, the arrows between the parts, a schema and
//! an example per event, short files, no catch-all on our enums.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use domain::{Event, with_contexts};

/// Files and lines that a source file may have; lists and generated files excepted.
const LINES_MAX: usize = 400;
/// Longer than that because they are lists: each entry of a list is short.
const LISTS: &[&str] = &["domain/src/tasks/events.rs"];
/// Lines that a function may have.
const FUNCTION_LINES_MAX: usize = 70;

macro_rules! names {
    ($($context:ident = $module:ident,)*) => {
        /// The contexts, as their table has them.
        const CONTEXTS: &[&str] = &[$(stringify!($module)),*];
    };
}
with_contexts!(names);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for part in [
        "proof",
        "domain",
        "event-log",
        "commands",
        "projections",
        "read-api",
        "hub",
        "kurrent-protocol",
        "server",
        "tests",
    ] {
        walk(&root().join(part), &mut found);
    }
    found
        .iter()
        .map(|p| {
            (
                p.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(),
                std::fs::read_to_string(p).unwrap(),
            )
        })
        .collect()
}

#[test]
fn a_context_is_the_same_word_in_every_folder() {
    let events: BTreeSet<&str> =
        Event::types().map(|t| t.name.split_once('.').unwrap().0).collect();
    assert_eq!(events, CONTEXTS.iter().copied().collect());
    for context in CONTEXTS {
        for file in [
            "domain/src/X.rs",
            "commands/src/X.rs",
            "projections/src/X.rs",
            "projections/src/X.sql",
            "read-api/src/X.rs",
            "event-schemas/X",
        ] {
            let path = root().join(file.replace('X', context));
            assert!(path.exists(), "{} is missing", path.display());
        }
        let told = ["commands/tests/stories/X.rs", "tests/it/X.rs"]
            .map(|file| root().join(file.replace('X', context)).exists());
        assert!(
            told.contains(&true),
            "no story of {context} is told, neither of its rules nor through the doors"
        );
    }
    for kind in Event::types() {
        assert!(
            commands::AnyCommand::types()
                .any(|c| c.name.split_once('.').unwrap().0 == kind.name.split_once('.').unwrap().0)
        );
    }
}

#[test]
fn the_parts_depend_on_each_other_along_the_arrows_only() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("proof", &[][..]),
        ("domain", &[]),
        ("event-log", &["domain", "proof"]),
        ("commands", &["domain", "event-log", "proof"]),
        ("projections", &["domain", "event-log"]),
        ("read-api", &["domain", "event-log", "projections", "proof"]),
        ("hub", &["commands", "domain", "event-log", "kurrent-protocol", "proof"]),
        ("kurrent-protocol", &[]),
        (
            "server",
            &[
                "commands",
                "domain",
                "event-log",
                "hub",
                "kurrent-protocol",
                "projections",
                "proof",
                "read-api",
            ],
        ),
    ]);
    for (part, may) in &allowed {
        let manifest = std::fs::read_to_string(root().join(part).join("Cargo.toml")).unwrap();
        for other in allowed.keys() {
            let named = manifest.lines().any(|l| l.starts_with(&format!("{other}.workspace")));
            assert!(!named || may.contains(other), "{part} must not know {other}");
        }
    }
}

#[test]
fn what_a_part_promises_never_to_do_it_does_not() {
    for (file, text) in sources() {
        let never: &[&str] = match file.split('/').next().unwrap() {
            "domain" => {
                &["async fn", "std::fs", "std::net", "tokio", "SystemTime", "rand::", "now_v7"]
            }
            "proof" => &["async fn", "std::fs::write", "tokio", "SystemTime"],
            "read-api" | "projections" => &["commands::", ".enqueue(", ".append("],
            "commands" if !file.ends_with("clock.rs") => {
                &["SystemTime::now", "rusqlite", "std::fs"]
            }
            _ => &[],
        };
        let production = !file.ends_with("tests.rs") && !file.contains("/tests/");
        for word in never.iter().filter(|_| production) {
            assert!(!text.contains(word), "{file} has {word}");
        }
    }
}

#[test]
fn files_and_functions_stay_short() {
    for (file, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX || LISTS.contains(&file.as_str()), "{file} has {lines} lines");
        let mut began: Option<(usize, usize, String)> = None;
        for (n, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start();
            if began.is_none()
                && (head.starts_with("fn ") || head.contains(" fn "))
                && !head.starts_with("//")
                && !line.trim_end().ends_with(';')
                && !line.contains("macro")
            {
                began = Some((n, indent, head.to_owned()));
            } else if let Some((start, depth, name)) = &began
                && line.trim_end() == format!("{}}}", " ".repeat(*depth))
            {
                assert!(
                    n - start < FUNCTION_LINES_MAX,
                    "{file}: `{name}` has {} lines",
                    n - start + 1
                );
                began = None;
            } else if let Some((start, ..)) = &began
                && n == *start + 1
                && text.lines().nth(*start).is_some_and(|l| l.trim_end().ends_with('}'))
            {
                began = None;
            }
        }
    }
}

#[test]
fn no_match_on_our_enums_has_a_catch_all() {
    // Clippy's wildcard_enum_match_arm says no in the whole workspace; whoever allows it says why.
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("wildcard_enum_match_arm = \"warn\""));
    for part in [
        "proof",
        "domain",
        "event-log",
        "commands",
        "projections",
        "read-api",
        "hub",
        "kurrent-protocol",
        "server",
    ] {
        assert!(
            std::fs::read_to_string(root().join(part).join("Cargo.toml"))
                .unwrap()
                .contains("[lints]\nworkspace = true"),
            "{part}"
        );
    }
    for (file, text) in sources().iter().filter(|(f, _)| !f.starts_with("tests/")) {
        let unexplained = |l: &&str| {
            l.contains("allow(clippy")
                && l.contains(")]")
                && !l.contains("reason")
                && !l.trim_start().starts_with("//")
        };
        let bad: Vec<&str> = text.lines().filter(unexplained).collect();
        assert!(bad.is_empty(), "{file}: an allow without a reason: {bad:?}");
    }
}

#[test]
fn the_map_names_every_folder() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for entry in std::fs::read_dir(root()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() && !name.starts_with('.') && name != "target" {
            assert!(map.contains(&format!("{name}/")), "ARCHITECTURE.md does not mention {name}/");
        }
    }
}
