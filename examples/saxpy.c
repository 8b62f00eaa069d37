/*
 * A kernel over malloc'ed memory: y = a * x + y, a million times, on the execution units.
 *
 * Everything the GPU touches is ordinary memory of the process: the commands, the kernel's code and
 * both vectors. Each round the CPU changes x, the GPU computes, and the CPU checks every element and
 * those behind the end, so the pages go to the GPU and come back. The kernel stands below as the words
 * the hardware reads, each instruction beside its text; `softxe asm` makes such words.
 *
 * Commands and the start of threads: docs/spec/compute-dispatch.md; assembly: docs/KERNELS.md.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xe_example.h"

enum { LANES = 16, THREADS = 16, GROUP = LANES * THREADS, /* work-items */
       ITEMS = 1000003, /* no multiple of GROUP: the last group has work-items beyond the end */
       TAIL = GROUP, ROUNDS = 3 };
static const float kFactor = 1.7f;

/* A work-item is a lane of a thread. A thread starts with the local ids of its lanes in r1, the group's
 * id in r0.1, and the arguments below in r2. Labels stand in front of the instruction they name. The
 * braces are what an instruction waits for, for hardware that has several under way: {sb:0x9} the one
 * before it, {sb:0x120} likewise and starts load 0, {sb:0x80} waits for load 0. */
static const uint32_t kKernel[][4] = {
    /* i = local id + group id * work-items of a group; lanes at or beyond n have nothing to do */
    {0x0010095b, 0x0a040168, 0x06010104, 0x02640014}, /* mad r10:d r1:uw r0.1<0;0>:d r2.12<0>:uw {sb:0x9} */
    {0x00100970, 0x00010660, 0x56100a04, 0x00000254}, /* cmp (lt)f0.0 null:d r10:d r2.5<0;1,0>:d {sb:0x9} */
    {0x1410092e, 0x0000c000, 0x000000b0, 0x000000b0}, /* (~f0.0) goto done done {sb:0x9} */
    /* addresses of x[i] and y[i] */
    {0x00100961, 0x0c050670, 0x00100a04, 0x00000000}, /* mov r12:q r10:d {sb:0x9} */
    {0x00100969, 0x0c058770, 0x05100c04, 0x00020002}, /* shl r12:q r12:q 2:w {sb:0x9} */
    {0x00100940, 0x0e050770, 0x07100c04, 0x00000204}, /* add r14:q r12:q r2.0<0;1,0>:q {sb:0x9} */
    {0x00100940, 0x10050770, 0x07100c04, 0x00000224}, /* add r16:q r12:q r2.1<0;1,0>:q {sb:0x9} */
    /* y[i] = a * x[i] + y[i], rounded once */
    {0x00112031, 0x140c0000, 0xfb000e14, 0x00000000}, /* load.ugm.d32.a64 (16|M0) r20 r14 {sb:0x120} */
    {0x00112131, 0x150c0000, 0xfb001014, 0x00000000}, /* load.ugm.d32.a64 (16|M0) r21 r16 {sb:0x121} */
    {0x80008001, 0x00010000, 0x00000000, 0x00000000}, /* (W) sync.nop null {sb:0x80} */
    {0x80008101, 0x00010000, 0x00000000, 0x00000000}, /* (W) sync.nop null {sb:0x81} */
    {0x0010095b, 0x150402a8, 0x020a1504, 0x02441404}, /* mad r21:f r21:f r20:f r2.4<0>:f {sb:0x9} */
    {0x00112231, 0x00000000, 0xfb081014, 0x0000150c}, /* store.ugm.d32.a64 (16|M0) r16 r21 {sb:0x122} */
    {0x0010002f, 0x00004000, 0x00000000, 0x00000010}, /* done: join end */
    {0x80000031, 0x00000004, 0x3020000c, 0x00000000}, /* end: eot r0 */
};

/* What the walker hands to every thread, in this order: 32 bytes. */
struct arguments {
  const float *x;
  float *y;
  float a;
  uint32_t n;
  uint32_t group; /* work-items of a group */
  uint32_t unused;
};
_Static_assert(sizeof(struct arguments) == 32, "the inline data of a walker");

