// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hints.h"

#define DRIVER_VERSION 1

/* As guest/driver/working-set.c has it. */
struct driver_answer {
	uint32_t version;
	uint32_t flags;
	uint32_t processes;
	uint32_t scans;
	uint64_t mapped_pages;
	uint64_t huge_pages;
	uint64_t ranges;
	uint64_t scan_ns;
	struct run range[RUNS_MAX];
};

static struct driver_answer driver;

enum error working_set(const struct working_set_request *request, struct working_set_answer *answer, struct run *runs)
{
	char words[96];
	long length;

	if (request->fresh > 1 || request->runs_max == 0 || request->runs_max > RUNS_MAX) {
		errno = EINVAL;
		return MALFORMED;
	}
	snprintf(words, sizeof(words), "scans=%u interval-ms=%u maximum=%u fresh=%u", request->scans,
		 request->interval_ms, request->runs_max, request->fresh);
	length = ask_driver(DRIVER_WORKING_SET, words, &driver, sizeof(driver));
	if (length < 0)
		return errno == ENOENT ? UNAVAILABLE : errno == EINVAL ? MALFORMED : FAILED;
	if (driver.version != DRIVER_VERSION || driver.ranges > request->runs_max ||
	    (size_t)length != sizeof(driver) - sizeof(driver.range) + driver.ranges * sizeof(driver.range[0])) {
		errno = EPROTO;
		return FAILED;
	}
	*answer = (struct working_set_answer){
		.flags = driver.flags,
		.processes = driver.processes,
		.scans = driver.scans,
		.runs = driver.ranges,
		.mapped_pages = driver.mapped_pages,
		.huge_pages = driver.huge_pages,
		.scan_ns = driver.scan_ns,
	};
	memcpy(runs, driver.range, driver.ranges * sizeof(driver.range[0]));
	return 0;
}
