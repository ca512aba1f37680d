//! Every operator, at every level of this processor, against sums in f64 on odd shapes.

mod attention;

use super::level::FUSED_EVERYWHERE;
use super::tile::{COLUMNS, Factors, HALF, Place};
use super::{
    Attention, Constant, Finish, Grid, Level, Linear, Norm, Number, Queries, Scratch, Segment,
    Share, Side, multiply, multiply_rows, plain,
};
use crate::nn::clip::Activation;

/// Numbers of about ±1 that no two places share.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from((state >> 16) as u16) / 32_768.0 - 1.0
        })
        .collect()
}

fn grid(data: &[f32], rows: usize, width: usize) -> Grid {
    let mut grid = Grid::default();
    grid.shape(rows, width);
    // What lies between the rows must not matter.
    grid.floats_mut().fill(f32::NAN);
    for (row, from) in data.chunks(width).enumerate().take(rows) {
        grid.row_mut(row)[..width].copy_from_slice(from);
    }
    grid
}

fn near(got: f32, want: f64, bound: f64, what: &str) {
    assert!((f64::from(got) - want).abs() <= bound, "{what}: {got}, expected {want}");
}

/// (rows, inputs, outputs) on both sides of every size of a tile, a panel, a group, of the pieces
/// that a panel is multiplied in, and of the rows that it meets at once.
const SHAPES: [(usize, usize, usize); 16] = [
    (1, 1, 1),
    (1, 70, 33),
    (3, 5, 7),
    (6, 31, 32),
    (7, 64, 31),
    (14, 17, 64),
    (15, 48, 65),
    (29, 130, 96),
    (50, 33, 40),
    (6, 193, 32),
    (5, 384, 33),
    (13, 1025, 40),
    (257, 386, 33),
    (3, 4101, 33),
    (643, 40, 33),
    (330, 1030, 33),
];

fn apply(level: Level, number: Number, shape: (usize, usize, usize), share: Share) -> Vec<f32> {
    let (rows, inputs, outputs) = shape;
    let (x, w, bias) =
        (numbers(rows * inputs, 1), numbers(inputs * outputs, 2), numbers(outputs, 3));
    let linear = Linear::pack(number, &w, inputs, outputs, &bias);
    let mut out = Grid::default();
    let x = grid(&x, rows, inputs);
    linear.apply(level, &x, &mut Scratch::default(), &mut out, Finish::Store(Number::F32), share);
    (0..rows).flat_map(|row| out.row(row)[..outputs].to_vec()).collect()
}

fn reference((rows, inputs, outputs): (usize, usize, usize)) -> Vec<f64> {
    let (x, w, bias) =
        (numbers(rows * inputs, 1), numbers(inputs * outputs, 2), numbers(outputs, 3));
    let mut all = Vec::new();
    for row in x.chunks(inputs) {
        for output in 0..outputs {
            let products = row
                .iter()
                .enumerate()
                .map(|(i, x)| f64::from(*x) * f64::from(w[i * outputs + output]));
            all.push(products.sum::<f64>() + f64::from(bias[output]));
        }
    }
    all
}

#[test]
fn a_linear_layer_is_its_sums() {
    for level in Level::available() {
        for shape in SHAPES {
            for share in [Share::Alone, Share::All] {
                let got = apply(level, Number::F32, shape, share);
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let bound = 2e-5 + 1e-7 * shape.1 as f64;
                for (got, want) in got.iter().zip(reference(shape)) {
                    near(*got, want, bound, &format!("{level:?} {shape:?}"));
                }
            }
        }
    }
}

#[test]
fn no_rows_are_no_sums() {
    for level in Level::available() {
        for number in [Number::F32, Number::Bf16, Number::Int8] {
            assert!(apply(level, number, (0, 70, 33), Share::All).is_empty());
            let (a, b) = (numbers(0, 1), numbers(33 * 70, 2));
            let sides = (Side::by_rows(&a, 70), Side::by_columns(&b, 33));
            if !number.has_scale() {
                multiply_rows(level, number, &mut [], sides.0, sides.1, false, Share::All);
            }
        }
    }
}

