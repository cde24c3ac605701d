// The step follows the direction itself: momentum 0 needs no arena.
fn velocity(q: u32, direction: value) -> value {
    return direction;
}
