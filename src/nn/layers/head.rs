//! Passes of one head of an attention over the tokens of one row.
//!
//! Everything is a mix of rows, `Σ factor · row`, in which the numbers of a row lie side by side in
//! vector registers: keys and values are turned for that where a sum goes over a head's floats, so
//! that nothing is summed across a register.

use super::lanes::{LANES, dot, most, sum};
use super::seen::Seen;
use crate::nn::kernels::exp;

/// Sizes of one attention.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) tokens: usize,
    pub(super) heads: usize,
    /// Floats a head.
    pub(super) each: usize,
    pub(super) scale: f32,
    /// Whether a query sees no key behind its own place.
    pub(super) causal: bool,
}

/// Numbers of one head, in room that serves the next as well.
#[derive(Debug)]
pub(super) struct Scratch {
    /// (floats a head, [`step`](Sizes::step)): keys or values.
    turned: Vec<f32>,
    /// A query's numbers, one for each key.
    scores: Vec<f32>,
    /// (keys, queries): what gradients of keys and of values weigh queries by. The backward pass's alone.
    by_key: [Vec<f32>; 2],
}

impl Sizes {
    /// Numbers from one float of turned vectors to the next: tokens, in whole registers.
    fn step(&self) -> usize {
        self.tokens.next_multiple_of(LANES)
    }

    pub(super) fn scratch(&self, back: bool) -> Scratch {
        let pairs = if back { self.tokens * self.tokens } else { 0 };
        Scratch {
            turned: vec![0.0; self.each * self.step()],
            scores: vec![0.0; self.step()],
            by_key: [vec![0.0; pairs], vec![0.0; pairs]],
        }
    }

    fn width(&self) -> usize {
        self.heads * self.each
    }

    /// Where a head's queries (`part` 0), keys (1) or values (2) begin, from `token` on; the next token's
    /// lie three widths further.
    #[inline(always)]
    fn begin(&self, part: usize, head: usize, token: usize) -> usize {
        (token * 3 + part) * self.width() + head * self.each
    }

    /// Those of all factors that are of a row.
    pub(super) fn of_row<'a>(&self, factors: Option<&'a [f32]>, row: usize) -> Option<&'a [f32]> {
        let one = self.heads * self.tokens * self.tokens;
        factors.and_then(|factors| factors.get(row * one..(row + 1) * one))
    }

    /// Those of a head's factors that its query `i` has for its keys.
    #[inline(always)]
    fn of_query<'a>(&self, all: Option<&'a [f32]>, i: usize) -> Option<&'a [f32]> {
        all.and_then(|all| all.get(i * self.tokens..(i + 1) * self.tokens))
    }

    /// Keys that a query sees, as far as time goes.
    #[inline(always)]
    fn reach(&self, query: usize) -> usize {
        if self.causal { query + 1 } else { self.tokens }
    }

    /// Lays keys (1) or values (2) of a head down by floats.
    #[inline(always)]
    fn turn(&self, qkv: &[f32], part: usize, head: usize, to: &mut [f32]) {
        let step = self.step();
        for token in 0..self.tokens {
            let begin = self.begin(part, head, token);
            let mut lines = to.chunks_exact_mut(step);
            for x in qkv.get(begin..begin + self.each).unwrap_or_default() {
                let Some(line) = lines.next() else { break };
                line[token] = *x;
            }
        }
    }

    /// Mixes values into `out`, which lie a width apart there, and leaves the weights of all queries.
    #[inline(always)]
    pub(super) fn forward(
        &self,
        (qkv, row, seen): (&[f32], usize, &Seen),
        factors: Option<&[f32]>,
        (out, weights): (&mut [f32], &mut [f32]),
        scratch: &mut Scratch,
    ) {
        let (tokens, step) = (self.tokens, self.step());
        let Scratch { turned, scores, .. } = scratch;
        for head in 0..self.heads {
            self.turn(qkv, 1, head, turned);
            let values = qkv.get(self.begin(2, head, 0)..).unwrap_or_default();
            for query in 0..tokens {
                let begin = self.begin(0, head, query);
                let q = qkv.get(begin..begin + self.each).unwrap_or_default();
                let reach = self.reach(query);
                let whole = reach.next_multiple_of(LANES);
                mix(&mut scores[..whole], q, turned, step);
                let number = head * tokens + query;
                let weights = &mut weights[number * tokens..(number + 1) * tokens];
                let (near, far) = weights.split_at_mut(reach);
                for (key, weight) in near.iter_mut().enumerate() {
                    *weight = scores[key] * self.scale;
                }
                far.fill(0.0);
                seen.hide(tokens, row, near);
                softmax(near);
                // Padding before and behind is left out, so that it may be no number.
                let span = seen.span(tokens, row, reach);
                let far = 3 * self.width();
                let values = values.get(span.start * far..).unwrap_or_default();
                let begin = query * self.width() + head * self.each;
                let out = &mut out[begin..begin + self.each];
                match self.of_query(factors, number) {
                    None => mix(out, &near[span], values, far),
                    Some(factors) => {
                        for (key, weight) in near.iter().enumerate() {
                            scores[key] = weight * factors[key];
                        }
                        mix(out, &scores[span], values, far);
                    }
                }
            }
        }
    }

    /// Writes the gradients of queries, keys and values.
    ///
    /// By the chain rule: with `p` the weights, `g` the gradient of a query's output and
    /// `d = g · value`, that of its scores is `p * (d - Σ p d)`.
    #[inline(always)]
    pub(super) fn backward(
        &self,
        (qkv, weights): (&[f32], &[f32]),
        factors: Option<&[f32]>,
        of_out: &[f32],
        of_qkv: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let (tokens, step, far) = (self.tokens, self.step(), 3 * self.width());
        let Scratch { turned, scores, by_key: [of_keys, of_values] } = scratch;
        for head in 0..self.heads {
            self.turn(qkv, 2, head, turned);
            let from = |part, token| qkv.get(self.begin(part, head, token)..).unwrap_or_default();
            for query in 0..tokens {
                let reach = self.reach(query);
                let begin = query * self.width() + head * self.each;
                let g = of_out.get(begin..begin + self.each).unwrap_or_default();
                mix(&mut scores[..reach.next_multiple_of(LANES)], g, turned, step);
                let number = head * tokens + query;
                let p = self.of_query(Some(weights), number).unwrap_or_default();
                let p = &p[..reach];
                let scores = &mut scores[..reach];
                let factors = self.of_query(factors, number);
                if let Some(factors) = factors {
                    for (key, score) in scores.iter_mut().enumerate() {
                        *score *= factors[key];
                    }
                }
                let along = dot(p, scores);
                for (key, score) in scores.iter_mut().enumerate() {
                    *score = p[key] * (*score - along) * self.scale;
                }
                let mut of_keys = of_keys.chunks_exact_mut(tokens);
                let mut of_values = of_values.chunks_exact_mut(tokens);
                for (key, score) in scores.iter().enumerate() {
                    let (Some(of_key), Some(of_value)) = (of_keys.next(), of_values.next()) else {
                        break;
                    };
                    of_key[query] = *score;
                    of_value[query] = p[key] * factors.map_or(1.0, |factors| factors[key]);
                }
                let begin = self.begin(0, head, query);
                mix(&mut of_qkv[begin..begin + self.each], scores, from(1, 0), far);
            }
            for key in 0..tokens {
                // Those before it do not see it.
                let first = if self.causal { key } else { 0 };
                let seen_by = key * tokens + first..(key + 1) * tokens;
                let begin = self.begin(1, head, key);
                let to = &mut of_qkv[begin..begin + self.each];
                mix(to, &of_keys[seen_by.clone()], from(0, first), far);
                let begin = self.begin(2, head, key);
                let to = &mut of_qkv[begin..begin + self.each];
                let g = of_out.get(first * self.width() + head * self.each..).unwrap_or_default();
                mix(to, &of_values[seen_by], g, self.width());
            }
        }
    }
}

