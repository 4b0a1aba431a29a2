//! The layout stays true: the same word in every folder, the arrows between the crates, short files
//! and functions, no catch-all on the enums that grow. Each message names the limit and the remedy.

mod bare_numbers;
mod catch_alls;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use domain::{Event, with_contexts};
use syn::spanned::Spanned as _;
use syn::visit::Visit;

/// Lines that a source file may have; lists and generated files excepted.
const LINES_MAX: usize = 400;
/// Longer than that because they are lists: each entry of a list is short.
const LISTS: &[&str] =
    &["domain/src/tasks/events.rs", "tests/it/alike.rs", "tests/it/permissions/targets.rs"];
/// Lines that a function may have.
const FUNCTION_LINES_MAX: usize = 70;
/// Longer than that because they are lists (an arm an event, a command or a field), or because
/// their seams move with the next shape of the views.
const LONG_FUNCTIONS: &[(&str, &str)] = &[
    ("domain/src/tasks/state.rs", "evolve"),
    ("projections/src/tasks.rs", "apply"),
    ("projections/src/view_file.rs", "batch_inside"),
];
/// Lines that a test may have: a story through several doors is told in one piece.
const TEST_LINES_MAX: usize = 140;
/// Columns that a line may have.
const COLUMNS_MAX: usize = 100;
/// Lines in a hundred thousand that may be wider: literals that can't be broken.
const WIDE_LINES_MAX: usize = 100;

macro_rules! names {
    ($($context:ident = $module:ident,)*) => {
        /// The contexts, as their table has them.
        const CONTEXTS: &[&str] = &[$(stringify!($module)),*];
    };
}
with_contexts!(names);

/// The arrows: each crate with those of ours that it may depend on. ARCHITECTURE.md has the same.
const ARROWS: &[(&str, &[&str])] = &[
    ("proof", &[]),
    ("domain", &[]),
    ("event-log", &["domain", "proof"]),
    ("log-postgres", &["domain", "event-log", "proof"]),
    ("log-kurrentdb", &["domain", "event-log"]),
    ("commands", &["domain", "event-log", "proof"]),
    ("projections", &["domain", "event-log", "proof"]),
    ("read-api", &["domain", "event-log", "projections", "proof"]),
    ("importers", &["commands", "domain", "event-log", "proof"]),
    ("kurrent-protocol", &[]),
    ("hub", &["commands", "domain", "event-log", "kurrent-protocol", "proof"]),
    (
        "server",
        &[
            "commands",
            "domain",
            "event-log",
            "hub",
            "importers",
            "kurrent-protocol",
            "log-kurrentdb",
            "log-postgres",
            "projections",
            "proof",
            "read-api",
        ],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every source file of ours with its text, by its path from the root.
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
    for part in ARROWS.iter().map(|(part, _)| *part).chain(["tests"]) {
        walk(&root().join(part), &mut found);
    }
    found.sort();
    let name = |path: &Path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    found.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

fn is_test(file: &str) -> bool {
    file.starts_with("tests/") || file.contains("/tests/") || file.ends_with("tests.rs")
}

#[test]
fn a_context_is_the_same_word_in_every_folder() {
    let context_of = |name: &str| name.split_once('.').unwrap().0.to_owned();
    let events: BTreeSet<String> = Event::types().map(|t| context_of(t.name)).collect();
    assert_eq!(events, CONTEXTS.iter().map(|c| (*c).to_owned()).collect());
    let files = [
        "domain/src/X.rs",
        "commands/src/X.rs",
        "projections/src/X.rs",
        "projections/src/X.sql",
        "read-api/src/X.rs",
        "event-schemas/X",
    ];
    for context in CONTEXTS {
        for file in files.map(|file| file.replace('X', context)) {
            assert!(root().join(&file).exists(), "{file} is missing: every context has one");
        }
        let stories = ["commands/tests/stories", "tests/it"];
        let told = stories.map(|folder| {
            let main = std::fs::read_to_string(root().join(folder).join("main.rs")).unwrap();
            root().join(folder).join(format!("{context}.rs")).exists()
                && main.lines().any(|line| line == format!("mod {context};"))
        });
        assert!(
            told.contains(&true),
            "no story of {context} is told; write {context}.rs in one of {stories:?}, and name it \
             in main.rs there"
        );
        assert!(
            projections::ALL.iter().any(|projection| projection.name == *context),
            "add {context}::PROJECTION to `ALL` in projections/src/lib.rs"
        );
        let commands = commands::AnyCommand::types().any(|c| context_of(c.name) == *context);
        assert!(commands, "{context} has events and no command");
    }
}

#[test]
fn the_crates_depend_on_each_other_along_the_arrows_only() {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap();
    let ours: BTreeSet<String> =
        metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let known: BTreeSet<String> =
        ARROWS.iter().map(|(part, _)| (*part).to_owned()).chain(["tests".to_owned()]).collect();
    assert_eq!(ours, known, "a crate is in Cargo.toml or in ARROWS of tests/it/shape.rs alone");
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for package in metadata.packages.iter().filter(|p| p.name.as_str() != "tests") {
        let (part, may) = ARROWS.iter().find(|(part, _)| *part == package.name.as_str()).unwrap();
        let kind = cargo_metadata::DependencyKind::Normal;
        let needs: BTreeSet<&str> = package
            .dependencies
            .iter()
            .filter(|d| d.kind == kind && ours.contains(&d.name))
            .map(|d| d.name.as_str())
            .collect();
        let may: BTreeSet<&str> = may.iter().copied().collect();
        let extra: Vec<_> = needs.difference(&may).collect();
        assert!(extra.is_empty(), "{part} must not know {extra:?}: move what it needs down");
        let row = map.lines().find(|line| line.starts_with(&format!("| `{part}/` |")));
        let row = row.unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for `{part}/`"));
        let told = row.rsplit('|').nth(1).unwrap().trim();
        let told: BTreeSet<&str> = match told {
            "nothing of ours" => BTreeSet::new(),
            "all of the above" => may.clone(),
            list => list.split(", ").map(|name| name.split(' ').next().unwrap()).collect(),
        };
        assert_eq!(told, needs, "the row of `{part}/` in ARCHITECTURE.md says what it knows");
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
            "importers" => &["from_utf8_lossy(&bytes"],
            _ => &[],
        };
        for word in never.iter().filter(|_| !is_test(&file)) {
            assert!(!text.contains(word), "{file} has {word}, which its crate promises never to");
        }
    }
}

/// The functions of a file that are too long.
struct Lengths<'a> {
    file: &'a str,
    max: usize,
    long: Vec<String>,
}