#[test]
fn vector_levels_agree_to_the_bit() {
    let fused: Vec<Level> =
        Level::available().into_iter().filter(|level| *level != Level::Portable).collect();
    for shape in SHAPES {
        let all: Vec<_> =
            fused.iter().map(|l| apply(*l, Number::F32, shape, Share::Alone)).collect();
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{shape:?}");
        let all: Vec<_> = Level::available()
            .iter()
            .map(|l| apply(*l, Number::Int8, shape, Share::Alone))
            .collect();
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "int8 {shape:?}");
    }
}

#[test]
fn an_element_is_one_sum_in_the_order_of_its_inputs() {
    let fused = Level::available()
        .into_iter()
        .filter(|level| FUSED_EVERYWHERE || *level != Level::Portable);
    for (level, shape) in fused.flat_map(|level| SHAPES.map(|shape| (level, shape))) {
        let (rows, inputs, outputs) = shape;
        let (x, w, bias) =
            (numbers(rows * inputs, 1), numbers(inputs * outputs, 2), numbers(outputs, 3));
        let sums = x.chunks(inputs).flat_map(|row| {
            let (w, bias) = (&w, &bias);
            (0..outputs).map(move |output| {
                let column = w.iter().skip(output).step_by(outputs);
                row.iter().zip(column).fold(0.0, |sum, (x, w)| x.mul_add(*w, sum)) + bias[output]
            })
        });
        let got = apply(level, Number::F32, shape, Share::Alone);
        assert_eq!(got, sums.collect::<Vec<f32>>(), "{level:?} {shape:?}");
    }
}

/// Every product is as large as one can be: AVX2's own product of bytes leaves sums of two at
/// 32,767. Of 40,000 inputs, the sums of pairs wrap.
#[test]
fn bytes_at_their_limits_do_not_saturate() {
    let shapes = [(7, 400, 70), (2, 40_000, 33)];
    let all = Level::available().into_iter().flat_map(|l| shapes.map(|s| (l, s)));
    for (level, (rows, inputs, outputs)) in all {
        let w: Vec<f32> = (0..inputs * outputs).map(|i| [1.0, -1.0][i % outputs % 2]).collect();
        let linear = Linear::pack(Number::Int8, &w, inputs, outputs, &[]);
        // with bytes of 255, less a zero of 0, or of 0 less 255
        for end in [1.0, -1.0] {
            let x = grid(&vec![end; rows * inputs], rows, inputs);
            let (mut scratch, mut out) = (Scratch::default(), Grid::default());
            let finish = Finish::Store(Number::F32);
            linear.apply(level, &x, &mut scratch, &mut out, finish, Share::Alone);
            for row in 0..rows {
                for (i, got) in out.row(row)[..outputs].iter().enumerate() {
                    #[expect(clippy::cast_precision_loss, reason = "small")]
                    let want = f64::from(end) * inputs as f64 * [1.0, -1.0][i % 2];
                    near(*got, want, 1e-6 * want.abs().max(1000.0), &format!("{level:?}"));
                }
            }
        }
    }
}