/// Writes `Σ factor · row`: rows begin `step` numbers apart.
#[inline(always)]
fn mix(to: &mut [f32], factors: &[f32], rows: &[f32], step: usize) {
    let (blocks, rest) = to.as_chunks_mut::<LANES>();
    let (pairs, last) = blocks.as_chunks_mut::<2>();
    let mut at = 0;
    for to in pairs {
        // Two arrays, not one of twice the length: such a one would stay in memory.
        let (mut one, mut other) = ([0.0; LANES], [0.0; LANES]);
        let mut rows = rows.get(at..).unwrap_or_default().chunks(step);
        for factor in factors {
            let Some((row, beside)) = rows.next().and_then(|row| row.split_first_chunk()) else {
                break;
            };
            let Some(beside) = beside.first_chunk() else { break };
            add_scaled(&mut one, *factor, *row);
            add_scaled(&mut other, *factor, *beside);
        }
        *to = [one, other];
        at += 2 * LANES;
    }
    for to in last {
        let mut sums = [0.0; LANES];
        let mut rows = rows.get(at..).unwrap_or_default().chunks(step);
        for factor in factors {
            let Some(row) = rows.next().and_then(|row| row.first_chunk()) else { break };
            add_scaled(&mut sums, *factor, *row);
        }
        *to = sums;
        at += LANES;
    }
    for to in rest {
        let mut rows = rows.get(at..).unwrap_or_default().chunks(step);
        *to = 0.0;
        for factor in factors {
            *to += factor * rows.next().and_then(|row| row.first()).unwrap_or(&0.0);
        }
        at += 1;
    }
}

/// The row is a copy: one behind a reference might lie where the sums do, which then stay in memory.
#[inline(always)]
fn add_scaled(sums: &mut [f32; LANES], factor: f32, row: [f32; LANES]) {
    for (lane, sum) in sums.iter_mut().enumerate() {
        *sum += factor * row[lane];
    }
}

/// In place; all zeros where nothing is above −∞.
#[inline(always)]
pub(super) fn softmax(scores: &mut [f32]) {
    let most = most(scores);
    if most == f32::NEG_INFINITY {
        scores.fill(0.0);
        return;
    }
    for score in scores.iter_mut() {
        *score = if *score == f32::NEG_INFINITY { 0.0 } else { exp(*score - most) };
    }
    let factor = sum(scores, |x| x).recip();
    scores.iter_mut().for_each(|score| *score *= factor);
}
