//! Work on many pictures by a few threads, with results in order.

/// `f` of every item, in the order of the items. The first failing item's error is the one returned, whatever the timing.
pub(super) fn map<T: Send, R: Send, E: Send>(
    mut items: Vec<T>,
    f: impl Fn(T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .clamp(1, 8);
    let per_thread = items.len().div_ceil(threads).max(1);
    // Split from the back: each split_off leaves the front in place.
    let mut blocks = Vec::new();
    while items.len() > per_thread {
        let cut = (items.len() - 1) / per_thread * per_thread;
        blocks.push(items.split_off(cut));
    }
    blocks.push(items);
    blocks.reverse();
    let f = &f;
    std::thread::scope(|scope| {
        let work = |block: Vec<T>| move || block.into_iter().map(f).collect::<Result<Vec<R>, E>>();
        let handles: Vec<_> = blocks
            .into_iter()
            .map(|block| scope.spawn(work(block)))
            .collect();
        let mut results = Vec::new();
        for handle in handles {
            match handle.join() {
                Ok(block) => results.extend(block?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(results)
    })
}

#[cfg(test)]
mod tests {
    use super::map;

    #[test]
    fn keeps_the_order_for_every_length() {
        for n in [0, 1, 2, 3, 7, 8, 9, 100] {
            let result: Result<Vec<usize>, ()> = map((0..n).collect(), |i| Ok(i * i));
            assert_eq!(result, Ok((0..n).map(|i| i * i).collect()));
        }
    }

    #[test]
    fn returns_the_first_error_by_position() {
        for _ in 0..20 {
            let result = map((0..100).collect(), |i| {
                if i % 30 == 29 { Err(i) } else { Ok(i) }
            });
            assert_eq!(result, Err(29));
        }
    }
}
