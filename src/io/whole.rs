//! Files that are replaced whole.

use std::io;
use std::path::Path;

use bytes::Bytes;

use super::OpenOptions;
use super::fs::{self, File};

/// Replaces the file at `path` by one that holds `bytes`, durably and in one step, without blocking the core.
///
/// # Errors
/// The system's; the old file is there then.
pub async fn write_whole(path: impl AsRef<Path>, bytes: Bytes) -> io::Result<()> {
    let path = path.as_ref();
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let file = File::open(&temporary, OpenOptions::read_write_truncate()).await?;
    file.write_at(0, bytes).await?;
    file.sync_data().await?;
    fs::rename(&temporary, path).await?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_dir(parent.unwrap_or(Path::new("."))).await
}

/// Makes the directory's entries durable, without blocking the core: what was created, renamed or removed in it before.
///
/// # Errors
/// The system's.
pub async fn sync_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let dir = File::open(path, OpenOptions::read_only()).await?;
    dir.sync_all().await
}
