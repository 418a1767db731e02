//! What coordinator and workers say: frames of a 4-byte big-endian length, a byte for the kind, and
//! JSON; news have 2 bytes for the length of their stage, the stage as JSON, and the sample in its
//! own compact form.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use serde::{Deserialize, Serialize};

use super::CoordinateError;
use crate::generator::Sample;
use crate::generator::run::{News, Stage};
use crate::host::Host;
use crate::measure::{KernelGrowth, Readings};

/// Longest frame: a sample with every histogram full is some 500 KB.
const FRAME_BYTES_MAX: usize = 4 << 20;

const KIND_CONTROL: u8 = 0;
const KIND_NEWS: u8 = 1;

/// One message.
#[derive(Debug, Serialize, Deserialize)]
pub enum Message {
    /// Worker's first word.
    Hello {
        /// Version of the program.
        version: String,
        /// What it runs on.
        host: Box<Host>,
    },
    /// Coordinator asks for the worker's clock.
    Probe,
    /// The worker's clock, in nanoseconds since an epoch of its own.
    Echo {
        /// Nanoseconds.
        clock_ns: u64,
    },
    /// What to run.
    Job {
        /// The command line: subcommand and options, without outputs.
        arguments: Vec<String>,
        /// This worker's number.
        worker: u32,
        /// How many there are.
        workers: u32,
    },
    /// The worker can, with so many shards.
    Able {
        /// Shards of this worker.
        shards: u32,
    },
    /// The worker cannot.
    Refused {
        /// Why, for people.
        why: String,
    },
    /// Which part of the run is the worker's: to set up.
    Part {
        /// Number of the worker's first shard in the run.
        first_shard: u32,
        /// Shards of the run.
        shards: u32,
    },
    /// All of the worker's shards wait for the start.
    Ready,
    /// Begin.
    Start {
        /// The moment, in the worker's clock.
        at_clock_ns: u64,
    },
    /// End early.
    Stop,
    /// What a shard says.
    #[serde(skip)]
    News(Box<News>),
    /// The worker has nothing to tell, and is there.
    Alive,
    /// The worker is through.
    Done {
        /// What its side cost.
        finish: Box<Finish>,
    },
}

/// The end of a worker's part.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Finish {
    /// Its processes.
    pub readings: Readings,
    /// What its host's kernel memory grew by.
    pub growth: KernelGrowth,
}

/// One end of the connection between a coordinator and a worker.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: TcpStream,
    pub(super) peer: String,
}

impl Link {
    pub(super) fn say(&mut self, message: &Message) -> Result<(), CoordinateError> {
        write_message(&mut self.stream, message).map_err(|source| self.broken(source))
    }

    pub(super) fn hear(&mut self) -> Result<Message, CoordinateError> {
        read_message(&mut self.stream).map_err(|source| self.broken(source))
    }

    pub(super) fn broken(&self, source: io::Error) -> CoordinateError {
        CoordinateError::Io { peer: self.peer.clone(), source }
    }

    /// The error of an answer that is not the hoped-for one.
    pub(super) fn refused(&self, message: Message) -> CoordinateError {
        match message {
            Message::Refused { why } => CoordinateError::Refused { peer: self.peer.clone(), why },
            other => self.out_of_turn(&other),
        }
    }

    pub(super) fn out_of_turn(&self, message: &Message) -> CoordinateError {
        CoordinateError::OutOfTurn { peer: self.peer.clone(), said: format!("{message:?}") }
    }
}

/// Writes one message.
///
/// # Errors
/// Those of the connection; a message that is too long.
pub fn write_message(to: &mut impl Write, message: &Message) -> io::Result<()> {
    let mut frame = vec![0; 5];
    if let Message::News(news) = message {
        frame[4] = KIND_NEWS;
        let stage = serde_json::to_vec(&news.stage)?;
        frame.extend(u16::try_from(stage.len()).map_err(io::Error::other)?.to_be_bytes());
        frame.extend(stage);
        news.sample.encode(&mut frame);
    } else {
        frame[4] = KIND_CONTROL;
        serde_json::to_writer(&mut frame, message)?;
    }
    let length = frame.len() - 4;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "message too long"));
    }
    let length = u32::try_from(length).map_err(io::Error::other)?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    to.write_all(&frame)?;
    to.flush()
}

