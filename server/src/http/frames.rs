//! The head of every WebSocket frame is looked at as it comes (RFC 6455, section 5.2): a frame that
//! announces more than a message may have ends the connection before its bytes are kept.
//!
//! actix-http checks a frame's length once the whole frame is there, and a frame may announce 2^63
//! bytes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use actix_web::error::PayloadError;
use actix_web::web::{Bytes, Payload};
use futures_util::Stream;

/// Size of the longest frame head: two bytes, eight of the length, four of the mask.
const HEAD_BYTES_MAX: usize = 14;

/// The size that a message may have, and whether a message exceeded it.
#[derive(Clone)]
pub(super) struct MessageLimit {
    max: Arc<AtomicU64>,
    passed: Arc<AtomicBool>,
}

impl MessageLimit {
    pub(super) fn new(max: usize) -> Self {
        Self { max: Arc::new(AtomicU64::new(max as u64)), passed: Arc::default() }
    }

    /// Sets the limit from the next frame on, in bytes.
    pub(super) fn set(&self, max: usize) {
        self.max.store(max as u64, Ordering::Relaxed);
    }

    pub(super) fn is_passed(&self) -> bool {
        self.passed.load(Ordering::Relaxed)
    }
}

/// Tracks the frames in the bytes of a connection.
#[derive(Default)]
struct Frames {
    head: [u8; HEAD_BYTES_MAX],
    /// Bytes of the current head that have arrived.
    have: usize,
    /// Bytes of the current frame's payload that are still to arrive.
    left: u64,
    /// Bytes that the current message announced in its frames so far.
    message: u64,
}

/// Length of a head in bytes, by its second byte.
fn head_bytes(second: u8) -> usize {
    let length = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + length + if second & 0x80 == 0 { 0 } else { 4 }
}

/// Length of the payload that a complete head announces, in bytes.
fn announced(head: &[u8; HEAD_BYTES_MAX]) -> u64 {
    let [_, second, a, b, c, d, e, f, g, h, ..] = *head;
    match second & 0x7f {
        126 => u64::from(u16::from_be_bytes([a, b])),
        127 => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        short => u64::from(short),
    }
}

impl Frames {
    /// Follows bytes as they arrive; returns false once a message announces more than `max` bytes.
    fn admit(&mut self, mut bytes: &[u8], max: u64) -> bool {
        loop {
            let skip = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= skip as u64;
            bytes = bytes.get(skip..).unwrap_or_default();
            let Some((byte, rest)) = bytes.split_first() else { return true };
            bytes = rest;
            if let Some(slot) = self.head.get_mut(self.have) {
                *slot = *byte;
            }
            self.have += 1;
            if self.have < 2 || self.have < head_bytes(self.head[1]) {
                continue;
            }
            let (first, length) = (self.head[0], announced(&self.head));
            (self.have, self.left) = (0, length);
            // Control frames come between those of a message and have at most 125 bytes.
            let is_control = first & 0x08 != 0;
            let whole = if is_control { length } else { self.message.saturating_add(length) };
            if whole > if is_control { 125 } else { max } {
                return false;
            }
            if !is_control {
                self.message = if first & 0x80 == 0 { whole } else { 0 };
            }
        }
    }
}

/// The bytes that a client sends, as long as its frames keep the limit.
pub(super) struct Guarded {
    payload: Payload,
    frames: Frames,
    limit: MessageLimit,
}

impl Guarded {
    pub(super) fn new(payload: Payload, limit: MessageLimit) -> Self {
        Self { payload, frames: Frames::default(), limit }
    }
}

impl Stream for Guarded {
    type Item = Result<Bytes, PayloadError>;
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        match Pin::new(&mut this.payload).poll_next(cx) {
            Poll::Ready(Some(Ok(bytes)))
                if !this.frames.admit(&bytes, this.limit.max.load(Ordering::Relaxed)) =>
            {
                this.limit.passed.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err(PayloadError::Overflow)))
            }
            polled @ (Poll::Ready(_) | Poll::Pending) => polled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of a masked frame that announces `length` bytes.
    fn head(first: u8, length: u64) -> Vec<u8> {
        let mut head = vec![first];
        match length {
            0..126 => head.push(0x80 | length.to_be_bytes()[7]),
            126..0x1_0000 => {
                head.push(0x80 | 126);
                head.extend(&length.to_be_bytes()[6..]);
            }
            _ => {
                head.push(0x80 | 127);
                head.extend(length.to_be_bytes());
            }
        }
        head.extend([0; 4]);
        head
    }

    fn frame(first: u8, length: u64) -> Vec<u8> {
        head(first, length).into_iter().chain((0..length).map(|_| 0)).collect()
    }

    #[test]
    fn a_message_may_have_just_so_many_bytes_however_its_bytes_arrive() {
        for at_once in [1, 3, 7, 4_096, 1 << 20] {
            for length in [0, 125, 126, 4_096] {
                let (mut frames, bytes) =
                    (Frames::default(), [frame(0x81, length), frame(0x81, length)].concat());
                assert!(
                    bytes.chunks(at_once).all(|c| frames.admit(c, 4_096)),
                    "{length} by {at_once}"
                );
            }
            let mut frames = Frames::default();
            assert!(
                !head(0x81, 4_097).chunks(at_once).all(|c| frames.admit(c, 4_096)),
                "by {at_once}"
            );
        }
        assert!(
            !Frames::default().admit(&head(0x81, 1 << 40), 1 << 20),
            "2^40 bytes are refused by the head alone"
        );
    }

    #[test]
    fn the_frames_of_one_message_are_added_up_and_control_frames_between_them_are_not() {
        let mut frames = Frames::default();
        let parts = [
            frame(0x01, 2_000),
            frame(0x89, 125),
            frame(0x00, 2_000),
            frame(0x80, 96),
            frame(0x81, 4_096),
        ];
        assert!(parts.iter().all(|part| frames.admit(part, 4_096)));
        let mut frames = Frames::default();
        assert!(
            frames.admit(&frame(0x01, 2_000), 4_096) && !frames.admit(&frame(0x80, 2_097), 4_096)
        );
        assert!(
            !Frames::default().admit(&head(0x89, 126), 4_096),
            "a control frame has at most 125 bytes"
        );
    }
}
