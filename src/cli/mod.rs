//! The command line: `ringlog` and its subcommands.
//!
//! `serve` hands over to the server, `dump` reads files and needs none. Every other command is a client: it runs on one unpinned core that parks, talks to
//! `--bootstrap` over Kafka's protocol, prints to stdout and reports to stderr. Exit codes: 0 done, 1 failed (one
//! line on stderr says why), 2 used wrongly.

mod args;
mod consume;
mod dump;
mod format;
mod lines;
mod produce;
mod replay;
mod serve;
mod topic;
mod values;

use std::fmt;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::mpsc;

use clap::{Parser, Subcommand};

use crate::client::ClientError;
use crate::io;

#[cfg(any(test, fuzzing))]
pub use dump::fuzz;

/// Runs the program: reads the arguments, does what they say, gives the exit code.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let command = arguments
        .command
        .unwrap_or_else(|| Command::Serve(serve::ServeArgs::default()));
    let result = match command {
        Command::Serve(args) => return serve::serve(args),
        Command::Topic(args) => run_client(move || topic::run(args.clone())),
        Command::Produce(args) => run_client(move || produce::run(args.clone())),
        Command::Consume(args) => run_client(move || consume::run(args.clone())),
        Command::Replay(args) => run_client(move || replay::run(args.clone())),
        Command::Dump(args) => dump::run(&args),
    };
    match result {
        Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("ringlog: {failure}");
            failure.exit_code()
        }
    }
}

/// A Kafka-compatible event broker for people to whom tail latency is money
#[derive(Debug, Parser)]
#[command(
    name = "ringlog",
    version,
    after_help = "Without a command, ringlog serves with its defaults: 127.0.0.1:9092, data in ./data.\n\n\
                  Example:\n  ringlog serve &\n  ringlog topic create ticks --partitions 8\n  \
                  echo hello | ringlog produce --topic ticks\n  ringlog consume --topic ticks"
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a broker
    Serve(serve::ServeArgs),
    /// Create, list, describe and delete topics
    Topic(topic::TopicArgs),
    /// Send lines of standard input as records
    Produce(produce::ProduceArgs),
    /// Print records
    Consume(consume::ConsumeArgs),
    /// Play a recorded feed, with its own gaps or as fast as it goes
    Replay(replay::ReplayArgs),
    /// Show what stands in files of a data directory, and what is wrong with it
    Dump(dump::DumpArgs),
}

/// Why a command ends without having done its work.
#[derive(Debug)]
pub enum Failure {
    /// The arguments can't be meant: exit code 2.
    Usage(String),
    /// It didn't work: exit code 1.
    Failed(String),
    /// Whoever read the output has left: exit code 0, nothing to say.
    OutputClosed,
}

impl Failure {
    /// Why standard output took no more.
    fn of_output(error: std::io::Error) -> Failure {
        match error.kind() {
            ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::Failed(format!("standard output: {error}")),
        }
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Usage(_) => ExitCode::from(2),
            Failure::Failed(_) => ExitCode::FAILURE,
            Failure::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(text) | Failure::Failed(text) => f.write_str(text),
            Failure::OutputClosed => f.write_str("the output was closed"),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        Failure::Failed(error.to_string())
    }
}

/// Writes to standard output, at once.
fn print(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let result = stdout.write_all(text.as_ref()).and_then(|()| stdout.flush());
    result.map_err(Failure::of_output)
}

/// Runs a client command on one core.
fn run_client<F, Fut>(command: F) -> Result<(), Failure>
where
    F: Fn() -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<(), Failure>> + 'static,
{
    let (sender, receiver) = mpsc::channel();
    let main = move |_core| {
        let (command, sender) = (command.clone(), sender.clone());
        async move {
            // The receiver outlives the run.
            let _ = sender.send(command().await);
        }
    };
    io::run(io::Options::unpinned(1), main).map_err(|e| Failure::Failed(e.to_string()))?;
    receiver
        .try_recv()
        .unwrap_or_else(|_| Err(Failure::Failed("the command ended without a result".into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// The command and everything below it, by full name.
    fn levels(command: &clap::Command, prefix: &str) -> Vec<(String, clap::Command)> {
        let name = format!("{prefix} {}", command.get_name()).trim().to_owned();
        let below = command.get_subcommands().filter(|sub| sub.get_name() != "help");
        let mut all: Vec<_> = below.flat_map(|sub| levels(sub, &name)).collect();
        all.push((name, command.clone()));
        all
    }

    #[test]
    fn help_on_every_level_shows_an_example() {
        let all = levels(&Arguments::command(), "");
        assert!(all.len() >= 10, "{}", all.len());
        for (name, mut command) in all {
            let help = command.render_long_help().to_string();
            let (_, example) = help
                .split_once("Example:")
                .unwrap_or_else(|| panic!("{name}: no example\n{help}"));
            assert!(example.contains("ringlog "), "{name}: {example}");
        }
    }

    #[test]
    fn every_client_command_takes_a_bootstrap_address() {
        for (name, command) in levels(&Arguments::command(), "") {
            let is_client =
                !command.has_subcommands() && !["ringlog serve", "ringlog dump"].contains(&name.as_str());
            let takes = command
                .get_arguments()
                .any(|arg| arg.get_long() == Some("bootstrap"));
            assert_eq!(takes, is_client, "{name}");
        }
    }

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn no_command_means_serve() {
        assert!(Arguments::try_parse_from(["ringlog"]).unwrap().command.is_none());
    }
}
