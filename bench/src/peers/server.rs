//! The servers of a comparison: how each is built, on demand, and started.
//!
//! The peers are no part of Throng's workspace, so building the gateway never builds them. What
//! comes of building them lies in `peers/` below the target directory of this program. A peer that
//! cannot be built here (no Go, no liburing) is skipped, and the result says why.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::gateway::beside;

/// A server that can be started.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// A contender, built or not.
#[derive(Debug)]
pub struct Contender {
    /// Name in results.
    pub name: &'static str,
    /// What to start, or why there is nothing to start.
    pub program: Result<Program, String>,
}

/// Names of the contenders that results and bars speak of.
pub const THRONG: &str = "throng";
/// Throng's own gateway over epoll.
pub const THRONG_EPOLL: &str = "throng-epoll";
/// uWebSockets as it comes.
pub const UWEBSOCKETS: &str = "uwebsockets";
/// Its experimental build.
pub const UWEBSOCKETS_IO_URING: &str = "uwebsockets-io_uring";

/// The peers in Rust.
const RUST: [&str; 3] = ["fastwebsockets", "tokio-tungstenite", "tokio-uring"];
/// The peer in Go.
const GWS: &str = "gws";

/// The crate that the C++ sources come in.
const UWEBSOCKETS_CRATE: &str = "libuwebsockets-sys";

/// Builds what of the wanted is not built yet; the gateway itself always takes part. `told` gets
/// one line per step.
///
/// # Errors
/// The gateway is missing, or the place for the peers cannot be made.
pub fn build(
    gateway: &[&str],
    is_wanted: impl Fn(&str) -> bool,
    mut told: impl FnMut(&str),
) -> io::Result<Vec<Contender>> {
    let path = beside("throng-edge")?;
    let throng = |name, more: &[&str]| {
        let arguments = gateway.iter().chain(more).map(ToString::to_string).collect();
        Contender { name, program: Ok(Program { path: path.clone(), arguments }) }
    };
    let mut contenders = vec![throng(THRONG, &[])];
    if is_wanted(THRONG_EPOLL) {
        contenders.push(throng(THRONG_EPOLL, &["--driver", "epoll"]));
    }
    let place = Place::find()?;
    for (name, is_experiment) in [(UWEBSOCKETS, false), (UWEBSOCKETS_IO_URING, true)] {
        if is_wanted(name) {
            told(&format!("building {name}"));
            contenders.push(contender(name, place.uwebsockets(name, is_experiment)));
        }
    }
    let in_rust: Vec<_> = RUST.into_iter().filter(|name| is_wanted(name)).collect();
    if !in_rust.is_empty() {
        told("building the peers in Rust");
        let built = place.rust();
        for name in in_rust {
            let program = built.as_ref().map(|release| release.join(name)).map_err(Clone::clone);
            contenders.push(contender(name, program));
        }
    }
    if is_wanted(GWS) {
        told("building gws");
        contenders.push(contender(GWS, place.gws()));
    }
    Ok(contenders)
}

fn contender(name: &'static str, path: Result<PathBuf, String>) -> Contender {
    let program = path.map(|path| Program { path, arguments: Vec::new() });
    Contender { name, program }
}

/// Where the sources are and where the results go.
struct Place {
    sources: PathBuf,
    built: PathBuf,
}

