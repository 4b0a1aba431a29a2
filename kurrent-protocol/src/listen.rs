//! The listener: gRPC over HTTP/2 with or without TLS, and `/health/live` without credentials.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tonic::transport::Server;
use uuid::Uuid;

use crate::MESSAGE_BYTES_MAX;
use crate::model::Store;
use crate::prompt::Prompt;
use crate::service::{AskedAs, Service};
use crate::wire::gossip::gossip_server::GossipServer;
use crate::wire::persistent_subscriptions::persistent_subscriptions_server::PersistentSubscriptionsServer;
use crate::wire::server_features::server_features_server::ServerFeaturesServer;
use crate::wire::streams::streams_server::StreamsServer;

/// Longest time of a TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(3);
/// Most TLS handshakes at once; further connections are closed.
const HANDSHAKES_MAX: usize = 1_024;
/// Most TLS handshakes at once with one peer, so that none takes all.
const HANDSHAKES_OF_A_PEER_MAX: usize = 64;
/// Most connections that completed the handshake and wait to be served.
const SHAKEN_MAX: usize = 64;
/// Most readers at once, of all connections.
const READERS_MAX: usize = 2_000;
/// How long a connection may be silent before a keepalive ping is sent.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How long the answer to a keepalive ping may take before the connection is closed.
const KEEPALIVE_ANSWER_MAX: Duration = Duration::from_secs(15);
/// Longest time that a stop waits for connected clients.
const FAREWELL_MAX: Duration = Duration::from_secs(5);
/// Most calls at once on one connection.
const CALLS_MAX: u32 = 1_000;

/// Why nothing can be listened for, or the listener failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ListenError {
    what: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl ListenError {
    fn new(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { what: what.into(), source: source.into() }
    }
}

/// Paths of a certificate with its chain and of its key, PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// File with the certificate, followed by those that signed it.
    pub certificate: PathBuf,
    /// File with the certificate's key.
    pub key: PathBuf,
}

impl Tls {
    fn acceptor(&self) -> Result<TlsAcceptor, ListenError> {
        let unusable = |file: &Path| format!("{} can't be used for TLS", file.display());
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(&self.certificate).and_then(Iterator::collect);
        let chain = chain.map_err(|e| ListenError::new(unusable(&self.certificate), e))?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|e| ListenError::new(unusable(&self.key), e))?;
        // Not the process's default provider: others may have chosen that, or nobody.
        let builder = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ));
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(|e| ListenError::new("TLS can't be used", e))?;
        let mut config = builder
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|e| ListenError::new(unusable(&self.certificate), e))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// A running listener.
pub struct Listening {
    /// The address it listens on, with the port that was chosen if 0 was asked for.
    pub address: SocketAddr,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
    stop: watch::Receiver<bool>,
}

impl Listening {
    /// Waits until the listener has stopped.
    ///
    /// # Errors
    /// If the listener failed.
    pub async fn stopped(mut self) -> Result<(), ListenError> {
        let _ = self.stop.wait_for(|stop| *stop).await;
        match tokio::time::timeout(FAREWELL_MAX, self.serving).await {
            Ok(done) => done
                .map_err(|e| ListenError::new("the listener ended early", e))?
                .map_err(|e| ListenError::new("the listener failed", e)),
            // Somebody does not take what it is sent, and so does not hear that this is the end.
            Err(_) => Ok(()),
        }
    }
}

