//! The data directory: who may use it, and which version wrote it.
//!
//! ```text
//! LOCK     held (flock) by the process that has the store open; names its pid
//! FORMAT   "throng-store 1": the version of everything under db/
//! PROBE    written and removed at each start, to see whether there is room
//! db/      the engine's files
//! ```
//!
//! Creation writes `FORMAT.new`, then makes the database, then renames it to `FORMAT`, each step
//! synced. A directory with `FORMAT.new` and without `FORMAT` was interrupted in this and held
//! nothing yet: its `db/` is made anew. A directory with other files and neither is not ours, and
//! nothing in it is touched.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::config::OpenError;
use crate::limits;

/// Version of keys, rows and cells.
pub(super) const FORMAT: u32 = 1;

const LOCK_FILE: &str = "LOCK";
const FORMAT_FILE: &str = "FORMAT";
const NEW_FORMAT_FILE: &str = "FORMAT.new";
const PROBE_FILE: &str = "PROBE";
const DATABASE: &str = "db";
const MAGIC: &str = "throng-store ";

/// The locked data directory. The lock ends with it, or with the process.
#[derive(Debug)]
pub(super) struct Directory {
    dir: PathBuf,
    new: bool,
    _lock: File,
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Io { action, path: path.to_owned(), source }
}

impl Directory {
    /// Locks the directory and checks that this build can use it, and that there is room. Creates
    /// it if it is missing.
    pub(super) fn open(dir: &Path) -> Result<Self, OpenError> {
        create(dir)?;
        refuse_foreign(dir)?;
        let lock = lock(dir)?;
        let new = match read_format(dir)? {
            Some(found) if found > FORMAT => {
                let dir = dir.to_owned();
                return Err(OpenError::NewerFormat { dir, found, supported: FORMAT });
            }
            found => found.is_none(),
        };
        let directory = Self { dir: dir.to_owned(), new, _lock: lock };
        if new {
            directory.begin_creation()?;
        }
        probe(dir).map_err(io_error("write to", dir))?;
        Ok(directory)
    }

    /// Where the engine keeps its files.
    pub(super) fn database(&self) -> PathBuf {
        self.dir.join(DATABASE)
    }

    /// The database is complete: from now on this is a data directory.
    pub(super) fn finish_creation(&mut self) -> Result<(), OpenError> {
        if self.new {
            let path = self.dir.join(FORMAT_FILE);
            let renamed = fs::rename(self.dir.join(NEW_FORMAT_FILE), &path);
            renamed.map_err(io_error("write", &path))?;
            sync_dir(&self.dir)?;
            self.new = false;
        }
        Ok(())
    }

    fn begin_creation(&self) -> Result<(), OpenError> {
        let path = self.dir.join(NEW_FORMAT_FILE);
        let written = File::create(&path).and_then(|mut file| {
            writeln!(file, "{MAGIC}{FORMAT}")?;
            file.sync_all()
        });
        written.map_err(io_error("write", &path))?;
        let database = self.database();
        match fs::remove_dir_all(&database) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove the unfinished", &database)(error))
            }
            _ => sync_dir(&self.dir),
        }
    }
}

/// Creates the directory and what is missing above it, so that a power failure leaves all or none.
fn create(dir: &Path) -> Result<(), OpenError> {
    let named = |path: &&Path| !path.as_os_str().is_empty();
    let missing: Vec<_> = dir.ancestors().filter(named).take_while(|path| !path.exists()).collect();
    fs::create_dir_all(dir).map_err(io_error("create", dir))?;
    for parent in missing.iter().filter_map(|path| path.parent()) {
        sync_dir(if named(&parent) { parent } else { Path::new(".") })?;
    }
    Ok(())
}

/// Only a directory that is empty, as a new file system is, or that this program began, is used.
fn refuse_foreign(dir: &Path) -> Result<(), OpenError> {
    let ours = [FORMAT_FILE, NEW_FORMAT_FILE];
    if ours.iter().any(|name| dir.join(name).exists()) {
        return Ok(());
    }
    for entry in fs::read_dir(dir).map_err(io_error("read", dir))? {
        let name = entry.map_err(io_error("read", dir))?.file_name();
        if name != LOCK_FILE && name != "lost+found" {
            let found = name.to_string_lossy().into_owned();
            return Err(OpenError::Foreign { dir: dir.to_owned(), found });
        }
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join(LOCK_FILE);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            return Err(OpenError::Locked { dir: dir.to_owned(), pid: pid.trim().parse().ok() });
        }
        Err(TryLockError::Error(source)) => return Err(io_error("lock", &path)(source)),
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(io_error("write", &path))?;
    Ok(file)
}

/// Whether the directory can be written: a little is written and synced, and the room asked for
/// that the engine may take at once. Leaves nothing behind.
pub(super) fn probe(dir: &Path) -> io::Result<()> {
    let path = dir.join(PROBE_FILE);
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&[0; limits::PROBE_BYTES])?;
        file.sync_data()?;
        ask_for_room(&file)
    });
    // One that stays is written over the next time.
    let _ = fs::remove_file(&path);
    written
}

/// Only "no" is an answer: not every file system can tell, and a limit on the size of files says
/// nothing about room.
fn ask_for_room(file: &File) -> io::Result<()> {
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, limits::ROOM_BYTES) {
        Err(error @ (Errno::NOSPC | Errno::DQUOT)) => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The directory's format, `None` if its creation did not finish.
fn read_format(dir: &Path) -> Result<Option<u32>, OpenError> {
    let path = dir.join(FORMAT_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
        Err(error) => return Err(io_error("read", &path)(error)),
    };
    let version = text.strip_prefix(MAGIC).and_then(|rest| rest.trim_end().parse().ok());
    version.filter(|version| *version > 0).map(Some).ok_or_else(|| OpenError::Corrupt {
        dir: dir.to_owned(),
        detail: format!("the file {FORMAT_FILE} does not name a format"),
    })
}

fn sync_dir(dir: &Path) -> Result<(), OpenError> {
    File::open(dir).and_then(|file| file.sync_all()).map_err(io_error("sync", dir))
}
