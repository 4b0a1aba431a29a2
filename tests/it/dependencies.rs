//! What we build on: licences, banned crates and sources, checked over `cargo metadata`. The same
//! rules stand in `deny.toml` for those who have cargo-deny. Advisories are not checked here: they
//! need a database that this test does not reach, and it says so instead of passing them.

use std::collections::BTreeSet;

use cargo_metadata::{CargoOpt, MetadataCommand, Package};

/// Licences that we may build on; a crate under several needs one of them.
const LICENCES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "CC0-1.0",
    "0BSD",
    "MPL-2.0",
    "Unlicense",
    "CDLA-Permissive-2.0",
    "BSL-1.0",
    "MIT-0",
    "NCSA",
];
/// Crates that we do not build on, and why.
const BANNED: &[(&str, &str)] = &[
    ("actix-governor", "GPL"),
    ("openssl", "one TLS and crypto stack is enough: rustls and aws-lc"),
    ("native-tls", "one TLS and crypto stack is enough: rustls and aws-lc"),
    ("chrono", "jiff does our time"),
];
/// Banned crates that come in all the same, and through whom: the store in KurrentDB is a client
/// crate's.
const THROUGH: &[(&str, &[&str])] = &[("chrono", &["eventstore", "kurrentdb"])];

fn allowed(expression: &str) -> bool {
    // SPDX: `/` is an old `OR`; every term of an AND must be allowed, one of an OR.
    let text = expression.replace('/', " OR ").replace(['(', ')'], " ");
    let terms = |part: &str| {
        part.split(" AND ").all(|term| {
            LICENCES.contains(&term.split_whitespace().collect::<Vec<_>>().join(" ").as_str())
        })
    };
    text.split(" OR ").any(terms)
        // `(A OR B) AND C`: each side of the AND on its own.
        || expression.split(" AND ").all(|side| side.replace(['(',
            ')'], " ").replace('/', " OR ").split(" OR ").any(|t| LICENCES.contains(&t.trim())))
}

fn packages() -> Vec<Package> {
    // Of this platform only: crates of others are not on the machine.
    let said = std::process::Command::new("rustc").arg("-vV").output().unwrap().stdout;
    let host = String::from_utf8(said)
        .unwrap()
        .lines()
        .find_map(|l| l.strip_prefix("host: ").map(str::to_owned))
        .unwrap();
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .other_options(vec!["--locked".to_owned(), "--filter-platform".to_owned(), host])
        .exec();
    metadata.unwrap().packages.into_iter().filter(|p| p.source.is_some()).collect()
}

#[test]
fn every_dependency_has_a_licence_we_may_build_on() {
    let bad: Vec<_> = packages()
        .iter()
        .filter(|p| !p.license.as_deref().is_some_and(allowed))
        .map(|p| format!("{} {}: {:?}", p.name, p.version, p.license))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(
        !allowed("GPL-3.0-only")
            && !allowed("MIT AND GPL-3.0-only")
            && allowed("MIT OR GPL-3.0-only")
            && allowed("(MIT OR Apache-2.0) AND Unicode-3.0")
    );
}

#[test]
fn no_banned_crate_comes_in() {
    let packages = packages();
    for (name, why) in BANNED {
        let through = THROUGH.iter().find(|(n, _)| n == name).map_or(&[][..], |(_, t)| t);
        let used = |p: &&Package| {
            p.dependencies.iter().any(|d| {
                d.name == *name && !d.optional && d.kind == cargo_metadata::DependencyKind::Normal
            })
        };
        let users: BTreeSet<&str> = packages.iter().filter(used).map(|p| p.name.as_str()).collect();
        let others: Vec<_> = users.iter().filter(|u| !through.contains(u)).collect();
        let there = packages.iter().any(|p| p.name.as_str() == *name);
        assert!(
            !there || (!through.is_empty() && others.is_empty()),
            "{name} came in through {others:?}; we do not build on it: {why}"
        );
    }
}

#[test]
fn every_dependency_comes_from_the_registry_and_has_a_checksum() {
    for package in packages() {
        assert!(
            package.source.as_ref().unwrap().repr.starts_with("registry+"),
            "{} comes from {:?}",
            package.name,
            package.source
        );
    }
    let lock =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
    assert_eq!(lock.matches("\nsource = ").count(), lock.matches("\nchecksum = ").count());
    eprintln!(
        "advisories were not checked: run `cargo deny check advisories` where its database can be \
         reached"
    );
}