/// Serves a store at an address until `stop` is true. `advertised` is the host that gossip names;
/// empty = the host of the address.
///
/// # Errors
/// If the address can't be bound or the certificate can't be read.
pub async fn listen<S: Store>(
    store: Arc<S>,
    address: &str,
    advertised: &str,
    tls: Option<&Tls>,
    stop: watch::Receiver<bool>,
) -> Result<Listening, ListenError> {
    let acceptor = tls.map(Tls::acceptor).transpose()?;
    let named = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let cant_listen =
        |e| ListenError::new(format!("can't listen on {address}; choose another address"), e);
    let listener = TcpListener::bind(address).await.map_err(cant_listen)?;
    let address = listener.local_addr().map_err(cant_listen)?;
    let host = if advertised.is_empty() { named } else { advertised };
    let service = Service {
        store,
        host: host.to_owned(),
        port: address.port(),
        instance: Uuid::now_v7(),
        stop: stop.clone(),
        readers: Arc::new(Semaphore::new(READERS_MAX)),
    };
    // What is read has more around it than what was written.
    let streams = StreamsServer::new(service.clone())
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX + (1 << 20));
    let mut routes = tonic::service::Routes::new(streams);
    routes = routes
        .add_service(GossipServer::new(service.clone()))
        .add_service(ServerFeaturesServer::new(service.clone()));
    routes = routes.add_service(PersistentSubscriptionsServer::new(service));
    let health = axum::routing::get(|| async { axum::http::StatusCode::NO_CONTENT });
    let asked = axum::middleware::map_request(|mut request: axum::extract::Request| async move {
        if let Some(asked) = AskedAs::of(&request) {
            request.extensions_mut().insert(asked);
        }
        request
    });
    let routes = tonic::service::Routes::from(
        routes.into_axum_router().route("/health/live", health).layer(asked),
    );
    let server = Server::builder()
        .accept_http1(true)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER_MAX))
        .max_concurrent_streams(Some(CALLS_MAX))
        .tcp_nodelay(true)
        .add_routes(routes);
    let (mut stop, stopped) = (stop.clone(), stop);
    let stopping = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let serving = match acceptor {
        None => tokio::spawn(server.serve_with_incoming_shutdown(plain(listener), stopping)),
        Some(acceptor) => {
            tokio::spawn(server.serve_with_incoming_shutdown(secured(listener, acceptor), stopping))
        }
    };
    Ok(Listening { address, serving, stop: stopped })
}

/// Accepts connections; one that fails while it is accepted does not end the stream.
fn plain(listener: TcpListener) -> impl Stream<Item = Result<Prompt, std::io::Error>> {
    accepted(listener).map(|(connection, _)| Ok(Prompt(connection)))
}

fn accepted(listener: TcpListener) -> impl Stream<Item = (TcpStream, IpAddr)> {
    async_stream::stream! {
        loop {
            match listener.accept().await {
                Ok((connection, peer)) => {
                    let _ = connection.set_nodelay(true);
                    yield (connection, peer.ip());
                }
                Err(e) => {
                    tracing::warn!(error = %e, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// Connections that complete their TLS handshake in time, each handshake in a task of its own.
fn secured(
    listener: TcpListener,
    acceptor: TlsAcceptor,
) -> impl Stream<Item = Result<tokio_rustls::server::TlsStream<Prompt>, std::io::Error>> {
    let (shaken, served) = mpsc::channel(SHAKEN_MAX);
    let room = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    tokio::spawn(async move {
        let mut connections = std::pin::pin!(accepted(listener));
        let mut peers: HashMap<IpAddr, Arc<Semaphore>> = HashMap::new();
        while let Some((connection, peer)) = connections.next().await {
            let (acceptor, shaken) = (acceptor.clone(), shaken.clone());
            if shaken.is_closed() {
                return;
            }
            // Whoever shakes hands shares the semaphore of its peer.
            if peers.len() > HANDSHAKES_MAX {
                peers.retain(|_, room| Arc::strong_count(room) > 1);
            }
            let of_peer = peers
                .entry(peer)
                .or_insert_with(|| Arc::new(Semaphore::new(HANDSHAKES_OF_A_PEER_MAX)));
            let places = Arc::clone(of_peer)
                .try_acquire_owned()
                .and_then(|own| Ok((own, Arc::clone(&room).try_acquire_owned()?)));
            let Ok(places) = places else { continue };
            tokio::spawn(async move {
                if let Ok(Ok(connection)) =
                    tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(Prompt(connection))).await
                {
                    let _ = shaken.send(Ok(connection)).await;
                }
                drop(places);
            });
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(served)
}
