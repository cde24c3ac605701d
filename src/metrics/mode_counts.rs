//! Which modes of a 2-D mixture samples lie at: what the metrics of mode coverage are made of.
//!
//! As VEEGAN (1705.07761) and PacGAN (1712.04086): a sample is of high quality when it lies within 3 sigma of its nearest mode.

use crate::data::toy::Mixture;

/// Samples within `sigmas` standard deviations of their nearest mode, counted by mode. Points that are not finite are near none.
pub fn mode_counts(points: &[[f32; 2]], target: &Mixture<2>, sigmas: f64) -> Vec<u64> {
    let radius = sigmas * f64::from(target.sigma);
    let mut counts = vec![0u64; target.centres.len()];
    for point in points {
        let mut nearest = (f64::INFINITY, 0);
        for (k, centre) in target.centres.iter().enumerate() {
            let d = (f64::from(point[0]) - f64::from(centre[0]))
                .hypot(f64::from(point[1]) - f64::from(centre[1]));
            if d < nearest.0 {
                nearest = (d, k);
            }
        }
        if nearest.0 < radius {
            counts[nearest.1] += 1;
        }
    }
    counts
}
