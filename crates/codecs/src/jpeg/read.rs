//! What `read.c` exports.

use std::any::Any;
use std::ffi::{c_int, c_long, c_uint, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::slice;

use super::scan::{Block, Odd, Scan, Table};
use super::{Layout, Scale};

/// libjpeg's `D_MAX_BLOCKS_IN_MCU`.
const MOST_BLOCKS: usize = 10;

/// The same as `struct table` in read.c.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
struct TableGiven {
    lengths: *const [u8; 17],
    symbols: *const [u8; 256],
}

/// The same as `struct block` in read.c.
#[repr(C)]
struct BlockGiven {
    component: c_int,
    only_average: c_int,
    dc: TableGiven,
    ac: TableGiven,
}

/// The same as `struct scan` in read.c.
#[repr(C)]
struct ScanGiven {
    data: *const u8,
    length: usize,
    restart_interval: c_uint,
    mcus: c_uint,
    block_count: c_int,
    blocks: [BlockGiven; MOST_BLOCKS],
}

/// The same as `struct scan_reader` in read.c.
#[repr(C)]
struct ScanReader {
    this: *mut c_void,
    begin: unsafe extern "C" fn(*mut c_void, *const ScanGiven) -> c_int,
    mcu: unsafe extern "C" fn(*mut c_void, *const *mut [i16; 64]) -> c_int,
}

/// The same as `struct pixels` in read.c.
#[repr(C)]
struct Pixels {
    start: *mut u8,
    width: c_uint,
    height: c_uint,
    components: c_int,
    divisor: c_int,
    memory: c_long,
}

// Of the static library that build.rs makes.
unsafe extern "C" {
    fn pixmill_jpeg_read(
        file: *const u8,
        length: usize,
        pixels: *const Pixels,
        reader: *const ScanReader,
    ) -> c_int;
}

struct Reader<'a> {
    scan: Option<Scan<'a>>,
    /// What must not unwind through C.
    panic: Option<Box<dyn Any + Send>>,
    file: PhantomData<&'a [u8]>,
}

impl Reader<'_> {
    /// 1 if `work` went well.
    fn outcome(&mut self, work: impl FnOnce(&mut Self) -> Result<(), Odd>) -> c_int {
        match catch_unwind(AssertUnwindSafe(|| work(self))) {
            Ok(result) => c_int::from(result.is_ok()),
            Err(panic) => {
                self.panic = Some(panic);
                0
            }
        }
    }
}

unsafe extern "C" fn begin(reader: *mut c_void, given: *const ScanGiven) -> c_int {
    // SAFETY: the pointer that `read` gave, to a reader that nobody else uses meanwhile, and a scan that
    // read.c has filled in.
    let (reader, given) = unsafe { (&mut *reader.cast::<Reader<'_>>(), &*given) };
    reader.outcome(|reader| {
        let mut known: Vec<(TableGiven, bool)> = Vec::new();
        let mut tables = Vec::new();
        let mut blocks = Vec::new();
        let count = usize::try_from(given.block_count).map_err(|_| Odd)?;
        for block in given.blocks.get(..count).ok_or(Odd)? {
            let mut place = |table: TableGiven, is_dc: bool| {
                if let Some(place) = known.iter().position(|known| *known == (table, is_dc)) {
                    return Ok(place);
                }
                // SAFETY: the tables of a libjpeg that is at work, of its types.
                let (lengths, symbols) = unsafe { (&*table.lengths, &*table.symbols) };
                tables.push(Table::new(lengths, symbols, is_dc)?);
                known.push((table, is_dc));
                Ok(tables.len() - 1)
            };
            blocks.push(Block {
                component: usize::try_from(block.component).map_err(|_| Odd)?,
                only_average: block.only_average != 0,
                dc: place(block.dc, true)?,
                ac: place(block.ac, false)?,
            });
        }
        // SAFETY: the rest of the file that `read` was given, which outlives the reader.
        let data = unsafe { slice::from_raw_parts(given.data, given.length) };
        reader.scan = Some(Scan::new(
            data,
            tables,
            blocks,
            given.restart_interval,
            given.mcus,
        ));
        Ok(())
    })
}

unsafe extern "C" fn mcu(reader: *mut c_void, blocks: *const *mut [i16; 64]) -> c_int {
    // SAFETY: as in `begin`.
    let reader = unsafe { &mut *reader.cast::<Reader<'_>>() };
    reader.outcome(|reader| {
        let scan = reader.scan.as_mut().ok_or(Odd)?;
        // SAFETY: libjpeg's pointers to the blocks of an MCU, as many as `begin` was told of.
        let blocks = unsafe { slice::from_raw_parts(blocks, scan.block_count()) };
        // SAFETY: each block is there, is no other one's, and nobody else uses it meanwhile.
        scan.mcu(blocks.iter().map(|block| unsafe { &mut **block }))
    })
}

/// Decodes `file`, one sequential scan with nothing odd in it, into `pixels`: of `width` x `height` and
/// `layout`, which is the size at `scale`, with nothing between the rows. `memory` is the most bytes that
/// libjpeg may take for its work, 0 for any.
///
/// Says whether it did: if not, there may be anything in `pixels`, and the file may be a good one all the same.
pub(super) fn read(
    file: &[u8],
    (width, height): (u32, u32),
    layout: Layout,
    scale: Scale,
    memory: u64,
    pixels: &mut [u8],
) -> bool {
    assert!(
        width as usize * height as usize * layout.bytes_per_pixel() == pixels.len(),
        "the buffer is of the picture's size"
    );
    let mut reader = Reader {
        scan: None,
        panic: None,
        file: PhantomData,
    };
    let scan_reader = ScanReader {
        this: (&raw mut reader).cast(),
        begin,
        mcu,
    };
    let described = Pixels {
        start: pixels.as_mut_ptr(),
        width,
        height,
        components: c_int::try_from(layout.bytes_per_pixel()).unwrap_or(0),
        divisor: c_int::try_from(scale.divisor()).unwrap_or(1),
        memory: c_long::try_from(memory).unwrap_or(c_long::MAX),
    };
    // SAFETY: read.c compares the size with the file's before it writes the first row, and the assertion above
    // says that all rows fit; the file outlives the call; the reader's functions get the reader that they expect.
    let is_done = unsafe {
        pixmill_jpeg_read(
            file.as_ptr(),
            file.len(),
            &raw const described,
            &raw const scan_reader,
        )
    };
    if let Some(panic) = reader.panic {
        resume_unwind(panic);
    }
    is_done == 1
}
