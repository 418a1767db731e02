//! `throng-bench idle`: memory of idle established connections, against limits.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use throng_bench::idle::{self, IdlePlan};
use throng_bench::limits::{IDLE_KERNEL_BYTES_MAX, IDLE_USER_BYTES_MAX};

use super::{Exit, Failure, write_json};

/// Memory of idle established connections, user and kernel; fails above the limits
#[derive(Args, Debug)]
pub(crate) struct IdleArguments {
    /// Connections measured
    #[arg(long, default_value_t = 15_000)]
    connections: u32,
    /// Seconds of silence before the reading
    #[arg(long, default_value_t = 15)]
    settle: u64,
    /// Also write the result as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Further arguments for the gateway, after `--`
    #[arg(last = true)]
    gateway: Vec<String>,
}

pub(crate) fn main(arguments: IdleArguments) -> Result<Exit, Failure> {
    let IdleArguments { connections, settle, json, gateway } = arguments;
    let settle = Duration::from_secs(settle);
    let result = idle::measure(&IdlePlan { connections, settle, gateway_arguments: gateway })?;
    writeln!(
        io::stdout(),
        "idle connections {}: user {:.0} B each (limit {IDLE_USER_BYTES_MAX:.0}), \
         kernel {:.0} B each (limit {IDLE_KERNEL_BYTES_MAX:.0}); generator's end {:.0} B",
        result.connections,
        result.user_bytes,
        result.kernel_bytes,
        result.generator_kernel_bytes
    )?;
    write_json(json, &result)?;
    Ok(if result.passed { Exit::Pass } else { Exit::Threshold })
}
