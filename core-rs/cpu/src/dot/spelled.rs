//! Loops that are spelled out for the compiler.

/// Repeats a body for sub-block 0, 1, … below `$n`, spelled out: shifts by a constant are one
/// instruction, and addresses need no check.
macro_rules! for_subs {
    ($i:ident < $n:expr, $body:block) => {
        for_subs!(@ $i, $n, $body, 0 1 2 3 4 5 6 7)
    };
    (@ $i:ident, $n:expr, $body:block, $($at:literal)*) => { $(
        if $at < $n {
            let $i: usize = $at;
            $body
        }
    )* };
}

/// Repeats a body for token (or row) 0, 1, … below `$n`, spelled out: sums stay in registers only where
/// their index is a constant, and compilers leave a loop of this size rolled up.
macro_rules! for_tokens {
    ($t:ident < $n:expr, $body:block) => {
        for_tokens!(@ $t, $n, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    (@ $t:ident, $n:expr, $body:block, $($i:literal)*) => { $({
        const $t: usize = $i;
        if $t < $n $body
    })* };
}
