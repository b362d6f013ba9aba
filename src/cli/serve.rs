//! `ringlog serve`: reads the settings and starts the broker.

use std::io::{ErrorKind, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::Failure;
use crate::config::{CONFIG_FILE_BYTES_MAX, Config};
use crate::io;

/// Run a broker
#[derive(Clone, Debug, Default, Args)]
#[command(
    after_help = "Settings have the names of Kafka's server.properties, plus ringlog.*. An unknown one is a warning, a bad \
                  value the end, with exit code 2.\n\n\
                  Example:\n  ringlog serve --config server.properties -o log.dirs=/var/lib/ringlog -o ringlog.profile=busy"
)]
pub struct ServeArgs {
    /// A file of settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting, over the file's; may be repeated
    #[arg(short = 'o', long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

/// Runs the broker until it is stopped.
pub fn serve(args: ServeArgs) -> ExitCode {
    begin_log();
    match read_config(&args) {
        Ok(config) => crate::server::serve(config),
        Err(failure) => {
            eprintln!("ringlog: {failure}");
            failure.exit_code()
        }
    }
}

/// What is told where `RUST_LOG` says nothing: what went wrong, and how far a start after a crash is.
const TOLD: &str = "warn,ringlog::shard::opening=info";

/// Log lines go to standard error: [`TOLD`], or what `RUST_LOG` says.
fn begin_log() {
    let asked = std::env::var("RUST_LOG").unwrap_or_default();
    let filter = match asked.as_str() {
        "" => EnvFilter::new(TOLD),
        asked => EnvFilter::builder()
            .with_default_directive(LevelFilter::WARN.into())
            .parse_lossy(asked),
    };
    // Fails only when a log has begun already.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}

fn read_config(args: &ServeArgs) -> Result<Config, Failure> {
    let text = args.config.as_deref().map(read_file).transpose()?;
    let (config, warnings) =
        Config::parse(text.as_deref(), &args.overrides).map_err(|e| Failure::Usage(e.to_string()))?;
    for warning in warnings {
        eprintln!("ringlog: warning: {warning}");
    }
    Ok(config)
}

fn read_file(path: &Path) -> Result<String, Failure> {
    let failed = |reason: String| Failure::Usage(format!("--config {}: {reason}", path.display()));
    let bytes = io::fs::read_whole_now(path, CONFIG_FILE_BYTES_MAX).map_err(|e| match e.kind() {
        ErrorKind::FileTooLarge => failed(format!("longer than {CONFIG_FILE_BYTES_MAX} bytes")),
        _ => failed(e.to_string()),
    })?;
    String::from_utf8(bytes).map_err(|_| failed("not UTF-8 text".to_owned()))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test writes its own files")]
mod tests {
    use super::*;

    fn error_of(args: ServeArgs) -> String {
        match read_config(&args) {
            Err(Failure::Usage(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_bad_value_is_a_usage_error_that_names_key_and_value() {
        let overrides = vec!["num.partitions=many".into()];
        let text = error_of(ServeArgs {
            config: None,
            overrides,
        });
        assert!(text.contains("num.partitions") && text.contains("many"), "{text}");
    }

    #[test]
    fn overrides_stand_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server.properties");
        std::fs::write(&file, "num.partitions=3\nnode.id=7\n").unwrap();
        let args = ServeArgs {
            config: Some(file),
            overrides: vec!["num.partitions=5".into()],
        };
        let config = read_config(&args).unwrap();
        assert_eq!((config.num_partitions(), config.node_id().0), (5, 7));
    }

    #[test]
    fn a_missing_file_is_named() {
        let text = error_of(ServeArgs {
            config: Some("/no/such/file".into()),
            overrides: Vec::new(),
        });
        assert!(text.starts_with("--config /no/such/file: "), "{text}");
    }
}
