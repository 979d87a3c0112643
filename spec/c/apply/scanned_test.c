/* Layers that are not what their index says: the file has changed since it was scanned. */

#include "core/apply/apply.h"
#include "core/fs/file.h"
#include "core/layer/index.h"
#include "tar/tar_support.h"

static char base[64] = "/tmp/strata-scanned.XXXXXX";

/* A layer of two entries, or of one: `second` is then "". */
static struct strata_blob layer(const char *first, char type, const char *second)
{
	struct strata_err err;
	struct strata_buf tar = {0};
	struct strata_blob blob = {.file = strata_file_temp(NULL, NULL, &err),
	                           .compression = STRATA_NONE};

	header(&tar, USTAR, type, first, 0);
	if (second[0] != '\0')
		header(&tar, USTAR, '0', second, 0);
	end(&tar);
	must(blob.file != NULL ? strata_file_write(blob.file, 0, tar.data, tar.len, &err) : -1);
	blob.size = tar.len;
	strata_buf_free(&tar);
	return blob;
}

/* Applies `blob` by the entries of another blob, which is let go of. */
static struct strata_err apply_as(struct strata_blob scanned, const struct strata_blob *blob)
{
	struct strata_apply_options options = {.overlay = true, .unprivileged = true};
	struct strata_err err = {"", ""};
	struct strata_index index = {.blob = scanned};
	struct strata_apply *a;
	char dir[80];

	must(strata_index_scan(&index, NULL, NULL, &err));
	snprintf(dir, sizeof(dir), "%s/layers", base);
	a = strata_apply_new(dir, &options, &err);
	must(a != NULL ? strata_apply_add(a, "layer", blob, "", "", &index, &err) : -1);
	CHECK(strata_apply_run(a, NULL, &err) == (err.code[0] == '\0' ? 0 : -1));
	strata_apply_unref(a);
	strata_index_free(&index);
	return err;
}

static void a_layer_that_has_changed_is_refused(void)
{
	static const struct {
		const char *first;
		char type;
		const char *second;
	} scanned[] = {
	        {"one", '0', ""}, {"one", '2', "two"}, {"on", '0', "two"}, {"own", '0', "two"}};
	struct strata_blob now = layer("one", '0', "two");
	char path[80];

	snprintf(path, sizeof(path), "%s/layers", base);
	for (size_t i = 0; i < sizeof(scanned) / sizeof(scanned[0]); i++) {
		struct strata_err err =
		        apply_as(layer(scanned[i].first, scanned[i].type, scanned[i].second), &now);

		CHECK(strcmp(err.code, "EDIGEST") == 0);
		CHECK(strstr(err.msg, "has changed since it was scanned") != NULL);
		CHECK(access(path, F_OK) < 0);
	}
	CHECK(apply_as(layer("one", '0', "two"), &now).code[0] == '\0');
	snprintf(path, sizeof(path), "%s/layers/1/two", base);
	CHECK(access(path, F_OK) == 0);
	strata_file_unref(now.file);
}

/* The second layer has a file, and something below it: the run starts over. */
static void a_run_starts_over_without_anybody_to_tell(void)
{
	struct strata_apply_options options = {.unprivileged = true};
	struct strata_blob layers[] = {layer("one", '0', "two"), layer("one", '0', "one/three")};
	struct strata_err err;
	struct strata_apply *a;
	char path[80];

	snprintf(path, sizeof(path), "%s/root", base);
	a = strata_apply_new(path, &options, &err);
	for (int i = 0; a != NULL && i < 2; i++) {
		must(strata_apply_add(a, "layer", &layers[i], "", "", NULL, &err));
		strata_file_unref(layers[i].file);
	}
	CHECK(a != NULL && strata_apply_run(a, NULL, &err) == 0);
	strata_apply_unref(a);
	snprintf(path, sizeof(path), "%s/root/one/three", base);
	CHECK(access(path, F_OK) == 0);
}

int main(void)
{
	char command[128];

	if (mkdtemp(base) == NULL)
		return 1;
	RUN(a_layer_that_has_changed_is_refused);
	RUN(a_run_starts_over_without_anybody_to_tell);
	snprintf(command, sizeof(command), "rm -rf %s", base);
	CHECK(system(command) == 0);
	return check_sum("scanned");
}
