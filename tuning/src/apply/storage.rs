//! All writes to a host. Each call is one step that a crash happens before or after; only
//! [`Storage::write_new`] may be left half done, and nobody reads what it writes before the rename.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::host::Host;

/// Ends the name of a file that is not in its place yet. Programs that read directories of `.conf`
/// files pass over it.
const NEW: &str = ".throng-tune-new";

/// A host that can be written to. Paths are those of the host.
pub trait Storage {
    /// The text of a file; `None` if it is not there.
    ///
    /// # Errors
    /// It is there and cannot be read.
    fn read(&self, path: &str) -> io::Result<Option<String>>;

    /// Writes a value of the running kernel.
    ///
    /// # Errors
    /// The kernel refuses it.
    fn set(&mut self, path: &str, text: &str) -> io::Result<()>;

    /// Writes a file and its content to disk.
    ///
    /// # Errors
    /// The disk refuses it.
    fn write_new(&mut self, path: &str, text: &str) -> io::Result<()>;

    /// Puts a file into the place of another, and that to disk.
    ///
    /// # Errors
    /// The disk refuses it.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file, which need not be there, and puts that to disk.
    ///
    /// # Errors
    /// The disk refuses it.
    fn remove(&mut self, path: &str) -> io::Result<()>;

    /// Makes a directory, which may be there, and puts that to disk.
    ///
    /// # Errors
    /// The disk refuses it.
    fn make_directory(&mut self, path: &str) -> io::Result<()>;

    /// Removes a directory if it is there and empty.
    ///
    /// # Errors
    /// The disk refuses it.
    fn remove_directory(&mut self, path: &str) -> io::Result<()>;

    /// Replaces a file as a whole: after a crash it is the old or the new one.
    ///
    /// # Errors
    /// The disk refuses it.
    fn replace(&mut self, path: &str, text: &str) -> io::Result<()> {
        let new = format!("{path}{NEW}");
        self.write_new(&new, text)?;
        self.rename(&new, path)
    }

    /// Removes what a crash may have left of a file's replacement.
    ///
    /// # Errors
    /// The disk refuses it.
    fn sweep(&mut self, path: &str) -> io::Result<()> {
        self.remove(&format!("{path}{NEW}"))
    }

    /// Removes a file and what a crash may have left of its replacement.
    ///
    /// # Errors
    /// The disk refuses it.
    fn clear(&mut self, path: &str) -> io::Result<()> {
        self.sweep(path)?;
        self.remove(path)
    }
}

/// A host below its root, for real.
#[derive(Debug)]
pub struct HostStorage<'h> {
    host: &'h Host,
}

impl<'h> HostStorage<'h> {
    /// Writes to `host`.
    #[must_use]
    pub fn new(host: &'h Host) -> Self {
        Self { host }
    }

    /// Waits until no other call works on this host, and keeps others out until it is dropped.
    ///
    /// # Errors
    /// The directory of the record cannot be made or locked.
    pub fn lock(host: &Host) -> io::Result<File> {
        let directory = host.path(super::STATE_DIRECTORY);
        fs::create_dir_all(&directory)?;
        let lock = File::open(directory)?;
        lock.lock()?;
        Ok(lock)
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Not being there is what was wanted.
fn or_absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Storage for HostStorage<'_> {
    fn read(&self, path: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(self.host.path(path)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn set(&mut self, path: &str, text: &str) -> io::Result<()> {
        // One write: the kernel takes each as a value of its own.
        let mut file = OpenOptions::new().write(true).truncate(true).open(self.host.path(path))?;
        file.write_all(format!("{text}\n").as_bytes())
    }

    fn write_new(&mut self, path: &str, text: &str) -> io::Result<()> {
        let mut file = File::create(self.host.path(path))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let to = self.host.path(to);
        fs::rename(self.host.path(from), &to)?;
        sync_parent(&to)
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        let path = self.host.path(path);
        or_absent(fs::remove_file(&path))?;
        or_absent(sync_parent(&path))
    }

    fn make_directory(&mut self, path: &str) -> io::Result<()> {
        let path = self.host.path(path);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => sync_parent(&path),
        }
    }

    fn remove_directory(&mut self, path: &str) -> io::Result<()> {
        let path = self.host.path(path);
        match fs::remove_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            other => or_absent(other),
        }?;
        or_absent(sync_parent(&path))
    }
}
