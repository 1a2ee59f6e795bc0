/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What host and helper say to each other on the port, version 2; README.md has it in words. Little-endian, as the only
 * processor that this runs on. The host's half is src/hints/protocol.ts.
 */

#define PORT_NAME "org.godwit.guest.0"
#define PROTOCOL_VERSION 2
#define FRAME_MAGIC 0x47545747 /* "GWTG" */

/* The longest request is 16 bytes; room for later versions. */
#define REQUEST_BYTES_MAX 64
/* 8 MiB of runs, what the driver gives at most. */
#define RUNS_MAX (1U << 20)

enum type {
	HELLO = 1,
	FREE_PAGES = 2,
	WORKING_SET = 3,
	DROP_CACHE = 4,
	KERNEL_PAGES = 5,
	/* An answer has the type of its request and this bit. */
	ANSWER = 0x8000,
	ERROR = 0xffff,
};

enum capability {
	CAN_ASK_DRIVER = 1,
	CAN_READ_KPAGEFLAGS = 2,
	CAN_SCAN_WORKING_SET = 4,
	CAN_DROP_CACHE = 8,
	CAN_LIST_KERNEL_PAGES = 16,
};

enum error {
	BAD_VERSION = 1,
	UNKNOWN_TYPE = 2,
	MALFORMED = 3,
	UNAVAILABLE = 4,
	REFUSED = 5,
	FAILED = 6,
};

enum source {
	ANY_SOURCE = 0,
	DRIVER = 1,
	KPAGEFLAGS = 2,
};

struct frame {
	uint32_t magic;
	uint16_t type;
	uint16_t version;
	uint32_t session; /* chosen by the host for a connection, repeated in each answer */
	uint32_t sequence; /* chosen by the host for a request, repeated in its answer */
	uint32_t length; /* bytes that follow */
};

/* Pages in a row; lists of them ascend, do not overlap and do not touch. */
struct run {
	uint32_t first; /* guest page number: guest physical address / 4096 */
	uint32_t count;
};

struct hello_answer {
	uint16_t lowest_version;
	uint16_t highest_version;
	uint32_t capabilities;
	uint32_t runs_max;
	uint32_t page_bytes;
};

struct free_pages_request {
	uint8_t source;
	uint8_t minimum_order;
	uint8_t per_cpu;
	uint8_t reserved;
	uint32_t runs_max;
	/* Of kpageflags only pages from the first up to, but not including, the end; a driver lists all. */
	uint32_t pages_first;
	uint32_t pages_end;
};

/* Flags are those of the driver's answer. */
struct free_pages_answer {
	uint8_t source;
	uint8_t minimum_order;
	uint16_t flags;
	uint32_t runs;
	uint32_t zones;
	uint32_t reserved;
	uint64_t lock_ns;
	uint64_t longest_lock_ns;
	uint64_t scan_ns;
};

struct working_set_request {
	uint32_t scans;
	uint32_t interval_ms;
	uint32_t runs_max;
	uint8_t fresh;
	uint8_t reserved[3];
};

struct working_set_answer {
	uint32_t flags;
	uint32_t processes;
	uint32_t scans;
	uint32_t runs;
	uint64_t mapped_pages;
	uint64_t huge_pages;
	uint64_t scan_ns;
};

struct drop_cache_request {
	uint32_t timeout_ms;
};

struct drop_cache_answer {
	uint32_t finished; /* 0: it goes on by itself */
	uint32_t reserved;
	uint64_t before_kib; /* cached, by /proc/meminfo */
	uint64_t after_kib;
	uint64_t took_ns;
};

struct kernel_pages_request {
	uint32_t runs_max;
	uint32_t pages_first;
	uint32_t pages_end; /* page numbers from here on are not asked for */
	uint8_t tables_only;
	uint8_t reserved[3];
};

struct kernel_pages_answer {
	uint32_t flags; /* 1: more runs than runs_max, the highest were left out */
	uint32_t runs;
	uint64_t scan_ns;
};

struct error_answer {
	uint32_t error;
	uint32_t errno_value;
};

_Static_assert(sizeof(struct frame) == 20 && sizeof(struct hello_answer) == 16, "no padding");
_Static_assert(sizeof(struct free_pages_request) == 16 && sizeof(struct free_pages_answer) == 40, "no padding");
_Static_assert(sizeof(struct working_set_answer) == 40, "no padding");
_Static_assert(sizeof(struct kernel_pages_request) == 16 && sizeof(struct kernel_pages_answer) == 16, "no padding");
_Static_assert(sizeof(struct drop_cache_answer) == 32 && sizeof(struct working_set_request) == 16, "no padding");

#endif