/* Where kernels stand, and that they have 128 registers. Holds until it is changed. */
static void emit_state(struct xe_batch *batch, const void *kernel) {
  const uint64_t base = (uint64_t)(uintptr_t)kernel; /* of a page */
  const uint32_t compute_mode[3] = {0x61050001, 0x80000000, 0};
  const uint32_t front_end[6] = {0x72000004, 0, 0, 512u << 16}; /* threads at once */
  /* Bit 0 of an address or size: it is meant. Surfaces are not used and stay as they are. */
  const uint32_t bases[22] = {
      [0] = 0x61010014, [10] = (uint32_t)base | 1, [11] = (uint32_t)(base >> 32), [15] = 0xfffff001};
  xe_emit_words(batch, compute_mode, 3);
  xe_emit_words(batch, front_end, 6);
  xe_emit_words(batch, bases, 22);
}

/* One group per GROUP items, in one dimension. */
static void emit_walker(struct xe_batch *batch, const struct arguments *arguments) {
  uint32_t walker[40] = {
      [0] = 0x72080026,
      /* 16 lanes; local ids made by the hardware, those in x handed over; then the arguments */
      [4] = 1u << 30 | 1u << 29 | 1u << 26 | 1u << 25 | 1u << 17,
      [5] = 0xffff,    /* lanes of the last thread of a group */
      [6] = GROUP - 1, /* the last local id in x */
      [7] = (arguments->n + GROUP - 1) / GROUP,
      [8] = 1,
      [9] = 1,
      [19] = 0, /* the kernel, from the base of kernels */
      [24] = THREADS,
  };
  memcpy(&walker[32], arguments, sizeof *arguments);
  xe_emit_words(batch, walker, 40);
  /* Waits for the walker and makes its stores visible. */
  const uint32_t pipe_control[6] = {0x7a000a04, 1u << 20 | 1u << 5};
  xe_emit_words(batch, pipe_control, 6);
}

static void *allocate(size_t bytes) {
  void *memory = aligned_alloc(XE_PAGE, (bytes + XE_PAGE - 1) / XE_PAGE * XE_PAGE);
  if (memory == NULL) xe_die("out of memory");
  return memory;
}

static float x_value(size_t i, int round) { return (float)(i % 1009) * 0.25f + (float)round; }
static float y_start(size_t i) { return (float)(i % 4099) - 2048.0f; }

/* What y[i] must be after `rounds` rounds. */
static float y_value(size_t i, int rounds) {
  float y = y_start(i);
  if (i >= ITEMS) return y;
  for (int round = 0; round < rounds; ++round) y = fmaf(kFactor, x_value(i, round), y);
  return y;
}

static unsigned long run_rounds(struct xe_device *xe, const void *kernel, float *x, float *y) {
  struct xe_batch batch;
  xe_batch_init(&batch, 128);
  emit_state(&batch, kernel);
  emit_walker(&batch, &(struct arguments){.x = x, .y = y, .a = kFactor, .n = ITEMS, .group = GROUP});
  unsigned long wrong = 0;
  for (int round = 0; round < ROUNDS; ++round) {
    for (size_t i = 0; i < ITEMS + TAIL; ++i) x[i] = x_value(i, round);
    xe_run(xe, &batch);
    for (size_t i = 0; i < ITEMS + TAIL; ++i) wrong += y[i] != y_value(i, round + 1);
  }
  xe_batch_free(&batch);
  return wrong;
}

int main(void) {
  struct xe_device xe;
  xe_open_compute(&xe, XE_ADVICE_STAYS);
  void *kernel = allocate(sizeof kKernel + XE_PAGE); /* hardware reads ahead past the end of code */
  memcpy(kernel, kKernel, sizeof kKernel);
  float *x = allocate((ITEMS + TAIL) * sizeof *x), *y = allocate((ITEMS + TAIL) * sizeof *y);
  for (size_t i = 0; i < ITEMS + TAIL; ++i) y[i] = y_start(i);

  unsigned long wrong = run_rounds(&xe, kernel, x, y);
  printf("%d rounds of %d work-items: %d elements checked, %lu wrong\n", ROUNDS, ITEMS, ROUNDS * (ITEMS + TAIL),
         wrong);
  free(x);
  free(y);
  free(kernel);
  xe_close(&xe);
  puts(wrong != 0 ? "saxpy: WRONG DATA" : "saxpy: all data right");
  return wrong != 0;
}
