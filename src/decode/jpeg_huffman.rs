//! Huffman tables and the bits of a JPEG scan (ITU-T T.81, annexes C and F).
//!
//! Damage is met as libjpeg meets it: a code that no table has is a zero of 17 bits, and bits
//! beyond a marker are zeros.

use std::cell::OnceCell;

use super::jpeg_pairs::{LOOK_BITS, Pairs};
use super::limits::Fault;

/// Bits that are there after [`Bits::fill`], at least.
const FILLED: u32 = 56;
/// Bits of a code and its value at most; one that no table has counts as 17.
const LONGEST: u32 = 17 + 16;
// what is filled once serves two looks and one of any length
const _: () = assert!(2 * LOOK_BITS + LONGEST <= FILLED);
/// Kind of an entry: a whole coefficient, a symbol, or a longer code.
const COEFFICIENT: u32 = 0x40;
const SYMBOL: u32 = 0x80;

/// A Huffman table.
#[derive(Clone)]
pub(super) struct Huffman {
    /// By the next bits: value in the high half, then run or symbol, then kind and length.
    fast: Box<[u32; 1 << LOOK_BITS]>,
    /// Largest code of each length, left-aligned to 16 bits and one more.
    above: [u32; 18],
    /// What to add to a code of each length to find its symbol.
    offset: [i32; 17],
    symbols: [u8; 256],
    largest: u8,
    pairs: OnceCell<Pairs>,
}

impl Huffman {
    /// None when the counts make no code.
    pub(super) fn new(counts: &[u8], values: &[u8]) -> Option<Self> {
        let mut symbols = [0; 256];
        symbols.get_mut(..values.len())?.copy_from_slice(values);
        let mut table = Self {
            fast: Box::new([0; 1 << LOOK_BITS]),
            above: [0; 18],
            offset: [0; 17],
            symbols,
            largest: values.iter().copied().max().unwrap_or_default(),
            pairs: OnceCell::new(),
        };
        let (mut code, mut at) = (0_u32, 0_usize);
        for (length, count) in (1_u32..=16).zip(counts) {
            let slot = length as usize;
            table.offset[slot] = i32::try_from(at).ok()? - i32::try_from(code).ok()?;
            for _ in 0..*count {
                if code >= 1 << length {
                    return None;
                }
                table.enter(code, length, *values.get(at)?);
                code += 1;
                at += 1;
            }
            // an empty length leaves no code below this bound that shorter ones did not take
            table.above[slot] = code << (16 - length);
            code <<= 1;
        }
        table.above[17] = u32::MAX;
        Some(table)
    }

    /// Whether every symbol may be the length of a DC difference.
    pub(super) fn is_for_dc(&self) -> bool {
        self.largest <= 15
    }

    /// Two coefficients a look; made once, for the tables that are read so.
    pub(super) fn pairs(&self) -> &Pairs {
        self.pairs.get_or_init(|| Pairs::new(|look| self.coefficient(look)))
    }

    /// Bits, run and value of the coefficient that a look begins with, if it is found in one.
    fn coefficient(&self, look: usize) -> Option<(u32, u32, i32)> {
        let entry = self.fast[look];
        (entry & COEFFICIENT != 0)
            .then(|| (entry & 63, entry >> 8 & 0xff, entry.cast_signed() >> 16))
    }

    /// The symbol of the code that `held` begins with, and the code's length.
    #[inline(never)]
    fn long_symbol(&self, held: u64) -> (u32, u32) {
        let next = (held >> 48) as u32;
        let mut length = 1;
        while length < 17 && next >= self.above[length as usize] {
            length += 1;
        }
        if length > 16 {
            return (0, length);
        }
        let code = (next >> (16 - length)).cast_signed() + self.offset[length as usize];
        (u32::from(self.symbols[usize::try_from(code & 0xff).unwrap_or_default()]), length)
    }

    fn enter(&mut self, code: u32, length: u32, symbol: u8) {
        if length > LOOK_BITS {
            return;
        }
        let spare = LOOK_BITS - length;
        let size = u32::from(symbol & 15);
        for rest in 0..1_u32 << spare {
            let plain = u32::from(symbol) << 8 | SYMBOL | length;
            let entry = if size == 0 || size > spare {
                plain
            } else {
                let value = extended(rest >> (spare - size), size);
                value.cast_unsigned() << 16
                    | u32::from(symbol >> 4) << 8
                    | COEFFICIENT
                    | (length + size)
            };
            self.fast[((code << spare) | rest) as usize] = entry;
        }
    }
}

