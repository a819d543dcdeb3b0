// Sums and maxima over a workgroup of 256, in two steps instead of a tree of eight: barriers cost
// more than additions. Every invocation gets the result.

var<workgroup> reduce_first: array<f32, 256>;
var<workgroup> reduce_second: array<f32, 16>;

fn sum_all(value: f32, lid: u32) -> f32 {
    reduce_first[lid] = value;
    workgroupBarrier(); // all 256 values are there
    if (lid < 16u) {
        var sum = 0.0;
        for (var i = lid; i < 256u; i += 16u) { sum += reduce_first[i]; }
        reduce_second[lid] = sum;
    }
    workgroupBarrier(); // the 16 partial sums are there
    var sum = 0.0;
    for (var i = 0u; i < 16u; i++) { sum += reduce_second[i]; }
    workgroupBarrier(); // both arrays may be used again
    return sum;
}

fn max_all(value: f32, lid: u32) -> f32 {
    reduce_first[lid] = value;
    workgroupBarrier(); // all 256 values are there
    if (lid < 16u) {
        var top = reduce_first[lid];
        for (var i = lid; i < 256u; i += 16u) { top = max(top, reduce_first[i]); }
        reduce_second[lid] = top;
    }
    workgroupBarrier(); // the 16 partial maxima are there
    var top = reduce_second[0];
    for (var i = 1u; i < 16u; i++) { top = max(top, reduce_second[i]); }
    workgroupBarrier(); // both arrays may be used again
    return top;
}
