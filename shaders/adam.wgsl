// Adam (Kingma and Ba 2015, algorithm 1), as torch.optim.Adam without weight decay computes it:
//   m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2,
//   p = p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps),  t = counters[counter] + 1.
// One invocation updates ITEMS values of the four arenas (lib/walk.wgsl).
struct Params {
    count: u32,
    p_offset: u32,
    g_offset: u32,
    m_offset: u32,
    v_offset: u32,
    counter: u32,
    lr: f32,
    beta1: f32,
    one_minus_beta1: f32,
    ln_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    ln_beta2: f32,
    eps: f32,
}
var<immediate> im: Params;
@group(0) @binding(0) var<storage, read_write> p: array<value>;
@group(0) @binding(1) var<storage, read> g: array<value>;
@group(0) @binding(2) var<storage, read_write> m: array<value>;
@group(0) @binding(3) var<storage, read_write> v: array<value>;
@group(0) @binding(4) var<storage, read> counters: array<u32>;

// 1 - e^x for x <= 0. pow(beta, t) would lose all digits of 1 - 0.999^1: WGSL lets exp2 and log2 err by 1e-6.
fn one_minus_exp(x: f32) -> f32 {
    // Taylor's series of (e^x - 1) / x to x^8 / 9!: the rest is below 1e-9.
    var series = 1.0;
    for (var k = 9; k >= 2; k--) {
        series = 1.0 + x / f32(k) * series;
    }
    return select(1.0 - exp(x), -x * series, x > -0.5);
}

fn update(q: u32) {
    let t = f32(counters[im.counter] + 1u);
    let step_size = im.lr / one_minus_exp(im.ln_beta1 * t);
    let root_correction2 = sqrt(one_minus_exp(im.ln_beta2 * t));

    let gradient = g[q + im.g_offset];
    let old_p = p[q + im.p_offset];
    let old_m = m[q + im.m_offset];
    let old_v = v[q + im.v_offset];
    let new_m = im.beta1 * old_m + im.one_minus_beta1 * gradient;
    let new_v = im.beta2 * old_v + im.one_minus_beta2 * (gradient * gradient);
    let denominator = sqrt(new_v) / root_correction2 + im.eps;
    let new_p = old_p - step_size * (new_m / denominator);

    let ours = inside(q);
    m[q + im.m_offset] = select(old_m, new_m, ours);
    v[q + im.v_offset] = select(old_v, new_v, ours);
    p[q + im.p_offset] = select(old_p, new_p, ours);
}
