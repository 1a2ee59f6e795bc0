// SPDX-License-Identifier: Apache-2.0
#include <err.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "clock.h"
#include "commands.h"

/* Far above what any emulated or real guest does; keeps the pacer's arithmetic in range. */
#define RATE_MAX 10000000000ull

#define WORKER_KEYS "hot", "dirty", "order", "rewrite", "readhot", "read"
#define LOAD_KEYS "hold", "content", "seed", WORKER_KEYS

void load_init(struct load *load, bool owns_machine)
{
	memset(load, 0, sizeof(*load));
	pthread_mutex_init(&load->commands, NULL);
	load->owns_machine = owns_machine;
	holder_init(&load->holder);
	workers_start(&load->workers, &load->holder);
	churn_start(&load->churn);
	disk_start(&load->disk);
}

static bool get_rate(const struct options *options, const char *key, uint64_t *rate)
{
	return options_size(options, key, rate) && *rate <= RATE_MAX;
}

static const char *set_workers(struct load *load, const struct options *options)
{
	struct workers_settings *settings = &load->workers.settings;
	uint64_t hot = atomic_load(&settings->hot_bytes), dirty = atomic_load(&settings->dirty_rate);
	uint64_t read_hot = atomic_load(&settings->read_hot_bytes), read = atomic_load(&settings->read_rate);
	const char *order = options_text(options, "order", NULL);
	const char *rewrite = options_text(options, "rewrite", NULL);

	if (!options_size(options, "hot", &hot) || !options_size(options, "readhot", &read_hot))
		return "hot and readhot must be sizes, such as 64M";
	if (!get_rate(options, "dirty", &dirty) || !get_rate(options, "read", &read))
		return "dirty and read must be bytes per second, such as 60MB, up to 10GB";
	if (order && strcmp(order, "sequential") && strcmp(order, "random"))
		return "order must be sequential or random";
	if (rewrite && strcmp(rewrite, "stamps") && strcmp(rewrite, "pages"))
		return "rewrite must be stamps or pages";
	if (order)
		atomic_store(&settings->random_order, !strcmp(order, "random"));
	if (rewrite)
		atomic_store(&settings->whole_pages, !strcmp(rewrite, "pages"));
	atomic_store(&settings->hot_bytes, hot);
	atomic_store(&settings->read_hot_bytes, read_hot);
	atomic_store(&settings->dirty_rate, dirty);
	atomic_store(&settings->read_rate, read);
	return NULL;
}

static void rest(struct load *load)
{
	atomic_store(&load->workers.settings.dirty_rate, 0);
	atomic_store(&load->workers.settings.read_rate, 0);
	atomic_store(&load->churn.bytes, 0);
	atomic_store(&load->churn.rate, 0);
}

static const char *hold(struct load *load, const struct options *options)
{
	struct page_kind kind = { .content = CONTENT_TEXT, .seed = 1 };
	uint64_t bytes = 0;
	const char *wrong;

	if (!options_size(options, "hold", &bytes) || !bytes)
		return "hold must be a size, such as 512M";
	if (!options_size(options, "seed", &kind.seed))
		return "seed must be a number";
	if (!content_parse(options_text(options, "content", "text"), &kind.content))
		return "content must be text or random";
	rest(load);
	/* The areas of a former load mean nothing to this one: everything that is held, unless said otherwise. */
	atomic_store(&load->workers.settings.hot_bytes, UINT64_MAX);
	atomic_store(&load->workers.settings.read_hot_bytes, UINT64_MAX);
	wrong = set_workers(load, options);
	return wrong ? wrong : holder_hold(&load->holder, bytes, &kind);
}

static const char *churn(struct load *load, const struct options *options)
{
	uint64_t bytes = 64 << 20, rate = 20000000;

	if (!options_size(options, "size", &bytes) || !get_rate(options, "rate", &rate))
		return "size must be a size and rate bytes per second";
	atomic_store(&load->churn.bytes, bytes);
	atomic_store(&load->churn.rate, rate);
	return NULL;
}

static const char *fill_and_free(const struct options *options, const char *key)
{
	uint64_t bytes = 0;

	if (!options_size(options, key, &bytes))
		return "the size to fill and free must be one, such as 1G";
	return allocator_fill_and_free(bytes);
}

static const char *open_disk(struct load *load, const struct options *options, const char *path_key,
			     const char *rate_key)
{
	uint64_t rate = 1000000;

	if (!get_rate(options, rate_key, &rate))
		return "the disk's rate must be bytes per second, such as 1MB";
	return disk_open(&load->disk, options_text(options, path_key, "/dev/vda"), rate, clock_ns());
}

