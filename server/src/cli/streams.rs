//! `minutebook streams`, and the options that both listeners of KurrentDB's protocol share.

use std::path::PathBuf;

use clap::Args;

use crate::app::AppError;

/// The flags of `streams`.
#[derive(Debug, Args)]
pub(super) struct Streams {
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2113")]
    listen: String,
    /// Certificate with its chain (PEM). Without it connections are not encrypted, and clients
    /// connect with `tls=false`.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Key of that certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
}

/// Serves the streams until the process is told to stop.
#[cfg(feature = "kurrentdb")]
pub(super) async fn serve(file: Option<PathBuf>, how: Streams) -> Result<(), AppError> {
    use std::sync::Arc;

    let Some(file) = file else {
        return Err(AppError::other("name the file of the streams: --data FILE"));
    };
    let streams = Arc::new(hub::streams::Streams::open(&file).map_err(AppError::other)?);
    let tls = how
        .tls_certificate
        .zip(how.tls_key)
        .map(|(certificate, key)| kurrent_protocol::Tls { certificate, key });
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let listening =
        kurrent_protocol::listen(Arc::clone(&streams), &how.listen, "", tls.as_ref(), stopped)
            .await
            .map_err(AppError::other)?;
    let query = if tls.is_some() { "" } else { "?tls=false" };
    crate::output::line(format!(
        "streams listen on kdb://{}{query}  (data in {})",
        listening.address,
        file.display()
    ));
    crate::output::note(
        "for tests, copies and development: no users, no projections, no persistent subscriptions, \
         one node",
    );
    super::stop::told_to_stop().await;
    let _ = stop.send(true);
    listening.stopped().await.map_err(AppError::other)?;
    streams.close().await;
    crate::output::note("minutebook: shutting down; what was acknowledged is durable");
    Ok(())
}

#[cfg(not(feature = "kurrentdb"))]
pub(super) async fn serve(_: Option<PathBuf>, how: Streams) -> Result<(), AppError> {
    drop(how);
    Err(AppError::other(
        "not supported: this program was built without KurrentDB's protocol; build it with \
         `--features kurrentdb`",
    ))
}
