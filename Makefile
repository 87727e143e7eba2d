# Pullquote. `make serve` answers questions, `make test` runs everything.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
COMMA := ,
TORCH := torch==2.13.0
# Where torch's CPU build comes from, unless pip already has one at hand.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# OpenVINO has wheels for these and no others; where there are none ONNX Runtime does alone.
EXTRAS := build,dev,otel$(if $(filter Linux-x86_64 Linux-aarch64 Darwin-arm64,$(shell uname -s)-$(shell uname -m)),$(COMMA)openvino)
LOCK := .ci/requirements.lock
READY := $(VENV)/.ready

.PHONY: help serve index test check lock widget clients clean

help: ## say what there is to do
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

serve: $(READY) ## install, build the index of corpus/texts, serve on 127.0.0.1:8000 (PORT=... for another)
	@$(if $(PORT),PULLQUOTE_PORT=$(PORT)) $(BIN)/pullquote serve --watch

index: $(READY) ## make the index follow corpus/texts
	@$(BIN)/pullquote index

test: $(READY) ## lint, types and all tests
	@VENV=$(VENV) .ci/check
	@VENV=$(VENV) .ci/test

check: $(READY) ## lint and types alone
	@VENV=$(VENV) .ci/check

lock: ## renew the pinned versions
	@.ci/lock

widget: ## build service/widget/widget.js (needs Node 20) and check its types
	@cd service/widget && npm ci --no-audit --no-fund && npm run check && npm run build

clients: ## install the clients on Node that the tests put to a server
	@cd tests/clients && npm ci --no-audit --no-fund

clean: ## remove the environment and the index
	rm -rf $(VENV) var

# torch comes first and from where its CPU build is: anything that pulls plain torch on Linux brings
# gigabytes of CUDA libraries. A wheel pip finds without an index (find-links) is used before the download.
$(READY): pyproject.toml $(LOCK)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Pullquote needs Python 3.11 or newer: make PYTHON=python3.11"; exit 1; }
	$(BIN)/python -m pip install --quiet --no-deps --no-index $(TORCH) 2>/dev/null || $(BIN)/python -m pip install --quiet --no-deps --index-url $(TORCH_INDEX) $(TORCH)
	PIP_CONSTRAINT=$(CURDIR)/$(LOCK) PIP_BUILD_CONSTRAINT=$(CURDIR)/$(LOCK) $(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	@touch $@
