// RMSprop as torch.optim.RMSprop computes it (not centred, no weight decay):
//   s = alpha s + (1 - alpha) g^2,  p = p - lr velocity(g / (sqrt(s) + eps)), with lib/momentum.wgsl or lib/no_momentum.wgsl.
struct Params {
    count: u32,
    p_offset: u32,
    g_offset: u32,
    s_offset: u32,
    buf_offset: u32,
    lr: f32,
    alpha: f32,
    one_minus_alpha: f32,
    eps: f32,
    momentum: f32,
}
var<immediate> im: Params;
@group(0) @binding(0) var<storage, read_write> p: array<value>;
@group(0) @binding(1) var<storage, read> g: array<value>;
@group(0) @binding(2) var<storage, read_write> s: array<value>;

fn update(q: u32) {
    let gradient = g[q + im.g_offset];
    let old_s = s[q + im.s_offset];
    let new_s = im.alpha * old_s + im.one_minus_alpha * (gradient * gradient);
    let direction = gradient / (sqrt(new_s) + im.eps);
    let old_p = p[q + im.p_offset];
    let new_p = old_p - im.lr * velocity(q, direction);
    s[q + im.s_offset] = select(old_s, new_s, inside(q));
    p[q + im.p_offset] = select(old_p, new_p, inside(q));
}
