//! The uniform assignor where all members read the same topics, as Kafka's `UniformHomogeneousAssignmentBuilder`.

use super::{Owners, Partitions, Readers};

/// Each member keeps what it was meant to have up to its share; what is over goes to those with less.
pub(super) fn assign(group: &Readers<'_>) -> Vec<Partitions> {
    let mut owners = Owners::so_far(group);
    let counts = owners.counts(group.members.len());
    let shares = shares(&counts, owners.0.iter().map(Vec::len).sum());
    let mut kept = vec![0; counts.len()];
    for owner in owners.0.iter_mut().flatten() {
        if let Some(member) = *owner {
            kept[member] += 1;
            if kept[member] > shares[member] {
                *owner = None;
            }
        }
    }
    let room = |member: usize| shares[member] - kept[member].min(shares[member]);
    let mut takers = (0..counts.len()).flat_map(|member| std::iter::repeat_n(member, room(member)));
    for owner in owners.0.iter_mut().flatten() {
        if owner.is_none() {
            *owner = takers.next();
        }
    }
    owners.into_targets(group)
}

/// How many partitions each member is to have, of `total`: they differ by at most one. Who has more than the smaller share already is
/// asked first whether it takes the larger, since then nothing of it moves.
fn shares(counts: &[usize], total: usize) -> Vec<usize> {
    let members = counts.len().max(1);
    let smaller = total / members;
    let mut with_one_more = total % members;
    let mut shares = vec![smaller; counts.len()];
    for wants_more in [true, false] {
        for (share, count) in shares.iter_mut().zip(counts) {
            if with_one_more > 0 && (*count > smaller) == wants_more {
                *share += 1;
                with_one_more -= 1;
            }
        }
    }
    shares
}
