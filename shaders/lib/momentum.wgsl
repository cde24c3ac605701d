// buf = momentum buf + direction, and the step follows buf (torch.optim.SGD with dampening 0, torch.optim.RMSprop).
// `buf` is declared by the prelude, behind the kernel's own bindings.
fn velocity(q: u32, direction: value) -> value {
    let old = buf[q + im.buf_offset];
    let next = im.momentum * old + direction;
    buf[q + im.buf_offset] = select(old, next, inside(q));
    return next;
}
