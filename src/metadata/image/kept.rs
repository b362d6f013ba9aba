//! Records of a Kafka directory that this software does not act on: kept as they came, so that a snapshot, which
//! replaces the log before it, loses nothing.

use crate::base::TopicId;
use crate::wire::records::MetadataRecord;
use bytes::Bytes;
use std::collections::BTreeMap;

/// The latest record of each thing, framed as in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept(BTreeMap<Key, Bytes>);

/// What a record is about: a later one of the same key replaces it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Controller(i32),
    Scram(String, i8),
    Token(String),
    /// The entity's types and names, and which quota.
    Quota(Vec<(String, Option<String>)>, String),
    Acl(TopicId),
}

impl Kept {
    /// Takes over `record`, whose framed bytes are `value`.
    pub fn apply(&mut self, record: &MetadataRecord<'_>, value: &[u8]) {
        use MetadataRecord as R;
        let (key, stays) = match record {
            R::RegisterControllerRecord(r) => (Key::Controller(r.controller_id), true),
            R::UserScramCredentialRecord(r) => (Key::Scram(r.name.to_string(), r.mechanism), true),
            R::RemoveUserScramCredentialRecord(r) => (Key::Scram(r.name.to_string(), r.mechanism), false),
            R::DelegationTokenRecord(r) => (Key::Token(r.token_id.to_string()), true),
            R::RemoveDelegationTokenRecord(r) => (Key::Token(r.token_id.to_string()), false),
            R::ClientQuotaRecord(r) => {
                let of = |e: crate::wire::messages::client_quota_record::EntityData<'_>| {
                    let name = e.entity_name.map(|name| name.into_owned());
                    (e.entity_type.into_owned(), name)
                };
                let entity = r.entity.iter().map(of).collect();
                (Key::Quota(entity, r.key.to_string()), !r.remove)
            }
            R::AccessControlEntryRecord(r) => (Key::Acl(r.id), true),
            R::RemoveAccessControlEntryRecord(r) => (Key::Acl(r.id), false),
            // No-ops, and what Kafka itself ignores since it has no ZooKeeper.
            _ => return,
        };
        if stays {
            self.0.insert(key, Bytes::copy_from_slice(value));
        } else {
            self.0.remove(&key);
        }
    }

    /// The framed records.
    pub fn values(&self) -> impl Iterator<Item = Bytes> {
        self.0.values().cloned()
    }
}
