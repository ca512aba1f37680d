//! Blocks of progressive JPEG scans (ITU-T T.81, annex G), as libjpeg's `jdphuff.c` reads them.

use super::jpeg_frame::{Part, Scan, State, missing, natural};
use super::jpeg_huffman::{Bits, Code, Huffman};
use super::limits::Fault;

/// Adds one scan's share to a block.
///
/// # Errors
/// A fault where a Huffman table is missing.
#[expect(clippy::cast_possible_truncation, reason = "coefficients wrap as libjpeg's JCOEF")]
pub(super) fn block(
    scan: &Scan<'_>,
    part: &Part<'_>,
    bits: &mut Bits<'_>,
    state: &mut State,
    slot: usize,
    out: &mut [i16; 64],
) -> Result<(), Fault> {
    if scan.start == 0 {
        if scan.high > 0 {
            if bits.take(1) == 1 {
                out[0] |= 1 << scan.low;
            }
            return Ok(());
        }
        let dc = part.dc.filter(|dc| dc.is_for_dc()).ok_or_else(missing)?;
        if let Code::Coefficient(_, value) = bits.code(dc) {
            state.dc[slot] = state.dc[slot]
                .checked_add(value)
                .ok_or_else(|| Fault::corrupt("a DC coefficient overflows"))?;
        }
        out[0] = (state.dc[slot] << scan.low) as i16;
        return Ok(());
    }
    let ac = part.ac.ok_or_else(missing)?;
    if scan.high > 0 {
        refine(scan, bits, state, ac, out);
        return Ok(());
    }
    if state.band_ends > 0 {
        state.band_ends -= 1;
        return Ok(());
    }
    let mut k = scan.start;
    while k <= scan.end {
        match bits.code(ac) {
            Code::Coefficient(run, value) => {
                k += run;
                out[natural(k)] = (value << scan.low) as i16;
                k += 1;
            }
            Code::Run(15) => k += 16,
            Code::Run(run) => {
                state.band_ends = (1 << run) - 1 + bits.take(run);
                break;
            }
        }
    }
    Ok(())
}

fn refine(
    scan: &Scan<'_>,
    bits: &mut Bits<'_>,
    state: &mut State,
    ac: &Huffman,
    out: &mut [i16; 64],
) {
    let step = 1_i16 << scan.low;
    let correct = |bits: &mut Bits<'_>, value: &mut i16| {
        if bits.take(1) == 1 && (*value & step) == 0 {
            *value = value.wrapping_add(if *value >= 0 { step } else { -step });
        }
    };
    let mut k = scan.start;
    if state.band_ends == 0 {
        while k <= scan.end {
            let symbol = bits.symbol(ac);
            let mut run = symbol >> 4;
            let mut new = 0;
            if symbol & 15 != 0 {
                new = if bits.take(1) == 1 { step } else { -step };
            } else if run != 15 {
                state.band_ends = (1 << run) + bits.take(run);
                break;
            }
            while k <= scan.end {
                let value = &mut out[natural(k)];
                if *value != 0 {
                    correct(bits, value);
                } else if run == 0 {
                    break;
                } else {
                    run -= 1;
                }
                k += 1;
            }
            // also past the band's end, where a broken run leads
            if new != 0 {
                out[natural(k)] = new;
            }
            k += 1;
        }
    }
    if state.band_ends > 0 {
        while k <= scan.end {
            let value = &mut out[natural(k)];
            if *value != 0 {
                correct(bits, value);
            }
            k += 1;
        }
        state.band_ends -= 1;
    }
}
