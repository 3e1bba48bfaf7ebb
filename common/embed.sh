#!/bin/sh
# Turns text files into C: embed.sh DIR FUNCTIONS.lua FILE.sql ... writes DIR/embedded.c and DIR/embedded.h.
# sql/view_latest.sql becomes sql_view_latest, sql/migrations/001_name.sql an element of sql_migrations[].
set -eu

dir=$1
lua=$2
shift 2

literal() {
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/	"/' -e 's/$/\\n"/' "$1"
}

# of what it does: comments do not count
code=$(sed -e 's/--.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$lua" | cksum | tr ' ' -)

header=$dir/embedded.h
source=$dir/embedded.c
{
	printf '/* made by common/embed.sh from the files that it names */\n#ifndef EMBEDDED_H\n#define EMBEDDED_H\n\n'
	printf 'struct migration {\n\tint version;\n\tconst char *name;\n\tconst char *sql;\n};\n\n'
	printf '#define HANDOVER_CODE "%s"\n' "$code"
	printf 'extern const char handover_lua[];\nextern const struct migration sql_migrations[];\nextern const int n_sql_migrations;\n'
} >"$header.new"
{
	printf '#include "embedded.h"\n\nconst char handover_lua[] =\n'
	literal "$lua" | sed "s/@CODE@/$code/"
	printf ';\n'
} >"$source.new"

migrations=
versions=
n=0
for file in "$@"; do
	name=$(basename "$file" .sql)
	case $file in
	*/migrations/*)
		migrations="$migrations $file"
		n=$((n + 1))
		;;
	*)
		printf 'extern const char sql_%s[]; /* %s */\n' "$name" "$file" >>"$header.new"
		{
			printf '\nconst char sql_%s[] =\n' "$name"
			literal "$file"
			printf ';\n'
		} >>"$source.new"
		;;
	esac
done

{
	printf '\nconst struct migration sql_migrations[] = {\n'
	for file in $migrations; do
		name=$(basename "$file" .sql)
		version=$(expr "$name" : '0*\([0-9]*\)_')
		case " $versions " in *" $version "*) echo "embed.sh: two migrations have the number $version" >&2 && exit 1 ;; esac
		versions="$versions $version"
		printf '\t{ %s, "%s",\n' "$version" "$name"
		literal "$file"
		printf '\t},\n'
	done
	printf '\t{ 0, 0, 0 },\n};\nconst int n_sql_migrations = %s;\n' "$n"
} >>"$source.new"
printf '\n#endif\n' >>"$header.new"
mv "$header.new" "$header"
mv "$source.new" "$source"
