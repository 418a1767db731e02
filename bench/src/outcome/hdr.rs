//! `--hdr`: the histograms as an HdrHistogram log (format 1.2), which HistogramLogAnalyzer,
//! `hdr-plot` and the libraries of other languages read. One line per metric, tagged with its name,
//! over the whole run; nanoseconds.

use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{
    IntervalLogWriterBuilder, IntervalLogWriterError, Tag,
};

use super::Outcome;
use super::histogram::from_text;

/// Largest values are shown in microseconds beside the histograms.
const MAX_VALUE_DIVISOR: f64 = 1e3;

/// Writes the log.
///
/// # Errors
/// The writer's; or a histogram of the result cannot be read or written.
pub fn write(outcome: &Outcome, out: &mut impl Write) -> io::Result<()> {
    let mut serializer = V2DeflateSerializer::new();
    let started = UNIX_EPOCH + Duration::from_millis(outcome.started_ms);
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.2]")
        .add_comment(&format!("{}; times in nanoseconds", outcome.host.command))
        .with_start_time(started)
        .with_base_time(started)
        .with_max_value_divisor(MAX_VALUE_DIVISOR)
        .begin_log_with(out, &mut serializer)?;
    let length = Duration::try_from_secs_f64(outcome.seconds).unwrap_or_default();
    for (name, text) in &outcome.histograms {
        let times = from_text(text).ok_or_else(|| unreadable(name))?;
        log.write_histogram(&times, Duration::ZERO, length, Tag::new(name)).map_err(|error| {
            match error {
                IntervalLogWriterError::IoError(error) => error,
                IntervalLogWriterError::SerializeError(_) => unreadable(name),
            }
        })?;
    }
    Ok(())
}

fn unreadable(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the histogram {name} is damaged"))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::outcome::testing::echo_outcome;

    #[test]
    fn the_log_is_read_back_with_the_same_histograms() {
        let outcome = echo_outcome();
        let mut log = Vec::new();
        write(&outcome, &mut log).unwrap();
        let mut read = Vec::new();
        for entry in IntervalLogIterator::new(&log) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                let bytes = STANDARD.decode(interval.encoded_histogram()).unwrap();
                let times: Histogram<u64> =
                    Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
                assert_eq!(interval.duration(), Duration::from_secs(10));
                read.push((interval.tag().unwrap().as_str().to_owned(), times));
            }
        }
        assert_eq!(read.len(), 2);
        for (name, times) in read {
            assert_eq!(times, from_text(&outcome.histograms[&name]).unwrap(), "{name}");
        }
    }

    #[test]
    fn a_damaged_histogram_is_named() {
        let mut outcome = echo_outcome();
        outcome.histograms.insert("echo".to_owned(), "damaged".to_owned());
        let error = write(&outcome, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("echo"), "{error}");
    }
}
