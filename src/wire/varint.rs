//! Variable-length integers as Kafka's `ByteUtils` reads and writes them: seven bits a byte, low bits first, the
//! top bit set on all bytes but the last; signed values zigzag-coded.

use crate::wire::decoder::Fault;

/// The longest varint of 32 bits.
pub const U32_BYTES_MAX: usize = 5;
/// The longest varint of 64 bits.
pub const U64_BYTES_MAX: usize = 10;

/// The value at the start of `bytes` and the length that it takes. Bits beyond 32 are dropped, as Kafka does.
pub fn read_u32(bytes: &[u8]) -> Result<(u32, usize), Fault> {
    if let Some(&first) = bytes.first()
        && first < 0x80
    {
        return Ok((first.into(), 1));
    }
    let (value, len) = read(bytes, U32_BYTES_MAX)?;
    Ok((value as u32, len))
}

/// The value at the start of `bytes` and the length that it takes. Bits beyond 64 are dropped, as Kafka does.
pub fn read_u64(bytes: &[u8]) -> Result<(u64, usize), Fault> {
    read(bytes, U64_BYTES_MAX)
}

/// The value at the start of `bytes` and the length that it takes, `bytes_max` at most.
pub(in crate::wire) fn read(bytes: &[u8], bytes_max: usize) -> Result<(u64, usize), Fault> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(bytes_max).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, index + 1));
        }
    }
    if bytes.len() < bytes_max {
        return Err(Fault::Truncated {
            needed: bytes.len() + 1,
            left: bytes.len(),
        });
    }
    Err(Fault::Varint)
}

/// `value` as a varint: the bytes and how many of them count.
pub fn bytes_of(mut value: u64) -> ([u8; U64_BYTES_MAX], usize) {
    let mut bytes = [0; U64_BYTES_MAX];
    let mut len = 0;
    while value >= 0x80 {
        bytes[len] = value as u8 | 0x80;
        value >>= 7;
        len += 1;
    }
    bytes[len] = value as u8;
    (bytes, len + 1)
}

/// How many bytes `value` takes as a varint.
pub fn len_of(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Small magnitudes to small numbers: 0, −1, 1, −2 … become 0, 1, 2, 3 ….
pub fn zigzag32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

/// Undoes [`zigzag32`].
pub fn unzigzag32(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

/// Small magnitudes to small numbers, for 64 bits.
pub fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Undoes [`zigzag64`].
pub fn unzigzag64(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_values_take_their_known_bytes() {
        for (value, bytes) in [
            (0u64, &[0x00][..]),
            (1, &[0x01]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (16_383, &[0xff, 0x7f]),
            (16_384, &[0x80, 0x80, 0x01]),
            (u32::MAX.into(), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            (
                u64::MAX,
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            ),
        ] {
            let (written, len) = bytes_of(value);
            assert_eq!(&written[..len], bytes);
            assert_eq!(len_of(value), bytes.len());
            assert_eq!(read_u64(bytes), Ok((value, bytes.len())));
        }
    }

    #[test]
    fn an_endless_varint_is_refused() {
        assert_eq!(read_u32(&[0x80; 5]), Err(Fault::Varint));
        assert_eq!(read_u64(&[0xff; 11]), Err(Fault::Varint));
        assert_eq!(read_u32(&[0x80; 4]), Err(Fault::Truncated { needed: 5, left: 4 }));
        assert_eq!(read_u32(&[]), Err(Fault::Truncated { needed: 1, left: 0 }));
    }

    proptest! {
        #[test]
        fn every_value_reads_back(value: u64, signed: i64, short: i32) {
            let (bytes, len) = bytes_of(value);
            prop_assert_eq!(read_u64(&bytes[..len]), Ok((value, len)));
            prop_assert_eq!(unzigzag64(zigzag64(signed)), signed);
            prop_assert_eq!(unzigzag32(zigzag32(short)), short);
        }
    }
}
