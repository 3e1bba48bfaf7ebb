# make help     what there is to make
# MODE          release (default), asan, tsan, cover, fuzz or fault; their objects live side by side under build/ and never mix
# V=1           shows the commands; WERROR=1 turns warnings into errors (lint and CI do, a user's newer compiler need not)

VERSION := 0.1.0
MODE    ?= release
PREFIX  ?= /usr/local
# PLANT         with MODE=fault: a mistake on purpose (common/kernel/plant.h), which the tests of faults must find
B       := build/$(MODE)$(addprefix -,$(PLANT))
BIN     := $(if $(filter release,$(MODE)),build/bin,$(B)/bin)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

# --- compiler -------------------------------------------------------------------------------------------------------
STD  := -std=c11
WARN := -Wall -Wextra -Wpointer-arith -Wwrite-strings -Wundef -Wformat=2 -Wimplicit-fallthrough -Wcast-align
# a second variable of the same name hides a bug
WARN += -Wshadow
# f() takes anything, and what no header announces is static
WARN += -Wstrict-prototypes -Wmissing-prototypes
# the stack is not sized by input
WARN += -Wvla
# a number that silently loses bits is a wrong answer
WARN += -Wconversion -Wno-sign-conversion
WARN += $(if $(WERROR),-Werror)

# flags that this compiler takes, for this processor, without a warning
takes = $(if $(shell printf '\043include <stdio.h>\n' | $(CC) -O2 -Werror $(1) -x c -c - -o /dev/null 2>/dev/null && echo yes),$(1))
# an error in memory ends the program, and is hard to make more of; tests/lint/hardening.sh looks whether it is in the programs
ifeq ($(MODE),release)
HARDEN := -fstack-protector-strong -fPIE $(call takes,-fstack-clash-protection) $(call takes,-fcf-protection=full)
HARDEN += $(or $(call takes,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif
F_release := -O2 -g $(HARDEN)
F_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
F_tsan    := -O1 -g -fsanitize=thread
F_cover   := -O0 -g --coverage
# clang only; what 'make fuzz' uses
F_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
# what 'make faults' uses
F_fault   := -O1 -g -DFAILPOINTS $(if $(PLANT),-DPLANT=PLANT_$(PLANT))
L_release := -pie -Wl,-z,relro,-z,now,-z,noexecstack
L_asan    := -fsanitize=address,undefined
L_tsan    := -fsanitize=thread
# librdkafka's locks, made visible
X_tsan    := $(B)/tests/tsan/c11_threads.o
L_cover   := --coverage
L_fuzz    := -fsanitize=fuzzer,address,undefined
$(if $(F_$(MODE)),,$(error MODE is release, asan, tsan, cover, fuzz or fault, not '$(MODE)'))

PKGS  := rdkafka hiredis libpq libuv libzstd libxxhash
CPPF  := -I. -I$(B)/gen -DLAMBDA_VERSION='"$(VERSION)"' $(shell pkg-config --cflags-only-I $(PKGS) 2>/dev/null | sed 's/-I/-isystem /g')
LIBS  := -Wl,--as-needed $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lpthread -lm
BUILD_ID := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))

