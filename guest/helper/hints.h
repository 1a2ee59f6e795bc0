/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HINTS_H
#define HINTS_H

#include "protocol.h"

/* Each fills its answer and runs[], and returns 0; or an error of the protocol, with errno set. */
enum error free_pages(const struct free_pages_request *request, struct free_pages_answer *answer, struct run *runs);
enum error working_set(const struct working_set_request *request, struct working_set_answer *answer, struct run *runs);
enum error drop_cache(const struct drop_cache_request *request, struct drop_cache_answer *answer);
enum error kernel_pages(const struct kernel_pages_request *request, struct kernel_pages_answer *answer, struct run *runs);

uint32_t capabilities(void);

/* From /proc/kpageflags, where there is no driver. */
enum error free_pages_without_driver(const struct free_pages_request *request, struct free_pages_answer *answer,
				     struct run *runs);

#define DRIVER_FREE_PAGES "/proc/godwit/free-pages"
#define DRIVER_WORKING_SET "/proc/godwit/working-set"
#define KPAGEFLAGS_FILE "/proc/kpageflags"

#define FLAG_TRUNCATED 4

/* Writes a request to a file of the driver's and reads the answer. Returns its length, or -1 with errno set. */
long ask_driver(const char *path, const char *request, void *answer, size_t room);

uint64_t now_ns(void);

#endif
