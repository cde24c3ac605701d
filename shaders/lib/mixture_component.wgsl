// Which of k components sample i comes from, under the key of its batch: twin of Mixture::component in src/data/toy.rs.
// Needs random.wgsl, and a buffer `mixture` that starts with the k cumulative weights.
fn mixture_component(key: vec2<u32>, k: u32, i: u32) -> u32 {
    let u = uniform01(threefry2x32(key, vec2(i, 0u)).x);
    var component = 0u;
    while (component + 1u < k && mixture[component] <= u) {
        component++;
    }
    return component;
}
