//! Convolutions and their gradients by rule.
use super::*;

fn check_convs(op: fn(ConvShape) -> GemmOp, offsets: [u32; 3]) {
    let _gpu = gpu();
    for form in BOTH {
        for shape in shapes() {
            check(form, &op(shape), offsets);
        }
    }
}

#[test]
fn conv2d() {
    check_convs(GemmOp::Conv2d, [0; 3]);
}

#[test]
fn conv2d_weight_grad() {
    check_convs(GemmOp::Conv2dWeightGrad, [0, 7, 4]);
}

#[test]
fn conv2d_input_grad() {
    check_convs(GemmOp::Conv2dInputGrad, [3, 1, 5]);
}

/// Weights so large that their phases are packed one after the other, each over the one before.
#[test]
fn phases_one_after_the_other() {
    let gpu = gpu();
    let op = GemmOp::Conv2dInputGrad(conv(1, [256, 268], [3, 4], [4, 4], [2, 2], [1, 1]));
    for form in BOTH {
        let variant = Variant {
            scheme: Scheme::Whole,
            ..Variant::by_rule(gpu.caps(), form, &op, [Scalar::F32; 3]).unwrap()
        };
        let passes = lower(gpu.caps(), variant, &Call::plain(&op)).unwrap();
        assert_eq!(passes.len(), 8);
        check_variant(gpu.caps(), variant, &op, [4, 3, 5]);
        assert_caught(
            &gpu,
            variant,
            &op,
            "let phase = im.first_phase + z",
            "let phase = z",
        );
    }
}
