// Names for clang's thread-safety attributes; nothing under other compilers.
#pragma once

#if defined(__clang__)
#define SX_TSA_(x) __attribute__((x))
#else
#define SX_TSA_(x)
#endif

#define SX_CAPABILITY(name) SX_TSA_(capability(name))
#define SX_SCOPED_CAPABILITY SX_TSA_(scoped_lockable)
#define SX_GUARDED_BY(m) SX_TSA_(guarded_by(m))
#define SX_PT_GUARDED_BY(m) SX_TSA_(pt_guarded_by(m))
#define SX_REQUIRES(...) SX_TSA_(requires_capability(__VA_ARGS__))
#define SX_REQUIRES_SHARED(...) SX_TSA_(requires_shared_capability(__VA_ARGS__))
#define SX_EXCLUDES(...) SX_TSA_(locks_excluded(__VA_ARGS__))
#define SX_ACQUIRE(...) SX_TSA_(acquire_capability(__VA_ARGS__))
#define SX_ACQUIRE_SHARED(...) SX_TSA_(acquire_shared_capability(__VA_ARGS__))
#define SX_RELEASE(...) SX_TSA_(release_capability(__VA_ARGS__))
#define SX_RELEASE_SHARED(...) SX_TSA_(release_shared_capability(__VA_ARGS__))
#define SX_RELEASE_GENERIC(...) SX_TSA_(release_generic_capability(__VA_ARGS__))
#define SX_TRY_ACQUIRE(...) SX_TSA_(try_acquire_capability(__VA_ARGS__))
#define SX_ASSERT_CAPABILITY(m) SX_TSA_(assert_capability(m))
#define SX_ASSERT_SHARED_CAPABILITY(m) SX_TSA_(assert_shared_capability(m))
#define SX_RETURN_CAPABILITY(m) SX_TSA_(lock_returned(m))
#define SX_NO_THREAD_SAFETY_ANALYSIS SX_TSA_(no_thread_safety_analysis)
