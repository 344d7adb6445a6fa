/* What must be true. `check` stays in every build: a server that goes on after its own bug loses data.
 *
 * Only for the impossible (see style: absent, failed, impossible): nothing that a client, a disk, the kernel or an
 * operator can cause may end here. `check_debug` is for what is too dear for a release (validation of whole
 * structures); it vanishes under NDEBUG. */
#pragma once

#define check(condition) \
    (__builtin_expect(!!(condition), 1) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#define check_debug(condition) ((void)sizeof(!(condition)))
#else
#define check_debug(condition) check(condition)
#endif

/* Print what failed and where to standard error, then abort. */
_Noreturn void check_failed(const char *condition, const char *file, int line);
