//! Entropy decoding of JPEG scans (ITU-T T.81, annex F), and the blocks' way into planes.
//!
//! Damage is treated as libjpeg treats it: once a segment is used up, its blocks stay zero up
//! to the next restart marker; only data that end with the file are an error.

use super::jpeg_frame::{Component, Scan, State, missing, no_quantisation, place};
use super::jpeg_huffman::{Bits, Code, Huffman};
use super::jpeg_pairs::Pairs;
use super::jpeg_progressive;
use super::limits::Fault;

/// A block, with room for every place that a byte can name: none has to be checked.
type Block = [i16; 256];

/// Tables and layout of a part, with all that may be missing at hand.
struct Lane<'a> {
    component: usize,
    dc: &'a Huffman,
    ac: &'a Huffman,
    pairs: &'a Pairs,
    quant: [i16; 64],
    h: usize,
    v: usize,
}

/// Decodes one scan from the beginning of `bytes`; gives how many were used.
///
/// # Errors
/// A fault where a table is missing or the file ends.
#[inline(always)]
pub(super) fn run(
    scan: &Scan<'_>,
    components: &mut [Component],
    bytes: &[u8],
) -> Result<usize, Fault> {
    if scan.progressive {
        return several(scan, components, bytes);
    }
    let mut lanes = Vec::with_capacity(4);
    for part in &scan.parts {
        let component = &components[part.component];
        let (h, v) = scan.shape(component);
        let dc = part.dc.filter(|dc| dc.is_for_dc()).ok_or_else(missing)?;
        let ac = part.ac.ok_or_else(missing)?;
        let quant = component.quant.ok_or_else(no_quantisation)?;
        let (component, pairs) = (part.component, ac.pairs());
        lanes.push(Lane { component, dc, ac, pairs, quant, h, v });
    }
    let mut bits = Bits::new(bytes);
    let mut state = State::default();
    let (across, down) = scan.units(components);
    let mut block: Block = [0; 256];
    let mut due = scan.restart_every;
    for y in 0..down {
        for x in 0..across {
            if scan.restart_every > 0 {
                if due == 0 {
                    bits.restart()?;
                    state = State::default();
                    due = scan.restart_every;
                }
                due -= 1;
            }
            let skip = bits.is_empty;
            for (lane, last) in lanes.iter().zip(&mut state.dc) {
                let component = &mut components[lane.component];
                for down in 0..lane.v {
                    for along in 0..lane.h {
                        let has_ac = !skip && sequential(&mut bits, last, lane, &mut block);
                        let at = (x * lane.h + along, y * lane.v + down);
                        let Some(coefficients) = block.first_chunk_mut() else { continue };
                        component.put(at, coefficients, &lane.quant, has_ac);
                        if has_ac {
                            coefficients.fill(0);
                        } else {
                            coefficients[0] = 0;
                        }
                    }
                }
            }
            bits.check()?;
        }
    }
    Ok(bits.used())
}

/// Adds a progressive scan to the coefficients.
fn several(scan: &Scan<'_>, components: &mut [Component], bytes: &[u8]) -> Result<usize, Fault> {
    let mut bits = Bits::new(bytes);
    let mut state = State::default();
    let (across, down) = scan.units(components);
    let mut due = scan.restart_every;
    for unit in 0..across * down {
        if scan.restart_every > 0 {
            if due == 0 {
                bits.restart()?;
                state = State::default();
                due = scan.restart_every;
            }
            due -= 1;
        }
        if bits.is_empty {
            continue;
        }
        let (x, y) = (unit % across, unit / across);
        for (slot, part) in scan.parts.iter().enumerate() {
            let component = &mut components[part.component];
            let (h, v) = scan.shape(component);
            for inner in 0..h * v {
                let at = (y * v + inner / h) * component.stride + x * h + inner % h;
                let block = component
                    .coefficients
                    .get_mut(at)
                    .ok_or_else(|| Fault::corrupt("a block outside its component"))?;
                jpeg_progressive::block(scan, part, &mut bits, &mut state, slot, block)?;
            }
        }
        bits.check()?;
    }
    Ok(bits.used())
}

