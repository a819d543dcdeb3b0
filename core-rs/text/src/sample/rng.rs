//! MT19937 (Matsumoto and Nishimura 1998), the generator llama.cpp uses. Its stream of 32-bit
//! numbers is the standard's; numbers in [0, 1) are the authors' `genrand_res53`. (C++ leaves that
//! step to the library, so equal seeds need not give llama.cpp's text.)

const N: usize = 624;
const M: usize = 397;

/// The generator. Equal seeds give equal numbers on every machine.
#[derive(Clone)]
pub struct Mt19937 {
    state: [u32; N],
    at: usize,
}

impl std::fmt::Debug for Mt19937 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mt19937 {{ at: {} }}", self.at)
    }
}

impl Mt19937 {
    /// A generator started from `seed`.
    pub fn new(seed: u32) -> Self {
        let mut state = [seed; N];
        for i in 1..N {
            let last = state[i - 1];
            state[i] = 1_812_433_253u32
                .wrapping_mul(last ^ last >> 30)
                .wrapping_add(i as u32);
        }
        Self { state, at: N }
    }

    /// A seed that is another one each time: the standard library's random hash keys, which need
    /// no further crate on any platform.
    pub fn random_seed() -> u32 {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(0u32) as u32
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.at >= N {
            self.refill();
        }
        let mut y = self.state[self.at];
        self.at += 1;
        y ^= y >> 11;
        y ^= y << 7 & 0x9D2C_5680;
        y ^= y << 15 & 0xEFC6_0000;
        y ^ y >> 18
    }

    /// A number in [0, 1) with 53 random bits.
    pub fn next_f64(&mut self) -> f64 {
        let high = f64::from(self.next_u32() >> 5);
        let low = f64::from(self.next_u32() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }

    fn refill(&mut self) {
        for i in 0..N {
            let y = self.state[i] & 0x8000_0000 | self.state[(i + 1) % N] & 0x7FFF_FFFF;
            let odd = if y & 1 == 1 { 0x9908_B0DF } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ y >> 1 ^ odd;
        }
        self.at = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousandth_number_is_the_one_the_standard_names() {
        // C++11 26.5.5: default seed 5489, 10000th invocation.
        let mut rng = Mt19937::new(5489);
        (0..9999).for_each(|_| {
            rng.next_u32();
        });
        assert_eq!(rng.next_u32(), 4_123_659_995);
    }
}
