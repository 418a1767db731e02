//! The configuration: flags, a TOML file with the same names, and defaults, in this order.
//!
//! Every setting is declared once, in `settings!`: from it come the flag, the key of the file, the
//! range, the default and what `--print-config` prints. Ranges are checked where a value is read,
//! so that the flag, or the file's line, is told.

mod driver;
mod durability;
mod within;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Parser;
use serde::{Deserialize, Serialize};
use throng_router::limits as router;
use throng_wire::limits as wire;

use crate::exit::{Exit, Fatal};
use crate::keys::{JwtAlgorithm, KeySource};
use crate::limits;
pub use driver::DriverSetting;
pub use durability::DurabilitySetting;
use within::Within;

/// The type of a value as it is given.
macro_rules! given {
    ($type:ty) => { $type };
    ($type:ty, $min:expr, $max:expr) => { Within<$type, { $min as u64 }, { $max as u64 }> };
}

/// A given value without its range.
macro_rules! plain {
    ($given:expr) => {
        $given
    };
    ($given:expr, $min:expr, $max:expr) => {
        $given.map(|within| within.0)
    };
}

macro_rules! settings {
    (
        with default { $( #[doc = $doc:literal] $(#[arg($($arg:tt)*)])?
            $name:ident: $type:ty $([$min:expr, $max:expr])? = $default:expr; )* }
        optional { $( #[doc = $odoc:literal] $(#[arg($($oarg:tt)*)])? $oname:ident: $otype:ty; )* }
    ) => {
        /// What a source of settings says.
        #[derive(Debug, Default, clap::Args, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        struct Given {
            $( #[doc = $doc] #[arg(long, value_name = "VALUE" $(, $($arg)*)?)]
               $name: Option<given!($type $(, $min, $max)?)>, )*
            $( #[doc = $odoc] #[arg(long, value_name = "VALUE" $(, $($oarg)*)?)] $oname: Option<$otype>, )*
        }

        /// The settings in force.
        #[derive(Clone, Debug, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub struct Settings {
            $( #[doc = $doc] pub $name: $type, )*
            $( #[doc = $odoc] #[serde(skip_serializing_if = "Option::is_none")] pub $oname: Option<$otype>, )*
        }

        impl Settings {
            /// The keys of the file that have no value.
            fn unset(&self) -> Vec<String> {
                let mut keys = Vec::new();
                $( if self.$oname.is_none() { keys.push(stringify!($oname).replace('_', "-")); } )*
                keys
            }
        }

        impl Given {
            fn or(self, behind: Self) -> Self {
                Self {
                    $( $name: self.$name.or(behind.$name), )*
                    $( $oname: self.$oname.or(behind.$oname), )*
                }
            }

            fn settle(self) -> Settings {
                let echo = self.echo.unwrap_or(false);
                $(
                    let $name = plain!(self.$name $(, $min, $max)?);
                    let $name = $name.unwrap_or_else(|| ($default)(echo));
                )*
                Settings { $( $name, )* $( $oname: self.$oname, )* }
            }
        }
    };
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

const fn ms(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

/// Largest setting in milliseconds.
const MS_MAX: u64 = ms(limits::DURATION_CEILING);

settings! {
    with default {
        /// Address for clients; port 0 takes a free one [default: 127.0.0.1:7400]
        listen: SocketAddr = |_| address(7400);
        /// Address for metrics and health [default: 127.0.0.1:7401]
        admin: SocketAddr = |_| address(7401);
        /// Data directory of the embedded store [default: ./throng-data]
        data: PathBuf = |_| PathBuf::from("./throng-data");
        /// When a message counts as durable: sync, os, or ms between syncs [default: sync]
        durability: DurabilitySetting = |_| DurabilitySetting::Sync;
        /// Kernel interface: auto takes io_uring where the host allows it [default: auto]
        driver: DriverSetting = |_| DriverSetting::Auto;
        /// Shards, each a thread with its own driver [default: half the cores, at least 1]
        shards: usize [1, limits::SHARDS_MAX] = |_| (cores() / 2).max(1);
        /// How long a waiting shard gathers what comes; 0: not at all [default: 0]
        gather_us: u32 [0, limits::GATHER_US_MAX] = |_| 0;
        /// Send every message back; no sessions, no store: for conformance suites and benchmarks
        #[arg(num_args = 0..=1, default_missing_value = "true")]
        echo: bool = |echo| echo;
        /// Filter of the log on stderr; RUST_LOG wins [default: info, warn for the store engine]
        log: String = |_| limits::LOG_FILTER.to_owned();
        /// Bytes of one message from a client [default: 65536, with --echo 16 MiB]
        frame_bytes_max: u32 [1, limits::FRAME_BYTES_CEILING] = |echo| if echo { limits::ECHO_FRAME_BYTES_MAX } else { limits::FRAME_BYTES_MAX };
        /// Queued output above which a connection's ephemeral frames are dropped [default: 65536]
        output_budget_bytes: u32 = |_| limits::OUTPUT_BUDGET_BYTES;
        /// Queued output above which a connection is closed [default: 1 MiB, with --echo 32 MiB]
        output_burst_bytes: u32 = |echo| if echo { 2 * limits::ECHO_FRAME_BYTES_MAX } else { limits::OUTPUT_BURST_BYTES };
        /// How long a client may leave one send untaken [default: 15000]
        output_stall_ms: u64 [1, MS_MAX] = |_| ms(limits::OUTPUT_STALL);
        /// Time for the HTTP request of a new connection [default: 10000]
        http_deadline_ms: u64 [1, MS_MAX] = |_| ms(limits::HTTP_DEADLINE);
        /// Time for hello after the upgrade [default: 10000]
        hello_deadline_ms: u64 [1, MS_MAX] = |_| ms(limits::HELLO_DEADLINE);
        /// How often a client has to be heard [default: 25000]
        heartbeat_ms: u64 [limits::HEARTBEAT_MS_MIN, MS_MAX] = |_| ms(limits::HEARTBEAT);
        /// Without input for this long a connection takes less kernel memory [default: 10000]
        cold_after_ms: u64 [0, MS_MAX] = |_| ms(limits::COLD_AFTER);
        /// Ops of a connection per second [default: 50]
        ops_per_s: u32 [1, u32::MAX] = |_| limits::OPS_PER_S;
        /// Ops of a connection at once [default: 200]
        ops_burst: u32 [1, limits::OPS_BURST_CEILING] = |_| limits::OPS_BURST;
        /// Connections accepted per second, divided among the shards [default: 20000]
        accepts_per_s: u32 [1, u32::MAX] = |_| limits::ACCEPTS_PER_S;
        /// Connections of a shard that have not said who they are [default: 8192]
        handshakes_per_shard_max: u32 [1, u32::MAX] = |_| limits::HANDSHAKES_MAX;
        /// The same from one address, divided among the gateway's shards [default: 4096]
        handshakes_per_address_max: u32 [1, u32::MAX] = |_| limits::HANDSHAKES_PER_ADDRESS_MAX;
        /// Connections of a shard; 0: as many as its descriptor table holds [default: 0]
        connections_per_shard_max: u32 = |_| 0;
        /// Members of a group [default: 500]
        group_members_max: u32 [limits::GROUP_MEMBERS_MIN, wire::MEMBERS_PER_REQUEST_MAX] = |_| router::GROUP_MEMBERS_MAX as u32;
        /// Connected devices of a user; one more takes the place of the oldest [default: 8]
        devices_max: u32 [1, limits::DEVICES_CEILING] = |_| router::DEVICES_MAX as u32;
        /// Window over which clients are told to reconnect at SIGTERM [default: 10000]
        drain_window_ms: u64 [0, MS_MAX] = |_| ms(limits::DRAIN_WINDOW);
    }
    optional {
        /// Key that verifies tokens: a PEM public key, or a raw secret with --jwt-alg HS256
        jwt_key: PathBuf;
        /// Algorithm of --jwt-key
        jwt_alg: JwtAlgorithm;
        /// JSON Web Key Set that verifies tokens
        jwks: PathBuf;
        /// Audience that tokens must name
        jwt_audience: String;
        /// Issuer that tokens must name
        jwt_issuer: String;
    }
}

/// The gateway of Throng. Without arguments: a standalone gateway for development on loopback.
#[derive(Debug, Parser)]
#[command(name = "throng-edge", version, about)]
struct CommandLine {
    /// TOML file with the same names as the flags; flags win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the settings in force as TOML and exit
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    given: Given,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// Run with these settings.
    Run(Box<Settings>),
    /// Print this text on stdout and end.
    Print(String),
}

/// Reads the command line (program name first) and the file it names.
///
/// # Errors
/// 64 for the command line, 78 for the file and for settings that contradict each other.
pub fn read<I, T>(arguments: I) -> Result<Asked, Fatal>
where
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) if !error.use_stderr() => return Ok(Asked::Print(error.to_string())),
        Err(error) => {
            return Err(Fatal { exit: Exit::Usage, message: error.to_string().trim_end().into() });
        }
    };
    let file = line.config.map_or(Ok(Given::default()), |path| read_file(&path))?;
    let settings = line.given.or(file).settle();
    settings.check()?;
    if line.print_config {
        return settings.print().map(Asked::Print);
    }
    Ok(Asked::Run(Box::new(settings)))
}

fn read_file(path: &std::path::Path) -> Result<Given, Fatal> {
    let text = fs::read_to_string(path).map_err(|error| {
        Fatal::configuration(format!("cannot read --config {}: {error}", path.display()))
    })?;
    toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text[..at].matches('\n').count() + 1;
        let key = text.lines().nth(line - 1).and_then(|line| line.split_once('='));
        let key = key.map_or(String::new(), |(key, _)| format!("{}: ", key.trim()));
        let message = error.message().replace('\n', " ");
        Fatal::configuration(format!(
            "{}:{line}: {key}{message}; `throng-edge --print-config` shows every key",
            path.display()
        ))
    })
}

