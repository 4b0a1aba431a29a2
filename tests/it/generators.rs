//! Code generators of others take the schema, and one query a context: `@graphql-codegen/cli` with a
//! program of `@apollo/client` that its types compile, `relay-compiler` and `ariadne-codegen`.

use std::path::Path;
use std::process::Command;

use read_api::TrustedDocuments;

use crate::drivers::{python_packages, with_packages};

fn run(folder: &Path, command: &mut Command) {
    let out = command.current_dir(folder).output().unwrap();
    assert!(
        out.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
}

#[test]
fn four_generators_take_the_schema_and_a_query_of_each_context() {
    let folder = with_packages("generators");
    std::fs::write(folder.join("schema.graphql"), read_api::sdl()).unwrap();
    for made in ["typed", "relay", "minutebook_client"] {
        let _ = std::fs::remove_dir_all(folder.join(made));
    }
    let documents = std::fs::read_dir(folder.join("documents")).unwrap().count();
    let bin = |name: &str| Command::new(folder.join("node_modules/.bin").join(name));
    run(&folder, bin("graphql-codegen").args(["--config", "codegen.json"]));
    run(&folder, bin("tsc").args(["-p", "."]));
    run(&folder, Command::new("node").arg("relay.mjs"));
    run(&folder, bin("relay-compiler").arg("relay.config.json"));
    let python = python_packages("ariadne", "ariadne-codegen==0.19.0");
    run(
        &folder,
        Command::new("python3").env("PYTHONPATH", &python).args(["-m", "ariadne_codegen"]),
    );
    let import = ["-c", "import minutebook_client; minutebook_client.Client"];
    run(&folder, Command::new("python3").env("PYTHONPATH", &python).args(import));
    for made in ["relay/__generated__", "minutebook_client"] {
        let files = std::fs::read_dir(folder.join(made)).unwrap().count();
        assert!(files >= documents, "{made}: {files} of {documents}");
    }
    // The list that a generator writes is the one that a server takes.
    let list = std::fs::read(folder.join("typed/persisted-documents.json")).unwrap();
    assert!(TrustedDocuments::parse(&list).unwrap().count() >= documents);
}
