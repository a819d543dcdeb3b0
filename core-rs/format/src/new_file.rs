//! A file that appears whole or not at all: written beside its place under another name, brought to
//! the disk, and renamed. Whatever stops it before that, a full disk say, leaves nothing behind and the
//! older file of that name, if any, as it was. (Only the end of the whole process leaves the other
//! name: `.NAME.PROCESS-NUMBER.part`.)

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, IoContext, Result};

/// A file written but not yet in its place; removed when dropped before that.
pub(crate) struct NewFile {
    part: PathBuf,
    path: PathBuf,
}

impl NewFile {
    /// Lets `fill` write it and brings it to the disk. Errors name `path`.
    pub(crate) fn write(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<Self> {
        let write = || {
            let path = place(path)?;
            let (part, mut file) = create_beside(&path)?;
            let new = NewFile { part, path };
            fill(&mut file)?;
            file.sync_all().doing("bring the file to the disk")?;
            Ok(new) // here `file` closes: Windows does not rename an open file
        };
        write().map_err(|e: Error| e.in_file(path))
    }

    /// Renames it over whatever has its name. Error: the system refuses; it is removed then.
    pub(crate) fn put_in_place(mut self) -> Result<()> {
        let renamed = std::fs::rename(&self.part, &self.path).doing("rename the new file");
        if renamed.is_ok() {
            self.part = PathBuf::new();
        }
        renamed.map_err(|e| e.in_file(&self.path))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
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

/// Creates `.NAME.PROCESS-NUMBER.part` in the same directory, on the same file system.
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
            Ok(file) => return Ok((part, file)),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e).doing("create a file beside the place of the new one"),
        }
    }
}
