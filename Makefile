# Everything that people and CI do here is a target. `make help` lists them.

BUF  := go tool -modfile=tools/go.mod buf
LINT := go tool -modfile=tools/lint/go.mod golangci-lint
RACE ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## build and start the gateway on its embedded default: namespace "default" on MemStore
	bin/prism serve

.PHONY: build
build: ## build bin/prism, static
	CGO_ENABLED=0 go build -trimpath -o bin/prism ./cmd/prism

# PRISM_SERVERS=all makes a server that is missing an error; without it, what needs the server is skipped.
SERVERS := .build/servers

.PHONY: servers
servers: ## install the servers that tests run against: Redis and PostgreSQL by apt-get, where it may; NATS and toxiproxy are built
	internal/testenv/install.sh
	go build -modfile=tools/nats/go.mod -o $(SERVERS)/nats-server github.com/nats-io/nats-server/v2
	go build -modfile=tools/toxiproxy/go.mod -o $(SERVERS)/toxiproxy-server github.com/Shopify/toxiproxy/v2/cmd/server

.PHONY: test
test: servers ## run every test (RACE=1 adds the race detector, which needs cgo, and leaves out what takes too long with it: the routes and mutants of `make cells mutants`)
	go test $(if $(RACE),-race) -timeout 20m ./...

.PHONY: cells
cells: servers ## run every conformance suite on every backend over every route, and fail when one is missing; CELLS="redis nats" chooses backends
	go run ./internal/testcells $(CELLS)

.PHONY: nats-cluster
nats-cluster: servers ## run NATS's suites on streams that three servers keep, and kill the one that leads them; outside of CI
	PRISM_SERVERS=nats go test -tags natscluster -count=1 -timeout 20m -run 'TestACluster|TestTheServerThatLeads|TestReplicas' ./backends/nats

.PHONY: mutants
mutants: ## hold every conformance suite to broken implementations, and print which case rejected which
	go test -count=1 -v -run '^TestSuitesRejectMutants$$' ./conformance/...

.PHONY: test-short
test-short: ## the quick inner loop: what is slow is left out
	go test -short ./...

.PHONY: generate
generate: ## regenerate gen/ and the generated docs from schema/
	$(BUF) generate --template buf.gen.options.yaml
	rm -rf .build/generate
	$(BUF) generate -o .build/generate
	rm -rf gen/go docs/interfaces.md docs/backends.md docs/configuration-fields.md docs/patterns.md
	cp -R .build/generate/. .

.PHONY: checkgenerate
checkgenerate: ## fail when what is generated is not what schema/ says
	rm -rf .build/checkgenerate
	$(BUF) generate -o .build/checkgenerate
	@diff -r gen .build/checkgenerate/gen && (for page in interfaces backends configuration-fields patterns; do diff docs/$$page.md .build/checkgenerate/docs/$$page.md || exit 1; done) \
		|| { echo 'generated files are stale: run `make generate` and commit what it changes'; exit 1; }

.PHONY: lint
lint: ## lint Go and schema
	$(BUF) lint schema
	$(BUF) format --diff --exit-code schema
	go vet ./...
	$(LINT) run ./...

.PHONY: breaking
breaking: ## fail when schema/ breaks clients of the committed baseline
	$(BUF) breaking schema --against schema/baseline.binpb

.PHONY: baseline
baseline: ## renew the baseline that `make breaking` compares with
	$(BUF) build schema -o schema/baseline.binpb

.PHONY: tour
tour: build ## run every command of the README's tour and of the tutorial, and compare what it prints
	go run ./internal/tour README.md docs/tutorial.md

.PHONY: demo
demo: build servers ## start Redis, NATS and PostgreSQL and walk through the pattern multicast-registry on them; CI does so too
	go run ./internal/demo go run ./internal/tour -show docs/demo.md

.PHONY: examples
examples: ## build the examples; the tests in internal/extend generate, build and run the out-of-tree module
	go build -o /dev/null ./examples/...

.PHONY: conformance conformance-standard
conformance: ## run the connectrpc conformance suite on our own front: 5534 passed, 0 failed
	go run ./internal/interop/conformance -front=own
