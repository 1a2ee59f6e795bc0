// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "handlers.h"

const char *command_set(struct load *load, const struct options *options, struct answer *answer)
{
	struct workers_settings *settings = &load->workers.settings;
	uint64_t hot = atomic_load(&settings->hot_bytes), dirty = atomic_load(&settings->dirty_rate);
	uint64_t read_hot = atomic_load(&settings->read_hot_bytes), read = atomic_load(&settings->read_rate);
	const char *order = options_text(options, "order", NULL);
	const char *rewrite = options_text(options, "rewrite", NULL);

	(void)answer;
	if (!options_size(options, "hot", &hot) || !options_size(options, "readhot", &read_hot))
		return "hot and readhot must be sizes, such as 64M";
	if (!options_rate(options, "dirty", &dirty) || !options_rate(options, "read", &read))
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

const char *command_stop(struct load *load, const struct options *options, struct answer *answer)
{
	(void)options, (void)answer;
	atomic_store(&load->workers.settings.dirty_rate, 0);
	atomic_store(&load->workers.settings.read_rate, 0);
	atomic_store(&load->churn.bytes, 0);
	atomic_store(&load->churn.rate, 0);
	return NULL;
}

const char *command_free(struct load *load, const struct options *options, struct answer *answer)
{
	command_stop(load, options, answer);
	holder_free(&load->holder);
	return NULL;
}

const char *command_load(struct load *load, const struct options *options, struct answer *answer)
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
	command_stop(load, options, answer);
	/* The areas of a former load mean nothing to this one: everything that is held, unless said otherwise. */
	atomic_store(&load->workers.settings.hot_bytes, UINT64_MAX);
	atomic_store(&load->workers.settings.read_hot_bytes, UINT64_MAX);
	wrong = command_set(load, options, answer);
	return wrong ? wrong : holder_hold(&load->holder, bytes, &kind);
}

static void add_bad_pages(const struct verdict *verdict, struct answer *answer)
{
	answer_add(answer, ",\"first\":[");
	for (int i = 0; i < verdict->listed; i++) {
		const struct bad_page *bad = &verdict->first[i];

		answer_add(answer, "%s{\"page\":%u,\"kind\":\"%s\",\"expected\":%u,\"found\":%u", i ? "," : "",
			   bad->page, page_state_name(bad->state), bad->expected, bad->found);
		answer_add(answer, ",\"frame\":%" PRIu64 "}", bad->frame);
	}
	answer_add(answer, "]");
}

const char *command_verify(struct load *load, const struct options *options, struct answer *answer)
{
	struct verdict verdict;
	int64_t begin = clock_ns();
	uint64_t damaged = atomic_load(&load->churn.damaged);
	const char *wrong = holder_verify(&load->holder, &verdict);

	(void)options;
	if (wrong)
		return wrong;
	answer_add(answer, ",\"pages\":%u,\"torn\":%u,\"stale\":%u,\"lost\":%u,\"tracker\":%u", verdict.pages,
		   verdict.torn, verdict.stale, verdict.lost, verdict.tracker);
	answer_add(answer, ",\"churn\":%" PRIu64 ",\"bad\":%" PRIu64, damaged,
		   (uint64_t)verdict.torn + verdict.stale + verdict.lost + verdict.tracker + damaged);
	answer_add(answer, ",\"generation\":%u,\"updates\":%" PRIu64 ",\"tookMs\":%" PRId64,
		   verdict.highest_generation, verdict.updates, (clock_ns() - begin) / 1000000);
	add_bad_pages(&verdict, answer);
	return NULL;
}

const char *command_corrupt(struct load *load, const struct options *options, struct answer *answer)
{
	uint64_t page = 0;

	(void)answer;
	if (!options_size(options, "page", &page) || page > UINT32_MAX)
		return "page must be a number";
	return holder_corrupt(&load->holder, page, options_text(options, "kind", ""));
}

const char *command_fill_and_free(struct load *load, const struct options *options, struct answer *answer)
{
	uint64_t bytes = 0;

	(void)load, (void)answer;
	if (!options_size(options, "size", &bytes))
		return "size must be one, such as 1G";
	return allocator_fill_and_free(bytes);
}

const char *command_churn(struct load *load, const struct options *options, struct answer *answer)
{
	uint64_t bytes = 64 << 20, rate = 20000000;

	(void)answer;
	if (!options_size(options, "size", &bytes) || !options_rate(options, "rate", &rate))
		return "size must be a size and rate bytes per second";
	atomic_store(&load->churn.bytes, bytes);
	atomic_store(&load->churn.rate, rate);
	return NULL;
}
