/* Replays files through a fuzzer that was built without libFuzzer, with any compiler: the arguments, or
 * without any tests/fuzz/corpus/NAME and tests/fuzz/regress/NAME of the program fuzz_NAME. Speaks like
 * cmocka, so that tests/check.py can count it. */
#include "common/base.h"
#include "common/mem.h"
#include "tests/fuzz/fuzz.h"

#include <dirent.h>

static void replay_file(const char *path)
{
	FILE *file = fopen(path, "re");
	size_t len = 0, capacity = 1 << 16;
	char *bytes = xmalloc(capacity), *exact;

	printf("%s\n", path);
	fflush(stdout); /* the last one named is the one that it died of */
	if (!file) {
		perror(path);
		exit(1);
	}
	while (!feof(file) && !ferror(file)) {
		if (len == capacity)
			bytes = xrealloc(bytes, capacity *= 2);
		len += fread(bytes + len, 1, capacity - len, file);
	}
	fclose(file);
	exact = fuzz_copy(bytes, len);
	free(bytes);
	LLVMFuzzerTestOneInput((const uint8_t *)exact, len);
	free(exact);
}

static int replay_directory(const char *kind, const char *name)
{
	SCOPED(xfreep) char *path = xasprintf("tests/fuzz/%s/%s", kind, name);
	DIR *directory = opendir(path);
	const struct dirent *entry;
	int n = 0;

	if (!directory)
		return 0;
	while ((entry = readdir(directory))) {
		SCOPED(xfreep) char *file = xasprintf("%s/%s", path, entry->d_name);

		if (entry->d_name[0] == '.')
			continue;
		replay_file(file);
		n++;
	}
	closedir(directory);
	return n;
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	int n = argc - 1;

	name = name ? name + 1 : argv[0];
	assert(!strncmp(name, "fuzz_", 5));
	for (int i = 1; i < argc; i++)
		replay_file(argv[i]);
	if (argc == 1)
		n = replay_directory("corpus", name + 5) + replay_directory("regress", name + 5);
	if (!n) {
		printf("%s: there are no files\n", name);
		return 1;
	}
	printf("%s: %d files\n[  PASSED  ] 1 test(s).\n", name, n);
	return 0;
}
