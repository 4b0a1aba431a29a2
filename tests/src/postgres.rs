//! A PostgreSQL of our own for tests: made in a temporary folder on a free port, gone with this
//! process, however it ends. Everybody is let in without a password but the role `guarded`.
//! `MINUTEBOOK_TEST_POSTGRES` names another one (a superuser's address).

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

/// A cluster that runs, and is gone with this.
pub struct Cluster {
    /// Its address, without a database.
    pub url: String,
    /// It ends when the pipe to it closes.
    keeper: Option<(Child, BufReader<ChildStdout>)>,
    folder: Option<PathBuf>,
}

impl Cluster {
    /// Its folder.
    ///
    /// # Panics
    /// When it is not ours.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap()
    }

    /// The processes of the server that are there now, the first of them the one that starts the
    /// others.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn processes(&self) -> Vec<String> {
        let file = std::fs::read_to_string(self.folder().join("data/postmaster.pid")).unwrap();
        let first = file.lines().next().unwrap().to_owned();
        let children = Command::new("pgrep").args(["-P", &first]).output().unwrap().stdout;
        std::iter::once(first.clone())
            .chain(String::from_utf8(children).unwrap().lines().map(str::to_owned))
            .collect()
    }

    /// Stops the server as if the power of its processes were cut (`stop`: `pg_ctl stop -m
    /// immediate`), or has it start again (`start`).
    ///
    /// # Panics
    /// When it is not ours, or its keeper is gone.
    pub fn tell(&mut self, word: &str) {
        let (keeper, output) = self.keeper.as_mut().unwrap();
        writeln!(keeper.stdin.as_mut().unwrap(), "{word}").unwrap();
        let mut said = String::new();
        output.read_line(&mut said).unwrap();
        assert_eq!(said.trim(), word);
    }

    /// The address of a new database with our schema.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn database(&self) -> String {
        let url = empty_in(self).await;
        log_postgres::migrate(&url).await.unwrap();
        url
    }
}

/// Makes a cluster's folder, runs it, and takes it away when its standard input closes.
const KEEPER: &str = r#"
set -eu
bin="$1" dir="$2" port="$3" fsync="$4"
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
if [ "$(id -u)" = 0 ]; then chown postgres "$dir"; fi
[ -d "$dir/data" ] || as "$bin/initdb" -D "$dir/data" -U postgres -A trust --no-sync -E UTF8 --locale=C >"$dir/initdb.log" 2>&1
grep -q guarded "$dir/data/pg_hba.conf" || sed -i '1i host all guarded 127.0.0.1/32 scram-sha-256' "$dir/data/pg_hba.conf"
start() { as "$bin/postgres" -D "$dir/data" -k "$dir" -p "$port" -c listen_addresses=127.0.0.1 -c fsync=$fsync -c max_connections=200 -c log_min_messages=fatal >>"$dir/log" 2>&1 & }
stop() { as "$bin/pg_ctl" -D "$dir/data" stop -m immediate >/dev/null 2>&1 || true; }
start
echo started
while read -r word; do
  case "$word" in stop) stop ;; start) start ;; esac
  echo "$word"
done
stop
rm -rf "$dir"
"#;

fn binaries() -> PathBuf {
    let mut places: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path().join("bin"))
        .collect();
    places.sort();
    places.extend(
        std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect::<Vec<_>>(),
    );
    let found =
        places.iter().rev().find(|p| p.join("initdb").exists() && p.join("postgres").exists());
    found.cloned().unwrap_or_else(|| {
        panic!(
            "PostgreSQL's initdb and postgres are not here: install Debian's package \
            `postgresql` (15 or later), or set MINUTEBOOK_TEST_POSTGRES"
        )
    })
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start() -> Cluster {
    if let Ok(url) = std::env::var("MINUTEBOOK_TEST_POSTGRES") {
        return Cluster { url: url.trim_end_matches('/').to_owned(), keeper: None, folder: None };
    }
    run(TempDir::new().unwrap().keep(), "off")
}

fn run(folder: PathBuf, fsync: &str) -> Cluster {
    let port = free_port();
    let mut command = Command::new("sh");
    command
        .args(["-c", KEEPER, "keeper"])
        .arg(binaries())
        .arg(&folder)
        .args([&port.to_string(), fsync]);
    let mut keeper =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (mut said, mut output) = (String::new(), BufReader::new(keeper.stdout.take().unwrap()));
    output.read_line(&mut said).unwrap();
    assert_eq!(said.trim(), "started", "PostgreSQL did not start: {}", log_of(&folder));
    Cluster {
        url: format!("postgres://postgres@127.0.0.1:{port}"),
        keeper: Some((keeper, output)),
        folder: Some(folder),
    }
}

fn log_of(folder: &Path) -> String {
    ["initdb.log", "log"]
        .iter()
        .map(|f| std::fs::read_to_string(folder.join(f)).unwrap_or_default())
        .collect()
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(start)
}

/// Connects as the superuser, once the server answers.
///
/// # Panics
/// When it does not within a minute.
pub async fn connect(url: &str) -> PgConnection {
    let began = Instant::now();
    loop {
        match PgConnection::connect(url).await {
            Ok(connection) => return connection,
            Err(e) if began.elapsed() > Duration::from_secs(60) => {
                panic!("PostgreSQL does not answer: {e}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The address of a new, empty database.
///
/// # Panics
/// When there is no PostgreSQL to be had.
pub async fn empty_database() -> String {
    let cluster = tokio::task::spawn_blocking(cluster).await.unwrap();
    empty_in(cluster).await
}

async fn empty_in(cluster: &Cluster) -> String {
    let name = format!("t{}", uuid::Uuid::now_v7().simple());
    let mut connection = connect(&format!("{}/postgres", cluster.url)).await;
    connection.execute(format!("CREATE DATABASE {name}").as_str()).await.unwrap();
    format!("{}/{name}", cluster.url)
}

/// The address of a new database with our schema.
///
/// # Panics
/// When there is no PostgreSQL to be had.
pub async fn database() -> String {
    let url = empty_database().await;
    // Roles are the cluster's: two databases can't make them at the same moment.
    static ROLES: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one = ROLES.lock().await;
    log_postgres::migrate(&url).await.unwrap();
    url
}

/// A cluster over the files of one, in that folder: after a crash it recovers.
///
/// # Panics
/// When it does not start.
pub async fn over(folder: PathBuf) -> Cluster {
    tokio::task::spawn_blocking(|| run(folder, "on")).await.unwrap()
}

/// A cluster of one's own, to be stopped and started, in a new folder in that one or in a temporary
/// one; whether it syncs to the disk.
///
/// # Panics
/// When there is no PostgreSQL to be had.
pub async fn own(place: Option<&Path>, durable: bool) -> Cluster {
    let folder = place.map_or_else(TempDir::new, TempDir::new_in).unwrap().keep();
    tokio::task::spawn_blocking(move || run(folder, if durable { "on" } else { "off" }))
        .await
        .unwrap()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some((mut keeper, _)) = self.keeper.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}
