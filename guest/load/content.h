/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTENT_H
#define CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE_BYTES 4096

enum content {
	CONTENT_RANDOM,	/* incompressible */
	CONTENT_TEXT,	/* words and markup: zstd -1 leaves about a third */
};

bool content_parse(const char *name, enum content *content);
const char *content_name(enum content content);

/*
 * Fills one page. The same arguments always give the same bytes, so that a page can be checked by making it
 * anew; other arguments give other bytes.
 */
void content_fill(enum content content, uint64_t seed, uint32_t page, uint32_t generation,
		  uint8_t bytes[PAGE_BYTES]);

#endif
