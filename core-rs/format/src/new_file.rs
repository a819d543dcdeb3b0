//! A file that appears whole or not at all: written beside its place under another name, brought to
//! the disk, and renamed. Whatever stops it before that, a full disk say, leaves nothing behind and the
//! older file of that name, if any, as it was.
//!
//! Only the end of the whole process leaves the other name, `.NAME.PROCESS-NUMBER.part`. Whoever writes one
//! holds a lock on it, which ends with the process, so the next file of that name takes those away that
//! nobody writes any more.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, IoContext, Result};

/// A file written but not yet in its place; removed when dropped before that.
pub(crate) struct NewFile {
    part: PathBuf,
    path: PathBuf,
    /// Open for its lock.
    file: Option<File>,
}

impl NewFile {
    /// Lets `fill` write it and brings it to the disk. Errors name `path`.
    pub(crate) fn write(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<Self> {
        let write = || {
            let path = place(path)?;
            remove_abandoned(&path);
            let (part, file) = create_beside(&path)?;
            let mut new = NewFile {
                part,
                path,
                file: Some(file),
            };
            let file = new.file.as_mut().expect("just put there");
            fill(file)?;
            file.sync_all().doing("bring the file to the disk")?;
            Ok(new)
        };
        write().map_err(|e: Error| e.in_file(path))
    }

    /// Closes it, which ends its lock: of many files at once, not all can stay open.
    pub(crate) fn close(&mut self) {
        self.file = None;
    }

    /// Renames it over whatever has its name. Error: the system refuses; it is removed then.
    pub(crate) fn put_in_place(mut self) -> Result<()> {
        if cfg!(windows) {
            self.close(); // it does not rename an open file
        }
        let renamed = std::fs::rename(&self.part, &self.path).doing("rename the new file");
        if renamed.is_ok() {
            self.part = PathBuf::new();
        }
        renamed.map_err(|e| e.in_file(&self.path))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if cfg!(windows) {
            self.close();
        }
        if !self.part.as_os_str().is_empty() {
            // The error that led here is the one to report; what cannot be removed stays.
            let _gone = std::fs::remove_file(&self.part);
        }
    }
}

/// Where a file of this name goes: behind links, and never in place of what is no file.
fn place(path: &Path) -> Result<PathBuf> {
    match std::fs::metadata(path) {
        Ok(there) if !there.is_file() => {
            let found = if there.is_dir() {
                "a folder"
            } else {
                "a device or a pipe"
            };
            let expected = "a file, or nothing yet";
            Err(Error::invalid("what is there", found, expected))
        }
        Ok(_) if path.is_symlink() => path.canonicalize().doing("follow the link"),
        _ => Ok(path.to_path_buf()),
    }
}

/// Creates `.NAME.PROCESS-NUMBER.part` in the same directory, on the same file system, and locks it.
fn create_beside(path: &Path) -> Result<(PathBuf, File)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let Some(name) = path.file_name() else {
        let found = path.display();
        return Err(Error::invalid("the path", found, "the name of a file"));
    };
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = std::process::id();
        let part = format!(".{}.{id}-{number}.part", name.to_string_lossy());
        let part = path.with_file_name(part);
        match OpenOptions::new().write(true).create_new(true).open(&part) {
            // Another process may have taken it for abandoned before it had its lock.
            Ok(file) if is_locked_elsewhere(&file) || !part.exists() => {}
            Ok(file) => return Ok((part, file)),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e).doing("create a file beside the place of the new one"),
        }
    }
}

/// Takes the lock, where the file system has any and nobody else holds it.
fn is_locked_elsewhere(file: &File) -> bool {
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// Removes what processes that were ended left of a new file of this name. What cannot be read, locked or
/// removed stays: it does no harm but the room it takes.
fn remove_abandoned(path: &Path) {
    let (Some(name), Some(folder)) = (path.file_name(), path.parent()) else {
        return;
    };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let begin = format!(".{}.", name.to_string_lossy());
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let number = found.to_str().and_then(|n| n.strip_prefix(&begin));
        if !number.is_some_and(is_numbered_part) || !entry.file_type().is_ok_and(|t| t.is_file()) {
            continue;
        }
        let opened = OpenOptions::new().write(true).open(entry.path());
        let Ok(file) = opened else { continue };
        if file.try_lock().is_ok() {
            let _gone = std::fs::remove_file(entry.path()); // the lock is held until it is
        }
    }
}

/// Whether a name ends as those of `create_beside`: `PROCESS-NUMBER.part`.
fn is_numbered_part(end: &str) -> bool {
    let is_number = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
    let numbers = end.strip_suffix(".part").and_then(|n| n.split_once('-'));
    numbers.is_some_and(|(process, number)| is_number(process) && is_number(number))
}
