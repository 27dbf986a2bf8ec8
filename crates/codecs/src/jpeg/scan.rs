//! The Huffman codes of a sequential scan, read faster than libjpeg does it: one look at a table says how long a
//! code and the number behind it are together, and eight bytes are taken at a time.
//!
//! Only what is as the standard (ITU-T T.81, annex F) has it: anything else is left to libjpeg.

use memchr::memchr;

/// How many bits are looked at together: few codes are longer, and four tables of 4 bytes for each of their values
/// should stay next to a core beside everything else.
const LOOK: u32 = 10;

/// Where coefficient `k` of a block lies in natural order (T.81, figure A.6).
const NATURAL: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// How far the end of a block is: beyond its last coefficient from any other.
const END: u32 = 64;

/// Something that isn't as it should be.
#[derive(Debug)]
pub(super) struct Odd;

/// What a code says, packed: all of it comes with one load.
#[derive(Clone, Copy)]
struct Step(u32);

impl Step {
    /// The code is longer than [`LOOK`], or there is none.
    const UNKNOWN: Self = Self(0);

    fn new(code_bits: u32, size: u32, ahead: u32) -> Self {
        Self((code_bits + size) | code_bits << 8 | size << 16 | ahead << 24)
    }

    /// The bits of the code and of the number behind it: 1 to 31.
    fn bits(self) -> u32 {
        self.0 & 63
    }

    fn code_bits(self) -> u32 {
        self.0 >> 8 & 31
    }

    /// How many coefficients further the number belongs; [`END`] if there is none.
    fn ahead(self) -> u32 {
        self.0 >> 24
    }

    /// The number behind the code that `bits` begin with: T.81, F.2.2.1 and table F.1.
    fn value(self, bits: u64) -> i32 {
        let size = self.0 >> 16 & 15;
        let behind = bits << self.code_bits();
        // At most 15 bits.
        #[expect(clippy::cast_possible_truncation, reason = "see above")]
        let number = (behind >> 1 >> (63 - size)) as i32;
        // A number that begins with a zero is negative: all of them up to none.
        let is_negative = i32::from(behind >> 63 == 0);
        number + is_negative * (1 - (1 << size))
    }
}

/// A Huffman table.
pub(super) struct Table {
    /// By the next [`LOOK`] bits.
    steps: [Step; 1 << LOOK],
    /// By the length of a code: the first 16 bits that are too large for it.
    limits: [u32; 17],
    /// By the length of a code: what to add to it for the place of its symbol.
    offsets: [i32; 17],
    symbols: [u8; 256],
    is_dc: bool,
}

impl Table {
    /// From the number of codes by length (1 to 16; the first place is unused), and their symbols.
    pub(super) fn new(lengths: &[u8; 17], symbols: &[u8; 256], is_dc: bool) -> Result<Self, Odd> {
        let mut steps = [Step::UNKNOWN; 1 << LOOK];
        let mut table = Self {
            steps,
            limits: [0; 17],
            offsets: [0; 17],
            symbols: *symbols,
            is_dc,
        };
        let (mut code, mut place) = (0_u32, 0_u32);
        for (length, count) in lengths.iter().enumerate().skip(1) {
            let count = u32::from(*count);
            table.offsets[length] = place.cast_signed() - code.cast_signed();
            code += count;
            place += count;
            // No code consists of ones alone.
            if code >= 1 << length && count > 0 || place > 256 {
                return Err(Odd);
            }
            table.limits[length] = code << (16 - length);
            code <<= 1;
        }
        if is_dc && symbols[..place as usize].iter().any(|symbol| *symbol > 15) {
            return Err(Odd);
        }
        for (look, step) in (0_u64..).zip(&mut steps) {
            // What isn't known yet is zero: a code that is no longer than that doesn't depend on it.
            let found = table.spelled(look << (64 - LOOK)).ok();
            *step = found
                .filter(|found| found.code_bits() <= LOOK)
                .unwrap_or(Step::UNKNOWN);
        }
        Ok(Self { steps, ..table })
    }

    /// The step that `bits`, the topmost first, begin with.
    #[inline]
    fn step(&self, bits: u64) -> Result<Step, Odd> {
        let step = self.steps[(bits >> (64 - LOOK)) as usize];
        if step.0 == Step::UNKNOWN.0 {
            return self.spelled(bits);
        }
        Ok(step)
    }

