// SPDX-License-Identifier: Apache-2.0
#include <err.h>
#include <inttypes.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "clock.h"
#include "handlers.h"
#include "network.h"

const char *command_ping(struct load *load, const struct options *options, struct answer *answer)
{
	(void)load, (void)options, (void)answer;
	return NULL;
}

static const char *state(const struct holder *holder)
{
	if (!holder->pages)
		return "idle";
	return holder_is_ready(holder) ? "ready" : "filling";
}

static uint64_t smaller(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

static void add_workers(struct workers *workers, uint64_t held, struct answer *answer)
{
	struct workers_settings *settings = &workers->settings;

	answer_add(answer, ",\"dirty\":{\"areaBytes\":%" PRIu64 ",\"bytesPerSecond\":%" PRIu64
		   ",\"achievedBytesPerSecond\":%" PRIu64 ",\"order\":\"%s\",\"rewrite\":\"%s\"}",
		   smaller(atomic_load(&settings->hot_bytes), held), atomic_load(&settings->dirty_rate),
		   atomic_load(&workers->dirtier.achieved),
		   atomic_load(&settings->random_order) ? "random" : "sequential",
		   atomic_load(&settings->whole_pages) ? "pages" : "stamps");
	answer_add(answer, ",\"read\":{\"areaBytes\":%" PRIu64 ",\"bytesPerSecond\":%" PRIu64
		   ",\"achievedBytesPerSecond\":%" PRIu64 "}", smaller(atomic_load(&settings->read_hot_bytes), held),
		   atomic_load(&settings->read_rate), atomic_load(&workers->reader.achieved));
}

/* Answers at once, without locks: what it says belongs together only roughly. */
const char *command_status(struct load *load, const struct options *options, struct answer *answer)
{
	const struct holder *holder = &load->holder;
	uint64_t held = (uint64_t)holder->pages * PAGE_BYTES;
	enum content content = held ? holder->kind.content : CONTENT_TEXT;

	(void)options;
	answer_add(answer, ",\"state\":\"%s\",\"uptimeMs\":%" PRId64, state(holder), clock_ns() / 1000000);
	answer_add(answer, ",\"holdBytes\":%" PRIu64 ",\"filledBytes\":%" PRIu64 ",\"content\":\"%s\"", held,
		   (uint64_t)atomic_load(&holder->filled) * PAGE_BYTES, content_name(content));
	answer_add(answer, ",\"updates\":%" PRIu64, atomic_load(&holder->sum));
	add_workers(&load->workers, held, answer);
	answer_add(answer, ",\"churn\":{\"bytes\":%" PRIu64 ",\"bytesPerSecond\":%" PRIu64
		   ",\"achievedBytesPerSecond\":%" PRIu64, atomic_load(&load->churn.bytes),
		   atomic_load(&load->churn.rate), atomic_load(&load->churn.pacer.achieved));
	answer_add(answer, ",\"checkedPages\":%" PRIu64 ",\"damagedPages\":%" PRIu64 "}",
		   atomic_load(&load->churn.checked), atomic_load(&load->churn.damaged));
	answer_add(answer, ",\"disk\":{\"open\":%s,\"records\":%" PRIu64 ",\"errno\":%d"
		   ",\"achievedBytesPerSecond\":%" PRIu64 "}", atomic_load(&load->disk.file) >= 0 ? "true" : "false",
		   atomic_load(&load->disk.records), atomic_load(&load->disk.error), atomic_load(&load->disk.pacer.achieved));
	return NULL;
}

static void *end_machine(void *how)
{
	/* The answer goes out first; on an emulated serial port that takes its time. */
	clock_sleep_until(clock_ns() + 100000000);
	sync();
	reboot((int)(intptr_t)how);
	errx(1, "this kernel can't be told to end");
}

static const char *end(struct load *load, int how)
{
	if (!load->owns_machine)
		return "this load generator doesn't own its machine";
	disk_close(&load->disk);
	return network_thread(end_machine, (void *)(intptr_t)how) ? NULL : "no thread can be started";
}

const char *command_poweroff(struct load *load, const struct options *options, struct answer *answer)
{
	(void)options, (void)answer;
	return end(load, RB_POWER_OFF);
}

const char *command_reboot(struct load *load, const struct options *options, struct answer *answer)
{
	(void)options, (void)answer;
	return end(load, RB_AUTOBOOT);
}
