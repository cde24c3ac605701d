// `one(i)` for every i below im.len: an invocation does ITEMS of them, one workgroup's WG apart. For the small passes around a product.
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = (group.x + group.y * im.grid_x) * (WG * ITEMS) + lane;
    var item = 0u;
    loop {
        let i = first + item * WG;
        if i < im.len {
            one(i);
        }
        continuing {
            item++;
            break if item >= ITEMS;
        }
    }
}