    /// As [`step`](Self::step), bit by bit.
    #[cold]
    fn spelled(&self, bits: u64) -> Result<Step, Odd> {
        let next = u32::try_from(bits >> 48).map_err(|_| Odd)?;
        let length = self.limits.iter().position(|limit| next < *limit);
        let length = length.ok_or(Odd)?;
        let place = (next >> (16 - length)).cast_signed() + self.offsets[length];
        let symbol = *usize::try_from(place)
            .ok()
            .and_then(|place| self.symbols.get(place))
            .ok_or(Odd)?;
        let symbol = u32::from(symbol);
        let (run, size) = if self.is_dc {
            (0, symbol)
        } else {
            (symbol >> 4, symbol & 15)
        };
        let ahead = match (run, size) {
            (15, 0) => 16,
            (_, 0) if !self.is_dc => END,
            _ => run + 1,
        };
        let length = u32::try_from(length).map_err(|_| Odd)?;
        Ok(Step::new(length, size, ahead))
    }
}

/// More bytes than an MCU takes: 10 blocks of 64 numbers, each with its code of at most 31 bits, and one look
/// beyond.
const MCU_BYTES: usize = 10 * 64 * 4 + 8;

/// Coded bytes at hand.
const WINDOW: usize = 16 << 10;

/// A scan's data up to the next marker, a piece at a time, without the zeros that stand behind each 0xFF.
struct Window<'a> {
    data: &'a [u8],
    /// Of `data`, what the window has taken in.
    taken: usize,
    bytes: Box<[u8; WINDOW]>,
    /// Of `bytes`; what follows is zeros once the marker is reached.
    end: usize,
    is_last: bool,
}

impl<'a> Window<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            taken: 0,
            bytes: Box::new([0; WINDOW]),
            end: 0,
            is_last: false,
        }
    }

    /// Lets go of the bytes before `at`, and takes in more.
    fn advance(&mut self, at: usize) {
        self.bytes.copy_within(at..self.end, 0);
        self.end -= at;
        while !self.is_last && self.end < WINDOW - MCU_BYTES {
            let room = WINDOW - MCU_BYTES - self.end;
            let rest = &self.data[self.taken..];
            let piece = &rest[..room.min(rest.len())];
            let plain = memchr(0xFF, piece).unwrap_or(piece.len());
            self.bytes[self.end..self.end + plain].copy_from_slice(&piece[..plain]);
            self.end += plain;
            self.taken += plain;
            match rest[plain..] {
                _ if plain == room => {}
                [0xFF, 0, ..] => {
                    self.bytes[self.end] = 0xFF;
                    self.end += 1;
                    self.taken += 2;
                }
                _ => self.is_last = true,
            }
        }
        self.bytes[self.end..self.end + MCU_BYTES].fill(0);
    }

    /// Goes behind the marker 0xFF, `code`, which must come next.
    fn advance_behind(&mut self, code: u8) -> Result<(), Odd> {
        if !self.is_last || !self.data[self.taken..].starts_with(&[0xFF, code]) {
            return Err(Odd);
        }
        self.taken += 2;
        self.is_last = false;
        self.advance(self.end);
        Ok(())
    }
}

/// Where in a window we are. Functions give it back: it lives in registers.
#[derive(Clone, Copy, Default)]
struct Place {
    /// The next byte to take.
    at: usize,
    /// The next bits, the topmost first. Those beyond `count` are the very ones that come next.
    next: u64,
    count: usize,
}

impl Place {
    /// With at least 56 bits.
    #[inline]
    fn filled(self, window: &[u8; WINDOW]) -> Result<Self, Odd> {
        let eight = window.get(self.at..).and_then(<[u8]>::first_chunk);
        let eight = u64::from_be_bytes(*eight.ok_or(Odd)?);
        // More was taken than there was: so long numbers are of no 8-bit picture.
        let room = 63_usize.checked_sub(self.count).ok_or(Odd)?;
        Ok(Self {
            at: self.at + room / 8,
            next: self.next | eight >> self.count,
            // Whole bytes: 56 to 63, whatever part of a byte there was.
            count: self.count | 0x38,
        })
    }

    #[inline]
    fn behind(self, step: Step) -> Self {
        let bits = step.bits();
        Self {
            at: self.at,
            next: self.next << bits,
            count: self.count.wrapping_sub(bits as usize),
        }
    }

    /// How many bits of the window were used.
    fn used(self) -> Result<usize, Odd> {
        (self.at * 8).checked_sub(self.count).ok_or(Odd)
    }
}

