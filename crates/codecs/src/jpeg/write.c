/* Writes a JPEG through libjpeg's own interface: unlike TurboJPEG's, it takes Huffman tables.
 *
 * Everything that can fail jumps back within this file, never through a frame of the caller. */
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

/* libjpeg's own way from frequencies to a table, which its header keeps to itself: `freq` has 257
 * places, the last of them for the library. */
extern void jpeg_gen_optimal_table(j_compress_ptr cinfo, JHUFF_TBL *table, long freq[]);

enum outcome { WRITTEN, FAILED, NO_MEMORY, STOPPED };

/* The same as `Picture` in write.rs. */
struct picture {
  const unsigned char *pixels;
  unsigned width, height;
  /* 1 gray, 3 red, green, blue; interleaved, nothing between rows. */
  int components;
  int quality;
  /* Luma samples for one of colour, across and down. */
  int across, down;
  int progressive, optimize;
  /* One row of blocks of so many decides about the Huffman tables; 0: all of them, in two passes. */
  unsigned sampled;
};

/* What takes the file as it comes, and says between rows whether to go on: each 0 for no. */
struct owner {
  void *self;
  int (*take)(void *self, const unsigned char *bytes, size_t length);
  int (*go_on)(void *self);
};

struct failure {
  struct jpeg_error_mgr base;
  jmp_buf back;
  enum outcome outcome;
  char *words;
};

struct destination {
  struct jpeg_destination_mgr base;
  const struct owner *owner; /* none: what comes is thrown away */
  unsigned char buffer[1 << 16];
};

static void back(j_common_ptr cinfo, enum outcome outcome)
{
  struct failure *failure = (struct failure *)cinfo->err;
  failure->outcome = outcome;
  longjmp(failure->back, 1);
}

static void on_error(j_common_ptr cinfo)
{
  struct failure *failure = (struct failure *)cinfo->err;
  (*cinfo->err->format_message)(cinfo, failure->words);
  back(cinfo, cinfo->err->msg_code == JERR_OUT_OF_MEMORY ? NO_MEMORY : FAILED);
}

static void say_nothing(j_common_ptr cinfo)
{
  (void)cinfo;
}

static void begin(j_compress_ptr cinfo)
{
  struct destination *to = (struct destination *)cinfo->dest;
  to->base.next_output_byte = to->buffer;
  to->base.free_in_buffer = sizeof to->buffer;
}

static void hand_over(j_compress_ptr cinfo, size_t length)
{
  struct destination *to = (struct destination *)cinfo->dest;
  if (to->owner != NULL && !to->owner->take(to->owner->self, to->buffer, length))
    back((j_common_ptr)cinfo, NO_MEMORY);
}

static boolean next(j_compress_ptr cinfo)
{
  struct destination *to = (struct destination *)cinfo->dest;
  hand_over(cinfo, sizeof to->buffer);
  begin(cinfo);
  return TRUE;
}

static void end(j_compress_ptr cinfo)
{
  struct destination *to = (struct destination *)cinfo->dest;
  hand_over(cinfo, sizeof to->buffer - to->base.free_in_buffer);
}

static void set_up(j_compress_ptr cinfo, const struct picture *picture, struct destination *to,
                   const struct owner *owner)
{
  to->base.init_destination = begin;
  to->base.empty_output_buffer = next;
  to->base.term_destination = end;
  to->owner = owner;
  cinfo->dest = &to->base;
  cinfo->image_width = picture->width;
  cinfo->image_height = picture->height;
  cinfo->input_components = picture->components;
  cinfo->in_color_space = picture->components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(cinfo);
  jpeg_set_quality(cinfo, picture->quality, TRUE);
  cinfo->dct_method = JDCT_ISLOW;
  cinfo->optimize_coding = picture->optimize;
  if (picture->components == 3 && picture->across == 0)
    jpeg_set_colorspace(cinfo, JCS_GRAYSCALE);
  if (picture->progressive)
    jpeg_simple_progression(cinfo);
  if (cinfo->num_components == 3) {
    cinfo->comp_info[0].h_samp_factor = picture->across;
    cinfo->comp_info[0].v_samp_factor = picture->down;
  }
}

/* Rows `from` to `until`, as they lie in the picture. */
static void write_rows(j_compress_ptr cinfo, const struct picture *picture, unsigned from,
                       unsigned until)
{
  size_t stride = (size_t)picture->width * (size_t)picture->components;
  while (from < until) {
    JSAMPROW rows[16];
    unsigned count = 0;
    for (; count < 16 && from + count < until; count++)
      rows[count] = (JSAMPROW)(picture->pixels + (size_t)(from + count) * stride);
    from += jpeg_write_scanlines(cinfo, rows, count);
  }
}

