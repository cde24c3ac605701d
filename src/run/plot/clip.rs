//! Cutting curves off at the edges of a chart: the plotting crate draws over them.

/// A rectangle in a chart's own coordinates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub x: [f64; 2],
    pub y: [f64; 2],
}

impl Window {
    pub fn contains(&self, [x, y]: [f64; 2]) -> bool {
        (self.x[0]..=self.x[1]).contains(&x) && (self.y[0]..=self.y[1]).contains(&y)
    }

    /// The part of the segment within the window (Liang and Barsky).
    fn segment(&self, a: [f64; 2], b: [f64; 2]) -> Option<[[f64; 2]; 2]> {
        let (mut from, mut to) = (0f64, 1f64);
        for (axis, range) in [self.x, self.y].into_iter().enumerate() {
            let step = b[axis] - a[axis];
            if step == 0.0 {
                if a[axis] < range[0] || a[axis] > range[1] {
                    return None;
                }
                continue;
            }
            let [enter, leave] = [(range[0] - a[axis]) / step, (range[1] - a[axis]) / step];
            from = from.max(enter.min(leave));
            to = to.min(enter.max(leave));
        }
        let at = |t: f64| [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])];
        (from <= to).then(|| [at(from), at(to)])
    }

    /// The pieces of a line within the window; the line breaks where a point is None.
    pub fn line(&self, points: &[Option<[f64; 2]>]) -> Vec<Vec<[f64; 2]>> {
        let mut pieces: Vec<Vec<[f64; 2]>> = vec![];
        let mut open = false;
        for pair in points.windows(2) {
            let kept = match *pair {
                [Some(a), Some(b)] => self.segment(a, b).map(|kept| (kept, a, b)),
                _ => None,
            };
            let Some(([from, to], a, b)) = kept else {
                open = false;
                continue;
            };
            match pieces.last_mut().filter(|_| open && from == a) {
                Some(piece) => piece.push(to),
                None => pieces.push(vec![from, to]),
            }
            open = to == b;
        }
        pieces
    }

    /// The points within the window at which a line breaks on both sides: no segment shows them.
    pub fn lone(&self, points: &[Option<[f64; 2]>]) -> Vec<[f64; 2]> {
        let is_there = |at: Option<usize>| matches!(at.and_then(|i| points.get(i)), Some(Some(_)));
        points
            .iter()
            .enumerate()
            .filter(|(i, _)| !is_there(i.checked_sub(1)) && !is_there(Some(i + 1)))
            .filter_map(|(_, point)| *point)
            .filter(|&point| self.contains(point))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Window = Window {
        x: [0.0, 1.0],
        y: [0.0, 1.0],
    };

    fn pieces(points: &[[f64; 2]]) -> Vec<Vec<[f64; 2]>> {
        UNIT.line(&points.iter().map(|&p| Some(p)).collect::<Vec<_>>())
    }

    #[test]
    fn a_line_within_stays_whole() {
        let line = [[0.0, 0.0], [0.5, 1.0], [1.0, 0.5]];
        assert_eq!(pieces(&line), [line.to_vec()]);
    }

    #[test]
    fn a_line_is_cut_where_it_leaves_and_goes_on_where_it_returns() {
        let cut = pieces(&[[0.0, 0.5], [0.5, 1.5], [1.0, 0.5]]);
        assert_eq!(
            cut,
            [vec![[0.0, 0.5], [0.25, 1.0]], vec![[0.75, 1.0], [1.0, 0.5]]]
        );
        // Neither end within, and yet it crosses; and one that does not.
        assert_eq!(
            pieces(&[[-1.0, 0.5], [2.0, 0.5]]),
            [vec![[0.0, 0.5], [1.0, 0.5]]]
        );
        assert_eq!(pieces(&[[-1.0, 0.5], [0.5, 3.0]]).len(), 0);
    }

    #[test]
    fn a_line_breaks_at_a_point_without_a_place() {
        let (a, b) = ([0.1, 0.1], [0.2, 0.2]);
        let points = [Some(a), Some(b), None, Some(b), Some(a)];
        assert_eq!(UNIT.line(&points), [vec![a, b], vec![b, a]]);
    }

    #[test]
    fn points_without_neighbours_are_found() {
        let (a, b, beyond) = ([0.1, 0.1], [0.2, 0.2], [3.0, 0.1]);
        assert_eq!(UNIT.lone(&[Some(a)]), [a]);
        assert_eq!(UNIT.lone(&[Some(a), None, Some(b)]), [a, b]);
        assert_eq!(UNIT.lone(&[Some(a), Some(b), None, Some(beyond)]).len(), 0);
        assert_eq!(UNIT.lone(&[]).len(), 0);
    }
}