/// What stands for bytes where a level multiplies none, against their own sums.
#[test]
fn pairs_of_sixteen_bits_are_the_bytes() {
    let bytes = |count: usize, seed: u32| -> Vec<[u8; 4]> {
        let byte = |x: &f32| x.to_bits().to_le_bytes()[2];
        numbers(4 * count, seed).as_chunks::<4>().0.iter().map(|x| x.each_ref().map(byte)).collect()
    };
    let (rows, groups) = (4, 37);
    let (left, right) = (bytes(rows * groups, 1), bytes(groups * HALF, 2));
    let right: Vec<u32> = right.iter().map(|four| u32::from_le_bytes(*four)).collect();
    let whole: Vec<u32> = left.iter().map(|four| u32::from_le_bytes(*four)).collect();
    let pair = |a: u8, b: u8| u32::from(a) | u32::from(b) << 16;
    let pairs: Vec<u32> =
        left.iter().flat_map(|[a, b, c, d]| [pair(*a, *c), pair(*b, *d)]).collect();
    let products = |[a, b, c, d]: [i32; 4]| a * b + c * d;
    let whole_right = right.clone();
    let place = Place { column: HALF, onto: false };
    let mut want = [[0; COLUMNS]; 4];
    let factors = Factors {
        left: &whole,
        left_stride: groups,
        right: &right,
        right_stride: HALF,
        groups,
        ahead: &[],
    };
    plain::multiply::<HALF>(Number::Int8, &factors, false, place, &mut want);
    for level in Level::available() {
        let mut wide = vec![[[0; HALF]; 2]; groups];
        for (to, four) in wide.iter_mut().zip(right.as_chunks().0) {
            multiply::widen(level, four, to);
        }
        let right = wide.as_flattened().as_flattened();
        let (left_stride, groups) = (2 * groups, 2 * groups);
        let factors =
            Factors { left: &pairs, left_stride, right, right_stride: HALF, groups, ahead: &[] };
        // in two parts, the second onto the first
        let mut got = [[0; COLUMNS]; 4];
        let first = Factors { groups: 10, ..factors };
        multiply::half(level, Number::Int16, &first, place, &mut got);
        let rest = Factors {
            left: &pairs[10..],
            right: &right[10 * HALF..],
            groups: groups - 10,
            ..factors
        };
        multiply::half(level, Number::Int16, &rest, Place { onto: true, ..place }, &mut got);
        for (row, left) in got.iter_mut().zip(left.chunks(groups / 2)) {
            for (column, sum) in row.iter_mut().skip(HALF).enumerate() {
                let of = whole_right.iter().skip(column).step_by(HALF);
                let (rows, columns) = (left.iter(), of.map(|word| word.to_le_bytes()));
                let own = rows.map(|a| products(a.map(i32::from))).sum::<i32>()
                    + columns.map(|w| products(w.map(|b| i32::from(b.cast_signed())))).sum::<i32>();
                *sum = sum.wrapping_sub(own.cast_unsigned());
            }
        }
        assert_eq!(got, want, "{level:?}");
    }
}

#[test]
fn fewer_bits_are_near() {
    for level in Level::available() {
        for shape in SHAPES {
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let root = (shape.1 as f64).sqrt();
            for (number, bound) in [(Number::Bf16, 0.01 * root), (Number::Int8, 0.025 * root)] {
                let got = apply(level, number, shape, Share::Alone);
                for (got, want) in got.iter().zip(reference(shape)) {
                    near(*got, want, bound, &format!("{level:?} {number:?} {shape:?}"));
                }
            }
        }
    }
}

#[test]
fn a_row_is_the_same_in_any_company() {
    let (inputs, outputs) = (45, 70);
    let (x, w) = (numbers(40 * inputs, 1), numbers(inputs * outputs, 2));
    for level in Level::available() {
        for number in [Number::F32, Number::Bf16, Number::Int8] {
            let linear = Linear::pack(number, &w, inputs, outputs, &[]);
            let run = |rows: usize| {
                let mut out = Grid::default();
                let x = grid(&x, rows, inputs);
                let scratch = &mut Scratch::default();
                linear.apply(level, &x, scratch, &mut out, Finish::Store(Number::F32), Share::All);
                out
            };
            let all = run(40);
            for rows in 1..40 {
                let some = run(rows);
                for row in 0..rows {
                    assert_eq!(some.row(row)[..outputs], all.row(row)[..outputs], "{rows} {row}");
                }
            }
        }
    }
}

