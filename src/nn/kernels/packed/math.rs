//! Functions of one number, made of operations that vectorise.

/// `a * b + c`, in one rounding where that is one instruction.
#[inline(always)]
pub(super) fn fma<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Adding and taking this away rounds to an integer, and leaves the integer in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// `e^x`, off by one or two units in the last place; between `e^-87` and `e^88`.
///
/// Reduction by powers of two and a polynomial of degree six (Cephes, `expf.c`).
#[inline(always)]
pub(super) fn exp<const FUSED: bool>(x: f32) -> f32 {
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let rounded = fma::<FUSED>(x, std::f32::consts::LOG2_E, ROUNDER);
    let power = rounded.to_bits().wrapping_sub(ROUNDER.to_bits());
    let n = rounded - ROUNDER;
    // ln 2 in two parts, the first exact in few bits
    let r = fma::<FUSED>(n, -0.693_359_4, x);
    let r = fma::<FUSED>(n, 2.121_944_4e-4, r);
    let p = 1.987_569_1e-4;
    let p = fma::<FUSED>(p, r, 1.398_2e-3);
    let p = fma::<FUSED>(p, r, 8.333_452e-3);
    let p = fma::<FUSED>(p, r, 4.166_579_6e-2);
    let p = fma::<FUSED>(p, r, 1.666_666_5e-1);
    let p = fma::<FUSED>(p, r, 0.5);
    let p = fma::<FUSED>(p, r * r, r + 1.0);
    f32::from_bits(p.to_bits().wrapping_add(power << 23))
}

/// The error function, off by less than 3e-7: a quotient of polynomials on ±4, beyond which it
/// is within 2e-7 of ±1 (Eigen, `MathFunctionsImpl.h`).
#[inline(always)]
pub(in crate::nn) fn erf<const FUSED: bool>(x: f32) -> f32 {
    let x = if x < -4.0 { -4.0 } else { x };
    let x = if x > 4.0 { 4.0 } else { x };
    let s = x * x;
    let p = -2.726_142_4e-10;
    let p = fma::<FUSED>(p, s, 2.770_681_4e-8);
    let p = fma::<FUSED>(p, s, -2.101_024e-6);
    let p = fma::<FUSED>(p, s, -5.692_506_6e-5);
    let p = fma::<FUSED>(p, s, -7.349_906_5e-4);
    let p = fma::<FUSED>(p, s, -2.954_600_2e-3);
    let p = fma::<FUSED>(p, s, -1.609_603_3e-2);
    let q = -1.456_607_2e-5;
    let q = fma::<FUSED>(q, s, -2.133_740_5e-4);
    let q = fma::<FUSED>(q, s, -1.682_827e-3);
    let q = fma::<FUSED>(q, s, -7.373_329e-3);
    let q = fma::<FUSED>(q, s, -1.426_473_9e-2);
    x * p / q
}

/// `x * sigmoid(1.702 x)`.
#[inline(always)]
pub(super) fn quick_gelu<const FUSED: bool>(x: f32) -> f32 {
    x / (1.0 + exp::<FUSED>(-1.702 * x))
}

/// `x Φ(x)`.
#[inline(always)]
pub(super) fn gelu<const FUSED: bool>(x: f32) -> f32 {
    let half = 0.5 * x;
    fma::<FUSED>(half, erf::<FUSED>(x * std::f32::consts::FRAC_1_SQRT_2), half)
}

/// `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`, with `1 + tanh(u) = 2 / (1 + e^-2u)`.
#[inline(always)]
pub(super) fn gelu_tanh<const FUSED: bool>(x: f32) -> f32 {
    let u = 0.797_884_6 * x * fma::<FUSED>(0.044_715 * x, x, 1.0);
    x / (1.0 + exp::<FUSED>(-2.0 * u))
}

/// Sixteen numbers as one, always in the same order.
#[inline(always)]
pub(super) fn fold(mut lanes: [f32; 16], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = 8;
    while width > 0 {
        for i in 0..width {
            lanes[i] = join(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_off_by_units_in_the_last_place() {
        let mut x = -86.9_f32;
        while x < 87.9 {
            let right = f64::from(x).exp();
            for got in [exp::<true>(x), exp::<false>(x)] {
                assert!((f64::from(got) / right - 1.0).abs() < 3e-7, "{x} {got} {right}");
            }
            x += 0.0137;
        }
        assert_eq!(exp::<true>(0.0), 1.0);
        assert!(exp::<true>(-1e30) < 1e-37 && exp::<true>(1e30) > 1e38);
    }

    /// Simpson's rule over the density; far more exact than f32.
    fn erf_by_integral(x: f64) -> f64 {
        let steps = 2000;
        let h = x / f64::from(steps);
        let f = |i: i32| (-(f64::from(i) * h).powi(2)).exp();
        let sum: f64 = (0..steps / 2).map(|i| f(2 * i) + 4.0 * f(2 * i + 1) + f(2 * i + 2)).sum();
        sum * h / 3.0 * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn the_error_function_is_the_integral() {
        let mut x = -5.0_f32;
        while x < 5.0 {
            let right = erf_by_integral(f64::from(x));
            for got in [erf::<true>(x), erf::<false>(x)] {
                assert!((f64::from(got) - right).abs() < 3e-7, "{x} {got} {right}");
            }
            x += 0.037;
        }
    }

    #[test]
    fn activations_are_their_definitions() {
        let mut x = -12.0_f32;
        while x < 12.0 {
            let wide = f64::from(x);
            let near = |got: f32, right: f64| {
                assert!((f64::from(got) - right).abs() < 1e-6 * wide.abs().max(1.0), "{x} {got}");
            };
            near(quick_gelu::<true>(x), wide / (1.0 + (-1.702 * wide).exp()));
            near(gelu::<true>(x), 0.5 * wide * (1.0 + erf_by_integral(wide / 2.0_f64.sqrt())));
            let u = (2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044_715 * wide.powi(3));
            near(gelu_tanh::<true>(x), 0.5 * wide * (1.0 + u.tanh()));
            x += 0.093;
        }
    }
}
