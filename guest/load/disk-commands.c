// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>

#include "clock.h"
#include "handlers.h"

const char *command_disk(struct load *load, const struct options *options, struct answer *answer)
{
	const char *path = options_text(options, "path", "/dev/vda");
	uint64_t rate = 1000000;

	(void)answer;
	if (!options_rate(options, "rate", &rate))
		return "rate must be bytes per second, such as 1MB";
	return disk_open(&load->disk, path, rate, clock_ns());
}

const char *command_disk_verify(struct load *load, const struct options *options, struct answer *answer)
{
	struct disk_verdict verdict;
	const char *wrong = disk_verify(&load->disk, &verdict);

	(void)options;
	if (wrong)
		return wrong;
	answer_add(answer, ",\"records\":%" PRIu64 ",\"pages\":%u,\"torn\":%u,\"stale\":%u,\"lost\":%u",
		   verdict.records, verdict.pages, verdict.torn, verdict.stale, verdict.lost);
	answer_add(answer, ",\"bad\":%u", verdict.torn + verdict.stale + verdict.lost);
	return NULL;
}

const char *command_disk_close(struct load *load, const struct options *options, struct answer *answer)
{
	(void)options, (void)answer;
	disk_close(&load->disk);
	return NULL;
}
