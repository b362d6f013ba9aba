//! The topic a replay goes to: made if it is missing, refused if it would not keep what is sent.

use crate::base::Timestamp;
use crate::cli::Failure;
use crate::cli::args::NewTopicArgs;
use crate::cli::topic::new_topic;
use crate::client::admin::{self, TopicSetting};
use crate::client::{ClientError, Cluster};
use crate::io;
use crate::wire::error::ErrorCode;

/// Makes sure of the topic. `oldest`: the first record's own timestamp, if records are to keep theirs.
pub async fn prepare(
    cluster: &Cluster,
    name: &str,
    new: &NewTopicArgs,
    oldest: Option<Timestamp>,
) -> Result<(), Failure> {
    match cluster.refresh(&[name], false).await {
        Ok(()) => {}
        Err(ClientError::Refused {
            code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ..
        }) => {
            return create(cluster, name, new, oldest).await;
        }
        Err(error) => return Err(error.into()),
    }
    let partitions = cluster
        .topic(name)
        .map_or(0, |topic| topic.partitions.len() as i32);
    if let Some(wanted) = new.partitions.filter(|wanted| *wanted != partitions) {
        return Err(Failure::Failed(format!(
            "topic {name:?} exists and has {partitions} partitions, not {wanted}"
        )));
    }
    match oldest {
        Some(oldest) => refuse_if_it_drops(name, &admin::topic_settings(cluster, name).await?, oldest),
        None => Ok(()),
    }
}

fn refuse_if_it_drops(name: &str, settings: &[TopicSetting], oldest: Timestamp) -> Result<(), Failure> {
    match objection(settings, oldest, io::wall_now()) {
        Some(reason) => Err(Failure::Failed(format!(
            "topic {name:?} would not keep the recorded timestamps: {reason}"
        ))),
        None => Ok(()),
    }
}

async fn create(
    cluster: &Cluster,
    name: &str,
    new: &NewTopicArgs,
    oldest: Option<Timestamp>,
) -> Result<(), Failure> {
    let mut topic = new_topic(name.into(), new);
    let has_retention = topic.configs.iter().any(|(name, _)| name == "retention.ms");
    if oldest.is_some() && !has_retention {
        topic.configs.push(("retention.ms".into(), "-1".into()));
    }
    if let Some(oldest) = oldest {
        // Before it is made: what its own settings say.
        let own = |(name, value): &(String, String)| TopicSetting {
            name: name.clone(),
            value: Some(value.clone()),
            is_own: true,
        };
        let own: Vec<TopicSetting> = topic.configs.iter().map(own).collect();
        refuse_if_it_drops(name, &own, oldest)?;
    }
    match admin::create_topic(cluster, &topic).await {
        // Someone else was quicker.
        Err(error) if admin::already_exists(&error) => {}
        result => result?,
    }
    match oldest {
        // And then with the broker's defaults, or as someone else made it.
        Some(oldest) => refuse_if_it_drops(name, &admin::topic_settings(cluster, name).await?, oldest),
        None => Ok(()),
    }
}

/// What speaks against records that are as old as `oldest`.
fn objection(settings: &[TopicSetting], oldest: Timestamp, now: Timestamp) -> Option<String> {
    let value = |name: &str| {
        settings
            .iter()
            .find(|setting| setting.name == name)?
            .value
            .as_deref()
    };
    let number = |name: &str| value(name)?.parse::<i64>().ok();
    let age_ms = now.0.saturating_sub(oldest.0);
    if value("message.timestamp.type") == Some("LogAppendTime") {
        return Some("its message.timestamp.type is LogAppendTime".into());
    }
    let deletes = value("cleanup.policy").is_none_or(|policy| policy.contains("delete"));
    let retention_ms = number("retention.ms").filter(|ms| *ms >= 0 && deletes);
    if let Some(ms) = retention_ms.filter(|ms| age_ms > *ms) {
        return Some(format!(
            "its retention.ms is {ms}, and the recording is older: set it to -1"
        ));
    }
    let before_max_ms = number("message.timestamp.before.max.ms");
    if let Some(ms) = before_max_ms.filter(|ms| age_ms > *ms) {
        return Some(format!(
            "its message.timestamp.before.max.ms is {ms}, and the recording is older"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_would_drop_old_records_is_objected_to() {
        let year_ms = 365 * 86_400_000;
        type Configs = &'static [(&'static str, &'static str)];
        let table: &[(Configs, Option<&str>)] = &[
            (&[("retention.ms", "-1")], None),
            (
                &[("retention.ms", "604800000")],
                Some("its retention.ms is 604800000"),
            ),
            (
                &[("retention.ms", "604800000"), ("cleanup.policy", "compact")],
                None,
            ),
            (
                &[
                    ("retention.ms", "604800000"),
                    ("cleanup.policy", "compact,delete"),
                ],
                Some("its retention.ms"),
            ),
            (&[("retention.ms", "99999999999999")], None),
            (
                &[("message.timestamp.type", "LogAppendTime")],
                Some("its message.timestamp.type"),
            ),
            (
                &[("message.timestamp.before.max.ms", "9223372036854775807")],
                None,
            ),
            (
                &[("message.timestamp.before.max.ms", "3600000")],
                Some("its message.timestamp.before.max.ms"),
            ),
            (&[], None),
        ];
        for (configs, expected) in table {
            let settings: Vec<TopicSetting> = configs
                .iter()
                .map(|(name, value)| TopicSetting {
                    name: (*name).into(),
                    value: Some((*value).into()),
                    is_own: true,
                })
                .collect();
            let objection = objection(&settings, Timestamp(1_000_000), Timestamp(1_000_000 + year_ms));
            match expected {
                Some(start) => assert!(
                    objection.as_ref().is_some_and(|o| o.starts_with(start)),
                    "{configs:?}: {objection:?}"
                ),
                None => assert_eq!(objection, None, "{configs:?}"),
            }
        }
    }
}
