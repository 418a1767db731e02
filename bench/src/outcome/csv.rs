//! `--csv`: the series, one line a second, with a header; fields are numbers alone (RFC 4180).

use std::io::{self, Write};

use super::Second;

/// Names of the columns: those of [`Second`].
const HEADER: &str = "second,open,established,failed,sent,received,p50_us,p99_us,lateness_p99_us,\
                      client_cpu_seconds,server_cpu_seconds,server_rss_bytes,slab_bytes";

/// Writes the series.
///
/// # Errors
/// The writer's.
pub fn write(series: &[Second], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{HEADER}")?;
    for s in series {
        writeln!(
            out,
            "{:.3},{},{},{},{},{},{},{},{},{},{},{},{}",
            s.second,
            s.open,
            s.established,
            s.failed,
            s.sent,
            s.received,
            s.p50_us,
            s.p99_us,
            s.lateness_p99_us,
            s.client_cpu_seconds,
            s.server_cpu_seconds,
            s.server_rss_bytes,
            s.slab_bytes
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::testing::echo_outcome;

    #[test]
    fn every_field_of_a_second_is_a_column_in_its_place() {
        let series = echo_outcome().series;
        let mut bytes = Vec::new();
        write(&series, &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (header, rows) = text.split_once('\n').unwrap();
        for (row, second) in rows.lines().zip(&series) {
            let fields = serde_json::to_value(second).unwrap();
            assert_eq!(header.split(',').count(), fields.as_object().unwrap().len());
            for (name, value) in header.split(',').zip(row.split(',')) {
                assert_eq!(value.parse::<f64>().unwrap(), fields[name].as_f64().unwrap(), "{name}");
            }
        }
        assert_eq!(rows.lines().count(), 10);
    }
}
