// e = e + (1 - decay) (p - e): the exponential moving average of a network's parameters.
struct Params { count: u32, e_offset: u32, p_offset: u32, one_minus_decay: f32 }
var<immediate> im: Params;
@group(0) @binding(0) var<storage, read_write> e: array<value>;
@group(0) @binding(1) var<storage, read> p: array<value>;

fn update(q: u32) {
    let old = e[q + im.e_offset];
    let next = old + im.one_minus_decay * (p[q + im.p_offset] - old);
    e[q + im.e_offset] = select(old, next, inside(q));
}