impl Lengths<'_> {
    fn look(&mut self, name: &syn::Ident, whole: proc_macro2::Span) {
        let lines = whole.end().line - name.span().start().line + 1;
        let excepted = LONG_FUNCTIONS.contains(&(self.file, name.to_string().as_str()));
        if lines > self.max && !excepted {
            self.long.push(format!("{} has {lines} lines", name));
        }
    }
}

impl<'ast> Visit<'ast> for Lengths<'_> {
    fn visit_item_fn(&mut self, f: &'ast syn::ItemFn) {
        self.look(&f.sig.ident, f.block.span());
        syn::visit::visit_item_fn(self, f);
    }
    fn visit_impl_item_fn(&mut self, f: &'ast syn::ImplItemFn) {
        self.look(&f.sig.ident, f.block.span());
        syn::visit::visit_impl_item_fn(self, f);
    }
}

#[test]
fn files_functions_and_lines_stay_short() {
    let (mut wide, mut all) = (0, 0);
    for (file, text) in sources() {
        let lines = text.lines().count();
        assert!(
            lines <= LINES_MAX || LISTS.contains(&file.as_str()),
            "{file} has {lines} lines, {LINES_MAX} are the limit: move what belongs together into \
             a file of its own"
        );
        let max = if is_test(&file) { TEST_LINES_MAX } else { FUNCTION_LINES_MAX };
        let mut lengths = Lengths { file: &file, max, long: Vec::new() };
        lengths.visit_file(&syn::parse_file(&text).unwrap());
        assert!(
            lengths.long.is_empty(),
            "{file}: {}, {max} are the limit: give a step of it a name",
            lengths.long.join("; ")
        );
        all += lines;
        wide += text.lines().filter(|line| line.chars().count() > COLUMNS_MAX).count();
    }
    assert!(
        wide * 100_000 <= WIDE_LINES_MAX * all,
        "{wide} of {all} lines are wider than {COLUMNS_MAX} columns: break them (`cargo fmt` does \
         not break macros and literals)"
    );
}

#[test]
fn every_allowed_lint_says_why() {
    // Clippy's wildcard_enum_match_arm says no to `_ =>` in the whole workspace.
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("wildcard_enum_match_arm = \"warn\""));
    for (part, _) in ARROWS {
        let manifest = std::fs::read_to_string(root().join(part).join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{part} takes our lints");
    }
    for (file, text) in sources().iter().filter(|(file, _)| !is_test(file)) {
        let unexplained = |line: &&str| {
            line.contains("allow(clippy")
                && line.contains(")]")
                && !line.contains("reason")
                && !line.trim_start().starts_with("//")
        };
        let bad: Vec<&str> = text.lines().filter(unexplained).collect();
        assert!(bad.is_empty(), "{file}: say why with `reason = \"…\"`: {bad:?}");
    }
}

#[test]
fn the_map_names_every_folder() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut missing = BTreeMap::new();
    for entry in std::fs::read_dir(root()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let folder = entry.file_type().unwrap().is_dir();
        if folder && !name.starts_with('.') && name != "target" {
            let row = map.contains(&format!("{name}/"));
            missing.extend((!row).then_some((name, "has no row in ARCHITECTURE.md")));
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}