# --- what is made ---------------------------------------------------------------------------------------------------
PROGRAMS := lambda-batch lambda-speed lambda-serving orders
SRC_common := $(wildcard common/*.c common/kernel/*.c)
SRC_lambda-batch   := $(wildcard batch/*.c)
SRC_lambda-speed   := $(wildcard speed/*.c)
SRC_lambda-serving := $(wildcard serving/*.c)
SRC_orders         := $(wildcard tests/orders/*.c)
UNIT := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/test_*.c))
# small programs that tests call
HELPERS := $(patsubst %.c,$(B)/%,$(wildcard tests/oracle/*.c))
FUZZERS := $(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/fuzz_*.c))
SRC_unit := $(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c))
SQL := $(wildcard sql/*.sql sql/migrations/*.sql)

obj = $(patsubst %.c,$(B)/%.o,$(1))
# what unit tests link besides common: the programs, not the order tool, which shares nothing with them
PARTS := $(foreach p,$(filter lambda-%,$(PROGRAMS)),$(B)/$(p).a)
ALL_OBJ := $(call obj,$(SRC_common) $(foreach p,$(PROGRAMS),$(SRC_$(p))) $(wildcard tests/unit/*.c tests/oracle/*.c tests/fuzz/*.c tests/tsan/*.c))

all: ## the three programs and the order generator, into build/bin
all: $(foreach p,$(PROGRAMS),$(if $(SRC_$(p)),$(BIN)/$(p)))

$(B)/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(STD) $(WARN) $(CPPF) $(F_$(MODE)) $(CFLAGS) -MMD -MP -c $< -o $@

$(ALL_OBJ): $(B)/gen/embedded.h $(B)/gen/flags

# other flags: all is compiled again
$(B)/gen/flags: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)printf '%s\n' '$(CC) $(STD) $(CPPF) $(F_$(MODE)) $(CFLAGS)' >$@.new
	$(Q)if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# SQL statements and the Redis functions are files that their own tools can run; the programs carry them inside.
$(B)/gen/embedded.h $(B)/gen/embedded.c &: common/embed.sh sql sql/migrations $(SQL) common/handover.lua Makefile
	$(call say,GEN,$(B)/gen/embedded.c)
	$(Q)mkdir -p $(@D)
	$(Q)sh common/embed.sh $(B)/gen common/handover.lua $(SQL)

$(B)/gen/embedded.o: $(B)/gen/embedded.c $(B)/gen/flags
	$(Q)$(CC) $(STD) $(CPPF) $(F_$(MODE)) $(CFLAGS) -c $< -o $@

# the commit that a program was built from; its own file, so that a commit recompiles nothing else
$(B)/gen/build_id.o: FORCE $(B)/gen/flags
	$(Q)mkdir -p $(@D)
	$(Q)printf 'extern const char build_id[];\nconst char build_id[] = "%s";\n' '$(BUILD_ID)' >$(B)/gen/build_id.new
	$(Q)if cmp -s $(B)/gen/build_id.new $(B)/gen/build_id.c && [ $@ -nt $(B)/gen/flags ]; then rm $(B)/gen/build_id.new; \
	    else mv $(B)/gen/build_id.new $(B)/gen/build_id.c && $(CC) $(STD) $(F_$(MODE)) -c $(B)/gen/build_id.c -o $@; fi
FORCE:

$(B)/common.a: $(call obj,$(SRC_common)) $(B)/gen/embedded.o $(B)/gen/build_id.o
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# everything of a program but its main(), so that tests can link it
define program
$(B)/$(1).a: $(call obj,$(filter-out %/main.c,$(SRC_$(1))))
	$$(Q)rm -f $$@ && $$(AR) rcs $$@ $$^
$(BIN)/$(1): $(call obj,$(filter %/main.c,$(SRC_$(1)))) $(B)/$(1).a $(B)/common.a $(X_$(MODE))
	$$(call say,LD,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) $$(F_$$(MODE)) $$(CFLAGS) $$(L_$$(MODE)) $$(LDFLAGS) $$^ -o $$@ $$(LIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

$(B)/tests/unit/%: $(B)/tests/unit/%.o $(call obj,$(SRC_unit)) $(PARTS) $(B)/common.a $(X_$(MODE))
	$(call say,LD,$@)
	$(Q)$(CC) $(F_$(MODE)) $(CFLAGS) $(L_$(MODE)) $(LDFLAGS) $^ -o $@ -lcmocka $(LIBS)
.PRECIOUS: $(B)/tests/unit/%.o

$(HELPERS): $(B)/%: $(B)/%.o $(B)/common.a $(X_$(MODE))
	$(call say,LD,$@)
	$(Q)$(CC) $(F_$(MODE)) $(CFLAGS) $(L_$(MODE)) $(LDFLAGS) $^ -o $@ $(LIBS)

# with libFuzzer in MODE=fuzz, else with a main() that replays files
$(FUZZERS): $(B)/%: $(B)/%.o $(if $(filter fuzz,$(MODE)),,$(B)/tests/fuzz/replay.o) $(PARTS) $(B)/common.a $(X_$(MODE))
	$(call say,LD,$@)
	$(Q)$(CC) $(F_$(MODE)) $(CFLAGS) $(L_$(MODE)) $(LDFLAGS) $^ -o $@ $(LIBS)

# preloaded into programs by the tests of faults
wrong-clock: $(B)/tests/faults/clock.so
$(B)/tests/faults/clock.so: tests/faults/clock.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(STD) $(WARN) $(CPPF) -O1 -fPIC -shared $< -o $@

-include $(ALL_OBJ:.o=.d)

# --- servers, tests, checks -----------------------------------------------------------------------------------------
# Debian's own Python: the tests use its packages, which another Python in PATH does not have
PYTHON ?= /usr/bin/python3

C_FILES := $(wildcard common/*.[ch] common/kernel/*.[ch] batch/*.[ch] speed/*.[ch] serving/*.[ch] tests/*/*.[ch])
SH_FILES := $(wildcard deploy/*.sh common/*.sh tests/demo/* tests/stack/stack tests/stack/*.sh tests/lint/*.sh tests/fuzz/*.sh .ci/run)

deps-%:
	$(Q)deploy/packages.sh $(subst -, ,$*)

demo: deps-build-stack-test ## installs what is missing, builds, starts everything, shows an answer (DEMO_ORDERS=n, DEPS=no)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/demo/demo

check: deps-build-stack-test ## installs what is missing, builds, runs every test on a private stack, counts
	$(Q)$(MAKE) --no-print-directory all unit-programs
	$(Q)-tests/system/duckdb.sh >/dev/null
	$(Q)$(PYTHON) tests/check.py --build $(B) --programs $(BIN) $(CHECK)

unit: deps-build-test ## unit and property tests: seconds, no servers
	$(Q)$(MAKE) --no-print-directory unit-programs
	$(Q)$(PYTHON) tests/check.py --build $(B) --programs $(BIN) --unit-only

unit-programs: $(UNIT) $(HELPERS) $(FUZZERS)

fuzz: deps-build-lint ## fuzzes all that parses bytes from outside (FUZZ_SECONDS=60 in all; FUZZ='event http': only these)
	$(Q)$(MAKE) --no-print-directory MODE=fuzz CC=clang fuzzers
	$(Q)tests/fuzz/run.sh $(FUZZ)

fuzzers: $(FUZZERS)

valgrind: deps-build-test-valgrind ## memcheck over the unit tests (minutes)
	$(Q)$(MAKE) --no-print-directory unit-programs
	$(Q)$(PYTHON) tests/check.py --build $(B) --programs $(BIN) --unit-only --valgrind

up: deps-build-stack-test ## starts the local stack: an empty topic, a migrated database, build/stack/env
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/stack/stack up

down: ## stops everything that 'make demo' and 'make up' started, and only that
	$(Q)tests/demo/stop

story: deps-build-stack-test ## shows one of the five streaming gotchas, live (STORY=order|customers|once|backpressure|late), or how a bug is mended (bug-lambda|bug-kappa|bug-hybrid)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(if $(filter bug-%,$(STORY)),$(MAKE) --no-print-directory MODE=fault PLANT=REFUNDS all)
	$(Q)$(PYTHON) tests/demo/story.py $(STORY)

faults: deps-build-stack-test ## injects faults by seed and checks every answer (SEED=n ROUNDS=n FAULTS='-n 12 ...')
	$(Q)$(MAKE) --no-print-directory MODE=fault all wrong-clock
	$(Q)$(PYTHON) tests/faults/nemesis.py --programs build/fault/bin $(if $(SEED),--seed $(SEED)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(FAULTS)

faults-report: ## writes the figures in docs/faults.md of what 'make faults' left (RESULTS='build/faults/results-7.json ...')
	$(Q)$(PYTHON) tests/faults/report.py $(or $(RESULTS),$(wildcard build/faults/results-*.json))

faults-check: deps-build-stack-test ## sees to it that 'make faults' finds mistakes that are built in on purpose (minutes)
	$(Q)for plant in '' DOUBLE LOSS CORRECTION ARCHIVE PROMOTE; do $(MAKE) --no-print-directory MODE=fault PLANT=$$plant all wrong-clock || exit; done
	$(Q)$(PYTHON) tests/faults/check_plants.py

soak: deps-build-stack-test ## looks whether anything grows: a thousand runs and flushes, LeakSanitizer for batch (CYCLES=n; 10 minutes and more)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(MAKE) --no-print-directory MODE=asan build/asan/bin/lambda-batch
	$(Q)$(PYTHON) tests/soak/soak.py --batch build/asan/bin --cycles $(or $(CYCLES),1000)

bench: deps-build-stack-test ## measures: events per second, latency (minutes)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(PYTHON) tests/bench/bench.py --programs $(BIN)

bench-architectures: deps-build-stack-test ## measures Lambda, Kappa and the hybrid against each other, on one log (10 minutes and more)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(PYTHON) tests/bench/architectures.py --programs $(BIN)

units-check: deps-build-stack-test-units ## runs systemd's units under a real systemd, in a container (as root; fetches a Debian once; 2 minutes)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(PYTHON) tests/check.py --build $(B) --programs $(BIN) tests/system/units.py

lint: deps-lint deps-build-test ## format, clang-tidy, cppcheck, include layering, shellcheck
	$(Q)tests/lint/lint.sh

fmt: deps-lint ## formats the C sources
	$(Q)clang-format -i $(C_FILES)

install: all ## installs the three programs, systemd's units and an example of cron's line (PREFIX, DESTDIR)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(filter-out %/orders,$(wildcard $(foreach p,$(PROGRAMS),$(BIN)/$(p)))) $(DESTDIR)$(PREFIX)/bin
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/share/doc/lambda/examples
	install -m 644 $(wildcard deploy/systemd/*.service deploy/systemd/*.timer) $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed -i 's#/usr/local/#$(PREFIX)/#' $(patsubst deploy/%,$(DESTDIR)$(PREFIX)/lib/%,$(subst systemd/,systemd/system/,$(wildcard deploy/systemd/*.service)))
	install -m 644 docs/*.md $(DESTDIR)$(PREFIX)/share/doc/lambda
	install -m 644 deploy/systemd/lambda.env deploy/cron/lambda-batch $(DESTDIR)$(PREFIX)/share/doc/lambda/examples

clean: ## removes what was built; a running stack keeps its data
	$(Q)rm -rf build/release build/asan build/tsan build/cover build/fuzz build/fault build/fault-* build/bin

# for other tools, such as clang-tidy
print-cppflags:
	@echo $(CPPF)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile
	@printf '\n'; sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

.PHONY: all clean demo story check unit unit-programs fuzz fuzzers valgrind up down faults faults-report faults-check soak bench bench-architectures units-check lint fmt install wrong-clock print-cppflags help FORCE
