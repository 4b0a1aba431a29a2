//! Request bodies, read only once the sender is known: each route has its limit, and all have a
//! deadline.

use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, web};
use domain::PrincipalId;
use domain::limits::{
    BODIES_BYTES_MAX, BODIES_BYTES_PER_PRINCIPAL_MAX, BODY_BYTES_SMALL, BODY_MS_MAX,
};
use futures_util::StreamExt as _;
use tokio::sync::Semaphore;

use super::Problem;
use super::slots::Slots;

/// Size from which the body of a refused request is not drained, in bytes.
const LARGE_BYTES: u64 = 64 << 10;

/// Most bytes that are drained of one body.
const DRAINED_BYTES_MAX: usize = 4 << 20;
/// Longest time that one body is drained.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// Bounds how many bodies are drained at once: refusing many must cost less than serving them.
static DRAINS: Semaphore = Semaphore::const_new(8);

/// True if a request announces a body that is too large to be drained.
pub(super) fn is_large(request: &HttpRequest) -> bool {
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    request.headers().contains_key(header::TRANSFER_ENCODING)
        || length.is_some_and(|bytes| bytes > LARGE_BYTES)
}

/// Reads on a little of a refused request, because a client that is cut off while it sends may not
/// read the answer. If many are refused at once, most are cut off.
pub(super) async fn drain(body: &mut web::Payload) {
    let Ok(_place) = DRAINS.try_acquire() else { return };
    let rest = async {
        let mut drained = 0;
        while let Some(Ok(chunk)) = body.next().await {
            drained += chunk.len();
            if drained > DRAINED_BYTES_MAX {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_MAX, rest).await;
}

/// Bounds the bytes of large bodies that are being read, of each principal and of all. Small bodies
/// need no room, so that slow senders of large ones block no commands.
pub(super) struct Bodies {
    of_principal: Slots<PrincipalId>,
    all: Semaphore,
}

/// Size of the pieces in which bodies are counted, in bytes.
const PIECE_BYTES: usize = 1 << 10;

impl Default for Bodies {
    fn default() -> Self {
        Self {
            of_principal: Slots::new(BODIES_BYTES_PER_PRINCIPAL_MAX / PIECE_BYTES),
            all: Semaphore::new(BODIES_BYTES_MAX / PIECE_BYTES),
        }
    }
}

impl Bodies {
    /// Bytes of the bodies that are being read.
    pub(super) fn bytes(&self) -> usize {
        BODIES_BYTES_MAX - self.all.available_permits() * PIECE_BYTES
    }

    /// Reads a body of at most `max` bytes from an authenticated principal, once there is room for
    /// it.
    ///
    /// # Errors
    /// 413 as soon as the length, announced or come so far, is above the limit; 408 after
    /// the deadline; 400 when the connection breaks.
    pub(super) async fn read(
        &self,
        from: PrincipalId,
        request: &HttpRequest,
        mut body: web::Payload,
        max: usize,
    ) -> Result<web::Bytes, Problem> {
        let announced = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if let Some(bytes) =
            announced.filter(|bytes| usize::try_from(*bytes).map_or(true, |bytes| bytes > max))
        {
            drain(&mut body).await;
            return Err(too_large(bytes, max));
        }
        let most = announced.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(max);
        let whole = async {
            let pieces = if most > BODY_BYTES_SMALL { most.div_ceil(PIECE_BYTES) } else { 0 };
            let share = u32::try_from(pieces.min(BODIES_BYTES_PER_PRINCIPAL_MAX / PIECE_BYTES))
                .unwrap_or(0);
            let _own = self.of_principal.wait(from, share).await;
            let _of_all = self.all.acquire_many(share).await;
            // One that announces its length grows no more, and so is never copied.
            let mut read = web::BytesMut::with_capacity(announced.map_or(0, |_| most));
            while let Some(chunk) = body.next().await {
                let chunk = chunk.map_err(|e| {
                    Problem::new(400, "malformed", &format!("the body broke off: {e}"))
                })?;
                if read.len() + chunk.len() > max {
                    return Err(too_large((read.len() + chunk.len()) as u64, max));
                }
                read.extend_from_slice(&chunk);
            }
            Ok(read.freeze())
        };
        let too_slow = |_| {
            Problem::new(
                408,
                "body_too_slow",
                &format!("the body did not come within {BODY_MS_MAX} ms; send less at once"),
            )
        };
        tokio::time::timeout(Duration::from_millis(BODY_MS_MAX), whole).await.map_err(too_slow)?
    }
}

fn too_large(bytes: u64, max: usize) -> Problem {
    Problem::new(
        413,
        "too_large",
        &format!("the body has {bytes} bytes or more, {max} are allowed; send less at once"),
    )
}
