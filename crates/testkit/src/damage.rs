//! Damage to files, by chance that is the same on every run.

/// Numbers that look random and are the same on every run (Marsaglia's xorshift with 64 bits).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The same rolls for the same seed, which is not 0.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`; 0 where there are none.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let sides = u64::try_from(sides.max(1)).expect("few sides");
        usize::try_from(self.0 % sides).expect("less than the sides")
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        self.roll(256).to_le_bytes()[0]
    }
}

/// The kinds of damage there are.
pub const KINDS: usize = 5;

/// `file` with one kind of damage: bits turned round, a piece moved, a number made large or small, an
/// end missing.
pub fn damaged(file: &[u8], kind: usize, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = file.to_vec();
    if bytes.is_empty() {
        return bytes;
    }
    match kind {
        0 => {
            for _ in 0..=dice.roll(8) {
                let at = dice.roll(bytes.len());
                bytes[at] ^= 1 << dice.roll(8);
            }
        }
        1 => {
            let (from, to) = (dice.roll(bytes.len()), dice.roll(bytes.len()));
            let length = dice.roll(64).min(bytes.len() - from.max(to));
            bytes.copy_within(from..from + length, to);
        }
        2 => {
            // Lengths and sizes are numbers of two or four bytes, mostly near the start.
            let width = 2 + 2 * dice.roll(2);
            let near = bytes
                .len()
                .min(if dice.roll(2) == 0 { 200 } else { usize::MAX });
            let at = dice.roll(near.saturating_sub(width));
            let value = [0x00, 0xFF, 0x7F, 0x01, dice.byte()][dice.roll(5)];
            let end = (at + width).min(bytes.len());
            bytes[at..end].fill(value);
        }
        3 => {
            let percent = [10, 25, 50, 75, 99][dice.roll(5)];
            bytes.truncate(bytes.len() * percent / 100);
        }
        _ => {
            let (from, to) = (dice.roll(bytes.len()), dice.roll(bytes.len()));
            let piece: Vec<u8> = bytes[from..(from + dice.roll(40)).min(bytes.len())].to_vec();
            bytes.splice(to..to, piece);
        }
    }
    bytes
}