/// F.12: the value that `size` bits stand for.
#[inline(always)]
fn extended(bits: u32, size: u32) -> i32 {
    let value = bits.cast_signed();
    if bits < (1 << size) >> 1 { value + 1 - (1 << size) } else { value }
}

/// What the next code stands for.
pub(super) enum Code {
    /// Zeros to pass over, and the coefficient after them.
    Coefficient(usize, i32),
    /// No coefficient: the run in the high half of the symbol.
    Run(u32),
}

/// Bits of one scan, most significant first.
///
/// Slow paths take and give it by value, so that a loop over a copy keeps it in registers.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The next bits, left-aligned; those beyond the counted ones may be, and come again.
    held: u64,
    /// How many there are, in the lowest six bits; see [`Bits::left`].
    count: u32,
    /// Bits among the counted ones that were made up.
    padded: u32,
    /// The marker that was met, not yet passed.
    marker: Option<u8>,
    next_restart: u8,
    /// Bits were used that the segment does not have.
    pub(super) is_empty: bool,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            held: 0,
            count: 0,
            padded: 0,
            marker: None,
            next_restart: 0,
            is_empty: false,
        }
    }

    /// Where to look for the next marker: bytes that were read ahead hold none.
    pub(super) fn used(&self) -> usize {
        if self.marker.is_some() { self.at - 2 } else { self.at }
    }

    /// At least [`FILLED`] bits; zeros where a marker or the end of the file was met.
    #[inline(always)]
    pub(super) fn fill(&mut self) {
        if let Some(word) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_be_bytes(*word);
            // no byte of all ones: no marker and no stuffing
            if (!word).wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080 == 0
                && self.marker.is_none()
            {
                let count = self.left();
                self.held |= word >> count;
                self.at += ((63 - count) >> 3) as usize;
                self.count = count | FILLED;
                return;
            }
        }
        *self = self.filled_slowly();
    }

    #[cold]
    #[inline(never)]
    fn filled_slowly(mut self) -> Self {
        self.count = self.left();
        while self.count < FILLED {
            let byte = self.byte();
            if byte.is_none() {
                self.padded += 8;
            }
            self.held |= u64::from(byte.unwrap_or_default()) << (56 - self.count);
            self.count += 8;
        }
        self
    }

    /// Bits that are there and not used.
    #[inline(always)]
    fn left(&self) -> u32 {
        self.count & 63
    }

    /// The next byte of the segment; none at a marker and at the end.
    fn byte(&mut self) -> Option<u8> {
        if self.marker.is_some() {
            return None;
        }
        let first = *self.bytes.get(self.at)?;
        if first != 0xff {
            self.at += 1;
            return Some(first);
        }
        let fill = self.bytes.get(self.at + 1..)?.iter().position(|b| *b != 0xff)?;
        let second = self.bytes[self.at + 1 + fill];
        self.at += fill + 2;
        if second == 0 {
            return Some(0xff);
        }
        self.marker = Some(second);
        None
    }

    /// Passes the number of bits in the low six bits of `n`. Whatever lies above them costs nothing:
    /// shifts take no more of them, and of the count no more are looked at.
    #[inline(always)]
    pub(super) fn drop(&mut self, n: u32) {
        self.held = self.held.wrapping_shl(n);
        self.count = self.count.wrapping_sub(n);
    }

    /// The next `n` bits, at most 16.
    #[inline(always)]
    pub(super) fn take(&mut self, n: u32) -> u32 {
        if self.left() < 32 {
            self.fill();
        }
        self.peeled(n)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "at most 16 bits are left")]
    fn peeled(&mut self, n: u32) -> u32 {
        let bits = (self.held >> 1 >> (63 - n)) as u32;
        self.drop(n);
        bits
    }

    /// The next coefficient or run.
    #[inline(always)]
    pub(super) fn code(&mut self, table: &Huffman) -> Code {
        if self.left() < LONGEST {
            self.fill();
        }
        let entry = self.entry(table);
        if entry & COEFFICIENT == 0 {
            return self.long(table);
        }
        self.drop(entry);
        Code::Coefficient((entry >> 8 & 0xff) as usize, entry.cast_signed() >> 16)
    }

    /// The next [`LOOK_BITS`] bits.
    #[inline(always)]
    pub(super) fn look(&self) -> usize {
        (self.held >> (64 - LOOK_BITS)) as usize & ((1 << LOOK_BITS) - 1)
    }

    #[inline(always)]
    fn entry(&self, table: &Huffman) -> u32 {
        table.fast[self.look()]
    }

    /// As [`Self::code`], whatever a look finds. Wants [`LONGEST`] bits.
    #[inline(always)]
    pub(super) fn long(&mut self, table: &Huffman) -> Code {
        let entry = self.entry(table);
        let symbol = if entry & SYMBOL == 0 {
            let (symbol, length) = table.long_symbol(self.held);
            self.drop(length);
            symbol
        } else {
            self.drop(entry);
            entry >> 8 & 0xff
        };
        let size = symbol & 15;
        if size == 0 {
            return Code::Run(symbol >> 4);
        }
        let bits = self.peeled(size);
        Code::Coefficient((symbol >> 4) as usize, extended(bits, size))
    }

    /// The next symbol alone.
    #[inline(always)]
    pub(super) fn symbol(&mut self, table: &Huffman) -> u32 {
        if self.left() < LONGEST {
            self.fill();
        }
        let entry = self.entry(table);
        if entry & SYMBOL == 0 {
            let (symbol, length) = table.long_symbol(self.held);
            self.drop(length);
            return symbol;
        }
        self.drop(entry);
        entry >> 8 & 0xff
    }

    /// Notes whether bits were used that are not there.
    ///
    /// # Errors
    /// A fault where the file itself ends; a marker only empties the segment.
    #[inline(always)]
    pub(super) fn check(&mut self) -> Result<(), Fault> {
        if self.padded > self.left() {
            if self.marker.is_none() {
                return Err(Fault::truncated("its data end within a scan"));
            }
            self.is_empty = true;
        }
        Ok(())
    }

    /// Passes the restart marker that is due (`read_restart_marker`, `jpeg_resync_to_restart`).
    pub(super) fn restart(&mut self) -> Result<(), Fault> {
        if self.marker.is_none() {
            // whole bytes that were read ahead hold no marker
            self.find_marker()?;
        }
        (self.held, self.count, self.padded) = (0, 0, 0);
        let due = self.next_restart;
        self.next_restart = (due + 1) & 7;
        while let Some(marker) = self.marker {
            let number = marker.wrapping_sub(0xd0);
            if marker < 0xc0 {
                self.find_marker()?;
            } else if number > 7 {
                break;
            } else {
                match number.wrapping_sub(due) & 7 {
                    // one of the next two: this segment was lost
                    1 | 2 => break,
                    // one of the last two: what follows it was read before
                    6 | 7 => self.find_marker()?,
                    _ => self.marker = None,
                }
            }
        }
        if self.marker.is_none() {
            self.is_empty = false;
        }
        Ok(())
    }

    fn find_marker(&mut self) -> Result<(), Fault> {
        self.marker = None;
        loop {
            match self.byte() {
                Some(_) => {}
                None if self.marker.is_some() => return Ok(()),
                None => return Err(Fault::truncated("its data end before a restart marker")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_every_length_are_found() {
        // one code of each length 1 to 16: 0, 10, 110, …
        let table = Huffman::new(&[1; 16], &(0..16).map(|i| i << 4).collect::<Vec<_>>()).unwrap();
        for length in 1..=16_u32 {
            let word =
                (u64::MAX << (64 - (length - 1)).min(63)) & if length == 1 { 0 } else { u64::MAX };
            let bytes: Vec<u8> = word
                .to_be_bytes()
                .iter()
                .flat_map(|b| if *b == 0xff { vec![0xff, 0] } else { vec![*b] })
                .collect();
            let mut bits = Bits::new(&bytes);
            assert_eq!(bits.symbol(&table), (length - 1) << 4, "{length}");
        }
        let ones = [0xff, 0].repeat(8);
        let mut bits = Bits::new(&ones);
        assert_eq!(bits.symbol(&table), 0);
        assert_eq!(bits.take(3), 7);
    }

    #[test]
    fn values_extend_by_their_first_bit() {
        assert_eq!([0, 1].map(|b| extended(b, 1)), [-1, 1]);
        assert_eq!([0, 3, 4, 7].map(|b| extended(b, 3)), [-7, -4, 4, 7]);
    }

    #[test]
    fn a_late_restart_is_waited_for() {
        let mut bits = Bits::new(&[1, 2, 0xff, 0xd1, 3, 4]);
        bits.restart().unwrap();
        // the marker of the next segment: this one is lost
        assert!(bits.marker.is_some());
        bits.restart().unwrap();
        assert!(bits.marker.is_none());
        assert_eq!(bits.take(8), 3);
    }
}