/// One block of an MCU.
pub(super) struct Block {
    /// Of the scan, below 4.
    pub(super) component: usize,
    /// Whether nobody asks for more than its first coefficient.
    pub(super) only_average: bool,
    /// Places among the scan's tables.
    pub(super) dc: usize,
    /// See `dc`.
    pub(super) ac: usize,
}

/// A scan while it is read.
pub(super) struct Scan<'a> {
    window: Window<'a>,
    place: Place,
    tables: Vec<Table>,
    blocks: Vec<Block>,
    /// Of the components, by their order in the scan.
    averages: [i32; 4],
    /// MCUs from one restart marker to the next; 0: there are none.
    restart_interval: u32,
    until_restart: u32,
    next_restart: u8,
    left: u32,
}

impl<'a> Scan<'a> {
    /// The scan whose coded data begins with `data`, with so many MCUs.
    pub(super) fn new(
        data: &'a [u8],
        tables: Vec<Table>,
        blocks: Vec<Block>,
        restart_interval: u32,
        mcus: u32,
    ) -> Self {
        Self {
            window: Window::new(data),
            place: Place::default(),
            tables,
            blocks,
            averages: [0; 4],
            restart_interval,
            until_restart: restart_interval,
            next_restart: 0,
            left: mcus,
        }
    }

    pub(super) fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// Reads the next MCU into blocks of zeros, as many as it has, in natural order. Behind the last one the
    /// picture must end.
    pub(super) fn mcu<'b>(
        &mut self,
        blocks: impl Iterator<Item = &'b mut [i16; 64]>,
    ) -> Result<(), Odd> {
        self.left = self.left.checked_sub(1).ok_or(Odd)?;
        if self.restart_interval > 0 {
            if self.until_restart == 0 {
                self.marker(0xD0 + self.next_restart)?;
                self.next_restart = (self.next_restart + 1) % 8;
                self.until_restart = self.restart_interval;
                self.averages = [0; 4];
            }
            self.until_restart -= 1;
        }
        if self.place.at + MCU_BYTES > self.window.end {
            self.take_more();
        }
        let window = &*self.window.bytes;
        let mut place = self.place;
        for (block, coefficients) in self.blocks.iter().zip(blocks) {
            place = place.filled(window)?;
            let step = self.tables[block.dc].step(place.next)?;
            let average = &mut self.averages[block.component];
            *average = average.checked_add(step.value(place.next)).ok_or(Odd)?;
            coefficients[0] = i16::try_from(*average).map_err(|_| Odd)?;
            place = place.behind(step);
            let table = &self.tables[block.ac];
            place = if block.only_average {
                rest(place, window, table, |_, _| {})?
            } else {
                rest(place, window, table, |at, value| coefficients[at] = value)?
            };
        }
        self.place = place;
        if place.used()? > self.window.end * 8 {
            return Err(Odd);
        }
        if self.left == 0 {
            self.marker(super::markers::EOI)?;
        }
        Ok(())
    }

    fn take_more(&mut self) {
        if !self.window.is_last {
            // What `next` holds stays behind `at`.
            let done = self.place.at.saturating_sub(8);
            self.window.advance(done);
            self.place.at -= done;
        }
    }

    /// Goes behind the marker 0xFF, `code`, which must come next but for the rest of a byte.
    fn marker(&mut self, code: u8) -> Result<(), Odd> {
        self.take_more();
        if self.place.used()?.div_ceil(8) != self.window.end {
            return Err(Odd);
        }
        self.place = Place::default();
        self.window.advance_behind(code)
    }
}

/// Reads the coefficients behind a block's first, each with its place in natural order.
#[inline]
fn rest(
    mut place: Place,
    window: &[u8; WINDOW],
    table: &Table,
    mut put: impl FnMut(usize, i16),
) -> Result<Place, Odd> {
    let mut k = 0;
    loop {
        place = place.filled(window)?;
        // 56 bits are enough for two codes and their numbers: of at most 16 and 10 bits in such a picture.
        for _ in 0..2 {
            let step = table.step(place.next)?;
            let value = step.value(place.next);
            place = place.behind(step);
            k += step.ahead();
            let Some(at) = NATURAL.get(k as usize) else {
                return if step.ahead() == END {
                    Ok(place)
                } else {
                    Err(Odd)
                };
            };
            #[expect(clippy::cast_possible_truncation, reason = "15 bits and a sign")]
            put(usize::from(*at % 64), value as i16);
            if k == 63 {
                return Ok(place);
            }
        }
    }
}
