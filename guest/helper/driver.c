// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hints.h"

long ask_driver(const char *path, const char *request, void *answer, size_t room)
{
	int file = open(path, O_RDWR | O_CLOEXEC);
	size_t length = 0;
	ssize_t result;

	if (file < 0)
		return -1;
	result = write(file, request, strlen(request));
	while (result > 0 && length < room) {
		result = read(file, (char *)answer + length, room - length);
		if (result > 0)
			length += result;
	}
	if (result < 0) {
		int reason = errno;

		close(file);
		errno = reason;
		return -1;
	}
	close(file);
	return length;
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

uint32_t capabilities(void)
{
	return (access(DRIVER_FREE_PAGES, R_OK | W_OK) ? 0 : CAN_ASK_DRIVER) |
	       (access(KPAGEFLAGS_FILE, R_OK) ? 0 : CAN_READ_KPAGEFLAGS | CAN_LIST_KERNEL_PAGES) |
	       (access(DRIVER_WORKING_SET, R_OK | W_OK) ? 0 : CAN_SCAN_WORKING_SET) |
	       (access("/proc/sys/vm/drop_caches", W_OK) ? 0 : CAN_DROP_CACHE);
}