const char *load_configure(struct load *load, const struct options *options)
{
	const char *wrong = NULL;

	if (options_text(options, "fillfree", NULL))
		wrong = fill_and_free(options, "fillfree");
	if (!wrong && options_text(options, "hold", NULL))
		wrong = hold(load, options);
	if (!wrong && options_text(options, "disk", NULL))
		wrong = open_disk(load, options, "disk", "diskrate");
	return wrong;
}

static const char *state(const struct holder *holder)
{
	if (!holder->pages)
		return "idle";
	return holder_is_ready(holder) ? "ready" : "filling";
}

static const char *status(struct load *load, const struct options *options, struct answer *answer)
{
	const struct workers *workers = &load->workers;
	const struct holder *holder = &load->holder;
	uint64_t held = (uint64_t)holder->pages * PAGE_BYTES;
	uint64_t hot = atomic_load(&workers->settings.hot_bytes);
	uint64_t read_hot = atomic_load(&workers->settings.read_hot_bytes);

	(void)options;
	answer_add(answer, ",\"state\":\"%s\",\"uptimeMs\":%" PRId64, state(holder), clock_ns() / 1000000);
	answer_add(answer, ",\"holdBytes\":%" PRIu64 ",\"filledBytes\":%" PRIu64 ",\"content\":\"%s\"", held,
		   (uint64_t)atomic_load(&holder->filled) * PAGE_BYTES, content_name(holder->kind.content));
	answer_add(answer, ",\"updates\":%" PRIu64, holder->sum);
	answer_add(answer, ",\"dirty\":{\"areaBytes\":%" PRIu64 ",\"bytesPerSecond\":%" PRIu64
		   ",\"achievedBytesPerSecond\":%" PRIu64 ",\"order\":\"%s\",\"rewrite\":\"%s\"}",
		   hot < held ? hot : held, atomic_load(&workers->settings.dirty_rate),
		   atomic_load(&workers->dirtier.achieved),
		   atomic_load(&workers->settings.random_order) ? "random" : "sequential",
		   atomic_load(&workers->settings.whole_pages) ? "pages" : "stamps");
	answer_add(answer, ",\"read\":{\"areaBytes\":%" PRIu64 ",\"bytesPerSecond\":%" PRIu64
		   ",\"achievedBytesPerSecond\":%" PRIu64 "}", read_hot < held ? read_hot : held,
		   atomic_load(&workers->settings.read_rate), atomic_load(&workers->reader.achieved));
	answer_add(answer, ",\"churn\":{\"bytes\":%" PRIu64 ",\"bytesPerSecond\":%" PRIu64
		   ",\"achievedBytesPerSecond\":%" PRIu64 ",\"checkedPages\":%" PRIu64
		   ",\"damagedPages\":%" PRIu64 "}", atomic_load(&load->churn.bytes),
		   atomic_load(&load->churn.rate), atomic_load(&load->churn.pacer.achieved),
		   atomic_load(&load->churn.checked), atomic_load(&load->churn.damaged));
	answer_add(answer, ",\"disk\":{\"open\":%s,\"records\":%" PRIu64 ",\"errno\":%d"
		   ",\"achievedBytesPerSecond\":%" PRIu64 "}", load->disk.file >= 0 ? "true" : "false",
		   load->disk.records, load->disk.error, atomic_load(&load->disk.pacer.achieved));
	return NULL;
}

static void add_bad_pages(const struct verdict *verdict, struct answer *answer)
{
	answer_add(answer, ",\"first\":[");
	for (int i = 0; i < verdict->listed; i++) {
		const struct bad_page *bad = &verdict->first[i];

		answer_add(answer, "%s{\"page\":%u,\"kind\":\"%s\",\"expected\":%u,\"found\":%u,\"frame\":%" PRIu64 "}",
			   i ? "," : "", bad->page, page_state_name(bad->state), bad->expected, bad->found,
			   bad->frame);
	}
	answer_add(answer, "]");
}

static const char *verify(struct load *load, const struct options *options, struct answer *answer)
{
	struct verdict verdict;
	int64_t begin = clock_ns();
	uint64_t damaged = atomic_load(&load->churn.damaged);
	const char *wrong = holder_verify(&load->holder, &verdict);

	(void)options;
	if (wrong)
		return wrong;
	answer_add(answer, ",\"pages\":%u,\"torn\":%u,\"stale\":%u,\"lost\":%u,\"tracker\":%u,\"churn\":%" PRIu64,
		   verdict.pages, verdict.torn, verdict.stale, verdict.lost, verdict.tracker, damaged);
	answer_add(answer, ",\"bad\":%" PRIu64 ",\"generation\":%u,\"updates\":%" PRIu64 ",\"tookMs\":%" PRId64,
		   (uint64_t)verdict.torn + verdict.stale + verdict.lost + verdict.tracker + damaged,
		   verdict.highest_generation, verdict.updates, (clock_ns() - begin) / 1000000);
	add_bad_pages(&verdict, answer);
	return NULL;
}