impl Settings {
    /// A file that says the same. What is not set stands in it as a comment, ready to be filled in.
    fn print(&self) -> Result<String, Fatal> {
        let mut text = toml::to_string(self)
            .map_err(|error| Fatal::configuration(format!("cannot print: {error}")))?;
        text.extend(self.unset().iter().map(|key| format!("# {key} = \"\"\n")));
        Ok(text)
    }

    /// Where keys come from.
    pub fn key_source(&self) -> KeySource {
        KeySource {
            key: self.jwt_key.clone(),
            algorithm: self.jwt_alg,
            jwks: self.jwks.clone(),
            audience: self.jwt_audience.clone(),
            issuer: self.jwt_issuer.clone(),
        }
    }

    /// Whether clients say who they are without proof.
    pub fn is_development(&self) -> bool {
        !self.echo && !self.key_source().is_configured()
    }

    /// What only settings together can be wrong in.
    fn check(&self) -> Result<(), Fatal> {
        let wrong = [
            (
                !self.echo && self.frame_bytes_max > limits::FRAME_BYTES_MAX,
                "frame-bytes-max must be at most 65536 without echo: it has to fit a link frame",
            ),
            (
                self.output_burst_bytes < self.output_budget_bytes,
                "output-burst-bytes must not be below output-budget-bytes",
            ),
            (
                self.jwt_alg.is_some() && self.jwt_key.is_none(),
                "jwt-alg is for jwt-key, which is not given",
            ),
            (
                !self.key_source().is_configured()
                    && (self.jwt_audience.is_some() || self.jwt_issuer.is_some()),
                "jwt-audience and jwt-issuer are for tokens, which no key verifies; give --jwt-key \
                 or --jwks, or leave them out",
            ),
        ];
        if let Some((_, message)) = wrong.into_iter().find(|(is_wrong, _)| *is_wrong) {
            return Err(Fatal::configuration(message));
        }
        if self.is_development() && !self.listen.ip().is_loopback() {
            return Err(Fatal::configuration(format!(
                "without a key clients say who they are without proof, so only loopback addresses \
                 may be listened on, not {}; give --jwt-key or --jwks",
                self.listen
            )));
        }
        Ok(())
    }
}
