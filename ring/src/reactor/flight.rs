//! What is being sent, and the pools that idle buffers and records wait in.
//!
//! A flight owns everything the kernel reads (buffers, iovecs, message header) from the moment its
//! send is submitted until that send's completion. It exists only while something is in flight, so
//! an idle connection has none.

use crate::driver::{Chunk, SendBatch};
use crate::limits::{POOL_BUFFER_BYTES_MAX, POOL_BUFFERS_MAX, POOL_FLIGHTS_MAX, SEND_CHUNKS_MAX};

/// A batch on its way.
#[derive(Debug, Default)]
pub struct Flight {
    batch: SendBatch,
    bytes: usize,
    sent: usize,
    /// The kernel's view of several chunks, made by the backend that needs it.
    pub(crate) message: Option<Box<Message>>,
}

/// Room for the iovecs of one send.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) iovecs: [libc::iovec; SEND_CHUNKS_MAX],
    pub(crate) header: libc::msghdr,
}

impl Flight {
    /// Bytes not sent yet.
    pub(crate) fn left(&self) -> usize {
        self.bytes - self.sent
    }

    /// Counts bytes as sent.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.sent = self.bytes.min(self.sent + bytes);
    }

    /// What is left, if it is in one piece.
    pub(crate) fn only_piece(&self) -> Option<&[u8]> {
        let mut pieces = self.pieces();
        pieces.next().filter(|_| pieces.next().is_none())
    }

    /// The pieces still to be sent, none of them empty.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut skip = self.sent;
        self.batch.chunks.iter().filter_map(move |chunk| {
            let bytes = chunk.as_slice();
            let piece = &bytes[skip.min(bytes.len())..];
            skip = skip.saturating_sub(bytes.len());
            (!piece.is_empty()).then_some(piece)
        })
    }
}

/// Idle send buffers and flights, bounded in number and capacity.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    buffers: Vec<Vec<u8>>,
    #[allow(clippy::vec_box, reason = "the kernel is given parts of it: it must not move")]
    flights: Vec<Box<Flight>>,
}

impl Pool {
    /// An empty buffer.
    pub(crate) fn buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    /// Keeps a buffer, unless it is worthless, a giant, or one too many.
    pub(crate) fn recycle(&mut self, mut buffer: Vec<u8>) {
        let worth = buffer.capacity() > 0 && buffer.capacity() <= POOL_BUFFER_BYTES_MAX;
        if worth && self.buffers.len() < POOL_BUFFERS_MAX {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    /// Readies a batch for sending.
    pub(crate) fn launch(&mut self, batch: SendBatch) -> Box<Flight> {
        let mut flight = self.flights.pop().unwrap_or_default();
        flight.bytes = batch.bytes();
        flight.sent = 0;
        flight.batch = batch;
        flight
    }

    /// Takes a flight apart after its completion.
    pub(crate) fn land(&mut self, mut flight: Box<Flight>) {
        for chunk in std::mem::take(&mut flight.batch).chunks {
            if let Chunk::Owned(buffer) = chunk {
                self.recycle(buffer);
            }
        }
        if self.flights.len() < POOL_FLIGHTS_MAX {
            self.flights.push(flight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn left(flight: &Flight) -> Vec<u8> {
        flight.pieces().flatten().copied().collect()
    }

    #[test]
    fn a_flight_resumes_at_every_offset() {
        let mut pool = Pool::default();
        for offset in 0..=9 {
            let mut batch = SendBatch::new();
            batch.push_owned(b"abc".to_vec());
            batch.push_shared(Bytes::new());
            batch.push_shared(Bytes::from_static(b"defg"));
            batch.push_owned(b"hi".to_vec());
            let mut flight = pool.launch(batch);
            flight.advance(offset);
            assert_eq!(left(&flight), b"abcdefghi"[offset..]);
            assert_eq!(flight.left(), 9 - offset);
            assert!(flight.pieces().all(|piece| !piece.is_empty()));
            pool.land(flight);
        }
    }

    #[test]
    fn the_pool_keeps_a_buffer_at_the_limit_and_drops_one_past_it() {
        let mut pool = Pool::default();
        pool.recycle(Vec::with_capacity(POOL_BUFFER_BYTES_MAX));
        assert_eq!(pool.buffer().capacity(), POOL_BUFFER_BYTES_MAX);
        pool.recycle(Vec::with_capacity(POOL_BUFFER_BYTES_MAX + 1));
        assert_eq!(pool.buffer().capacity(), 0);
    }

    #[test]
    fn the_pool_keeps_at_most_its_number_of_buffers() {
        let mut pool = Pool::default();
        for _ in 0..=POOL_BUFFERS_MAX {
            pool.recycle(Vec::with_capacity(1));
        }
        assert_eq!(pool.buffers.len(), POOL_BUFFERS_MAX);
    }
}
