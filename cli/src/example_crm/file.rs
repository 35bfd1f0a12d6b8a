//! The Example CRM's file: read once, and replaced after each change.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::record::Data;
use crate::environment;

const NAME: &str = "example-crm.json";

/// Returns the path of the file in this directory. Creates the directory if it is missing.
pub(crate) fn path_in(directory: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(directory)?;
    Ok(directory.join(NAME))
}

/// Returns the data in the file, or `None` if there is no file. A damaged file is renamed and logged, so that its owner
/// can repair it.
pub(crate) fn read(path: &Path, now_ms: i64) -> io::Result<Option<Data>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match serde_json::from_slice(&bytes) {
        Ok(data) => Ok(Some(data)),
        Err(error) => {
            let renamed = path.with_extension(format!("damaged-{now_ms}.json"));
            fs::rename(path, &renamed)?;
            tracing::warn!(
                file = %path.display(), renamed_to = %renamed.display(), %error,
                "the Example CRM's file is damaged; it was renamed, and the CRM starts with new data"
            );
            Ok(None)
        }
    }
}

/// Replaces the file. It contains either the old or the new data at any time, also if the process is killed.
pub(crate) fn write(path: &Path, data: &Data) -> io::Result<()> {
    let temporary = path.with_extension("json.new");
    environment::make_private(&temporary)?;
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(data)?)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}
