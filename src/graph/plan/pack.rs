//! Where temporary tensors lie: offsets in a few buffers, so that the memory of what is no longer read serves tensors of any size.
use crate::data::rng::{Stream, below};
use std::cmp::Reverse;

/// A tensor that is alive from one item of the program to another.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Of four bytes each; a multiple of 4.
    pub words: usize,
    /// The items that write it and that read it last.
    pub first: usize,
    pub last: usize,
}

/// A buffer of the caller's whose contents do not matter before item `until`.
#[derive(Clone, Copy, Debug)]
pub struct Lent {
    /// Of four bytes each.
    pub words: usize,
    pub until: usize,
}

/// A place for every tensor.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    /// Buffer and first word of each tensor. Lent buffers come first, then those of the pool.
    pub places: Vec<(usize, usize)>,
    /// Words of each buffer of the pool, largest first.
    pub pool: Vec<usize>,
}

/// What has to be placed.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    pub tensors: &'a [Tensor],
    /// For each tensor those that must not lie in its buffer.
    pub apart: &'a [Vec<usize>],
    pub lent: &'a [Lent],
    /// Words of a buffer; a tensor that is larger has one of its own.
    pub limit: usize,
}

/// How often the order is changed, of programs of up to so many tensors; a try takes time with the square of their number, and there are
/// as many fewer of more. DCGAN 64x64 at batch 128 has 230 and takes 343.9 MB with 256 tries, 343.4 with 1,024, 337.2 with these, for .2 s;
/// an unrolled ring of 30 updates has thousands, and was planned for 27 s with 256.
const TRIES: usize = 2048;
const TENSORS: usize = 500;
const LEAST_TRIES: usize = 16;

/// Only tensors of at least this part of the largest move in the order. Of DCGAN 64x64 at batch 128 the first order takes 243.4 MB;
/// moving what is an 8th or more leaves 226.6, a 16th 237.1, a 64th 241.3: small ones use up the tries.
const LARGE: usize = 8;

/// Places tensors one by one, each where the buffers grow least, and there into the smallest gap between those that are alive at the
/// same time: "greedy by size" of Pisarchyk and Lee 2020 (arXiv 2001.03288) for several buffers. Largest first to begin with; then one
/// of the larger ones after another, by a fixed draw, takes another place in that order, as long as nothing gets worse.
pub fn pack(problem: Problem) -> Packed {
    let tensors = problem.tensors;
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|&t| (Reverse(tensors[t].words), tensors[t].first));
    let mut best = place(problem, &order);
    let large = |t: &usize| tensors[*t].words >= tensors[order[0]].words / LARGE;
    // `below` draws from at most 2^16.
    let movable = order.iter().filter(|t| large(t)).count().min(1 << 16) as u32;
    let least = busiest(tensors).saturating_sub(problem.lent.iter().map(|l| l.words).sum());
    let stream = Stream::new(0, 0, 0);
    let squares = TENSORS.pow(2) as f64 / tensors.len().max(1).pow(2) as f64;
    let tries = (TRIES as f64 * squares) as usize;
    for try_ in 0..tries.clamp(LEAST_TRIES, TRIES) as u32 {
        if best.total() <= least || movable < 2 {
            break;
        }
        let [from, to] = stream
            .block(try_, 0)
            .map(|bits| below(bits, movable) as usize);
        let mut changed = order.clone();
        let moved = changed.remove(from);
        changed.insert(to, moved);
        let packed = place(problem, &changed);
        if packed.total() <= best.total() {
            (best, order) = (packed, changed);
        }
    }
    best
}

impl Packed {
    fn total(&self) -> usize {
        self.pool.iter().sum()
    }
}

/// Most elements alive at once.
fn busiest(tensors: &[Tensor]) -> usize {
    let alive = |at: usize| {
        let then = tensors.iter().filter(|t| t.first <= at && at <= t.last);
        then.map(|t| t.words).sum()
    };
    tensors.iter().map(|t| alive(t.first)).max().unwrap_or(0)
}

/// Places in this order.
fn place(problem: Problem, order: &[usize]) -> Packed {
    let Problem {
        tensors,
        apart,
        lent,
        limit,
    } = problem;
    let mut places: Vec<Option<(usize, usize)>> = vec![None; tensors.len()];
    let mut sizes: Vec<usize> = lent.iter().map(|l| l.words).collect();
    let mut held: Vec<Vec<Held>> = vec![vec![]; lent.len()];
    for &t in order {
        let Tensor { words, first, last } = tensors[t];
        let shut = |b: usize| {
            let others = apart[t].iter().filter_map(|&o| places[o]);
            let beside = others.into_iter().any(|(other, _)| other == b);
            beside || lent.get(b).is_some_and(|l| last >= l.until)
        };
        let room = |b: usize| lent.get(b).map_or(limit, |l| l.words);
        let fit = (0..sizes.len())
            .filter(|&b| !shut(b))
            .map(|b| {
                let (offset, gap) = lowest(&held[b], &tensors[t]);
                let grows = (offset + words).saturating_sub(sizes[b]);
                (grows, gap, b, offset)
            })
            .filter(|&(_, _, b, offset)| offset + words <= room(b))
            .min();
        let (b, offset) = match fit {
            Some((_, _, b, offset)) => (b, offset),
            None => {
                sizes.push(0);
                held.push(vec![]);
                (sizes.len() - 1, 0)
            }
        };
        places[t] = Some((b, offset));
        let held = &mut held[b];
        let behind = held.partition_point(|h| h.from <= offset);
        let own = Held {
            from: offset,
            to: offset + words,
            first,
            last,
        };
        held.insert(behind, own);
        sizes[b] = sizes[b].max(offset + words);
    }
    // Largest first, so that programs that share a pool agree about its buffers.
    let mut by_size: Vec<usize> = (lent.len()..sizes.len()).collect();
    by_size.sort_by_key(|&b| (Reverse(sizes[b]), b));
    let mut rank: Vec<usize> = (0..sizes.len()).collect();
    for (r, &b) in by_size.iter().enumerate() {
        rank[b] = lent.len() + r;
    }
    let places = places.into_iter().flatten();
    Packed {
        places: places.map(|(b, offset)| (rank[b], offset)).collect(),
        pool: by_size.iter().map(|&b| sizes[b]).collect(),
    }
}

