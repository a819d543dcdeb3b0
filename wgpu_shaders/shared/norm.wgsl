// What stands in front of a linear op, computed by a whole workgroup of 256:
//
//     h = x   or   x + delta   or   x + norm(delta)         (p.add, p.post)
//     n = h   or   norm(h)                                  (p.norm)
//
// Kinds of norm: 0 = none, 1 = RMS, 2 = layer. Needs `p`, `vectors`, `x`, `delta`, reduce.wgsl.

struct Stats {
    mean: f32,
    inverse: f32,
}

var<private> post_stats: Stats;
var<private> norm_stats: Stats;

fn normed(value: f32, stats: Stats, weight: u32, bias: u32, i: u32) -> f32 {
    var y = (value - stats.mean) * stats.inverse;
    if (weight != NONE) { y *= vectors[weight + i]; }
    if (bias != NONE) { y += vectors[bias + i]; }
    return y;
}

fn h_at(t: u32, i: u32) -> f32 {
    var h = x[p.x_at + t * p.x_stride + i];
    if (p.add != 0u) {
        var d = delta[p.delta_at + t * p.delta_stride + i];
        if (p.post != 0u) { d = normed(d, post_stats, p.post_weight, p.post_bias, i); }
        h += d;
    }
    return h;
}

fn n_at(t: u32, i: u32) -> f32 {
    let h = h_at(t, i);
    if (p.norm == 0u) { return h; }
    return normed(h, norm_stats, p.norm_weight, p.norm_bias, i);
}

// Layer norms take the mean first, so that the variance is a sum of squares of small numbers.
fn post_of_delta(t: u32, lid: u32) -> Stats {
    let first = p.delta_at + t * p.delta_stride;
    var mean = 0.0;
    if (p.post == 2u) {
        var sum = 0.0;
        for (var i = lid; i < p.n_in; i += 256u) { sum += delta[first + i]; }
        mean = sum_all(sum, lid) / f32(p.n_in);
    }
    var squares = 0.0;
    for (var i = lid; i < p.n_in; i += 256u) {
        let d = delta[first + i] - mean;
        squares += d * d;
    }
    return Stats(mean, 1.0 / sqrt(sum_all(squares, lid) / f32(p.n_in) + p.post_eps));
}

fn norm_of_h(t: u32, lid: u32) -> Stats {
    var mean = 0.0;
    if (p.norm == 2u) {
        var sum = 0.0;
        for (var i = lid; i < p.n_in; i += 256u) { sum += h_at(t, i); }
        mean = sum_all(sum, lid) / f32(p.n_in);
    }
    var squares = 0.0;
    for (var i = lid; i < p.n_in; i += 256u) {
        let d = h_at(t, i) - mean;
        squares += d * d;
    }
    return Stats(mean, 1.0 / sqrt(sum_all(squares, lid) / f32(p.n_in) + p.norm_eps));
}

// Takes the statistics of row t, so that h_at and n_at can be asked afterwards.
fn prepare_row(t: u32, lid: u32) {
    if (p.post != 0u) { post_stats = post_of_delta(t, lid); }
    if (p.norm != 0u) { norm_stats = norm_of_h(t, lid); }
}

fn store_sum(t: u32, lid: u32) {
    for (var i = lid; i < p.n_in; i += 256u) {
        sum[p.sum_at + t * p.sum_stride + i] = h_at(t, i);
    }
}