#[test]
fn finishes_add_and_activate() {
    let (rows, inputs, outputs) = (16, 9, 35);
    let x = grid(&numbers(rows * inputs, 1), rows, inputs);
    let w = numbers(inputs * outputs, 2);
    let plain = reference_without_bias(&x, &w, (rows, inputs, outputs));
    for level in Level::available() {
        let linear = Linear::pack(Number::F32, &w, inputs, outputs, &[]);
        let mut out = grid(&numbers(rows * outputs, 5), rows, outputs);
        linear.apply(level, &x, &mut Scratch::default(), &mut out, Finish::Add, Share::Alone);
        let before = numbers(rows * outputs, 5);
        for (i, (sum, before)) in plain.iter().zip(&before).enumerate() {
            near(out.row(i / outputs)[i % outputs], sum + f64::from(*before), 1e-5, "add");
        }
        let finish = Finish::Activate(Activation::QuickGelu, Number::F32);
        linear.apply(level, &x, &mut Scratch::default(), &mut out, finish, Share::Alone);
        for (i, sum) in plain.iter().enumerate() {
            let want = sum / (1.0 + (-1.702 * sum).exp());
            near(out.row(i / outputs)[i % outputs], want, 1e-5, "quick-GELU");
        }
    }
}

/// Rows of numbers, and the same numbers by columns.
struct Both {
    by_rows: Vec<f32>,
    by_columns: Vec<f32>,
    depth: usize,
}

impl Both {
    fn new(count: usize, depth: usize, seed: u32) -> Self {
        let by_rows = numbers(count * depth, seed);
        let turned = (0..count * depth).map(|i| by_rows[i % count * depth + i / count]);
        Self { by_columns: turned.collect(), by_rows, depth }
    }

    fn sides(&self) -> [Side<'_>; 2] {
        let count = self.by_rows.len() / self.depth;
        [Side::by_rows(&self.by_rows, self.depth), Side::by_columns(&self.by_columns, count)]
    }

    fn row(&self, row: usize, number: Number) -> Vec<f64> {
        let rounded = |x: &f32| match number {
            Number::Bf16 => half::bf16::from_f32(*x).to_f64(),
            _ => f64::from(*x),
        };
        self.by_rows.chunks(self.depth).nth(row).into_iter().flatten().map(rounded).collect()
    }

    /// Each of its `m` rows times each of the `n` of another.
    fn times(&self, other: &Self, (m, n): (usize, usize), number: Number) -> Vec<f64> {
        let dot = |i| {
            let (a, b) = (self.row(i / n, number), other.row(i % n, number));
            a.iter().zip(&b).map(|(a, b)| a * b).sum()
        };
        (0..m * n).map(dot).collect()
    }
}

