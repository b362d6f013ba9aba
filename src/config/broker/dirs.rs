//! Where the data lies: the log directories, where among them the metadata log stands, and which take no new partition.

use std::path::{Path, PathBuf};

use super::super::ConfigError;
use super::super::setting::split_list;
use super::Config;

/// The value of `cordoned.log.dirs` that stands for all of them.
const ALL: &str = "*";

impl Config {
    /// `log.dirs`, else `log.dir`: each once, in their order; never empty.
    pub fn log_dirs(&self) -> &[PathBuf] {
        &self.log_dirs
    }

    /// `metadata.log.dir`, else the first of the [others](Self::log_dirs).
    pub fn metadata_log_dir(&self) -> &Path {
        match self.value("metadata.log.dir") {
            Some(dir) if !dir.is_empty() => Path::new(dir),
            _ => &self.log_dirs[0],
        }
    }

    /// Which of the [log directories](Self::log_dirs) take no new partition (`cordoned.log.dirs`, KIP-1066). What was set while the
    /// broker ran, and names one that is no longer there, cordons none.
    pub fn cordoned_log_dirs(&self) -> Vec<&Path> {
        cordoned(self.text("cordoned.log.dirs"), &self.log_dirs).unwrap_or_default()
    }

    pub(super) fn read_log_dirs(&self) -> Result<Vec<PathBuf>, ConfigError> {
        let key = match self.set.contains_key("log.dirs") {
            true => "log.dirs",
            false => "log.dir",
        };
        let value = self.text(key);
        let mut dirs: Vec<PathBuf> = Vec::new();
        for dir in split_list(value) {
            if dir.is_empty() {
                return Err(ConfigError::new(key, value, "directories"));
            }
            // As in Kafka, twice is once.
            if !dirs.iter().any(|other| other == Path::new(dir)) {
                dirs.push(PathBuf::from(dir));
            }
        }
        match dirs.is_empty() {
            true => Err(ConfigError::new(key, value, "directories")),
            false => Ok(dirs),
        }
    }

    pub(super) fn check_cordoned(&self) -> Result<(), ConfigError> {
        let (key, value) = ("cordoned.log.dirs", self.text("cordoned.log.dirs"));
        match cordoned(value, &self.log_dirs) {
            Ok(_) => Ok(()),
            Err(_) => Err(ConfigError::new(
                key,
                value,
                "directories of log.dirs, or * alone",
            )),
        }
    }
}

/// The directories that a value of `cordoned.log.dirs` names, in the order of `log_dirs`.
///
/// # Errors
/// What Kafka's `KafkaConfig.validateCordonedLogDirs` says.
pub(in crate::config) fn cordoned<'d>(value: &str, log_dirs: &'d [PathBuf]) -> Result<Vec<&'d Path>, String> {
    let named = split_list(value);
    if named.contains(&"") {
        return Err("Configuration 'cordoned.log.dirs' values must not be empty.".to_owned());
    }
    let all = log_dirs.iter().map(PathBuf::as_path);
    if named.contains(&ALL) {
        return match named.iter().all(|dir| *dir == ALL) {
            true => Ok(all.collect()),
            false => Err(
                "requirement failed: When cordoned.log.dirs is set to *, it must not contain other values"
                    .to_owned(),
            ),
        };
    }
    let is_there = |dir: &&str| log_dirs.iter().any(|there| there.as_os_str() == *dir);
    let missing: Vec<&str> = named.iter().copied().filter(|dir| !is_there(dir)).collect();
    match missing.is_empty() {
        true => Ok(all
            .filter(|dir| named.iter().any(|named| dir.as_os_str() == *named))
            .collect()),
        false => Err(format!(
            "requirement failed: All entries in cordoned.log.dirs must be present in log.dirs or log.dir. Missing entries : {}",
            missing.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(settings: &[&str]) -> Result<Config, String> {
        let settings: Vec<String> = settings.iter().map(|setting| setting.to_string()).collect();
        let parsed = Config::parse(None, &settings);
        parsed
            .map(|(config, _)| config)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn several_directories_are_read_in_their_order_and_the_first_has_the_metadata_log() {
        let table: [(&[&str], &[&str], &str); 5] = [
            (&[], &["./data"], "./data"),
            (&["log.dir=/a , /b"], &["/a", "/b"], "/a"),
            (&["log.dirs=/b,/a,/b", "log.dir=/c"], &["/b", "/a"], "/b"),
            (&["log.dirs=/a,/b", "metadata.log.dir=/b"], &["/a", "/b"], "/b"),
            (&["log.dirs=/a", "metadata.log.dir=/m"], &["/a"], "/m"),
        ];
        for (settings, dirs, metadata) in table {
            let config = parse(settings).unwrap();
            let found: Vec<&str> = config.log_dirs().iter().filter_map(|dir| dir.to_str()).collect();
            assert_eq!(found, dirs, "{settings:?}");
            assert_eq!(config.metadata_log_dir(), Path::new(metadata), "{settings:?}");
        }
        for empty in ["log.dirs=,", "log.dirs=/a,", "log.dir=,/a"] {
            assert!(parse(&[empty]).is_err(), "{empty}");
        }
    }

    #[test]
    fn what_is_cordoned_is_a_log_directory_or_all_of_them() {
        let dirs = [PathBuf::from("/a"), PathBuf::from("/b")];
        let missing = "requirement failed: All entries in cordoned.log.dirs must be present in log.dirs or log.dir. Missing entries : ";
        let table: [(&str, Result<&[&str], String>); 8] = [
            ("", Ok(&[])),
            ("/b , /a", Ok(&["/a", "/b"])),
            ("/b,/b", Ok(&["/b"])),
            ("*", Ok(&["/a", "/b"])),
            ("*,/a", Err("requirement failed: When cordoned.log.dirs is set to *, it must not contain other values".to_owned())),
            ("/a,", Err("Configuration 'cordoned.log.dirs' values must not be empty.".to_owned())),
            ("/c", Err(format!("{missing}/c"))),
            ("/c,/a,/d", Err(format!("{missing}/c, /d"))),
        ];
        for (value, expected) in table {
            let found = cordoned(value, &dirs);
            let expected = expected.map(|dirs| dirs.iter().map(Path::new).collect::<Vec<_>>());
            assert_eq!(found, expected, "{value:?}");
        }
    }

    #[test]
    fn a_start_refuses_to_cordon_what_is_no_log_directory() {
        let told = parse(&["log.dirs=/a,/b", "cordoned.log.dirs=/c"]).unwrap_err();
        assert!(
            told.starts_with("cordoned.log.dirs = /c: expected directories of log.dirs"),
            "{told}"
        );
        let config = parse(&["log.dirs=/a,/b", "cordoned.log.dirs=/b"]).unwrap();
        assert_eq!(config.cordoned_log_dirs(), [Path::new("/b")]);
    }

    #[test]
    fn what_was_set_while_the_broker_ran_goes_before_the_file() {
        let config = parse(&["log.dirs=/a,/b", "cordoned.log.dirs=/b"]).unwrap();
        let with = |value: &str| {
            let on_broker = [("cordoned.log.dirs".to_owned(), value.to_owned())].into();
            let config = config.with_dynamic(&Default::default(), &on_broker);
            config.cordoned_log_dirs().len()
        };
        assert_eq!((with("*"), with(""), with("/gone")), (2, 0, 0));
    }
}
