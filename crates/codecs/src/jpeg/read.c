/* Decodes a JPEG of one sequential scan through libjpeg's own interface, with the Huffman codes read by
 * the owner (scan.rs): everything else, from the markers to the colours, is libjpeg's.
 *
 * For files with nothing odd in them. At the first thing that isn't as it should be this gives up, and
 * TurboJPEG decodes the file and says what is wrong with it. */
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#if LIBJPEG_TURBO_VERSION_NUMBER / 1000000 != 3
#error "struct jpeg_entropy_decoder is that of libjpeg-turbo 3"
#endif

/* The start of the structure in jpegint.h, which is not among the installed headers. */
struct jpeg_entropy_decoder {
  void (*start_pass)(j_decompress_ptr cinfo);
  boolean (*decode_mcu)(j_decompress_ptr cinfo, JBLOCKROW *blocks);
};

/* The same as `Table` in read.rs. */
struct table {
  const unsigned char *lengths; /* codes of 1 to 16 bits; the first of its 17 places is unused */
  const unsigned char *symbols; /* 256 */
};

/* The same as `Block` in read.rs. */
struct block {
  int component; /* of the scan: 0 to 3 */
  int only_average; /* nobody asks for the other coefficients */
  struct table dc, ac;
};

/* The same as `Scan` in read.rs. */
struct scan {
  const unsigned char *data; /* from behind the scan's header to the end of the file */
  size_t length;
  unsigned restart_interval; /* MCUs between two restart markers; 0: there are none */
  unsigned mcus;
  int block_count;
  struct block blocks[D_MAX_BLOCKS_IN_MCU];
};

/* What reads the scan: both say whether all is well, and give up with 0. */
struct scan_reader {
  void *self;
  int (*begin)(void *self, const struct scan *scan);
  /* The next MCU; its coefficients are all 0 before, and in natural order. */
  int (*mcu)(void *self, short (*const *blocks)[DCTSIZE2]);
};

struct pixels {
  unsigned char *start;
  unsigned width, height;
  int components;
  int divisor;
  long memory; /* bytes; 0: any */
};

struct failure {
  struct jpeg_error_mgr base;
  jmp_buf back;
};

static void give_up(j_common_ptr cinfo)
{
  longjmp(((struct failure *)cinfo->err)->back, 1);
}

static void on_message(j_common_ptr cinfo, int level)
{
  if (level < 0) /* a warning */
    give_up(cinfo);
}

static boolean decode_mcu(j_decompress_ptr cinfo, JBLOCKROW *blocks)
{
  const struct scan_reader *reader = cinfo->client_data;
  if (!reader->mcu(reader->self, (short (*const *)[DCTSIZE2])blocks))
    give_up((j_common_ptr)cinfo);
  return TRUE;
}

static int describe(j_decompress_ptr cinfo, struct scan *scan)
{
  int at;
  scan->data = cinfo->src->next_input_byte;
  scan->length = cinfo->src->bytes_in_buffer;
  scan->restart_interval = cinfo->restart_interval;
  scan->mcus = cinfo->MCUs_per_row * cinfo->MCU_rows_in_scan;
  scan->block_count = cinfo->blocks_in_MCU;
  for (at = 0; at < cinfo->blocks_in_MCU; at++) {
    struct block *block = &scan->blocks[at];
    int member = cinfo->MCU_membership[at];
    const jpeg_component_info *component = cinfo->cur_comp_info[member];
    const JHUFF_TBL *dc, *ac;
    if (component->dc_tbl_no < 0 || component->dc_tbl_no >= NUM_HUFF_TBLS ||
        component->ac_tbl_no < 0 || component->ac_tbl_no >= NUM_HUFF_TBLS)
      return 0;
    dc = cinfo->dc_huff_tbl_ptrs[component->dc_tbl_no];
    ac = cinfo->ac_huff_tbl_ptrs[component->ac_tbl_no];
    if (dc == NULL || ac == NULL)
      return 0;
    block->component = member;
    block->only_average = component->DCT_scaled_size <= 1;
    block->dc.lengths = dc->bits;
    block->dc.symbols = dc->huffval;
    block->ac.lengths = ac->bits;
    block->ac.symbols = ac->huffval;
  }
  return 1;
}

/* Fills `pixels` and returns 1, or gives up with 0: then there may be anything in them. */
int pixmill_jpeg_read(const unsigned char *file, size_t length, const struct pixels *pixels,
                      const struct scan_reader *reader)
{
  struct failure failure;
  struct jpeg_decompress_struct cinfo;
  struct scan scan;
  size_t stride = (size_t)pixels->width * (size_t)pixels->components;
  volatile int done = 0;

  memset(&cinfo, 0, sizeof cinfo);
  cinfo.err = jpeg_std_error(&failure.base);
  failure.base.error_exit = give_up;
  failure.base.emit_message = on_message;
  if (setjmp(failure.back))
    goto over;
  jpeg_create_decompress(&cinfo);
  cinfo.client_data = (void *)reader;
  cinfo.mem->max_memory_to_use = pixels->memory;
  jpeg_mem_src(&cinfo, file, (unsigned long)length);
  jpeg_read_header(&cinfo, TRUE);
  if (cinfo.progressive_mode || cinfo.arith_code || cinfo.data_precision != 8 ||
      cinfo.comps_in_scan != cinfo.num_components)
    goto over;
  cinfo.out_color_space = pixels->components == 1   ? JCS_GRAYSCALE
                          : pixels->components == 3 ? JCS_RGB
                                                    : JCS_CMYK;
  cinfo.scale_num = 1;
  cinfo.scale_denom = (unsigned)pixels->divisor;
  cinfo.dct_method = JDCT_ISLOW;
  cinfo.do_fancy_upsampling = TRUE;
  jpeg_start_decompress(&cinfo);
  if (cinfo.output_width != pixels->width || cinfo.output_height != pixels->height ||
      cinfo.output_components != pixels->components || !describe(&cinfo, &scan) ||
      !reader->begin(reader->self, &scan))
    goto over;
  cinfo.entropy->decode_mcu = decode_mcu;
  while (cinfo.output_scanline < cinfo.output_height) {
    JSAMPROW rows[16];
    unsigned count;
    for (count = 0; count < 16 && cinfo.output_scanline + count < cinfo.output_height; count++)
      rows[count] = pixels->start + (size_t)(cinfo.output_scanline + count) * stride;
    jpeg_read_scanlines(&cinfo, rows, count);
  }
  /* Not `jpeg_finish_decompress`: the reader alone knows where the scan ended, and has looked. */
  done = 1;

over:
  jpeg_destroy_decompress(&cinfo);
  return done;
}
