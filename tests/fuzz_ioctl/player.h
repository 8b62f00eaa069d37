/*
 * A player of ioctls: carries out a list that a generator drew, whatever is in it, and then looks whether the process,
 * the device and other clients of it are well.
 *
 *   player.c        reads the list, runs its threads and children, ends what waits too long
 *   player_steps.c  what a line can say: ioctls, memory, descriptors, kernels
 *   player_proof.c  what no list may change: memory that was never handed out, another client's object; and a
 *                   well-formed client, before and after
 *
 * A line is `THREAD STEP ARGUMENTS`. A number may be `$N` (variable N), `@N` (the arena's byte N) or `!N` (the start of
 * the runtime's N-th mapping, which is not the client's). fuzz.py makes such lines from readable ones.
 *
 *   open VAR MINOR                    close FD              dup VAR FD              show FD
 *   ioctl FD REQUEST [BYTE:SIZE=NUMBER]... [> BYTE:SIZE:VAR ...]       the argument lies outside of the arena
 *   ioctl_at FD REQUEST ADDRESS                                       and here wherever ADDRESS is
 *   at ADDRESS [BYTE:SIZE=NUMBER]...  words ADDRESS NUMBER...          (a number with @, $ or ! is two words)
 *   walker ADDRESS KERNEL GROUPS      a batch that runs the kernel there
 *   memory CALL ADDRESS BYTES [MORE]  map_object ADDRESS BYTES FD OFFSET
 *   fork, fork_beside ... end         the lines in between run in a child, which is waited for at once, or last of all
 */
#ifndef SOFTXE_TESTS_FUZZ_IOCTL_PLAYER_H
#define SOFTXE_TESTS_FUZZ_IOCTL_PLAYER_H

#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

enum {
  kVariables = 64,
  kThreadsMax = 4,
  kArenaBytes = 16 << 20,
  kReadOnlyBytes = 1 << 20, /* the arena's end: PROT_READ, never to change */
  kCanaryBytes = 64 << 10,  /* before and behind the arena */
  kFirstOwnFd = 200,        /* descriptors from here on are the player's */
};
#define ARENA ((unsigned char*)0x200000000000)

/* The last one is the page-attribute index of write-back on this device. */
extern _Atomic uint64_t variables[kVariables];

/* Carries out one line, without its thread: `text` is cut up. Unknown steps end the program with status 2. */
void run_step(char* text);
/* What list authors want to know: prints "request N: ok, failed" for each request that was made. */
void print_request_counts(void);
/* Loads and stores of the player itself that may meet anything; between arm() and disarm() a fault is a result. */
extern __thread sigjmp_buf* guard_jump;

/* Before the list: memory, the other client. */
void proof_start(void);
/* After it: 0, or 1 with the reason on standard output. */
int proof_end(void);

#endif
