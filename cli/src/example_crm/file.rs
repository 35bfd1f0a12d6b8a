//! The Example CRM's file: read once, and replaced as a whole after each change.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::record::Data;

const NAME: &str = "example-crm.json";

/// Where the data is kept, in a directory that is made when it is missing.
pub(crate) fn path_in(directory: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(directory)?;
    Ok(directory.join(NAME))
}

/// What the file holds; `None` when there is none. A file that cannot be understood is set aside under another name
/// and reported, so that whoever needs it can repair it.
pub(crate) fn read(path: &Path, now_ms: i64) -> io::Result<Option<Data>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match serde_json::from_slice(&bytes) {
        Ok(data) => Ok(Some(data)),
        Err(error) => {
            let aside = path.with_extension(format!("damaged-{now_ms}.json"));
            fs::rename(path, &aside)?;
            tracing::warn!(
                file = %path.display(), kept_as = %aside.display(), %error,
                "the Example CRM's file is damaged; it was set aside, and the CRM starts anew"
            );
            Ok(None)
        }
    }
}

/// Replaces the file. Whatever happens meanwhile, it holds either the old data or the new.
pub(crate) fn write(path: &Path, data: &Data) -> io::Result<()> {
    let temporary = path.with_extension("json.new");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(data)?)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}