/// Reads into a block of zeros; whether it has more than its DC coefficient.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "coefficients wrap as libjpeg's JCOEF")]
fn sequential(shared: &mut Bits<'_>, last: &mut i32, lane: &Lane<'_>, block: &mut Block) -> bool {
    let mut bits = *shared;
    if let Code::Coefficient(_, value) = bits.code(lane.dc) {
        *last = last.wrapping_add(value);
    }
    block[0] = *last as i16;
    let mut k = 1;
    'block: while k < 64 {
        bits.fill();
        // what is filled serves two looks and a code of any length
        for _ in 0..3 {
            let pair = lane.pairs.at(bits.look());
            let [first, second] = pair.places(k);
            // the last coefficient, and what a broken run puts behind it, are read one by one
            if !pair.is_found() || second >= 63 {
                match bits.long(lane.ac) {
                    Code::Coefficient(run, value) => {
                        k += run;
                        block[usize::from(place(k))] = value as i16;
                        k += 1;
                    }
                    Code::Run(15) => k += 16,
                    Code::Run(_) => break 'block,
                }
                break;
            }
            bits.drop(pair.length());
            let values = pair.values();
            block[usize::from(place(first))] = values[0];
            block[usize::from(place(second))] = values[1];
            k = second + 1;
        }
    }
    *shared = bits;
    // runs of zeros alone, which damaged files have, are none; others mostly begin with one
    k > 1 && block.iter().take(64).skip(1).any(|coefficient| *coefficient != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lane(table: &Huffman) -> Lane<'_> {
        let (dc, ac, pairs) = (table, table, table.pairs());
        Lane { component: 0, dc, ac, pairs, quant: [1; 64], h: 1, v: 1 }
    }

    /// A block as annex F says, one code after the other.
    fn plain(bits: &mut Bits<'_>, table: &Huffman) -> Block {
        let mut block = [0; 256];
        if let Code::Coefficient(_, value) = bits.code(table) {
            block[0] = i16::try_from(value).unwrap();
        }
        let mut k = 1;
        while k < 64 {
            match bits.code(table) {
                Code::Coefficient(run, value) => {
                    k += run;
                    block[usize::from(place(k))] = i16::try_from(value).unwrap();
                    k += 1;
                }
                Code::Run(15) => k += 16,
                Code::Run(_) => break,
            }
        }
        block
    }

    /// Codes of `shares` of what is left at each length, up to 162 in all.
    fn table(shares: &[u32], symbols: &[u8]) -> Huffman {
        let (mut left, mut total, mut counts) = (1, 0, [0; 16]);
        for (count, share) in counts.iter_mut().zip(shares) {
            left *= 2;
            let taken = (left * share / 100).min(u32::try_from(symbols.len()).unwrap() - total);
            *count = u8::try_from(taken).unwrap();
            left -= taken;
            total += taken;
        }
        Huffman::new(&counts, &symbols[..total as usize]).unwrap()
    }

    proptest! {
        #[test]
        fn blocks_are_read_as_code_by_code(
            shares in prop::collection::vec(0..=60_u32, 16),
            symbols in prop::collection::vec((0..=15_u8, 0..=10_u8), 162),
            // few of all ones and many: segments that markers end, and files that just end
            bytes in prop::collection::vec(
                prop_oneof![400 => any::<u8>().prop_map(|b| b & 0x7f), 1 => any::<u8>()],
                1..600,
            ),
        ) {
            let symbols: Vec<u8> = symbols.into_iter().map(|(run, size)| run << 4 | size).collect();
            let table = table(&shares, &symbols);
            let lane = lane(&table);
            let (mut bits, mut other) = (Bits::new(&bytes), Bits::new(&bytes));
            for _ in 0..40 {
                let (mut last, mut block) = (0, [0; 256]);
                sequential(&mut bits, &mut last, &lane, &mut block);
                prop_assert_eq!(block, plain(&mut other, &table));
                prop_assert_eq!(bits.check().is_ok(), other.check().is_ok());
                prop_assert_eq!(bits.is_empty, other.is_empty);
            }
        }
    }

    /// Of codes of eight bits that are their own symbols: a DC difference of zero, then `codes`.
    fn read(codes: &[u8]) -> (bool, Block) {
        let mut counts = [0; 16];
        counts[7] = 255;
        let table = Huffman::new(&counts, &(0..255).collect::<Vec<_>>()).unwrap();
        let lane = lane(&table);
        let bytes = [&[0], codes, &[0; 16]].concat();
        let (mut bits, mut last, mut block) = (Bits::new(&bytes), 7, [0; 256]);
        (sequential(&mut bits, &mut last, &lane, &mut block), block)
    }

    #[test]
    fn runs_of_zeros_are_no_coefficients() {
        for runs in 0..5 {
            let (has_ac, block) = read(&[0xf0_u8].repeat(runs));
            assert!(!has_ac && block[0] == 7, "{runs}");
            assert!(block.iter().skip(1).all(|value| *value == 0), "{runs}");
        }
    }

    #[test]
    fn a_coefficient_past_the_last_is_the_last() {
        // a run of three times sixteen zeros, then of 13, 14 and 15, and one bit: 1, which is a one
        for (run, at) in [(13, 62), (14, 63), (15, 63)] {
            let (has_ac, block) = read(&[0xf0, 0xf0, 0xf0, run << 4 | 1, 0b1000_0000]);
            let found: Vec<usize> = (1..256).filter(|place| block[*place] != 0).collect();
            assert!(has_ac, "{run}");
            assert_eq!(found, [usize::from(place(at))], "{run}");
            assert_eq!(block[found[0]], 1, "{run}");
        }
    }
}