/// Reads one message.
///
/// # Errors
/// Those of the connection; a frame that is empty, too long or not understood (`InvalidData`).
pub fn read_message(from: &mut impl Read) -> io::Result<Message> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if !(1..=FRAME_BYTES_MAX).contains(&length) {
        return Err(malformed(format!("a frame of {length} bytes")));
    }
    let mut frame = Vec::new();
    from.take(length as u64).read_to_end(&mut frame)?;
    if frame.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    match frame[0] {
        KIND_CONTROL => serde_json::from_slice(&frame[1..]).map_err(malformed),
        KIND_NEWS => read_news(&frame[1..]),
        kind => Err(malformed(format!("a frame of kind {kind}"))),
    }
}

fn read_news(bytes: &[u8]) -> io::Result<Message> {
    let (length, rest) = bytes.split_first_chunk().ok_or(io::ErrorKind::InvalidData)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (stage, sample) = rest.split_at_checked(length).ok_or(io::ErrorKind::InvalidData)?;
    let stage: Stage = serde_json::from_slice(stage).map_err(malformed)?;
    let sample = Sample::decode(sample).map_err(malformed)?;
    Ok(Message::News(Box::new(News { stage, sample })))
}

fn malformed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::generator::{Cause, Counter, Metric};

    fn over_the_wire(message: &Message) -> Message {
        let mut wire = Vec::new();
        write_message(&mut wire, message).unwrap();
        read_message(&mut wire.as_slice()).unwrap()
    }

    #[test]
    fn news_arrive_with_their_stage_counts_times_and_failures() {
        let mut sample = Sample::default();
        sample.open = 7;
        sample.add(Counter::Sent, 3);
        sample.record(Metric::Ack, Duration::from_micros(250));
        sample.fail(Cause::Closed, 4001);
        for stage in [Stage::Interval(3), Stage::Failed { why: "ENOBUFS".to_owned(), errno: 105 }] {
            let news = News { stage: stage.clone(), sample: sample.clone() };
            let Message::News(got) = over_the_wire(&Message::News(Box::new(news))) else {
                panic!("another kind")
            };
            assert_eq!(got.stage, stage);
            assert_sample(&got.sample);
        }
    }

    fn assert_sample(got: &Sample) {
        assert_eq!((got.open, got.count(Counter::Sent)), (7, 3));
        assert_eq!(got.times(Metric::Ack).unwrap().len(), 1);
        assert_eq!(got.failures().collect::<Vec<_>>(), [(Cause::Closed, 4001, 1)]);
    }

    #[test]
    fn control_messages_arrive_as_they_were() {
        let job = Message::Job { arguments: vec!["flood".to_owned()], worker: 1, workers: 2 };
        assert!(matches!(over_the_wire(&job), Message::Job { worker: 1, workers: 2, .. }));
        let done = Message::Done { finish: Box::default() };
        assert!(matches!(over_the_wire(&done), Message::Done { .. }));
    }

    #[test]
    fn frames_that_are_empty_too_long_or_unknown_are_errors() {
        let read = |bytes: &[u8]| read_message(&mut &*bytes).unwrap_err().kind();
        assert_eq!(read(&[0, 0, 0, 0]), io::ErrorKind::InvalidData);
        assert_eq!(read(&[0, 64, 0, 1]), io::ErrorKind::InvalidData, "4 MiB and a byte");
        assert_eq!(read(&[0, 64, 0, 0]), io::ErrorKind::UnexpectedEof, "4 MiB are allowed");
        assert_eq!(read(&[0, 0, 0, 1, 9]), io::ErrorKind::InvalidData);
        assert_eq!(read(&[0, 0, 0, 3, 0, b'{', b'}']), io::ErrorKind::InvalidData);
        assert_eq!(read(&[0, 0, 0, 2, 0]), io::ErrorKind::UnexpectedEof);
        assert_eq!(read(&[0, 0, 0, 2, 1, 0]), io::ErrorKind::InvalidData, "half a length");
        assert_eq!(read(&[0, 0, 0, 4, 1, 0, 2, b'1']), io::ErrorKind::InvalidData, "a long stage");
    }
}
