// Functions whose accuracy WGSL leaves open, from exactly rounded operations.

// Some drivers compute tanh from exp(2x), which overflows; beyond 10 it is 1 in f32 anyway.
fn safe_tanh(x: f32) -> f32 {
    return tanh(clamp(x, -10.0, 10.0));
}

fn soft_cap(x: f32, cap: f32) -> f32 {
    return cap * safe_tanh(x / cap);
}

// x * (1 - Phi(|x|)) by erfc's rational approximation (Abramowitz and Stegun 7.1.26), which has no
// difference of near numbers.
fn gelu_erf(x: f32) -> f32 {
    let z = abs(x) * 0.7071067811865476;
    let t = 1.0 / (1.0 + 0.3275911 * z);
    let poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t
        + 0.254829592) * t;
    let tail = 0.5 * poly * exp(-z * z);
    return select(x * tail, x - x * tail, x > 0.0);
}

// Which: 0 = SiLU, 1 = GELU in its tanh form, 2 = GELU by erf, 3 = quick GELU, 4 = ReLU,
// 5 = ReLU squared, 6 = tanh.
fn activation(which: u32, x: f32) -> f32 {
    switch (which) {
        case 0u: { return x / (1.0 + exp(-x)); }
        case 1u: {
            return 0.5 * x * (1.0 + safe_tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
        }
        case 2u: { return gelu_erf(x); }
        case 3u: { return x / (1.0 + exp(-1.702 * x)); }
        case 4u: { return max(x, 0.0); }
        case 5u: { return max(x, 0.0) * max(x, 0.0); }
        default: { return safe_tanh(x); }
    }
}

// f16 bits to f32, exact for subnormals too: unpack2x16float may flush them, and the scales of
// quantized blocks are often that small.
fn half_to_float(bits: u32) -> f32 {
    let mantissa = bits & 0x3ffu;
    let exponent = (bits >> 10u) & 31u;
    let normal = bitcast<f32>(((exponent + 112u) << 23u) | (mantissa << 13u));
    let small = f32(mantissa) * 5.9604644775390625e-8; // 2^-24
    let size = select(normal, small, exponent == 0u);
    return select(size, -size, (bits & 0x8000u) != 0u);
}

// Cosine and sine of an angle in radians. The built-ins promise only 2^-11, and only inside
// [-pi, pi]. Reduction by pi/2 in three parts (Cody and Waite), then Cephes' polynomials.
fn cos_sin(angle: f32) -> vec2<f32> {
    let turns = round(angle * 0.6366197723675814);
    let r = ((angle - turns * 1.5703125) - turns * 4.837512969970703125e-4)
        - turns * 7.549789948768648e-8;
    let z = r * r;
    let s = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * r + r;
    let c = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z
        - 0.5 * z + 1.0;
    switch (u32(i32(turns)) & 3u) {
        case 0u: { return vec2<f32>(c, s); }
        case 1u: { return vec2<f32>(-s, c); }
        case 2u: { return vec2<f32>(-c, -s); }
        default: { return vec2<f32>(s, -c); }
    }
}