#[test]
fn rows_are_multiplied_as_they_lie() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    // On both sides of a panel, some tiles, and what is multiplied at once.
    for (m, k, n) in [
        (1, 1, 1),
        (1, 70, 33),
        (31, 17, 64),
        (97, 48, 32),
        (33, 130, 15),
        (14, 1536, 70),
        (5, 1537, 57),
        (31, 3100, 29),
        (9, 3073, 40),
        (40, 35, 300),
        (70, 1537, 97),
        (97, 65, 70),
    ] {
        let (a, b) = (Both::new(m, k, 1), Both::new(n, k, 2));
        let before = numbers(m * n, 3);
        for number in [Number::F32, Number::Bf16] {
            let sums = a.times(&b, (m, n), number);
            let sides = a.sides().into_iter().flat_map(|a| b.sides().map(|b| (a, b)));
            for (lies, (a, b)) in sides.enumerate() {
                let multiply = |level, onto, share| {
                    let mut out = if onto { before.clone() } else { vec![f32::NAN; m * n] };
                    multiply_rows(level, number, &mut out, a, b, onto, share);
                    out
                };
                let levels = Level::available();
                let fused = levels.iter().filter(|level| **level != Level::Portable);
                let all: Vec<_> = fused.map(|l| multiply(*l, false, Share::Alone)).collect();
                let same = all.windows(2).all(|pair| pair[0] == pair[1]);
                assert!(same || number == Number::Bf16, "{m} {k} {n} {lies}");
                for (level, onto) in levels.iter().flat_map(|l| [(*l, false), (*l, true)]) {
                    let what = format!("{level:?} {number:?} {m} {k} {n} {lies} {onto}");
                    let got = multiply(level, onto, Share::Alone);
                    let shared = pool.install(|| multiply(level, onto, Share::All));
                    assert_eq!(got, shared, "{what}");
                    for ((got, sum), before) in got.iter().zip(&sums).zip(&before) {
                        let want = if onto { sum + f64::from(*before) } else { *sum };
                        near(*got, want, 2e-4, &what);
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_packed_once_is_multiplied_the_same() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    for (m, k, n) in SHAPES {
        let (a, b) = (Both::new(m, k, 1), Both::new(n, k, 2));
        let (bias, before) = (numbers(n, 3), numbers(m * n, 4));
        for number in [Number::F32, Number::Bf16] {
            let sums = a.times(&b, (m, n), number);
            for (lies, side) in b.sides().into_iter().enumerate() {
                let packed = Constant::pack(number, side);
                for (level, onto) in
                    Level::available().into_iter().flat_map(|l| [(l, false), (l, true)])
                {
                    let what = format!("{level:?} {number:?} {m} {k} {n} {lies} {onto}");
                    let multiply = |share, bias: &[f32]| {
                        let mut out = if onto { before.clone() } else { vec![f32::NAN; m * n] };
                        packed.multiply_at(level, share, &a.by_rows, bias, (&mut out, onto));
                        out
                    };
                    let got = multiply(Share::Alone, &bias);
                    assert_eq!(got, pool.install(|| multiply(Share::All, &bias)), "{what}");
                    let without = multiply(Share::Alone, &[]);
                    for (i, sum) in sums.iter().enumerate() {
                        let want = sum + if onto { f64::from(before[i]) } else { 0.0 };
                        near(got[i], want + f64::from(bias[i % n]), 2e-4, &what);
                        near(without[i], want, 2e-4, &what);
                    }
                }
            }
        }
    }
}

fn reference_without_bias(
    x: &Grid,
    w: &[f32],
    (rows, inputs, outputs): (usize, usize, usize),
) -> Vec<f64> {
    (0..rows * outputs)
        .map(|i| {
            let row = &x.row(i / outputs)[..inputs];
            let column = w.iter().skip(i % outputs).step_by(outputs);
            row.iter().zip(column).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        })
        .collect()
}

#[test]
fn a_norm_is_its_definition() {
    for level in Level::available() {
        for width in [1, 5, 16, 33, 96] {
            let (x, scale, shift) = (numbers(9 * width, 1), numbers(width, 2), numbers(width, 3));
            let norm = Norm::new(scale.clone(), shift.clone(), 1e-5);
            let mut out = Grid::default();
            norm.apply(level, &grid(&x, 9, width), (&mut out, Number::F32), Share::All);
            for (row, x) in x.chunks(width).enumerate() {
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let count = width as f64;
                let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
                let variance =
                    x.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
                for (i, x) in x.iter().enumerate() {
                    let normed = (f64::from(*x) - mean) / (variance + 1e-5).sqrt();
                    let want = normed * f64::from(scale[i]) + f64::from(shift[i]);
                    near(out.row(row)[i], want, 1e-5, &format!("{level:?} {width}"));
                }
            }
        }
    }
}

#[test]
fn what_is_rounded_as_it_is_written_is_what_would_be_rounded_later() {
    for (level, width) in
        Level::available().into_iter().flat_map(|l| [5, 33, 64, 95].map(|w| (l, w)))
    {
        let (rows, middle) = (17, 2 * width + 1);
        let linear = |inputs: usize, outputs: usize, seed| {
            let weights = numbers(inputs * outputs, seed);
            Linear::pack(Number::Bf16, &weights, inputs, outputs, &numbers(outputs, seed + 1))
        };
        let (up, down) = (linear(width, middle, 4), linear(middle, width, 6));
        let norm = Norm::new(numbers(width, 2), numbers(width, 3), 1e-5);
        assert_eq!((up.takes(), down.takes()), (Number::Bf16, Number::Bf16));
        let layers = |number, share| {
            let scratch = &mut Scratch::default();
            let [mut narrow, mut wide, mut out] =
                [Grid::default(), Grid::default(), Grid::default()];
            // What stood in a buffer before is of no meaning.
            for old in [&mut narrow, &mut wide] {
                old.shape(2 * rows, 4 * width);
                (0..2 * rows).for_each(|row| old.row_mut(row).fill(f32::NAN));
            }
            norm.apply(
                level,
                &grid(&numbers(rows * width, 1), rows, width),
                (&mut narrow, number),
                share,
            );
            let finish = Finish::Activate(Activation::Gelu, number);
            up.apply(level, &narrow, scratch, &mut wide, finish, share);
            down.apply(level, &wide, scratch, &mut out, Finish::Store(Number::F32), share);
            (0..rows).flat_map(|row| out.row(row)[..width].to_vec()).collect::<Vec<_>>()
        };
        let later = layers(Number::F32, Share::Alone);
        assert!(later.iter().all(|x| x.is_finite()), "{level:?} {width}");
        for share in [Share::Alone, Share::All] {
            assert_eq!(layers(Number::Bf16, share), later, "{level:?} {width}");
        }
    }
}

/// A block of a transformer, in small: every operator after the other.
fn block(level: Level, number: Number) -> Vec<f32> {
    let (rows, heads, each) = (37, 3, 24);
    let width = heads * each;
    let mut x = grid(&numbers(rows * width, 1), rows, width);
    let norm = Norm::new(numbers(width, 2), numbers(width, 3), 1e-5);
    let linear = |inputs: usize, outputs: usize, seed| {
        let weights = numbers(inputs * outputs, seed);
        Linear::pack(number, &weights, inputs, outputs, &numbers(outputs, seed + 1))
    };
    let (qkv, up) = (linear(width, 3 * width, 4), linear(width, 4 * width, 6));
    let down = linear(4 * width, width, 8);
    let scratch = &mut Scratch::default();
    let [mut narrow, mut wide] = [Grid::default(), Grid::default()];
    let share = Share::Alone;
    norm.apply(level, &x, (&mut narrow, Number::F32), share);
    qkv.apply(level, &narrow, scratch, &mut wide, Finish::Store(Number::F32), share);
    let (keys_at, values_at) = (width, 2 * width);
    let (queries, keys, who) = (&wide, &wide, Queries::Causal);
    let attention =
        Attention { queries, keys, keys_at, values_at, heads, each, who, number: Number::F32 };
    attention.apply(level, &[Segment { start: 0, len: rows }], &mut narrow, share);
    for activation in [Activation::QuickGelu, Activation::Gelu, Activation::GeluTanh] {
        let finish = Finish::Activate(activation, Number::F32);
        up.apply(level, &narrow, scratch, &mut wide, finish, share);
        down.apply(level, &wide, scratch, &mut x, Finish::Add, share);
        norm.apply(level, &x, (&mut narrow, Number::F32), share);
    }
    (0..rows).flat_map(|row| narrow.row(row)[..width].to_vec()).collect()
}

/// A fingerprint does not name the instructions, so features of two processors stand in one
/// table.
#[test]
fn levels_agree_to_the_bit_or_within_the_tolerance() {
    for number in [Number::F32, Number::Int8] {
        let best = block(Level::best(), number);
        for level in Level::available() {
            let got = block(level, number);
            if level == Level::Portable {
                let dot = |a: &[f32], b: &[f32]| -> f64 {
                    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
                };
                let cosine = dot(&got, &best) / (dot(&got, &got) * dot(&best, &best)).sqrt();
                let bound = if number == Number::F32 { 1e-9 } else { 1e-4 };
                assert!(1.0 - cosine < bound, "{number:?} {level:?}: {cosine}");
            } else {
                assert_eq!(got, best, "{number:?} {level:?}");
            }
        }
    }
}
