//! Between the host's order of samples (one after the other) and the networks' (features first, the batch second).
use crate::nn::Extent;

/// Numbers of one sample that lie together in a batch: an image's plane, or one feature.
fn inner(extent: Extent) -> usize {
    match extent {
        Extent::Image { height, width, .. } => height * width,
        Extent::Features { .. } => 1,
    }
}

/// At most `batch` samples given row by row as `[C, batch, H, W]` or `[F, batch]`; what is missing is zero.
pub fn to_batch(extent: Extent, rows: &[f32], batch: usize) -> Vec<f32> {
    let (inner, per_sample) = (inner(extent), extent.numel());
    let mut out = vec![0.0; per_sample * batch];
    for (n, row) in rows.chunks(per_sample).enumerate() {
        for (c, plane) in row.chunks(inner).enumerate() {
            let at = (c * batch + n) * inner;
            out[at..at + plane.len()].copy_from_slice(plane);
        }
    }
    out
}

/// The first `count` samples of `[C, batch, H, W]` or `[F, batch]`, row by row.
pub fn from_batch(extent: Extent, values: &[f32], batch: usize, count: usize) -> Vec<f32> {
    let (inner, per_sample) = (inner(extent), extent.numel());
    let mut rows = Vec::with_capacity(count * per_sample);
    for n in 0..count {
        for c in 0..per_sample / inner {
            let at = (c * batch + n) * inner;
            rows.extend_from_slice(&values[at..at + inner]);
        }
    }
    rows
}

/// Samples per execution of programs without gradients: their memory stays below that of training.
pub fn chunk(per_sample: usize) -> usize {
    if per_sample > 64 { 16 } else { 512 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_batches_and_come_back() {
        let image = Extent::Image {
            channels: 2,
            height: 1,
            width: 3,
        };
        let rows: Vec<f32> = (0..12).map(|v| v as f32).collect();
        let batch = to_batch(image, &rows, 3);
        // Channel 0 of samples 0, 1 and the missing one, then channel 1.
        let want = [0, 1, 2, 6, 7, 8, 0, 0, 0, 3, 4, 5, 9, 10, 11, 0, 0, 0];
        assert_eq!(batch, want.map(|v| v as f32));
        assert_eq!(from_batch(image, &batch, 3, 2), rows);
        let point = Extent::Features { features: 2 };
        let batch = to_batch(point, &rows, 7);
        assert_eq!(batch[..7], [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 0.0]);
        assert_eq!(from_batch(point, &batch, 7, 6), rows);
    }
}
