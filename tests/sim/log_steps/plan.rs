//! What a seed's log is like.

use ringlog::io::Planted;
use ringlog::io::sim::Simulation;
use ringlog::log::LogOptions;
use ringlog::log::compaction::{CompactionRules, KeyMapLimits};

/// See the module.
#[derive(Clone, Debug)]
pub struct Plan {
    pub options: LogOptions,
    pub compaction: CompactionRules,
    pub keys: KeyMapLimits,
    /// Else its old segments are deleted.
    pub is_compacted: bool,
}

impl Plan {
    /// That of the world's seed.
    pub fn draw(sim: &Simulation, planted: Option<Planted>) -> Plan {
        let one_of = |values: &[u64]| values[sim.chance(0..values.len() as u64) as usize];
        let is_compacted = match planted {
            Some(Planted::FullKeyMapForgets | Planted::SwapNotFlushed) => true,
            Some(_) => false,
            None => sim.chance(0..3) == 0,
        };
        Plan {
            options: LogOptions {
                segment_bytes: one_of(&[900, 1_500, 4_000]) as u32,
                segment_ms: one_of(&[15, 100, 100_000]) as i64,
                index_interval_bytes: one_of(&[0, 100, 300]) as u32,
                index_bytes_max: one_of(&[10 << 20, 10 << 20, 10 << 20, 60, 60, 16]) as u32,
                retention_bytes: if is_compacted {
                    -1
                } else {
                    one_of(&[1_500, 6_000]) as i64
                },
                retention_ms: if is_compacted {
                    -1
                } else {
                    one_of(&[60, 500]) as i64
                },
                ..LogOptions::default()
            },
            compaction: CompactionRules {
                dirty_ratio_min: 0.0,
                lag_min_ms: 0,
                lag_max_ms: i64::MAX,
                delete_retention_ms: one_of(&[0, 20]) as i64,
            },
            keys: KeyMapLimits {
                bytes_max: match planted {
                    Some(Planted::FullKeyMapForgets) => 120,
                    _ => one_of(&[1 << 20, 120]) as usize,
                },
                load_factor: 0.9,
            },
            is_compacted,
        }
    }
}
