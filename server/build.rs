//! Compiles GraphiQL's files in, where `make graphiql` has put them.

use std::path::Path;
use std::{env, fs, io};

const FILES: [(&str, &str); 4] = [
    ("graphiql.min.js", "text/javascript"),
    ("graphiql.min.css", "text/css"),
    ("react.production.min.js", "text/javascript"),
    ("react-dom.production.min.js", "text/javascript"),
];

fn main() -> io::Result<()> {
    let variable = |name| env::var(name).map_err(io::Error::other);
    let folder = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("graphiql");
    println!("cargo::rerun-if-changed={}", folder.display());
    let there = FILES.iter().all(|(name, _)| folder.join(name).exists());
    let mut code = String::from("pub(super) const FILES: &[(&str, &str, &[u8])] = &[");
    for (name, kind) in FILES.iter().filter(|_| there) {
        code.push_str(&format!("({name:?}, {kind:?}, include_bytes!({:?})),", folder.join(name)));
    }
    code.push_str("];");
    fs::write(Path::new(&variable("OUT_DIR")?).join("graphiql.rs"), code)
}
