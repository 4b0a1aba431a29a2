//! TLS of the HTTP listener; the certificate is read again when its files change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use event_log::{Cause, chain};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::app::AppError;

/// How often the files are checked for changes.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Paths of a certificate with its chain and of its key, PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// File with the certificate, followed by those that signed it.
    pub certificate: PathBuf,
    /// File with the certificate's key.
    pub key: PathBuf,
}

impl Tls {
    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, Cause> {
        fn named(file: &Path, e: impl std::error::Error + Send + Sync + 'static) -> Cause {
            Cause::new(file.display(), e)
        }
        let pem: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(&self.certificate).and_then(Iterator::collect);
        let chain = pem.map_err(|e| named(&self.certificate, e))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|e| named(&self.key, e))?;
        let pair = CertifiedKey::from_der(chain, key, provider)
            .map_err(|e| named(&self.certificate, e))?;
        pair.keys_match().map_err(|e| named(&self.key, e))?;
        Ok(pair)
    }

    fn changed_at(&self) -> Option<(SystemTime, SystemTime)> {
        let of = |file: &PathBuf| std::fs::metadata(file).and_then(|m| m.modified()).ok();
        of(&self.certificate).zip(of(&self.key))
    }
}

/// The certificate that was read last.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Makes the TLS configuration, which follows changes of the files.
///
/// # Errors
/// If the certificate can't be read, or the key is not its own.
pub(super) fn config(tls: Tls) -> Result<rustls::ServerConfig, AppError> {
    let of_setting = |e: Cause| AppError::caused("--tls-cert, --tls-key", e);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let (seen, first) = (tls.changed_at(), tls.read(&provider).map_err(of_setting)?);
    let current = Arc::new(Current(RwLock::new(Arc::new(first))));
    event_log::vital::task(
        "certificate",
        follow(tls, seen, Arc::clone(&current), Arc::clone(&provider)),
    );
    let builder = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| of_setting(Cause::of(e)))?;
    Ok(builder.with_no_client_auth().with_cert_resolver(current))
}

/// Follows changes of the files. A pair that does not fit, for example because it is half written,
/// is logged and tried again; until then the previous one is used.
async fn follow(
    tls: Tls,
    mut seen: Option<(SystemTime, SystemTime)>,
    current: Arc<Current>,
    provider: Arc<CryptoProvider>,
) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let changed = tls.changed_at();
        if changed == seen {
            continue;
        }
        match tls.read(&provider) {
            Ok(pair) => {
                *current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                seen = changed;
                tracing::info!("the certificate of the HTTP door was read again");
            }
            Err(e) => {
                tracing::error!(error = %chain(&e), "the certificate of the HTTP door changed and can't be \
                    read; the one before goes on")
            }
        }
    }
}
