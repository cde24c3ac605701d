//! Grids for kernels that number their work by one flat index: 64 invocations a workgroup, folded into two dimensions
//! where one is too short. The twin of `shaders/lib/flat.wgsl`.
use super::KernelError;
use crate::gpu::Caps;

pub(super) const WGSL: &str = include_str!("../../shaders/lib/flat.wgsl");
const LANES: u64 = 64;

/// Workgroups that give at least `invocations` flat indices.
pub(super) fn grid(
    kernel: &'static str,
    caps: &Caps,
    invocations: u64,
) -> Result<[u32; 3], KernelError> {
    let workgroups = invocations.div_ceil(LANES).max(1);
    let limit = u64::from(caps.max_workgroups_per_dim);
    let rows = workgroups.div_ceil(limit);
    // The last row may overhang; flat indices must still fit 32 bits.
    let columns = workgroups.div_ceil(rows);
    if rows > limit || rows * columns * LANES > 1 << 32 {
        let limit = (limit * limit).min((1 << 32) / LANES);
        return Err(KernelError::Grid {
            kernel,
            workgroups,
            limit,
        });
    }
    Ok([columns as u32, rows as u32, 1])
}

/// Refuses an output of `len` elements from `offset` on that 32 bits cannot index.
pub(super) fn check_end(
    kernel: &'static str,
    what: &'static str,
    offset: u32,
    len: u64,
) -> Result<(), KernelError> {
    let end = u64::from(offset).saturating_add(len);
    let limit = u64::from(u32::MAX);
    if end > limit {
        return Err(KernelError::TooLarge {
            kernel,
            what,
            end,
            limit,
        });
    }
    Ok(())
}

/// Refuses a zero.
pub(super) fn check_positive(
    kernel: &'static str,
    values: &[(&'static str, u32)],
) -> Result<(), KernelError> {
    match values.iter().find(|(_, value)| *value == 0) {
        Some(&(what, _)) => Err(KernelError::Parameter {
            kernel,
            what,
            got: "0".into(),
            expected: "at least 1".into(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::AdapterClass;

    #[test]
    fn folds_where_one_dimension_is_too_short() {
        let caps = Caps::baseline(AdapterClass::Software);
        assert_eq!(caps.max_workgroups_per_dim, 65_535);
        let grid = |invocations| grid("test", &caps, invocations);
        assert_eq!(grid(0), Ok([1, 1, 1]));
        assert_eq!(grid(65), Ok([2, 1, 1]));
        assert_eq!(grid(65_535 * 64), Ok([65_535, 1, 1]));
        assert_eq!(grid(65_535 * 64 + 1), Ok([32_768, 2, 1]));
        assert!(matches!(grid((1 << 32) + 1), Err(KernelError::Grid { .. })));
        for invocations in [1, 1000, 1 << 25, 1 << 31] {
            let [x, y, _] = grid(invocations).unwrap();
            assert!(u64::from(x) * u64::from(y) * LANES >= invocations);
        }
    }

    #[test]
    fn ends_and_zeros_are_checked() {
        assert_eq!(
            check_end("test", "output", 5, u64::from(u32::MAX) - 5),
            Ok(())
        );
        assert!(check_end("test", "output", 6, u64::from(u32::MAX) - 5).is_err());
        assert!(
            check_positive("test", &[("n", 1), ("w", 0)])
                .unwrap_err()
                .to_string()
                .contains("w is 0")
        );
    }
}
