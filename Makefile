# Minutebook. The two that matter: `make run` and `make test`; `make help` lists all.
CARGO ?= cargo
DATA ?= .run
LISTEN ?= 127.0.0.1:7117
KURRENTDB ?= 127.0.0.1:7119

.PHONY: help run services test quick check contracts graphiql bench attack torture planted clean
help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

graphiql: ## Get GraphiQL's files from npm, to be compiled in
	./infra/graphiql.sh

run: graphiql ## Build (release), import three businesses at work, serve them, ask five questions
	$(CARGO) build --release --locked -p server --all-features
	./infra/run.sh target/release/minutebook $(DATA) $(LISTEN) $(KURRENTDB)

services:
	./infra/test-services.sh

test: services ## Every test: units, the one integration binary over SQLite and PostgreSQL, kills, judges of others
	$(CARGO) test --locked --workspace --all-features

quick: ## The rules alone, told as stories at a command bus of their own: seconds, and no service
	$(CARGO) test --locked --workspace --all-features --test stories

check: ## Format, lints, contracts, shape: all that needs no server, on the build of the tests
	$(CARGO) fmt --all --check || { echo "the format differs: run cargo fmt"; exit 1; }
	$(CARGO) clippy --locked --workspace --all-features --all-targets -- -D warnings
	$(CARGO) test --locked -q --workspace --all-features --test it -- contracts shape listing

contracts: ## Write event schemas, examples, the SDL and generated pages, on the build of the tests
	MINUTEBOOK_WRITE_CONTRACTS=1 $(CARGO) test --locked -q --workspace --all-features --test it -- \
		contracts::the_committed

bench: ## Measure, side by side in one run, and print ratios (BENCH=commands, reading, import, postgres, outside, kurrentdb, views, dashboards, million: that part)
	$(CARGO) bench --locked -p tests --all-features --bench bench -- $(BENCH)

attack: ## Attack a server and importers of this machine with everything that ever broke one, and say what held (ATTACK=words: only those)
	$(CARGO) build --release --locked -p server --all-features
	$(CARGO) build --locked -p tests --all-features --bin attack
	./target/debug/attack target/release/minutebook $(ATTACK)

torture: ## Power cuts on a loop-mounted image (needs root): durable must hold, NORMAL must be caught
	$(CARGO) build --release --locked -p tests --all-features --bin torture --bin crash-writer
	./target/release/torture

planted: ## Make mistakes on purpose, one by one: each must turn the test it is for red (PLANTED=words: only those)
	./infra/planted.sh $(PLANTED)

clean: ## Delete what `make run` made
	rm -rf $(DATA)
