//! Random numbers from the kernel's generator.

use std::cell::Cell;

/// How many numbers one system call fetches.
const BATCH: usize = 32;

thread_local! {
    static FETCHED: Cell<([u64; BATCH], usize)> = const { Cell::new(([0; BATCH], 0)) };
}

/// 64 unpredictable bits.
pub fn random_u64() -> u64 {
    FETCHED.with(|fetched| {
        let (mut numbers, mut left) = fetched.get();
        if left == 0 {
            // SAFETY: the pointer and the length name `numbers`. Requests of up to 256 bytes are never cut short.
            let got = unsafe { libc::getrandom(numbers.as_mut_ptr().cast(), size_of_val(&numbers), 0) };
            assert_eq!(
                got,
                size_of_val(&numbers) as isize,
                "the kernel's random generator failed"
            );
            left = BATCH;
        }
        left -= 1;
        fetched.set((numbers, left));
        numbers[left]
    })
}

const _: () = assert!(
    BATCH * size_of::<u64>() <= 256,
    "getrandom may cut longer requests short"
);
