/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DISK_H
#define DISK_H

#include <pthread.h>

#include "pacer.h"
#include "page.h"

/*
 * Writes numbered records of 4 KiB one after the other to a block device, each made durable before the next,
 * from the start again when the device is full. Record n is page (n modulo the device's pages) of generation
 * (n divided by the device's pages) + 1, so every record is checked like a page of memory.
 */
struct disk {
	pthread_mutex_t lock;		/* between two records */
	struct page_kind kind;
	_Atomic int file;		/* -1: none */
	uint32_t pages;
	_Atomic uint64_t records;	/* acknowledged by the device */
	_Atomic int error;		/* errno of a failed write; writing has then ended */
	_Atomic uint64_t rate;		/* bytes per second */
	struct pacer pacer;
};

struct disk_verdict {
	uint64_t records;
	uint32_t pages;
	uint32_t torn;
	uint32_t stale;
	uint32_t lost;
};

/* Starts the thread, which does nothing until there is a device. */
void disk_start(struct disk *disk);

/* Opens the device and begins at record 0. seed tells this run's records from older ones. */
const char *disk_open(struct disk *disk, const char *path, uint64_t rate, uint64_t seed);

/* Reads all records back, past the page cache. Returns NULL or what is wrong. */
const char *disk_verify(struct disk *disk, struct disk_verdict *verdict);

void disk_close(struct disk *disk);

#endif
