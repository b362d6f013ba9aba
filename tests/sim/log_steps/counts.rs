//! What the seeds met: a step or a fault that never came proves nothing.

/// How often what happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub appends: u64,
    pub rolls_onto_spares: u64,
    pub rolls_without: u64,
    pub adoptable_spares: u64,
    pub compactions: u64,
    pub interrupted_before_swap: u64,
    pub interrupted_after_swap: u64,
    pub full_key_tables: u64,
    pub truncations: u64,
    pub full_truncations: u64,
    pub undone_truncations: u64,
    pub retentions: u64,
    pub deletions: u64,
    pub duplicates_after_restarts: u64,
    pub aborted_read: u64,
    pub commits: u64,
    pub clean_stops: u64,
    pub reopenings: u64,
    pub lost_ends: u64,
    pub kills: u64,
    pub crashes_between_write_and_flush: u64,
    pub torn_writes: u64,
    pub lost_writes: u64,
    pub lost_entries: u64,
    pub disk_errors: u64,
    pub disk_full: u64,
    pub short_writes: u64,
}

impl Counts {
    fn all(&self) -> [(&'static str, u64); 27] {
        macro_rules! named {
            ($($name:ident)*) => { [$((stringify!($name), self.$name)),*] };
        }
        named!(appends rolls_onto_spares rolls_without adoptable_spares compactions interrupted_before_swap
            interrupted_after_swap full_key_tables truncations full_truncations undone_truncations retentions deletions
            duplicates_after_restarts aborted_read commits clean_stops reopenings lost_ends kills crashes_between_write_and_flush
            torn_writes lost_writes lost_entries disk_errors disk_full short_writes)
    }

    pub fn add(&mut self, other: &Counts) {
        macro_rules! add {
            ($($name:ident)*) => { $(self.$name += other.$name;)* };
        }
        add!(appends rolls_onto_spares rolls_without adoptable_spares compactions interrupted_before_swap
            interrupted_after_swap full_key_tables truncations full_truncations undone_truncations retentions deletions
            duplicates_after_restarts aborted_read commits clean_stops reopenings lost_ends kills crashes_between_write_and_flush
            torn_writes lost_writes lost_entries disk_errors disk_full short_writes);
    }

    pub fn expect_all(&self) {
        println!("{self:?}");
        let missing: Vec<_> = self.all().into_iter().filter(|(_, count)| *count == 0).collect();
        assert!(missing.is_empty(), "never met: {missing:?}");
    }
}
