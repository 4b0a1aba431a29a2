//! Who may come in at all: TLS, proxies, peers, and how long a stranger may take.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use server::config::{Config, Overrides};
use server::http::{Entrance, Forwarders, Tls, listen};
use tempfile::TempDir;
use tests::installation::Installation;

use crate::door::{Door, entrance};

#[test]
fn in_the_clear_only_this_machine_and_proxies_reach_the_door() {
    let open = |listen: &str, tls: bool, proxy: &str| {
        let file = |name: &str| tls.then(|| name.into());
        let flags = Overrides {
            listen: Some(listen.to_owned()),
            tls_cert: file("c"),
            tls_key: file("k"),
            behind_proxy: Some(proxy.to_owned()),
            ..Overrides::default()
        };
        Config::load(None, flags).unwrap().entrance().map(|_| ())
    };
    for listen in ["127.0.0.1:0", "[::1]:0", "localhost:0"] {
        open(listen, false, "").unwrap();
    }
    for listen in ["0.0.0.0:7117", "[::]:7117", "192.0.2.1:7117"] {
        let refused = open(listen, false, "").unwrap_err();
        assert!(
            refused.contains(listen)
                && refused.contains("--tls-cert")
                && refused.contains("--behind-proxy"),
            "{refused}"
        );
        open(listen, true, "").unwrap();
        open(listen, false, "10.0.0.7, 10.1.0.0/16").unwrap();
    }
    assert!(open("0.0.0.0:7117", false, "everybody").unwrap_err().contains("`everybody`"));
    let half = Overrides { tls_cert: Some("c".into()), ..Overrides::default() };
    assert!(Config::load(None, half).unwrap().entrance().unwrap_err().contains("go together"));
    let business_door =
        Overrides { kurrentdb_listen: Some("0.0.0.0:2113".to_owned()), ..Overrides::default() };
    let plain = Config {
        kurrentdb_certificate: "none".into(),
        ..Config::load(None, business_door).unwrap()
    };
    assert!(plain.check().unwrap_err().contains("0.0.0.0:2113"));
}

/// Writes a new certificate that signs itself; gives it.
fn certify(tls: &Tls) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&tls.certificate, made.cert.pem()).unwrap();
    made.cert.pem()
}

fn files(folder: &Path) -> Tls {
    Tls { certificate: folder.join("cert.pem"), key: folder.join("key.pem") }
}

