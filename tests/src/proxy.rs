//! A TCP proxy that lies between us and another program, and does to the connections what networks
//! do.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// They go through.
    Fair,
    /// They go through, so much later.
    Slow(Duration),
    /// Connections are reset, and new ones too.
    Reset,
    /// Nothing goes through either way, and nobody is told; new connections are taken.
    HalfOpen,
}

/// A proxy; gone with this.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    weather: watch::Sender<Weather>,
}

impl Proxy {
    /// In front of a program at `127.0.0.1:port`.
    ///
    /// # Panics
    /// When it can't listen.
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (weather, seen) = watch::channel(Weather::Fair);
        let mut closed = seen.clone();
        tokio::spawn(async move {
            loop {
                let client = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap().0,
                    gone = closed.changed() => if gone.is_err() { return } else { continue },
                };
                tokio::spawn(connection(client, port, seen.clone()));
            }
        });
        Self { address, weather }
    }

    /// In front of the server of an address such as `postgres://user@127.0.0.1:5432/x`; gives the
    /// address to use instead.
    ///
    /// # Panics
    /// When the address names no port.
    pub async fn of(url: &str) -> (Self, String) {
        let after = url.rsplit_once("127.0.0.1:").unwrap().1;
        let port: String = after.chars().take_while(char::is_ascii_digit).collect();
        let proxy = Self::before(port.parse().unwrap()).await;
        let through = url.replace(&format!("127.0.0.1:{port}"), &proxy.address.to_string());
        (proxy, through)
    }

    /// From now on.
    pub fn turns(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn connection(client: TcpStream, port: u16, mut weather: watch::Receiver<Weather>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let lost = *weather.borrow() == Weather::HalfOpen;
    // Resets instead of an orderly end.
    let _ = client.set_zero_linger();
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    tokio::select! {
        () = pass(from_client, to_server, weather.clone(), lost) => {}
        () = pass(from_server, to_client, weather.clone(), lost) => {}
        _ = weather.wait_for(|w| *w == Weather::Reset) => {}
    }
}

/// Passes bytes on. What was lost once stays lost: a half-open connection never comes back.
async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    weather: watch::Receiver<Weather>,
    mut lost: bool,
) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = match from.read(&mut buffer).await {
            Ok(0) | Err(_) if lost => return std::future::pending().await,
            Ok(0) | Err(_) => return,
            Ok(n) => n,
        };
        let now = *weather.borrow();
        lost |= now == Weather::HalfOpen;
        if let Weather::Slow(by) = now {
            tokio::time::sleep(by).await;
        }
        if !lost && to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}
