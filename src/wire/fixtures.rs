//! Bytes that Apache Kafka's own classes wrote, for the tests.

/// The bytes of the fixture that opens with `name`, such as `fetch_request 18` or `batch zstd`.
pub fn fixture(name: &str) -> Vec<u8> {
    let lines = include_str!("../../tests/fixtures/wire/kafka-4.3.1.txt").lines();
    let mut hex = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let hex = hex.next().unwrap_or_else(|| panic!("no fixture {name}"));
    let nibble = |at: usize| (hex.as_bytes()[at] as char).to_digit(16).expect("a hex digit") as u8;
    (0..hex.len())
        .step_by(2)
        .map(|at| nibble(at) << 4 | nibble(at + 1))
        .collect()
}
