//! `ringlog dump`: what stands in the files of a data directory, Kafka's or ours, and what is wrong with it.
//!
//! It reads and writes nothing else, needs no broker and no ring, and takes any bytes: what doesn't read is told with
//! its file and place, and the rest is shown. Memory is bounded: files are read in pieces, a batch is unpacked under
//! the cap that the broker has for it ([`DECOMPRESSED_BYTES_MAX`]), a text is read up to [`TEXT_BYTES_MAX`].
//!
//! `kind` tells what a file is by its name; each kind of file has a page; `output` is the lines that they print.
//!
//! [`DECOMPRESSED_BYTES_MAX`]: crate::wire::batch::DECOMPRESSED_BYTES_MAX
//! [`TEXT_BYTES_MAX`]: text::TEXT_BYTES_MAX

mod beside;
mod control;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod index;
mod kind;
mod output;
mod producers;
mod segment;
#[cfg(test)]
mod tests;
mod text;
mod txn_index;

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use self::kind::Kind;
use self::output::{Line, Output, Place, Stop};
use self::segment::Contents;
use super::Failure;
use crate::base::Offset;
use crate::io::OpenOptions;
use crate::io::fs::File;

/// Show what stands in files of a data directory, and what is wrong with it
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "What a file is, its name tells; .deleted, .cleaned, .swap, .spare and .next behind it change nothing. Checked are \
                  CRCs, sizes, that offsets rise, and that an index says what the .log beside it does. Exit code 1 means \
                  that something is wrong; it is named with file and place, and the rest is shown. While a broker runs, \
                  its newest segment may end inside a batch, and its indexes lag behind.\n\n\
                  Example:\n  ringlog dump --records data/ticks-0/00000000000000000000.log\n  \
                  ringlog dump --json data/ticks-0/*"
)]
pub struct DumpArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Show each record too, unpacked
    #[arg(long)]
    records: bool,
    /// The records are the cluster's metadata: show them as such
    #[arg(long)]
    cluster_metadata: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// What the files are, whatever their names
    #[arg(long = "as", value_enum, value_name = "KIND")]
    kind: Option<Kind>,
}

/// Runs the command.
pub fn run(args: &DumpArgs) -> Result<(), Failure> {
    dump(args, &mut io::stdout().lock())
}

fn dump(args: &DumpArgs, sink: &mut dyn io::Write) -> Result<(), Failure> {
    let mut output = Output::new(sink, args.json);
    let mut unknown = Vec::new();
    for path in &args.files {
        match args.kind.or_else(|| Kind::of(&name_of(path))) {
            Some(kind) => dump_file(args, path, kind, &mut output)?,
            None => unknown.push(path),
        }
    }
    output.flush()?;
    let problems = output.problem_count();
    let files = (args.files.len() - unknown.len()) as u64;
    match (problems, unknown.first()) {
        (0, None) => Ok(()),
        (0, Some(path)) => Err(Failure::Usage(format!(
            "{}: not known by its name; known are {}; --as tells what it is",
            path.display(),
            kind::known_names()
        ))),
        _ => Err(Failure::Failed(format!(
            "{} in {}",
            counted(problems, "problem"),
            counted(files, "file")
        ))),
    }
}

/// Shows one file. That it can't be read is a problem of it, and no reason to leave out the others.
fn dump_file(args: &DumpArgs, path: &Path, kind: Kind, output: &mut Output<'_>) -> Result<(), Failure> {
    output.begin_file(path);
    let shown = DataFile::open(path, kind).map_err(Stop::from).and_then(|file| {
        let line = Line::new("file")
            .with("kind", kind.name())
            .with("bytes", file.size_bytes);
        output.line(&line)?;
        file.dump(args, output)
    });
    match shown {
        Err(Stop::Unreadable(error)) => match output.problem(Place::File, &error) {
            Err(Stop::Output(failure)) => Err(failure),
            _ => Ok(()),
        },
        Err(Stop::Output(failure)) => Err(failure),
        Ok(()) => Ok(()),
    }
}

fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// A file of a data directory.
struct DataFile {
    path: PathBuf,
    kind: Kind,
    file: File,
    size_bytes: u64,
    /// The offset in its name; 0 without one.
    offset: Offset,
}

impl DataFile {
    fn open(path: &Path, kind: Kind) -> io::Result<DataFile> {
        let file = File::open_now(path, OpenOptions::read_only())?;
        Ok(DataFile {
            path: path.to_owned(),
            kind,
            size_bytes: file.len_now()?,
            file,
            offset: kind::offset_in(&name_of(path)).unwrap_or_default(),
        })
    }

    fn dump(&self, args: &DumpArgs, output: &mut Output<'_>) -> Result<(), Stop> {
        let metadata = args.cluster_metadata;
        match self.kind {
            Kind::Log => {
                let contents = if metadata {
                    Contents::Metadata
                } else {
                    Contents::Data
                };
                segment::dump(self, contents, args.records || metadata, output)
            }
            Kind::Checkpoint => {
                segment::dump(self, Contents::MetadataSnapshot, args.records || metadata, output)
            }
            Kind::Index => index::dump_offsets(self, output),
            Kind::Timeindex => index::dump_times(self, output),
            Kind::Txnindex => txn_index::dump(self, output),
            Kind::Snapshot => producers::dump(self, output),
            Kind::LeaderEpochs
            | Kind::PartitionMetadata
            | Kind::MetaProperties
            | Kind::Offsets
            | Kind::CleanStop
            | Kind::QuorumState => text::dump(self, output),
            Kind::Raft => text::dump_raft_index(self, output),
        }
    }

    /// `len` bytes from `position`; fewer only at the file's end.
    fn read_now(&self, position: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let read = self.file.read_at_now(position, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}