impl Place {
    fn find() -> io::Result<Self> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        if !sources.is_dir() {
            let message = format!("{} is missing: run from a checkout", sources.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        let built = std::env::current_exe()?.with_file_name("peers");
        std::fs::create_dir_all(&built)?;
        Ok(Self { sources, built })
    }

    fn manifest(&self) -> PathBuf {
        self.sources.join("Cargo.toml")
    }

    /// The directory of the peers in Rust.
    fn rust(&self) -> Result<PathBuf, String> {
        let target = self.built.join("rust");
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--release", "--locked", "--manifest-path"]).arg(self.manifest());
        run(cargo.arg("--target-dir").arg(&target))?;
        Ok(target.join("release"))
    }

    /// Compiled as its makefiles do (`-O3 -flto -march=native`), without TLS and compression.
    fn uwebsockets(&self, name: &str, is_experiment: bool) -> Result<PathBuf, String> {
        let output = self.built.join(name);
        let source = self.sources.join("uwebsockets/echo.cpp");
        if is_newer(&output, &source) {
            return Ok(output);
        }
        let library = self.uwebsockets_sources()?;
        let transport = library.join("uSockets/src");
        let mut common = vec!["-O3", "-flto", "-march=native", "-DLIBUS_NO_SSL", "-DUWS_NO_ZLIB"];
        if is_experiment {
            common.push("-DLIBUS_USE_IO_URING");
        }
        let objects = self.built.join(format!("{name}-objects"));
        std::fs::create_dir_all(&objects).map_err(|error| error.to_string())?;
        let mut cc = Command::new("cc");
        cc.current_dir(&objects).args(["-std=c11", "-c"]).args(&common).arg("-I").arg(&transport);
        run(cc.args(files(
            &["", "eventing", "crypto", "io_uring"].map(|p| transport.join(p)),
            "c",
        )?))?;
        let mut cxx = Command::new("c++");
        cxx.arg("-std=c++20").args(&common).arg("-I").arg(library.join("src"));
        cxx.arg("-I").arg(&transport).arg(&source).args(files(&[objects], "o")?);
        cxx.arg("-o").arg(&output);
        if is_experiment {
            cxx.arg("-luring");
        }
        run(&mut cxx)?;
        Ok(output)
    }

    /// Where cargo keeps the crate that carries uWebSockets; fetches it if need be.
    fn uwebsockets_sources(&self) -> Result<PathBuf, String> {
        let mut cargo = Command::new("cargo");
        cargo.args(["metadata", "--locked", "--format-version", "1", "--manifest-path"]);
        let output = run(cargo.arg(self.manifest()))?;
        let metadata: serde_json::Value =
            serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
        packages
            .iter()
            .find(|package| package["name"] == UWEBSOCKETS_CRATE)
            .and_then(|package| package["manifest_path"].as_str())
            .map(|manifest| Path::new(manifest).with_file_name("uWebSockets"))
            .ok_or_else(|| format!("cargo does not know {UWEBSOCKETS_CRATE}"))
    }

    fn gws(&self) -> Result<PathBuf, String> {
        let output = self.built.join("gws");
        let go = ["go", "/usr/local/go/bin/go"].into_iter().find(|go| {
            Command::new(go).arg("version").output().is_ok_and(|output| output.status.success())
        });
        let mut go =
            Command::new(go.ok_or("no Go here: install it from go.dev, or leave gws out")?);
        go.current_dir(self.sources.join("gws")).args(["build", "-o"]).arg(&output).arg(".");
        run(&mut go)?;
        Ok(output)
    }
}

/// Files of some directories with an extension, sorted.
fn files(directories: &[PathBuf], extension: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for directory in directories {
        let entries = std::fs::read_dir(directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        found.extend(paths.filter(|path| path.extension().is_some_and(|e| e == extension)));
    }
    found.sort();
    Ok(found)
}

fn is_newer(output: &Path, source: &Path) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    matches!((changed(output), changed(source)), (Some(output), Some(source)) if output > source)
}

/// Runs a build step; its failure is the last lines it wrote.
fn run(command: &mut Command) -> Result<Output, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let error = text.lines().find(|line| line.contains("error")).or(text.lines().last());
    Err(format!("{program}: {}", error.unwrap_or("failed").trim()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_fails_says_why() {
        let why =
            run(Command::new("sh").args(["-c", "echo nice; echo error: no luck >&2; exit 1"]));
        assert_eq!(why.unwrap_err(), "sh: error: no luck");
    }

    #[test]
    fn a_tool_that_is_not_there_is_named() {
        assert!(run(&mut Command::new("no-such-tool")).unwrap_err().starts_with("no-such-tool"));
    }

    #[test]
    fn what_was_built_before_its_source_changed_is_built_again() {
        let place = tempfile::tempdir().unwrap();
        let (source, output) = (place.path().join("source"), place.path().join("output"));
        std::fs::write(&source, "").unwrap();
        assert!(!is_newer(&output, &source));
        std::fs::write(&output, "").unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        std::fs::File::options().write(true).open(&output).unwrap().set_modified(later).unwrap();
        assert!(is_newer(&output, &source));
    }
}
