//! The configuration: flags, a TOML file with the same names, and defaults, in this order.
//!
//! Every setting is declared once, in `settings!`: from it come the flag, the key of the file,
//! the default and what `--print-config` prints.

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Parser;
use serde::{Deserialize, Serialize};
use throng_store::embedded::Durability;

use crate::exit::{Exit, Fatal};
use crate::keys::{JwtAlgorithm, KeySource};
use crate::limits;

macro_rules! settings {
    (
        with default { $( #[doc = $doc:literal] $(#[arg($($arg:tt)*)])? $name:ident: $type:ty = $default:expr; )* }
        optional { $( #[doc = $odoc:literal] $(#[arg($($oarg:tt)*)])? $oname:ident: $otype:ty; )* }
    ) => {
        /// What a source of settings says.
        #[derive(Debug, Default, clap::Args, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        struct Given {
            $( #[doc = $doc] #[arg(long, value_name = "VALUE" $(, $($arg)*)?)] $name: Option<$type>, )*
            $( #[doc = $odoc] #[arg(long, value_name = "VALUE" $(, $($oarg)*)?)] $oname: Option<$otype>, )*
        }

        /// The settings in force.
        #[derive(Clone, Debug, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub struct Settings {
            $( #[doc = $doc] pub $name: $type, )*
            $( #[doc = $odoc] #[serde(skip_serializing_if = "Option::is_none")] pub $oname: Option<$otype>, )*
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
                $( let $name = self.$name.unwrap_or_else(|| ($default)(echo)); )*
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

fn ms(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

settings! {
    with default {
        /// Address for clients; port 0 takes a free one [default: 127.0.0.1:7400]
        listen: SocketAddr = |_| address(7400);
        /// Address for metrics and health [default: 127.0.0.1:7401]
        admin: SocketAddr = |_| address(7401);
        /// Data directory of the embedded store [default: ./throng-data]
        data: PathBuf = |_| PathBuf::from("./throng-data");
        /// When a message counts as durable: sync, os, or a number of ms between syncs [default: sync]
        durability: DurabilitySetting = |_| DurabilitySetting::Sync;
        /// Shards, each a thread with its own ring [default: half the cores, at least 1]
        shards: usize = |_| (cores() / 2).max(1);
        /// Send every message back; no sessions, no store: for conformance suites and benchmarks
        #[arg(num_args = 0..=1, default_missing_value = "true")]
        echo: bool = |echo| echo;
        /// Filter of the log on stderr, as RUST_LOG, which wins [default: info, warn for the store engine]
        log: String = |_| limits::LOG_FILTER.to_owned();
        /// Bytes of one message from a client [default: 65536, with --echo 16 MiB]
        frame_bytes_max: u32 = |echo| if echo { limits::ECHO_FRAME_BYTES_MAX } else { limits::FRAME_BYTES_MAX };
        /// Queued output above which a connection's ephemeral frames are dropped [default: 65536]
        output_budget_bytes: u32 = |_| limits::OUTPUT_BUDGET_BYTES;
        /// Queued output above which a connection is closed [default: 1 MiB, with --echo 32 MiB]
        output_burst_bytes: u32 = |echo| if echo { 2 * limits::ECHO_FRAME_BYTES_MAX } else { limits::OUTPUT_BURST_BYTES };
        /// How long a client may leave one send untaken [default: 15000]
        output_stall_ms: u64 = |_| ms(limits::OUTPUT_STALL);
        /// Time for the HTTP request of a new connection [default: 10000]
        http_deadline_ms: u64 = |_| ms(limits::HTTP_DEADLINE);
        /// Time for hello after the upgrade [default: 10000]
        hello_deadline_ms: u64 = |_| ms(limits::HELLO_DEADLINE);
        /// How often a client has to be heard [default: 25000]
        heartbeat_ms: u64 = |_| ms(limits::HEARTBEAT);
        /// Without input for this long a connection takes less kernel memory [default: 10000]
        cold_after_ms: u64 = |_| ms(limits::COLD_AFTER);
        /// Ops of a connection per second [default: 50]
        ops_per_s: u32 = |_| limits::OPS_PER_S;
        /// Ops of a connection at once [default: 200]
        ops_burst: u32 = |_| limits::OPS_BURST;
        /// Connections that the gateway accepts per second, divided among its shards [default: 20000]
        accepts_per_s: u32 = |_| limits::ACCEPTS_PER_S;
        /// Connections of a shard that have not said who they are [default: 8192]
        handshakes_per_shard_max: u32 = |_| limits::HANDSHAKES_MAX;
        /// The same from one address, of the whole gateway: divided among its shards [default: 4096]
        handshakes_per_address_max: u32 = |_| limits::HANDSHAKES_PER_ADDRESS_MAX;
        /// Connections of a shard; 0: as many as its descriptor table holds [default: 0]
        connections_per_shard_max: u32 = |_| 0;
        /// Window over which clients are told to reconnect at SIGTERM [default: 10000]
        drain_window_ms: u64 = |_| ms(limits::DRAIN_WINDOW);
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

/// `--durability`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurabilitySetting {
    /// fdatasync before every acknowledgement.
    Sync,
    /// The operating system decides.
    Os,
    /// Synced this often, milliseconds.
    IntervalMs(NonZeroU64),
}

impl std::str::FromStr for DurabilitySetting {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "sync" => Ok(Self::Sync),
            "os" => Ok(Self::Os),
            number => number
                .parse()
                .map(Self::IntervalMs)
                .map_err(|_| "say sync, os, or a number of milliseconds"),
        }
    }
}

impl std::fmt::Display for DurabilitySetting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sync => f.write_str("sync"),
            Self::Os => f.write_str("os"),
            Self::IntervalMs(ms) => write!(f, "{ms}"),
        }
    }
}

impl<'de> Deserialize<'de> for DurabilitySetting {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for DurabilitySetting {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<DurabilitySetting> for Durability {
    fn from(setting: DurabilitySetting) -> Self {
        match setting {
            DurabilitySetting::Sync => Self::Sync,
            DurabilitySetting::Os => Self::Os,
            DurabilitySetting::IntervalMs(ms) => Self::Interval(Duration::from_millis(ms.get())),
        }
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
        let text = toml::to_string(&settings)
            .map_err(|error| Fatal::configuration(format!("cannot print: {error}")))?;
        return Ok(Asked::Print(text));
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
        let message = error.message().replace('\n', " ");
        Fatal::configuration(format!(
            "{}:{line}: {message}; `throng-edge --print-config` shows every key",
            path.display()
        ))
    })
}

impl Settings {
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

    fn longest_ms(&self) -> u64 {
        let deadlines = self.http_deadline_ms.max(self.hello_deadline_ms);
        let spans = self.heartbeat_ms.max(self.cold_after_ms).max(self.drain_window_ms);
        deadlines.max(spans).max(self.output_stall_ms)
    }

    fn check(&self) -> Result<(), Fatal> {
        let wrong = [
            (self.shards == 0 || self.shards > limits::SHARDS_MAX, "shards must be 1 to 1024"),
            (
                self.frame_bytes_max == 0 || self.frame_bytes_max > limits::FRAME_BYTES_CEILING,
                "frame-bytes-max must be 1 to 67108864",
            ),
            (
                !self.echo && self.frame_bytes_max > limits::FRAME_BYTES_MAX,
                "frame-bytes-max must be at most 65536 without echo: it has to fit a link frame",
            ),
            (
                self.output_burst_bytes < self.output_budget_bytes,
                "output-burst-bytes must not be below output-budget-bytes",
            ),
            (self.heartbeat_ms < 100, "heartbeat-ms must be at least 100"),
            (
                self.http_deadline_ms == 0 || self.hello_deadline_ms == 0,
                "http-deadline-ms and hello-deadline-ms must be above 0",
            ),
            (self.ops_per_s == 0 || self.ops_burst == 0, "ops-per-s and ops-burst must be above 0"),
            (self.ops_burst > u32::from(u16::MAX), "ops-burst must be at most 65535"),
            (self.accepts_per_s == 0, "accepts-per-s must be above 0"),
            (
                self.handshakes_per_shard_max == 0 || self.handshakes_per_address_max == 0,
                "handshakes-per-shard-max and handshakes-per-address-max must be above 0",
            ),
            (self.output_stall_ms == 0, "output-stall-ms must be above 0"),
            (
                self.longest_ms() > ms(limits::DURATION_CEILING),
                "settings in milliseconds must be at most 86400000, a day",
            ),
            (
                self.jwt_alg.is_some() && self.jwt_key.is_none(),
                "jwt-alg is for jwt-key, which is not given",
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
