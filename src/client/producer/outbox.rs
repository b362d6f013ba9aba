//! The order of one partition's batches: what waits, what is on the wire, what must be sent again.
//!
//! A machine without I/O. Its promise: batches are acknowledged in the order in which they were put in, each under
//! the sequence number it was first sent with, however often connections break. Invariants:
//!
//! - A batch sent again goes out before every later one, and only once nothing of the partition is on the wire any
//!   more: a broker that sees sequence numbers in order never answers OUT_OF_ORDER_SEQUENCE_NUMBER for long.
//! - At most [`IN_FLIGHT_MAX`] batches are on the wire: the broker recognises a repeated batch only among a
//!   producer's last five (Kafka's `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
//! - Until the first is acknowledged, only one is: of a producer that it doesn't know, a broker accepts any first
//!   sequence number. A leader just elected may refuse the first batch and take the second, and then the first is
//!   out of order for good.

use std::collections::VecDeque;

use crate::base::Instant;

/// See the module's invariants; also the largest `max.in.flight.requests.per.connection` of Kafka's idempotent
/// producer.
pub const IN_FLIGHT_MAX: usize = 5;

/// A batch's place in its partition's order, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u64);

/// The batches of one partition that aren't settled, oldest first. `T` is whatever the sender keeps with a batch.
#[derive(Debug)]
pub struct Outbox<T> {
    /// Places rise from front to back, in both queues; every place on the wire is below every waiting one, except
    /// while some were taken back for another try.
    waiting: VecDeque<(Place, T)>,
    on_wire: VecDeque<(Place, T)>,
    next_place: u64,
    /// Nothing leaves before this: the pause after a failure.
    not_before: Instant,
    /// The broker knows this producer: something was acknowledged.
    is_known: bool,
    /// A batch was taken back, so the rest of what is on the wire must come home first.
    regrouping: bool,
}

impl<T> Default for Outbox<T> {
    fn default() -> Outbox<T> {
        Outbox {
            waiting: VecDeque::new(),
            on_wire: VecDeque::new(),
            next_place: 0,
            not_before: Instant::default(),
            is_known: false,
            regrouping: false,
        }
    }
}

impl<T> Outbox<T> {
    /// Puts a batch at the end of the order.
    pub fn push(&mut self, batch: T) {
        self.waiting.push_back((Place(self.next_place), batch));
        self.next_place += 1;
    }

    /// From when on a waiting batch may leave, if only time holds it back.
    pub fn open_at(&self) -> Option<Instant> {
        let on_wire_max = if self.is_known { IN_FLIGHT_MAX } else { 1 };
        let held_otherwise = self.regrouping || self.on_wire.len() >= on_wire_max;
        (!held_otherwise).then_some(self.not_before)
    }

    /// Whether a waiting batch may leave at `now`.
    pub fn is_open(&self, now: Instant) -> bool {
        self.open_at().is_some_and(|at| now >= at)
    }

