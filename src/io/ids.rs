//! Ids that nobody else has: the same in every build of the room.

use super::world;

/// A version-4 UUID, as Java's `UUID.randomUUID`, from which Kafka makes its ids.
pub fn random_uuid() -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&world::random_u64().to_be_bytes());
    bytes[8..].copy_from_slice(&world::random_u64().to_be_bytes());
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}
