//! One process at a time: the lock beside the state file.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
    sync::Arc,
};

use super::Error;

/// Takes the lock beside the state file and leaves this process's id in it.
pub(super) fn take(path: &Path) -> Result<File, Error> {
    // Locks the file itself: another name for it must not give another lock.
    let whole = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let beside = whole.with_added_extension("lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&beside)
        .map_err(|source| io(path, "its lock cannot be made", source))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // The holder's id is a courtesy: the refusal stands without it.
            let _ = file.read_to_string(&mut pid);
            let pid = if pid.trim().is_empty() { "(unknown)".into() } else { pid.trim().to_owned() };
            return Err(Error::InUse { path: path.to_owned(), pid });
        }
        Err(TryLockError::Error(source)) => return Err(io(path, "it cannot be locked", source)),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    // A full disk holds the lock, but has no room for the id.
    if let Err(error) = write(&mut file)
        && error.kind() != std::io::ErrorKind::StorageFull
    {
        return Err(io(path, "its lock cannot be written", error));
    }
    Ok(file)
}

/// Returns the id of the process that holds the lock beside a state file, `(unknown)` where it left none; `None` where nobody
/// does. It changes nothing.
pub fn holder(path: &Path) -> Option<String> {
    let whole = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut file = File::open(whole.with_added_extension("lock")).ok()?;
    // A shared lock keeps nobody out for longer than this look.
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            Some(if pid.trim().is_empty() { "(unknown)".into() } else { pid.trim().to_owned() })
        }
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

pub(super) fn io(path: &Path, action: &'static str, source: std::io::Error) -> Error {
    Error::Io { path: path.to_owned(), action, source: Arc::new(source) }
}
