// Stochastic gradient descent as torch.optim.SGD computes it (dampening 0, no weight decay): p = p - lr velocity(g), where
// velocity is the gradient (lib/no_momentum.wgsl) or its decaying sum (lib/momentum.wgsl).
struct Params { count: u32, p_offset: u32, g_offset: u32, buf_offset: u32, lr: f32, momentum: f32 }
var<immediate> im: Params;
@group(0) @binding(0) var<storage, read_write> p: array<value>;
@group(0) @binding(1) var<storage, read> g: array<value>;

fn update(q: u32) {
    let old = p[q + im.p_offset];
    let next = old - im.lr * velocity(q, g[q + im.g_offset]);
    p[q + im.p_offset] = select(old, next, inside(q));
}