/* `table` as it is, and a long code for each symbol that it has none for. */
static void complete(j_compress_ptr cinfo, JHUFF_TBL *table, const JHUFF_TBL *fitted, int is_dc)
{
  long freq[257] = { 0 };
  int symbol, length, at = 0, number;
  /* A difference of 8-bit samples has up to 11 bits, a coefficient 10, behind up to 15 zeros. */
  if (is_dc) {
    for (symbol = 0; symbol <= 11; symbol++)
      freq[symbol] = 1;
  } else {
    freq[0x00] = freq[0xF0] = 1;
    for (symbol = 0; symbol < 256; symbol++)
      if ((symbol & 15) >= 1 && (symbol & 15) <= 10)
        freq[symbol] = 1;
  }
  /* A code of n bits was worth it for one symbol in 2^n. */
  for (length = 1; length <= 16; length++)
    for (number = 0; number < fitted->bits[length]; number++)
      freq[fitted->huffval[at++]] = 16L << (16 - length);
  jpeg_gen_optimal_table(cinfo, table, freq);
  table->sent_table = FALSE;
}

/* Blocks of one sampled run, side by side: long beside the jump of brightness where a run begins. */
#define RUN 4

/* Fits Huffman tables to one run of blocks in so many, which are spread over all of the picture. Says
 * whether there was any. */
static int fit_tables(j_compress_ptr sample, const struct picture *picture, struct destination *to,
                      const struct owner *owner)
{
  int colored = picture->components == 3 && picture->across > 0;
  size_t pixel = (size_t)picture->components;
  unsigned high = 8 * (unsigned)(colored ? picture->down : 1);
  unsigned wide = 8 * RUN * (unsigned)(colored ? picture->across : 1);
  /* One run in so many across, one row of blocks in so many down. */
  unsigned across = picture->sampled >= 8 ? 4 : 2;
  unsigned down = picture->sampled / across;
  unsigned runs = picture->width / (wide * across);
  unsigned rows = picture->height / (high * down);
  struct picture part = *picture;
  unsigned row, run, line;
  unsigned char *band;
  if (runs == 0 || rows == 0)
    return 0;
  part.width = runs * wide;
  part.height = rows * high;
  set_up(sample, &part, to, NULL);
  jpeg_start_compress(sample, TRUE);
  /* The library frees it, whatever happens. */
  band = (*sample->mem->alloc_large)((j_common_ptr)sample, JPOOL_IMAGE, part.width * pixel * high);
  part.pixels = band;
  for (row = 0; row < rows; row++) {
    for (line = 0; line < high; line++)
      for (run = 0; run < runs; run++) {
        /* The next row's runs lie below the gaps of this one's. */
        size_t x = (size_t)(run * across + row % across) * wide;
        size_t y = (size_t)(row * down + down / 2) * high + line;
        memcpy(band + ((size_t)line * part.width + run * wide) * pixel,
               picture->pixels + (y * picture->width + x) * pixel, wide * pixel);
      }
    write_rows(sample, &part, 0, high);
    if (!owner->go_on(owner->self))
      back((j_common_ptr)sample, STOPPED);
  }
  jpeg_finish_compress(sample);
  return 1;
}

int pixmill_jpeg_write(const struct picture *picture, const struct owner *owner,
                       char words[JMSG_LENGTH_MAX])
{
  struct failure failure;
  struct jpeg_compress_struct file, sample;
  struct destination *to = calloc(1, sizeof *to);
  unsigned row;
  if (to == NULL)
    return NO_MEMORY;

  memset(&file, 0, sizeof file);
  memset(&sample, 0, sizeof sample);
  failure.words = words;
  file.err = sample.err = jpeg_std_error(&failure.base);
  failure.base.error_exit = on_error;
  failure.base.output_message = say_nothing;
  failure.outcome = WRITTEN;
  if (setjmp(failure.back))
    goto over;
  jpeg_create_compress(&file);
  jpeg_create_compress(&sample);

  if (picture->sampled > 0 && fit_tables(&sample, picture, to, owner)) {
    int which;
    set_up(&file, picture, to, owner);
    file.optimize_coding = FALSE;
    for (which = 0; which < (file.num_components == 1 ? 1 : 2); which++) {
      complete(&file, file.dc_huff_tbl_ptrs[which], sample.dc_huff_tbl_ptrs[which], 1);
      complete(&file, file.ac_huff_tbl_ptrs[which], sample.ac_huff_tbl_ptrs[which], 0);
    }
    jpeg_start_compress(&file, FALSE);
  } else {
    set_up(&file, picture, to, owner);
    jpeg_start_compress(&file, TRUE);
  }
  for (row = 0; row < picture->height; row = file.next_scanline) {
    unsigned until = picture->height - row > 64 ? row + 64 : picture->height;
    write_rows(&file, picture, row, until);
    if (!owner->go_on(owner->self))
      back((j_common_ptr)&file, STOPPED);
  }
  jpeg_finish_compress(&file);

over:
  jpeg_destroy_compress(&sample);
  jpeg_destroy_compress(&file);
  free(to);
  return failure.outcome;
}
