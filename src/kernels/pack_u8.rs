//! Packs generated images into bytes on the device (`shaders/pack_u8.wgsl`), so that a sample grid comes back at a quarter of its size.
use super::walk::{self, Width};
use crate::gpu::{Caps, Kernel};

const SOURCE: &str = include_str!("../../shaders/pack_u8.wgsl");

/// Order of the bytes of one image; images follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Pixel by pixel, as image files hold them.
    Nhwc,
    /// Plane by plane, as the data sets of this program hold them.
    Nchw,
}

/// Images [C, N, H, W] of f32 in -1..1.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    pub channels: u32,
    pub images: u32,
    pub height: u32,
    pub width: u32,
    pub order: Order,
    /// First element of the images in their buffer.
    pub x_offset: u32,
    /// First word of the result in its buffer.
    pub y_offset: u32,
}

impl Params {
    /// Bytes of the result, before padding to whole words.
    pub fn bytes(&self) -> u32 {
        self.channels * self.images * self.height * self.width
    }
    /// Words of the result; the bytes behind the last image are 0.
    pub fn words(&self) -> u32 {
        self.bytes().div_ceil(4)
    }
}

/// Bindings: 0 images (f32), 1 the packed bytes (u32, written). The byte of x is round((x + 1) 127.5), halves to even, within 0..=255.
pub fn kernel(caps: &Caps, p: &Params) -> Kernel {
    let planar = (p.order == Order::Nchw) as u32;
    let offsets = [p.x_offset, p.y_offset];
    let rest = [p.bytes(), p.channels, p.images, p.height * p.width, planar];
    walk::kernel(
        caps,
        "pack_u8".into(),
        Width::Scalar,
        &[SOURCE],
        p.words(),
        &offsets,
        &rest,
    )
}

#[cfg(test)]
mod tests {
    use super::walk::testing::{assert_portable, mutated, run, values, variants};
    use super::*;
    use crate::gpu::Gpu;
    use crate::gpu::testing::{buffer_of, gpu};

    fn params(shape: [u32; 4], order: Order) -> Params {
        let [channels, images, height, width] = shape;
        Params {
            channels,
            images,
            height,
            width,
            order,
            x_offset: 3,
            y_offset: 1,
        }
    }
    fn reference(x: &[f32], p: &Params) -> Vec<u8> {
        let [c, n, h, w] = [p.channels, p.images, p.height, p.width].map(|v| v as usize);
        let mut bytes = vec![];
        let byte = |c: usize, i: usize, r: usize, s: usize| {
            // In f32, as on the device: halves fall differently in f64.
            let v = (x[((c * n + i) * h + r) * w + s] + 1.0) * 127.5;
            v.clamp(0.0, 255.0).round_ties_even() as u8
        };
        for i in 0..n {
            match p.order {
                Order::Nhwc => (0..h * w)
                    .for_each(|at| (0..c).for_each(|ch| bytes.push(byte(ch, i, at / w, at % w)))),
                Order::Nchw => (0..c).for_each(|ch| {
                    (0..h * w).for_each(|at| bytes.push(byte(ch, i, at / w, at % w)))
                }),
            }
        }
        bytes.resize(4 * p.words() as usize, 0);
        bytes
    }
    /// All bytes of the result, padding included, after a check of the words around them.
    fn packed(gpu: &Gpu, kernel: &Kernel, x: &[f32], p: &Params) -> Vec<u8> {
        let source = buffer_of(gpu, "x", &[&[9.0; 3], x].concat());
        let words = vec![0xABAB_ABABu32; p.words() as usize + 2];
        let y = gpu.buffer_from("y", bytemuck::cast_slice(&words)).unwrap();
        run(gpu, kernel, &[&source, &y]);
        let all = gpu.download(&y, 0..y.bytes()).unwrap();
        let words = 4 * p.words() as usize;
        assert!(all[..4].iter().chain(&all[4 + words..]).all(|&b| b == 0xAB));
        all[4..4 + words].to_vec()
    }

    #[test]
    fn bytes_match_in_both_orders() {
        let gpu = gpu();
        for caps in variants(&gpu) {
            for shape in [
                [1, 1, 1, 1],
                [3, 2, 5, 3],
                [1, 3, 28, 28],
                [4, 1, 2, 2],
                [3, 17, 3, 11],
                [2, 5, 1, 7],
            ] {
                for order in [Order::Nhwc, Order::Nchw] {
                    let p = params(shape, order);
                    let x = values(p.bytes(), 4, -1.2, 1.2);
                    let kernel = kernel(&caps, &p);
                    assert_eq!(packed(&gpu, &kernel, &x, &p), reference(&x, &p), "{p:?}");
                }
            }
        }
    }

    /// Bytes -> network range (b / 127.5 - 1) -> bytes is the identity; values outside are clamped.
    #[test]
    fn every_byte_survives_and_extremes_are_clamped() {
        let gpu = gpu();
        let mut x: Vec<f32> = (0..256).map(|b| b as f32 / 127.5 - 1.0).collect();
        x.extend([
            -1.0001,
            1.0001,
            -1e30,
            1e30,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            0.0,
        ]);
        let p = params([1, 1, 8, 33], Order::Nhwc);
        let got = packed(&gpu, &kernel(gpu.caps(), &p), &x, &p);
        assert_eq!(got[..256], (0..=255).collect::<Vec<u8>>());
        assert_eq!(got[256..], [0, 255, 0, 255, 255, 0, 0, 128]);
    }

    #[test]
    fn mutations_are_caught() {
        let gpu = gpu();
        let p = params([3, 2, 5, 3], Order::Nhwc);
        let x = values(p.bytes(), 4, -1.2, 1.2);
        for (from, to) in [
            ("u32(round(", "u32(("),
            ("* im.images + image)", "* im.images)"),
            ("within % im.channels", "within / im.pixels"),
            ("byte(at + 1u) << 8u", "byte(at + 1u) << 16u"),
        ] {
            let kernel = mutated(&kernel(gpu.caps(), &p), from, to);
            assert_ne!(
                packed(&gpu, &kernel, &x, &p),
                reference(&x, &p),
                "{from} -> {to}"
            );
        }
    }

    #[test]
    fn portable() {
        assert_portable(|caps| vec![kernel(caps, &params([1, 2, 3, 4], Order::Nchw))]);
    }
}