static const char *verify_disk(struct load *load, const struct options *options, struct answer *answer)
{
	struct disk_verdict verdict;
	const char *wrong = disk_verify(&load->disk, &verdict);

	(void)options;
	if (wrong)
		return wrong;
	answer_add(answer, ",\"records\":%" PRIu64 ",\"pages\":%u,\"torn\":%u,\"stale\":%u,\"lost\":%u,\"bad\":%u",
		   verdict.records, verdict.pages, verdict.torn, verdict.stale, verdict.lost,
		   verdict.torn + verdict.stale + verdict.lost);
	return NULL;
}

static void *end_machine(void *argument)
{
	/* The answer goes out first; on the emulated serial port that takes its time. */
	clock_sleep_until(clock_ns() + 100000000);
	sync();
	reboot((int)(intptr_t)argument);
	errx(1, "this kernel can't be told to end");
}

static const char *end(struct load *load, int how)
{
	pthread_t thread;

	if (!load->owns_machine)
		return "this load generator doesn't own its machine";
	disk_close(&load->disk);
	return pthread_create(&thread, NULL, end_machine, (void *)(intptr_t)how) ? "no thread can be started" : NULL;
}

#define HANDLER(name, ...)                                                                        \
	static const char *name(struct load *load, const struct options *options, struct answer *answer) \
	{                                                                                         \
		(void)load, (void)options, (void)answer;                                          \
		__VA_ARGS__;                                                                      \
	}

HANDLER(do_ping, return NULL)
HANDLER(do_load, return hold(load, options))
HANDLER(do_set, return set_workers(load, options))
HANDLER(do_stop, rest(load); return NULL)
HANDLER(do_free, rest(load); holder_free(&load->holder); return NULL)
HANDLER(do_fill_and_free, return fill_and_free(options, "size"))
HANDLER(do_churn, return churn(load, options))
HANDLER(do_disk, return open_disk(load, options, "path", "rate"))
HANDLER(do_disk_close, disk_close(&load->disk); return NULL)
HANDLER(do_corrupt, uint64_t page = 0;
	if (!options_size(options, "page", &page) || page > UINT32_MAX)
		return "page must be a number";
	return holder_corrupt(&load->holder, page, options_text(options, "kind", "")))
HANDLER(do_poweroff, return end(load, RB_POWER_OFF))
HANDLER(do_reboot, return end(load, RB_AUTOBOOT))

static const struct command {
	const char *word;
	const char *(*handler)(struct load *load, const struct options *options, struct answer *answer);
	bool at_once;	/* doesn't wait for another command to end */
	const char *keys[12];
} commands[] = {
	{ "ping", do_ping, true, { NULL } },
	{ "status", status, true, { NULL } },
	{ "load", do_load, false, { LOAD_KEYS } },
	{ "set", do_set, false, { WORKER_KEYS } },
	{ "stop", do_stop, false, { NULL } },
	{ "free", do_free, false, { NULL } },
	{ "verify", verify, false, { NULL } },
	{ "fillfree", do_fill_and_free, false, { "size" } },
	{ "churn", do_churn, false, { "size", "rate" } },
	{ "disk", do_disk, false, { "path", "rate" } },
	{ "disk-verify", verify_disk, false, { NULL } },
	{ "disk-close", do_disk_close, false, { NULL } },
	{ "corrupt", do_corrupt, false, { "kind", "page" } },
	{ "poweroff", do_poweroff, true, { NULL } },
	{ "reboot", do_reboot, true, { NULL } },
};

static void run(struct load *load, const struct command *command, const struct options *options,
		const char *id, struct answer *answer)
{
	const char *wrong;

	if (!command->at_once)
		pthread_mutex_lock(&load->commands);
	answer_begin(answer, id, true);
	wrong = command->handler(load, options, answer);
	if (!command->at_once)
		pthread_mutex_unlock(&load->commands);
	if (wrong)
		answer_error(answer, id, wrong);
	else
		answer_end(answer, id);
}

void load_execute(struct load *load, char *line, struct answer *answer)
{
	struct options options;
	const char *id = NULL;

	/* id=… may stand before the command; the answer then repeats it. */
	if (!strncmp(line, "id=", 3)) {
		id = line + 3;
		line += strcspn(line, " \r\n");
		if (*line)
			*line++ = '\0';
	}
	if (!options_parse(&options, line)) {
		answer_error(answer, id, "words after the command must be key=value");
		return;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(commands[i].word, options.word))
			continue;
		if (options_unknown(&options, commands[i].keys))
			answer_error(answer, id, "this command has no such key");
		else
			run(load, &commands[i], &options, id, answer);
		return;
	}
	answer_error(answer, id, "no such command");
}