/// The status of an answer to somebody who trusts this certificate and no other.
async fn asked(port: u16, certificate: &str) -> Result<u16, String> {
    let trusted = ureq::tls::Certificate::from_pem(certificate.as_bytes()).unwrap().to_owned();
    tokio::task::spawn_blocking(move || {
        let tls = ureq::tls::TlsConfig::builder()
            .root_certs(ureq::tls::RootCerts::new_with_certs(&[trusted]))
            .build();
        let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).build().into();
        agent
            .get(format!("https://localhost:{port}/healthz"))
            .call()
            .map(|answer| answer.status().as_u16())
            .map_err(|e| e.to_string())
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_speaks_tls_and_reads_a_certificate_again_when_it_changes() {
    #[cfg(feature = "kurrentdb")]
    tests::streams::tls_provider();
    let (installation, folder) = (Installation::new().await, TempDir::new().unwrap());
    let tls = files(folder.path());
    let first = certify(&tls);
    let listening =
        listen(Arc::clone(&installation.app), Entrance { tls: Some(tls.clone()), ..entrance() })
            .unwrap();
    let (port, stop) = (listening.address.port(), listening.stop());
    tokio::spawn(listening.server);
    assert_eq!(asked(port, &first).await, Ok(200));
    std::fs::write(&tls.key, "half").unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(asked(port, &first).await, Ok(200), "the one before goes on");
    let (second, began) = (certify(&tls), Instant::now());
    while asked(port, &second).await != Ok(200) {
        assert!(began.elapsed() < Duration::from_secs(60), "it is not read again");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(asked(port, &first).await.is_err());
    stop.now();
    let other = files(TempDir::new().unwrap().path());
    assert!(
        listen(Arc::clone(&installation.app), Entrance { tls: Some(other), ..entrance() }).is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_forward_says_what_others_asked_for() {
    let installation = Installation::new().await;
    let hosts = "minutes.example.com".to_owned();
    let open = |behind: &str| {
        let entrance = Entrance {
            hosts: hosts.clone(),
            forwarders: Forwarders::parse(behind).unwrap(),
            ..entrance()
        };
        let listening = listen(Arc::clone(&installation.app), entrance).unwrap();
        tokio::spawn(listening.server);
        listening.address
    };
    let status = async |at: std::net::SocketAddr, host: &str, forwarded: &str| {
        let head = format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: {forwarded}\r\nConnection: \
             close\r\n\r\n"
        );
        let answer = tokio::task::spawn_blocking(move || {
            let (mut stream, mut answer) = (TcpStream::connect(at).unwrap(), String::new());
            stream.write_all(head.as_bytes()).unwrap();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        answer.await.unwrap()[9..12].to_owned()
    };
    let (proxied, direct) = (open("127.0.0.1"), open("10.0.0.7"));
    assert_eq!(status(proxied, "inner", "minutes.example.com").await, "200");
    assert_eq!(
        status(proxied, "localhost", "evil.example").await,
        "421",
        "a page that was rebound comes through a proxy too"
    );
    assert_eq!(
        status(direct, "inner", "minutes.example.com").await,
        "421",
        "a stranger's word for it"
    );
    assert_eq!(status(direct, "localhost", "evil.example").await, "200");
}

/// Until the server hangs up.
fn hung_up(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(e) => panic!("it does not hang up: {e}"),
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_and_a_body_come_in_time_or_are_not_waited_for() {
    let door = Door::open().await;
    let at = door.url().trim_start_matches("http://").to_owned();
    let send = |text: String| {
        let at = at.clone();
        tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(at).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
            hung_up(stream)
        })
    };
    let head = send("GET /healthz HTTP/1.1\r\nHost: loc".to_owned());
    let body = send(format!(
        "POST /v1/commands HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \
         {}\r\nIdempotency-Key: k\r\nContent-Length: 100\r\n\r\n{{",
        door.key()
    ));
    let head = head.await.unwrap();
    assert!(head.is_empty() || head.starts_with("HTTP/1.1 408"), "{head}");
    let body = body.await.unwrap();
    assert!(body.starts_with("HTTP/1.1 408") && body.contains("body_too_slow"), "{body}");
}

#[cfg(feature = "kurrentdb")]
#[tokio::test(flavor = "multi_thread")]
async fn half_a_handshake_of_one_peer_holds_up_no_other() {
    let (installation, folder) = (Installation::new().await, TempDir::new().unwrap());
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let config = Config {
        kurrentdb_listen: "127.0.0.1:0".to_owned(),
        data: folder.path().to_owned(),
        ..tests::installation::config(folder.path())
    };
    let (listening, _) =
        server::kurrentdb::listen(&config, Arc::clone(&installation.app), stopped).await.unwrap();
    let from = async |source: &str| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
        let stream = socket.connect(listening.address).await.unwrap().into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream
    };
    let mut half = Vec::new();
    for _ in 0..65 {
        half.push(from("127.0.0.2").await);
    }
    let last = half.pop().unwrap();
    assert!(
        tokio::task::spawn_blocking(move || hung_up(last)).await.unwrap().is_empty(),
        "one peer has so many handshakes at once and no more"
    );
    let certificate = std::fs::read_to_string(folder.path().join("kurrentdb-cert.pem")).unwrap();
    let certificate = &certificate[certificate.find("-----").unwrap()..];
    tests::streams::tls_provider();
    let trusted = ureq::tls::Certificate::from_pem(certificate.as_bytes()).unwrap().to_owned();
    let port = listening.address.port();
    let live = tokio::task::spawn_blocking(move || {
        let tls = ureq::tls::TlsConfig::builder()
            .root_certs(ureq::tls::RootCerts::new_with_certs(&[trusted]))
            .build();
        let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).build().into();
        agent
            .get(format!("https://localhost:{port}/health/live"))
            .call()
            .map(|answer| answer.status().as_u16())
            .map_err(|e| e.to_string())
    });
    assert_eq!(live.await.unwrap(), Ok(204), "another peer is served meanwhile");
    for stream in half {
        assert!(
            tokio::task::spawn_blocking(move || hung_up(stream)).await.unwrap().is_empty(),
            "who does not shake hands in time is let go"
        );
    }
}
