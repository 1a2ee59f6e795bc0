// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "disk.h"

static uint8_t buffer[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));

/* The lock must be held. */
static void write_record(struct disk *disk)
{
	uint32_t page = disk->records % disk->pages;
	uint32_t generation = disk->records / disk->pages + 1;
	ssize_t written;

	page_write(&disk->kind, page, generation, buffer);
	written = pwrite(disk->file, buffer, PAGE_BYTES, (off_t)page * PAGE_BYTES);
	if (written == PAGE_BYTES)
		disk->records++;
	else
		disk->error = written < 0 ? errno : EIO;
}

static void *run(void *argument)
{
	struct disk *disk = argument;

	pacer_start(&disk->pacer);
	for (;;) {
		uint64_t due = pacer_next(&disk->pacer, atomic_load(&disk->rate), PAGE_BYTES);
		uint64_t done = 0;

		for (; done < due; done++) {
			bool writing;

			pthread_mutex_lock(&disk->lock);
			writing = disk->file >= 0 && !disk->error;
			if (writing)
				write_record(disk);
			pthread_mutex_unlock(&disk->lock);
			if (!writing)
				break;
		}
		pacer_done(&disk->pacer, done * PAGE_BYTES);
	}
	return NULL;
}

void disk_start(struct disk *disk)
{
	pthread_t thread;

	memset(disk, 0, sizeof(*disk));
	pthread_mutex_init(&disk->lock, NULL);
	disk->file = -1;
	if (pthread_create(&thread, NULL, run, disk))
		errx(1, "no thread can be started");
}

const char *disk_open(struct disk *disk, const char *path, uint64_t rate, uint64_t seed)
{
	const int flags = O_RDWR | O_DSYNC | O_CLOEXEC;
	int file = open(path, flags | O_DIRECT);
	off_t bytes;

	/* A memory file system, in tests, has no direct access. */
	if (file < 0 && errno == EINVAL)
		file = open(path, flags);
	if (file < 0)
		return strerror(errno);
	bytes = lseek(file, 0, SEEK_END);
	if (bytes < PAGE_BYTES || bytes / PAGE_BYTES >= PAGE_NUMBER_LIMIT) {
		close(file);
		return "the device must have from 4K to 512G";
	}
	disk_close(disk);
	pthread_mutex_lock(&disk->lock);
	disk->file = file;
	disk->pages = bytes / PAGE_BYTES;
	disk->kind = (struct page_kind){ .content = CONTENT_RANDOM, .seed = seed };
	disk->records = 0;
	disk->error = 0;
	pthread_mutex_unlock(&disk->lock);
	atomic_store(&disk->rate, rate);
	return NULL;
}

void disk_close(struct disk *disk)
{
	pthread_mutex_lock(&disk->lock);
	if (disk->file >= 0)
		close(disk->file);
	disk->file = -1;
	pthread_mutex_unlock(&disk->lock);
}

/* The lock must be held. */
static const char *verify_records(struct disk *disk, struct disk_verdict *verdict)
{

	verdict->records = disk->records;
	verdict->pages = disk->records < disk->pages ? disk->records : disk->pages;
	for (uint32_t page = 0; page < verdict->pages; page++) {
		uint32_t generation = (disk->records - 1 - page) / disk->pages + 1;
		uint32_t found;
		enum page_state state;

		if (pread(disk->file, buffer, PAGE_BYTES, (off_t)page * PAGE_BYTES) != PAGE_BYTES)
			return "a record can't be read";
		state = page_check(&disk->kind, page, generation, buffer, &found);
		verdict->torn += state == PAGE_TORN;
		verdict->stale += state == PAGE_STALE;
		verdict->lost += state == PAGE_LOST;
	}
	return disk->error ? strerror(disk->error) : NULL;
}

const char *disk_verify(struct disk *disk, struct disk_verdict *verdict)
{
	const char *wrong = "no device is open";

	memset(verdict, 0, sizeof(*verdict));
	pthread_mutex_lock(&disk->lock);
	if (disk->file >= 0)
		wrong = verify_records(disk, verdict);
	pthread_mutex_unlock(&disk->lock);
	return wrong;
}