    /// Whether no batch waits (some may be on the wire).
    pub fn is_drained(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Puts the oldest waiting batch on the wire, if it may leave.
    pub fn send_next(&mut self, now: Instant) -> Option<(Place, &T)> {
        if !self.is_open(now) {
            return None;
        }
        let (place, batch) = self.waiting.pop_front()?;
        self.on_wire.push_back((place, batch));
        self.on_wire.back().map(|(place, batch)| (*place, batch))
    }

    /// Settles a batch on the wire and gives it back. Panics when `place` isn't on the wire: an answer is counted
    /// once.
    pub fn acknowledge(&mut self, place: Place) -> T {
        let batch = self.take_from_wire(place);
        self.is_known = true;
        self.regroup();
        batch
    }

    /// Takes a batch off the wire to be sent again, not before `not_before`, in its old place in the order.
    pub fn take_back(&mut self, place: Place, not_before: Instant) {
        let batch = self.take_from_wire(place);
        let index = self.waiting.partition_point(|(other, _)| *other < place);
        self.waiting.insert(index, (place, batch));
        self.not_before = self.not_before.max(not_before);
        self.regrouping = true;
        self.regroup();
    }

    /// Whether a batch older than `place` isn't acknowledged yet.
    pub fn has_older_than(&self, place: Place) -> bool {
        let oldest = |queue: &VecDeque<(Place, T)>| queue.front().is_some_and(|(other, _)| *other < place);
        oldest(&self.waiting) || oldest(&self.on_wire)
    }

    /// The oldest batch that isn't acknowledged.
    pub fn oldest(&self) -> Option<&T> {
        let fronts = [self.on_wire.front(), self.waiting.front()];
        fronts
            .into_iter()
            .flatten()
            .min_by_key(|(place, _)| *place)
            .map(|(_, batch)| batch)
    }

    fn take_from_wire(&mut self, place: Place) -> T {
        let index = self.on_wire.iter().position(|(other, _)| *other == place);
        let index = index.expect("a batch is settled while it is on the wire, and once");
        self.on_wire.remove(index).expect("the index was just found").1
    }

    fn regroup(&mut self) {
        if self.on_wire.is_empty() {
            self.regrouping = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const T0: Instant = Instant(1_000_000_000);

    fn filled(count: u32) -> Outbox<u32> {
        let mut outbox = Outbox {
            is_known: true,
            ..Outbox::default()
        };
        (0..count).for_each(|batch| outbox.push(batch));
        outbox
    }

    fn send_all(outbox: &mut Outbox<u32>, now: Instant) -> Vec<(Place, u32)> {
        std::iter::from_fn(|| outbox.send_next(now).map(|(place, batch)| (place, *batch))).collect()
    }

    fn batches(sent: &[(Place, u32)]) -> Vec<u32> {
        sent.iter().map(|(_, batch)| *batch).collect()
    }

    #[test]
    fn no_more_than_five_are_on_the_wire() {
        let mut outbox = filled(8);
        let sent = send_all(&mut outbox, T0);
        assert_eq!(batches(&sent), [0, 1, 2, 3, 4]);
        assert_eq!(outbox.acknowledge(sent[0].0), 0);
        assert_eq!(batches(&send_all(&mut outbox, T0)), [5]);
    }

    #[test]
    fn one_is_on_the_wire_until_the_broker_knows_the_producer() {
        let mut outbox = Outbox {
            is_known: false,
            ..filled(7)
        };
        let sent = send_all(&mut outbox, T0);
        assert_eq!(batches(&sent), [0]);
        outbox.take_back(sent[0].0, T0);
        let sent = send_all(&mut outbox, T0);
        assert_eq!(batches(&sent), [0]);
        outbox.acknowledge(sent[0].0);
        assert_eq!(batches(&send_all(&mut outbox, T0)), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn after_a_broken_connection_all_go_out_again_in_order() {
        let mut outbox = filled(7);
        let sent = send_all(&mut outbox, T0);
        for (place, _) in sent.iter().rev() {
            outbox.take_back(*place, T0 + Duration::from_millis(100));
        }
        assert!(batches(&send_all(&mut outbox, T0)).is_empty());
        assert_eq!(outbox.open_at(), Some(T0 + Duration::from_millis(100)));
        assert_eq!(
            batches(&send_all(&mut outbox, T0 + Duration::from_millis(100))),
            [0, 1, 2, 3, 4]
        );
    }

    #[test]
    fn nothing_leaves_while_others_are_still_on_the_wire_after_a_failure() {
        let mut outbox = filled(6);
        let sent = send_all(&mut outbox, T0);
        outbox.acknowledge(sent[0].0);
        outbox.take_back(sent[1].0, T0);
        assert_eq!(outbox.open_at(), None);
        outbox.take_back(sent[2].0, T0);
        outbox.acknowledge(sent[3].0);
        assert_eq!(outbox.open_at(), None);
        outbox.take_back(sent[4].0, T0);
        assert_eq!(batches(&send_all(&mut outbox, T0)), [1, 2, 4, 5]);
    }

    #[test]
    fn older_batches_are_known_wherever_they_are() {
        let mut outbox = filled(3);
        let sent = send_all(&mut outbox, T0);
        assert!(!outbox.has_older_than(sent[0].0));
        assert!(outbox.has_older_than(sent[1].0));
        outbox.take_back(sent[0].0, T0);
        assert!(outbox.has_older_than(sent[1].0));
        assert_eq!(outbox.oldest(), Some(&0));
        outbox.acknowledge(sent[1].0);
        outbox.acknowledge(sent[2].0);
        assert_eq!(outbox.oldest(), Some(&0));
        let again = send_all(&mut outbox, T0);
        assert_eq!(outbox.acknowledge(again[0].0), 0);
        assert_eq!(outbox.oldest(), None);
    }

    #[test]
    #[should_panic(expected = "and once")]
    fn settling_twice_is_our_own_mistake() {
        let mut outbox = filled(1);
        let sent = send_all(&mut outbox, T0);
        outbox.acknowledge(sent[0].0);
        outbox.acknowledge(sent[0].0);
    }

    /// A broker that applies or loses batches at random: whatever happens, it ends with each batch once, in order.
    #[test]
    fn every_batch_is_applied_once_and_in_order_through_random_failures() {
        use proptest::prelude::*;
        proptest!(|(faults in proptest::collection::vec(0u8..8, 0..200))| {
            let mut faults = faults.into_iter();
            let mut outbox = filled(20);
            let mut log: Vec<u32> = Vec::new();
            let mut now = T0;
            while outbox.oldest().is_some() {
                now = now + Duration::from_millis(1);
                for (place, batch) in send_all(&mut outbox, now) {
                    let fault = faults.next().unwrap_or(7);
                    // 0: lost on the way; 1: applied, but the answer is lost.
                    if fault != 0 && batch == log.len() as u32 {
                        log.push(batch);
                    }
                    let applied = (batch as usize) < log.len();
                    if applied && fault > 1 {
                        outbox.acknowledge(place);
                    } else {
                        outbox.take_back(place, now + Duration::from_millis(1));
                    }
                }
            }
            prop_assert_eq!(log, (0..20).collect::<Vec<u32>>());
        });
    }
}