/// What a buffer holds: words, and from when to when.
#[derive(Clone, Copy)]
struct Held {
    from: usize,
    to: usize,
    first: usize,
    last: usize,
}

/// First element of a tensor among what a buffer holds, in the order of `from`, and the gap that it leaves: in the smallest gap between
/// tensors that live at the same time, or behind the last.
fn lowest(held: &[Held], tensor: &Tensor) -> (usize, usize) {
    let &Tensor { words, first, last } = tensor;
    let (mut end, mut best) = (0, None);
    for h in held.iter().filter(|h| h.first <= last && first <= h.last) {
        if h.from >= end + words {
            let gap = h.from - end;
            if best.is_none_or(|(_, smallest)| gap < smallest) {
                best = Some((end, gap));
            }
        }
        end = end.max(h.to);
    }
    best.unwrap_or((end, usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(words: usize, first: usize, last: usize) -> Tensor {
        Tensor { words, first, last }
    }

    /// No two tensors that live at once share memory, none shares a buffer with one that it must be apart from, none is outside.
    fn check(problem: Problem, packed: &Packed) {
        let Problem {
            tensors,
            apart,
            lent,
            limit,
        } = problem;
        assert_eq!(packed.places.len(), tensors.len());
        for (i, a) in tensors.iter().enumerate() {
            let (buffer, start) = packed.places[i];
            match lent.get(buffer) {
                Some(l) => assert!(start + a.words <= l.words && a.last < l.until),
                None => {
                    let size = packed.pool[buffer - lent.len()];
                    assert!(start + a.words <= size);
                    let inside = (0..tensors.len()).filter(|&t| packed.places[t].0 == buffer);
                    let largest = inside.map(|t| tensors[t].words).max();
                    assert!(size <= limit.max(largest.unwrap_or(0)));
                }
            }
            for (j, b) in tensors.iter().enumerate().skip(i + 1) {
                let (other, begin) = packed.places[j];
                if other != buffer {
                    continue;
                }
                assert!(!apart[i].contains(&j), "{i} and {j} share a buffer");
                let alive = a.first <= b.last && b.first <= a.last;
                let overlap = start < begin + b.words && begin < start + a.words;
                assert!(!(alive && overlap), "{i} and {j}");
            }
        }
        assert!(packed.pool.is_sorted_by(|a, b| a >= b));
    }

    fn checked(tensors: &[Tensor], apart: &[Vec<usize>], lent: &[Lent], limit: usize) -> Packed {
        let problem = Problem {
            tensors,
            apart,
            lent,
            limit,
        };
        let packed = pack(problem);
        check(problem, &packed);
        packed
    }

    #[test]
    fn small_tensors_take_the_place_of_a_large_one() {
        let tensors = [tensor(64, 0, 1), tensor(32, 2, 4), tensor(32, 3, 4)];
        assert_eq!(checked(&tensors, &vec![vec![]; 3], &[], 1000).pool, [64]);
    }

    #[test]
    fn what_must_be_apart_is_and_limits_are_kept() {
        let tensors = [tensor(64, 0, 2), tensor(64, 1, 3), tensor(100, 5, 6)];
        let packed = checked(&tensors, &[vec![1], vec![0], vec![]], &[], 64);
        assert_eq!(packed.places[2], (0, 0), "too large for any but its own");
        assert_eq!(packed.pool, [100, 64]);
    }

    #[test]
    fn lent_memory_is_used_while_it_may_be() {
        let tensors = [tensor(64, 0, 4), tensor(64, 0, 5), tensor(68, 0, 1)];
        let lent = Lent {
            words: 64,
            until: 5,
        };
        let packed = checked(&tensors, &vec![vec![]; 3], &[lent], 1000);
        assert_eq!(packed.places[0], (0, 0));
        assert_eq!(packed.pool, [64 + 68]);
    }

    #[test]
    fn random_programs_are_packed_soundly() {
        use crate::data::rng::Stream;
        let stream = Stream::new(3, 1, 4);
        let draw = |i: u32, n: u32| stream.block(i, 0)[0] % n;
        let tensors: Vec<Tensor> = (0..200)
            .map(|i| {
                let first = draw(3 * i, 300) as usize;
                let size = 4 * (1 + draw(3 * i + 1, 64) as usize);
                tensor(size, first, first + draw(3 * i + 2, 40) as usize)
            })
            .collect();
        let mut apart = vec![vec![]; tensors.len()];
        for i in (0..tensors.len() - 1).step_by(3) {
            apart[i].push(i + 1);
            apart[i + 1].push(i);
        }
        let lent = Lent {
            words: 512,
            until: 150,
        };
        for limit in [256, 1000, 1 << 20] {
            checked(&tensors, &apart, &[], limit);
            checked(&tensors, &apart, &[lent], limit);
        }
        let total = checked(&tensors, &apart, &[], 1 << 20).total();
        let least = busiest(&tensors);
        assert!(total >= least && total < least * 3 / 2, "{total} {least}");
    }
}
