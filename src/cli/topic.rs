//! `ringlog topic`: create, list, describe, delete.

use clap::{Args, Subcommand};

use super::Failure;
use super::args::{ClusterArgs, NewTopicArgs};
use crate::client::admin::{self, NewTopic, OffsetAt};
use crate::client::{Cluster, Partition, Topic};

/// Create, list, describe and delete topics
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  ringlog topic create ticks --partitions 8\n  ringlog topic list")]
pub struct TopicArgs {
    #[command(subcommand)]
    command: TopicCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum TopicCommand {
    /// Create a topic
    #[command(after_help = "Example:\n  ringlog topic create ticks --partitions 8 --config retention.ms=-1")]
    Create {
        /// Its name
        name: String,
        #[command(flatten)]
        new: NewTopicArgs,
        /// Succeed if the topic is there already
        #[arg(long)]
        if_not_exists: bool,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// List the topics, one a line: name, partitions
    #[command(after_help = "Example:\n  ringlog topic list --bootstrap 127.0.0.1:9092")]
    List {
        /// Show the broker's own topics too
        #[arg(long)]
        internal: bool,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Show a topic's partitions, offsets and settings
    #[command(after_help = "Example:\n  ringlog topic describe ticks --configs")]
    Describe {
        /// Its name
        name: String,
        /// Show every setting in effect, not only the topic's own
        #[arg(long)]
        configs: bool,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Delete topics, with everything in them
    #[command(after_help = "Example:\n  ringlog topic delete ticks")]
    Delete {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
}

/// Runs the command.
pub async fn run(args: TopicArgs) -> Result<(), Failure> {
    match args.command {
        TopicCommand::Create {
            name,
            new,
            if_not_exists,
            cluster,
        } => create(&cluster.connect().await?, name, new, if_not_exists).await,
        TopicCommand::List { internal, cluster } => list(&cluster.connect().await?, internal).await,
        TopicCommand::Describe {
            name,
            configs,
            cluster,
        } => describe(&cluster.connect().await?, &name, configs).await,
        TopicCommand::Delete { names, cluster } => delete(&cluster.connect().await?, &names).await,
    }
}

async fn create(
    cluster: &Cluster,
    name: String,
    new: NewTopicArgs,
    if_not_exists: bool,
) -> Result<(), Failure> {
    let topic = new_topic(name, &new);
    match admin::create_topic(cluster, &topic).await {
        Err(error) if if_not_exists && admin::already_exists(&error) => Ok(()),
        result => Ok(result?),
    }
}

/// The topic that these options ask for.
pub fn new_topic(name: String, args: &NewTopicArgs) -> NewTopic {
    NewTopic {
        name,
        partitions: args.partitions,
        replication_factor: args.replication_factor,
        configs: args
            .configs
            .iter()
            .map(|pair| (pair.name.clone(), pair.value.clone()))
            .collect(),
    }
}

async fn list(cluster: &Cluster, internal: bool) -> Result<(), Failure> {
    for topic in cluster
        .refresh_all()
        .await?
        .iter()
        .filter(|topic| internal || !topic.is_internal)
    {
        super::print(format!("{}\t{}\n", topic.name, topic.partitions.len()))?;
    }
    Ok(())
}

async fn describe(cluster: &Cluster, name: &str, all_configs: bool) -> Result<(), Failure> {
    cluster.refresh(&[name], false).await?;
    let topic = cluster
        .topic(name)
        .ok_or_else(|| Failure::Failed(format!("topic {name:?}: not found")))?;
    let settings = admin::topic_settings(cluster, name).await?;
    let led: Vec<_> = topic
        .partitions
        .iter()
        .filter(|p| p.leader.is_some())
        .map(|p| p.index)
        .collect();
    let earliest = admin::list_offsets(cluster, name, &led, OffsetAt::Earliest).await?;
    let latest = admin::list_offsets(cluster, name, &led, OffsetAt::Latest).await?;
    let mut text = head(&topic);
    for setting in settings.iter().filter(|setting| all_configs || setting.is_own) {
        let mark = if setting.is_own { "" } else { "  (default)" };
        text += &format!(
            "  {} = {}{mark}\n",
            setting.name,
            setting.value.as_deref().unwrap_or("")
        );
    }
    for partition in &topic.partitions {
        let ends = earliest.get(&partition.index).zip(latest.get(&partition.index));
        let ends = ends.map_or("offsets unknown".into(), |(from, to)| {
            format!("offsets {from} to {to}")
        });
        text += &format!("  partition {}: {}, {ends}\n", partition.index, roles(partition));
    }
    super::print(text)
}

fn head(topic: &Topic) -> String {
    format!(
        "{}: id {}, {} partitions\n",
        topic.name,
        topic.id,
        topic.partitions.len()
    )
}

fn roles(partition: &Partition) -> String {
    let list = |ids: &[crate::base::BrokerId]| {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        ids.join(" ")
    };
    let leader = partition
        .leader
        .map_or("no leader".into(), |leader| format!("leader {leader}"));
    format!(
        "{leader}, replicas {}, in sync {}",
        list(&partition.replicas),
        list(&partition.in_sync)
    )
}

async fn delete(cluster: &Cluster, names: &[String]) -> Result<(), Failure> {
    for name in names {
        admin::delete_topic(cluster, name).await?;
    }
    Ok(())
}
