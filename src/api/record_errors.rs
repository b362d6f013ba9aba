//! What a produce answer says of records that break their topic's rules (KIP-467), in the words of Kafka's `LogValidator`.

use crate::partition::Refusal;
use crate::wire::ErrorCode;
use crate::wire::Str;
use crate::wire::batch::{BREACHES_NAMED_MAX, Breach, Breaches};
use crate::wire::messages::produce_response::BatchIndexAndErrorMessage;

/// The message for a batch shows so many of its records.
const SHOWN_MAX: usize = 3;

/// How many records one answer still names: many batches together no more than a single one.
pub struct Names {
    left: usize,
}

impl Default for Names {
    fn default() -> Self {
        Names {
            left: BREACHES_NAMED_MAX,
        }
    }
}

impl Names {
    /// Leaves of the records that `refusal` names those for which there is room in the answer.
    pub fn limit(&mut self, refusal: &mut Refusal) {
        if let Some(breaches) = &mut refusal.breaches {
            breaches.named.truncate(self.left);
            breaches.named.shrink_to_fit();
            self.left -= breaches.named.len();
        }
    }
}

/// What is wrong with the batch as a whole; `partition` as in `topic-0`.
pub fn of_batch(breaches: &Breaches, partition: &str) -> String {
    if breaches.code() == ErrorCode::INVALID_TIMESTAMP {
        return "One or more records have been rejected due to invalid timestamp".to_owned();
    }
    let shown = breaches.named.iter().take(SHOWN_MAX);
    let shown: Vec<String> = shown
        .map(|(index, breach)| {
            let message = of_record(*index, *breach, partition);
            format!("RecordError(batchIndex={index}, message='{message}')")
        })
        .collect();
    format!(
        "One or more records have been rejected due to {} record errors in total, and only showing the first three errors \
         at most: [{}]",
        breaches.count,
        shown.join(", ")
    )
}

/// What is wrong with each record that is named.
pub fn of_records<'a>(
    breaches: &Breaches,
    partition: &str,
) -> impl Iterator<Item = BatchIndexAndErrorMessage<'a>> {
    breaches
        .named
        .iter()
        .map(|&(index, breach)| BatchIndexAndErrorMessage {
            batch_index: index,
            batch_index_error_message: Some(Str::from(of_record(index, breach, partition))),
        })
}

fn of_record(index: i32, breach: Breach, partition: &str) -> String {
    match breach {
        Breach::Keyless => {
            format!("Compacted topic cannot accept message without key in topic partition {partition}")
        }
        Breach::Time {
            timestamp,
            earliest,
            latest,
        } => format!(
            "Timestamp {} of message with offset {index} is out of range. The timestamp should be within [{}, {}]",
            timestamp.0, earliest.0, latest.0
        ),
        Breach::AppendTime => format!(
            "Invalid timestamp type in message {index}. Producer should not set timestamp type to LogAppendTime."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    fn breaches(named: &[(i32, Breach)]) -> Breaches {
        let mut breaches = Breaches::default();
        for (index, breach) in named {
            breaches.add(*index, *breach);
        }
        breaches
    }

    #[test]
    fn records_without_keys_are_told_as_kafka_tells_them() {
        let breaches = breaches(&[0, 2, 3, 9].map(|index| (index, Breach::Keyless)));
        let one = "Compacted topic cannot accept message without key in topic partition ticks-7";
        let shown = [0, 2, 3].map(|index| format!("RecordError(batchIndex={index}, message='{one}')"));
        let whole = format!(
            "One or more records have been rejected due to 4 record errors in total, and only showing the first three \
             errors at most: [{}]",
            shown.join(", ")
        );
        assert_eq!(of_batch(&breaches, "ticks-7"), whole);
        let told: Vec<_> = of_records(&breaches, "ticks-7").collect();
        let indexes: Vec<i32> = told.iter().map(|error| error.batch_index).collect();
        assert_eq!(indexes, [0, 2, 3, 9]);
        assert!(
            told.iter()
                .all(|error| error.batch_index_error_message.as_deref() == Some(one))
        );
    }

    #[test]
    fn one_wrong_time_is_what_the_batch_is_refused_for() {
        let time = Breach::Time {
            timestamp: Timestamp(5),
            earliest: Timestamp(10),
            latest: Timestamp(20),
        };
        let breaches = breaches(&[(1, Breach::Keyless), (4, time)]);
        assert_eq!(
            of_batch(&breaches, "ticks-7"),
            "One or more records have been rejected due to invalid timestamp"
        );
        let told: Vec<_> = of_records(&breaches, "ticks-7").collect();
        assert_eq!(
            told[1].batch_index_error_message.as_deref(),
            Some(
                "Timestamp 5 of message with offset 4 is out of range. The timestamp should be within [10, 20]"
            )
        );
    }

    #[test]
    fn an_answer_names_no_more_records_than_one_batch_may() {
        let many: Vec<(i32, Breach)> = (0..3_000).map(|index| (index, Breach::Keyless)).collect();
        let mut names = Names::default();
        let mut named = |breaches| {
            let mut refusal = Refusal {
                breaches: Some(Box::new(breaches)),
                ..Refusal::from(ErrorCode::INVALID_RECORD)
            };
            names.limit(&mut refusal);
            let breaches = refusal.breaches.expect("still there");
            (breaches.named.len(), breaches.count)
        };
        assert_eq!(named(breaches(&many)), (3_000, 3_000));
        assert_eq!(named(breaches(&many)), (BREACHES_NAMED_MAX - 3_000, 3_000));
        assert_eq!(named(breaches(&many)), (0, 3_000));
    }
}
