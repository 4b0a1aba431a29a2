//! Several processes on one database.

use super::super::{Bench, plan};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::process::Stdio;
use std::time::Duration;
use tokio::sync::oneshot;

/// What one of several processes does: commands from 64 callers for some seconds, to a log that
/// others write to as well.
pub(crate) async fn one_of_several(url: String) {
    let ours = Bench::on(&url).await.without_views().await;
    // It repeated what makes the businesses: for a while its lanes expect more repeats, and look
    // for each.
    ours.run(64, 8_000, plan).await;
    println!("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let rate = ours.run(64, 15_000, plan).await.rate;
    println!("{rate:.0}");
}

pub(super) async fn several(url: &str) {
    for processes in [1, 2, 3] {
        let mut children = Vec::new();
        for _ in 0..processes {
            let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
            let mut child = command
                .args(["one-of-several", url])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let mut said = tokio::io::BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            tokio::io::AsyncBufReadExt::read_line(&mut said, &mut line).await.unwrap();
            assert_eq!(line.trim(), "ready", "one of several did not start");
            children.push((child, said));
        }
        for (child, _) in &mut children {
            tokio::io::AsyncWriteExt::write_all(&mut child.stdin.take().unwrap(), b"go\n")
                .await
                .unwrap();
        }
        let (stop, stopped) = oneshot::channel();
        let watch = tokio::spawn(held(url.to_owned(), stopped));
        let mut rates = Vec::new();
        for (_, said) in &mut children {
            let mut line = String::new();
            tokio::io::AsyncBufReadExt::read_line(said, &mut line).await.unwrap();
            rates.push(line.trim().parse::<f64>().unwrap());
        }
        stop.send(()).unwrap();
        let (held, waiting) = watch.await.unwrap();
        println!(
            "{processes} processes of 64 callers: {:.0}/s in all; the lock is held {:.0} % of the \
             time, and {:.0} % of it somebody waits for it",
            rates.iter().sum::<f64>(),
            held * 100.0,
            waiting * 100.0
        );
    }
}

/// How much of the time somebody holds the lock, and somebody waits for it, by looking each 2 ms.
pub(super) async fn held(url: String, mut stop: oneshot::Receiver<()>) -> (f64, f64) {
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let sql = "SELECT count(*) FILTER (WHERE wait_event_type IS DISTINCT FROM 'Lock') > 0, \
        count(*) FILTER (WHERE wait_event_type = 'Lock') > 0
        FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query \
        LIKE 'SELECT what, i, n%'";
    let (mut looks, mut held, mut waiting) = (0.0, 0.0, 0.0);
    while stop.try_recv().is_err() {
        let (h, w): (bool, bool) = sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap();
        looks += 1.0;
        held += f64::from(u8::from(h));
        waiting += f64::from(u8::from(w));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    (held / looks, waiting / looks)
}