conformance-standard: ## the same on net/http and connect-go
	go run ./internal/interop/conformance -front=standard

# Strangers' suites and clients run on both fronts; FRONT=own or FRONT=standard chooses one.
STRANGERS := .build/interop/bin
FRONT     ?=

.PHONY: strangers
strangers: ## install what strangers' suites and clients need besides Go (Debian)
	internal/interop/install.sh

.PHONY: h2spec
h2spec: build ## run h2spec, strict, in clear and with TLS: 146 passed on our own front, net/http's list of failures on standard
	go build -modfile=tools/h2spec/go.mod -o $(STRANGERS)/h2spec github.com/summerwind/h2spec/cmd/h2spec
	go run ./internal/interop/h2spec -h2spec=$(STRANGERS)/h2spec -front=$(FRONT)

.PHONY: interop
interop: ## run gRPC's own interop client, every case that needs no credentials, in clear and with TLS
	go build -modfile=tools/grpcinterop/go.mod -o $(STRANGERS)/grpc-interop-client google.golang.org/grpc/interop/client
	go run ./internal/interop/grpcinterop -client=$(STRANGERS)/grpc-interop-client -front=$(FRONT)

.PHONY: clients client-tonic
clients: build ## call a gateway with grpc-go, connect-go, curl, grpcurl, buf, grpcio, connect-es and Chromium; CLIENTS=a,b chooses
	go build -modfile=tools/go.mod -o $(STRANGERS)/ github.com/bufbuild/buf/cmd/buf github.com/fullstorydev/grpcurl/cmd/grpcurl
	go run ./internal/interop/clients -front=$(FRONT) -only=$(CLIENTS)
client-tonic: ## the same with tonic, whose first build takes two minutes (needs cargo, 1.88 or newer)
	PATH="$$PATH:$$HOME/.cargo/bin" $(MAKE) clients CLIENTS=tonic

.PHONY: provider-python
provider-python: ## run the suite of keyvalue_basic on examples/provider-python, through a gateway (needs Python with venv)
	go test -tags python -count=1 -timeout 10m ./internal/interop/provider

.PHONY: differential
differential: ## send the same calls, good and bad, to our own front and to the standard one, and compare everything; CHECKS x 10 calls are random
	go test -count=1 -timeout 20m -run 'Standard|Random|Mutants' ./internal/differential -rapid.checks=$(or $(CHECKS),300)

.PHONY: soak
soak: ## wear both fronts out with peers that misbehave, SOAKTIME each: goroutines, descriptors and memory come back; FRONT=own or FRONT=standard
	SOAK=$(or $(SOAKTIME),60s) FRONT=$(FRONT) go test -count=1 -v -timeout 60m ./internal/soak

.PHONY: h2load
h2load: ## compare what `prism bench` counts with what h2load counts (needs h2load)
	go test -tags h2load -run TestH2loadAgrees -v ./internal/load

# promtool is built without the clouds that Prometheus discovers targets in. The rest of deploy/ is read by the parsers of what would run it, in a module of their own.
PROMTOOL := .build/deploy/promtool

.PHONY: deploy
deploy: build ## check deploy/: image, compose file, unit, configuration, alerts, dashboard
	go build -tags remove_all_sd -modfile=tools/deploy/go.mod -o $(PROMTOOL) github.com/prometheus/prometheus/cmd/promtool
	$(PROMTOOL) check config deploy/prometheus/prometheus.yml
	$(PROMTOOL) check rules --lint=all --lint-fatal deploy/prometheus/alerts.yaml
	$(PROMTOOL) test rules deploy/prometheus/alerts_test.yaml
	bin/prism validate deploy/prism.yaml
	go test -C tools/deploy -count=1 .

.PHONY: bench
bench: build ## measure against bare servers and print the ratios (needs h2load)
	go run ./bench

.PHONY: fuzz
fuzz: ## fuzz everything that parses, FUZZTIME each
	./internal/fuzz.sh $(or $(FUZZTIME),30s)

.PHONY: clean
clean: ## remove what was built
	rm -rf bin .build
